"""`minitrain export`: a run's weights for other programs, by PyTorch's names and in its layouts."""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from minitrain.errors import ConfigError
from minitrain.inference.model import CHECKPOINTS, load_model
from minitrain.storage.files import write_atomically

log = logging.getLogger("minitrain")


def main(arguments: Sequence[str]) -> int:
    """`export RUN FILE.safetensors [--checkpoint best|last]`: write the network's parameters and buffers; gives 0.

    PyTorch reads them with `module.load_state_dict(safetensors.torch.load_file(FILE))` into the same layers.
    """
    parser = argparse.ArgumentParser("minitrain export", add_help=False, allow_abbrev=False)
    parser.error = _refuse  # type: ignore[method-assign]
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--checkpoint", choices=CHECKPOINTS, default="best")
    given = parser.parse_intermixed_args([text for text in arguments if not text.startswith("extensions=")])
    if given.file.suffix != ".safetensors":
        raise ConfigError(f"export: {given.file}: expected a name that ends with .safetensors")
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise ConfigError('export: needs the library safetensors; pip install "minitrain[interchange]"') from error
    model = load_model(given.run, given.checkpoint)
    state = model.network.state_dict()
    # The order of the file's metadata is not its writer's, and equal runs give equal bytes: there is one entry.
    content = save(
        state, {"minitrain": json.dumps({"step": model.step, "network": model.experiment.describe_network()})}
    )
    write_atomically(given.file, lambda file: file.write(content))
    log.info("%d arrays of step %s", len(state), f"{model.step:,}")
    log.info("weights  %s", os.path.relpath(given.file))
    return 0


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"export: {message}; expected export RUN FILE.safetensors [--checkpoint best|last]")
