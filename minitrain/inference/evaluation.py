"""Scores of a trained network on examples with known targets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Tensor
from minitrain.config.schema import RunConfig
from minitrain.data import Dataset, RowsOnDisk
from minitrain.data.record import check_unchanged, read_data_record
from minitrain.errors import ConfigError
from minitrain.inference.model import Model
from minitrain.storage.summary import ClassScores
from minitrain.training import diagnostics
from minitrain.training.experiment import weighted_loss
from minitrain.training.metrics import Evaluation, are_predictions, class_scores
from minitrain.typing import Array


@dataclass(frozen=True)
class Scores:
    """How well a network predicts examples.

    Attributes:
        examples: The number of examples.
        metrics: Loss, accuracy and the metrics of `training.metrics`, by their columns in metrics.csv (`val_loss`); NaN
            where a metric is not defined. A loss that depends on unknown numbers of training examples is left out, and
            so is all but the loss if the outputs of the network are no predictions.
        classes: The scores of each class or label; empty for regression.
    """

    examples: int
    metrics: dict[str, float]
    classes: list[ClassScores]


def evaluate(model: Model, x: Array | RowsOnDisk, y: Array, class_counts: tuple[int, ...] = ()) -> Scores:
    """Evaluate a network.

    Args:
        model: The network.
        x: [examples, inputs], scaled like `x_train` of the dataset.
        y: Classes [examples], labels as truth values [examples, labels], or numbers [examples, targets], scaled like
            `y_train`.
        class_counts: The number of training examples of each class, for the loss if `class_weight=balanced`.
    """
    config, preprocessing = model.config, model.preprocessing
    outputs = model.predict_scaled(x).outputs
    metrics: dict[str, float] = {}
    if config.class_weight != "balanced" or class_counts:
        targets = y.astype(config.dtype) if y.dtype.kind == "f" else y
        with no_grad(), np.errstate(all="ignore"):
            loss = weighted_loss(config, preprocessing, class_counts)(Tensor(outputs), Tensor(targets))
        metrics["val_loss"] = float(loss.item())
    if not are_predictions(outputs, preprocessing):
        return Scores(len(y), metrics, [])
    of = Evaluation(outputs, y, preprocessing)
    if preprocessing.has_labels:
        metrics["val_accuracy"] = float(np.mean(of.predicted == y))
    for name, diagnostic in diagnostics.DIAGNOSTICS.items():
        if diagnostics.is_of_validation(name) and not diagnostics.unsuitable(diagnostic.kind, preprocessing):
            metrics[name] = float(diagnostic.function(of))
    return Scores(of.size, metrics, class_scores(of) if preprocessing.has_labels else [])


def load_test_examples(config: RunConfig, directory: Path) -> Dataset:
    """Load the dataset of a run, which has test examples.

    Args:
        config: The config of the run, whose relative paths begin in the folder that it was started in.
        directory: The directory of the run.

    Raises:
        ConfigError: The run has no test examples, or its data cannot be read.
        RecordError: The data have changed since the run started.
    """
    advice = "give a FILE of examples with their targets, or train a run with data.test=0.1"
    if not getattr(config.data, "test", True):
        raise ConfigError(f"evaluate: {directory}: the run has no test examples; {advice}")
    data = config.dataset.load()
    check_unchanged(data, directory)
    if data.x_test is None or data.y_test is None:
        raise ConfigError(f"evaluate: {directory}: the run has no test examples; {advice}")
    return data


def read_class_counts(directory: Path) -> tuple[int, ...]:
    """The number of training examples of each class that a run has recorded; empty if it has not."""
    record = read_data_record(directory)
    return () if record is None else record.class_counts
