"""`minitrain evaluate`: scores of a run's network on its test examples, or on those of a file."""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from minitrain.commands.log import set_up_logging
from minitrain.config.extensions import load_extensions
from minitrain.data import CSV, NPZ
from minitrain.data.examples import read_examples
from minitrain.errors import ConfigError, plural
from minitrain.inference.evaluation import Scores, evaluate, load_test_examples, read_class_counts
from minitrain.inference.model import Model, load_model
from minitrain.storage.metric import Metric, format_share
from minitrain.storage.summary import ClassScores

log = logging.getLogger("minitrain")


def main(arguments: argparse.Namespace) -> int:
    """Print the scores of a run's network; returns the exit status."""
    if arguments.json:
        set_up_logging(sys.stderr)  # standard output has the JSON alone
    load_extensions(arguments.extensions)
    run = Path(arguments.run)
    model = load_model(run, arguments.checkpoint, arguments.data_files)
    if not model.preprocessing.has_target:
        raise ConfigError(f"evaluate: {run}: the data of the run have no target, so that nothing can be scored")
    scores = _score_test_examples(model, run) if arguments.file is None else _score_file(model, run, arguments.file)
    if arguments.json:
        print(json.dumps(_as_json(scores, model, arguments), indent=2))
    else:
        log.info("%s", _format(scores, model, arguments.file))
    return 0


def _score_test_examples(model: Model, run: Path) -> Scores:
    data = load_test_examples(model.config, run)
    assert data.x_test is not None
    assert data.y_test is not None
    return evaluate(model, data.x_test, data.y_test, data.class_counts)


def _score_file(model: Model, run: Path, file: str) -> Scores:
    preprocessing, source = model.preprocessing, model.config.data
    targets = (source.target_names if isinstance(source, CSV) else []) or preprocessing.target_names
    arrays = (source.x, source.y) if isinstance(source, NPZ) else ("x", "y")
    x, y = read_examples(file, preprocessing, targets, arrays)
    if preprocessing.targets:
        y = preprocessing.y_scale.apply(y)
    return evaluate(model, model.scale_inputs(x), y, read_class_counts(run))


# Output


def _as_json(scores: Scores, model: Model, arguments: argparse.Namespace) -> dict[str, object]:
    """The scores as values of JSON; a metric that is not defined is null."""
    metrics = {_title(name): value if math.isfinite(value) else None for name, value in scores.metrics.items()}
    return {
        "run": arguments.run,
        "file": arguments.file,
        "checkpoint": arguments.checkpoint,
        "step": model.step,
        "examples": scores.examples,
        "metrics": metrics,
        "classes": scores.classes,
    }


def _title(column: str) -> str:
    """The name of a metric without that of the validation examples: `val_loss` -> loss."""
    return column.removeprefix("val_")


def _format(scores: Scores, model: Model, file: str | None) -> str:
    """The number of examples, and tables of the metrics and of the classes."""
    examples = plural(scores.examples, "test example") if file is None else plural(scores.examples, "example")
    lines = [f"{examples}{f' of {file}' if file else ''}, by the network of step {model.step:,}", ""]
    lines += _table([[_title(name), _format_metric(name, value)] for name, value in scores.metrics.items()])
    if "val_loss" not in scores.metrics:
        lines.append("loss: not known; the run has not recorded its classes, which class_weight=balanced depends on")
    if scores.classes:
        header = ["class", "precision", "recall", "f1", "examples"]
        lines += ["", *_table([header, *map(_class_row, scores.classes)])]
    return "\n".join(lines)


def _class_row(scores: ClassScores) -> list[str]:
    shares = [format_share(share) for share in (scores["precision"], scores["recall"], scores["f1"])]
    return [scores["class"], *shares, f"{scores['examples']:,}"]


def _format_metric(name: str, value: float) -> str:
    return "not defined" if math.isnan(value) else Metric.named(name).format(value, digits=2)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
