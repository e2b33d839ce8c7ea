"""`minitrain predict`: write the predictions of a run's network for the examples of a file."""

from __future__ import annotations

import argparse
import csv
import io
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from minitrain.config.extensions import load_extensions
from minitrain.data import NPZ
from minitrain.data.inputs import read_named_inputs
from minitrain.errors import ConfigError, plural
from minitrain.inference.model import Prediction, load_model
from minitrain.storage.files import write_text

log = logging.getLogger("minitrain")


def main(arguments: argparse.Namespace) -> int:
    """Write a row of predictions for each example of a file; returns the exit status."""
    load_extensions(arguments.extensions)
    run = Path(arguments.run)
    output = run / "predictions.csv" if arguments.output is None else Path(arguments.output)
    _check_output(output, Path(arguments.file))
    model = load_model(run, arguments.checkpoint, arguments.data_files)
    source = model.config.data
    examples = read_named_inputs(arguments.file, model.preprocessing, source.x if isinstance(source, NPZ) else "x")
    rows = _rows(model.predict_inputs(examples.inputs), model.preprocessing.labels)
    if examples.files:
        rows = ([file, *row] for file, row in zip(("file", *examples.files), rows, strict=True))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(output, text.getvalue())
    log.info("%s, by the network of step %s", plural(len(examples.inputs), "example"), f"{model.step:,}")
    log.info("predictions  %s", os.path.relpath(output))
    return 0


def _check_output(output: Path, examples: Path) -> None:
    """Raise ConfigError if the predictions would replace a directory or the examples."""
    if output.is_dir():
        raise ConfigError(f"--output {output}: is a directory; expected a file")
    if output.exists() and examples.exists() and output.samefile(examples):
        raise ConfigError(f"--output {output}: is the file of examples itself; expected another file")


def _rows(prediction: Prediction, labels: Sequence[str]) -> Iterator[Sequence[object]]:
    """A header, and for each example its class and their probabilities, or its labels and theirs, or its values.

    Outputs of the network that are not predictions are written as they are.
    """
    if prediction.labels is None and prediction.has_label is None:
        name = "output" if prediction.values is None else "prediction"
        values = prediction.outputs if prediction.values is None else prediction.values
        yield [name] if values.shape[1] == 1 else [f"{name} {i + 1}" for i in range(values.shape[1])]
        yield from values.astype(prediction.outputs.dtype)  # no more digits than the network has
        return
    if prediction.has_label is not None:
        names, predicted = list(labels), prediction.has_label.astype(int)
    else:
        assert prediction.labels is not None
        names, predicted = ["prediction"], prediction.labels[:, None]
    if prediction.probabilities is None:
        yield names
        yield from predicted
        return
    yield [*names, *(f"p({label})" for label in labels)]
    yield from ([*row, *shares] for row, shares in zip(predicted, prediction.probabilities, strict=True))
