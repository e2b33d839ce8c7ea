"""A run's network again: `load_model` in Python, and `minitrain predict` for the examples of a file."""

from __future__ import annotations

import argparse
import csv
import io
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from minitrain.data import CSV, NPZ
from minitrain.data.inputs import read_inputs
from minitrain.errors import ConfigError
from minitrain.inference.model import CHECKPOINTS, Prediction, load_model
from minitrain.storage.files import write_text

log = logging.getLogger("minitrain")


def main(arguments: Sequence[str]) -> int:
    """`predict RUN FILE [--output FILE] [--checkpoint best|last]`: write a row for each of the file's; gives 0."""
    parser = argparse.ArgumentParser("minitrain predict", add_help=False, allow_abbrev=False)
    parser.error = _refuse  # type: ignore[method-assign]
    parser.add_argument("run", type=Path)
    parser.add_argument("file")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--checkpoint", choices=CHECKPOINTS, default="best")
    given = parser.parse_intermixed_args([text for text in arguments if not text.startswith("extensions=")])
    output = given.run / "predictions.csv" if given.output is None else given.output
    if output.is_dir():
        raise ConfigError(f"--output {output}: is a directory; expected a file")
    if output.exists() and Path(given.file).exists() and output.samefile(given.file):
        raise ConfigError(f"--output {output}: is the file of examples itself; expected another")
    model = load_model(given.run, given.checkpoint)
    source = model.config.data
    delimiter = source.delimiter if isinstance(source, CSV) else ","
    x = read_inputs(given.file, model.data, delimiter, source.x if isinstance(source, NPZ) else "x")
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(_rows(model.predict(x), model.data.labels))
    write_text(output, text.getvalue())
    log.info("%s examples, by the network of step %s", f"{len(x):,}", f"{model.step:,}")
    log.info("predictions  %s", os.path.relpath(output))
    return 0


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"predict: {message}; expected predict RUN FILE [--output FILE] [--checkpoint best|last]")


def _rows(found: Prediction, labels: Sequence[str]) -> Iterator[Sequence[object]]:
    """A header, and for each example its class and their probabilities, or its numbers."""
    if found.values is not None:
        count = found.values.shape[1]
        yield ["prediction"] if count == 1 else [f"prediction {i + 1}" for i in range(count)]
        yield from found.values.astype(found.outputs.dtype)  # no more digits than the network has
        return
    assert found.labels is not None
    if found.probabilities is None:
        yield ["prediction"]
        yield from ([label] for label in found.labels)
        return
    yield ["prediction", *(f"p({label})" for label in labels)]
    yield from ([label, *row] for label, row in zip(found.labels, found.probabilities, strict=True))
