"""`minitrain export`: write the weights of a run for other programs, with PyTorch's names and layouts."""

from __future__ import annotations

import argparse
import json
import logging
import os
from pathlib import Path

from minitrain.config.extensions import load_extensions
from minitrain.data.preprocessing import preprocessing_as_json
from minitrain.errors import ConfigError, plural
from minitrain.inference.model import load_model
from minitrain.storage.files import write_atomically
from minitrain.training.experiment import describe_network

log = logging.getLogger("minitrain")


def main(arguments: argparse.Namespace) -> int:
    """Write the parameters and buffers of a run's network as a safetensors file; returns the exit status.

    PyTorch loads them by `module.load_state_dict(safetensors.torch.load_file(FILE))` into equal layers.
    """
    load_extensions(arguments.extensions)
    file = Path(arguments.file)
    if file.suffix != ".safetensors":
        raise ConfigError(f"export: {file}: expected a file name that ends with .safetensors")
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise ConfigError('export: requires the library safetensors; pip install "minitrain[interchange]"') from error
    model = load_model(Path(arguments.run), arguments.checkpoint, arguments.data_files)
    state = model.network.state_dict()
    # safetensors does not write the entries of the metadata in a fixed order. With a single entry, equal runs have
    # equal bytes.
    metadata = {
        "step": model.step,
        "network": describe_network(model.config, model.preprocessing),
        "preprocessing": preprocessing_as_json(model.preprocessing),
    }
    content = save(state, {"minitrain": json.dumps(metadata)})
    write_atomically(file, lambda stream: stream.write(content))
    log.info("%s of step %s", plural(len(state), "array"), f"{model.step:,}")
    log.info("weights  %s", os.path.relpath(file))
    return 0
