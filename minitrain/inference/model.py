"""A trained network, restored from a run's directory: `load_model` and `Model.predict`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Tensor
from minitrain.config.loading import read_run_config
from minitrain.config.schema import RunConfig
from minitrain.data import ImageRows, RowsOnDisk, row_blocks
from minitrain.data.inputs import convert_inputs
from minitrain.data.preprocessing import Preprocessing
from minitrain.data.record import check_unchanged, read_data_record
from minitrain.errors import ConfigError, RecordError
from minitrain.nn.module import Module
from minitrain.options import paths_of
from minitrain.paths import find_file
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.training.experiment import assemble_experiment, build_network, loss_of, without_initial_weights
from minitrain.training.metrics import are_predictions, predicted_classes
from minitrain.typing import Array

log = logging.getLogger("minitrain")

CHECKPOINTS = ("best", "last")


def load_model(
    directory: str | Path, checkpoint: str = "best", data_files: Mapping[str, str | Path] | None = None
) -> Model:
    """Load the network of a run: `load_model("outputs/DATE/TIME").predict(x).labels`.

    The directory has everything that the network requires, so the data may have changed or be gone; only a run of
    version 0.1.0 loads its data again. The modules of the run's `extensions` are never imported; import them before.

    Args:
        directory: The directory of the run.
        checkpoint: `best`, with the best value of the monitored metric, or `last`; `last` also replaces a `best` that
            does not exist yet.
        data_files: Where the data of the run are now, such as `{"path": "moved.csv"}`; they are compared with those
            that the run was trained on.

    Raises:
        ConfigError: The directory is not a run's, or its config is invalid.
        RecordError: A file in it is missing or damaged, or the data are others.
    """
    directory = Path(directory)
    config = read_run_config(directory)
    if data_files:
        config = _with_data_files(config, data_files)
        if read_data_record(directory) is not None:
            check_unchanged(config.dataset.load(), directory)
    return restore_model(config, directory, checkpoint)


def _with_data_files(config: RunConfig, files: Mapping[str, str | Path]) -> RunConfig:
    """A config whose data are in other files."""
    data: Any = config.data  # a dataclass, which the Protocol of datasets does not say
    names = paths_of(data)
    for name, path in files.items():
        if name not in names:
            valid = " and ".join(f"data.{valid}" for valid in names)
            advice = f"only {valid} can be set" if names else "the data of this run are not in a file; leave it out"
            raise ConfigError(f"data.{name}={path}: a trained network keeps its config; {advice}")
    complete = {name: os.path.abspath(find_file(str(path))) for name, path in files.items()}
    return replace(config, data=replace(data, **complete))


@dataclass(frozen=True)
class Prediction:
    """Predictions for a batch of examples.

    Attributes:
        outputs: The outputs of the network: [examples, outputs]. If they are not one for each class or target, as some
            losses require, nothing else is known.
        values: For regression, the outputs in the units of the target: [examples, outputs]; else None.
        classes: For classification, the index of the predicted class: [examples]; else None.
        labels: The names of these classes: [examples]; else None.
        probabilities: The probability of each class, [examples, classes], or of each of several labels,
            [examples, labels]; None unless the loss defines it (cross_entropy, binary_cross_entropy).
        has_label: For several labels, whether an example has them, each by its output above 0, a probability above one
            half: [examples, labels]; else None. Their names are `preprocessing.labels` of the model.
    """

    outputs: Array
    values: Array | None = None
    classes: Array | None = None
    labels: Array | None = None
    probabilities: Array | None = None
    has_label: Array | None = None


@dataclass(frozen=True)
class Model:
    """A trained network in evaluation mode.

    Attributes:
        config: The config of the run.
        preprocessing: How examples are encoded, and outputs decoded.
        network: The network.
        step: The number of updates that the network has been trained for.

    >>> from minitrain.data import Iris
    >>> from minitrain.components.networks import LinearConfig
    >>> from minitrain.optim import SGDRule
    >>> from minitrain.optim.schedules import Constant
    >>> config = RunConfig(Iris(), LinearConfig(), SGDRule(), Constant(), lr=0.1)
    >>> preprocessing = config.data.load().preprocessing
    >>> model = Model(config, preprocessing, build_network(config, preprocessing), step=0)
    >>> prediction = model.predict([[5.1, 3.5, 1.4, 0.2], [6.2, 2.9, 4.3, 1.3]])  # centimeters, as in the data
    >>> prediction.probabilities.shape, prediction.labels[0] in preprocessing.labels
    ((2, 3), True)
    """

    config: RunConfig
    preprocessing: Preprocessing
    network: Module
    step: int

    def predict(self, x: Any) -> Prediction:
        """Predict for examples in the units of the data.

        Args:
            x: [examples, inputs], or [examples, ...], such as the shape of images: [examples, height, width],
                [examples, height, width, channels] or [examples, channels, height, width]; or a data frame of pandas,
                polars or pyarrow, whose columns are identified by name, and missing cells replaced, as in a file of
                `minitrain predict`.

        Raises:
            ConfigError: The inputs are not those of the training data, or an array contains NaN or Inf.
        """
        return self.predict_inputs(convert_inputs(x, self.preprocessing))

    def predict_inputs(self, x: Array) -> Prediction:
        """Predict for examples in the units of the data, and in the order of the network's inputs.

        Args:
            x: [examples, inputs]; images are in the order channels, height, width.
        """
        return self.predict_scaled(self.scale_inputs(x))

    def scale_inputs(self, x: Array) -> Array | RowsOnDisk:
        """Scale examples in the units of the data like the training data; images are scaled when they are used.

        Args:
            x: [examples, inputs]; images are in the order channels, height, width.
        """
        image, scale = self.preprocessing.image, self.preprocessing.x_scale
        if image is None:
            return scale.apply(x)
        return ImageRows(x.reshape(len(x), *image.shape), np.arange(len(x)), scale)

    def predict_scaled(self, x: Array | RowsOnDisk) -> Prediction:
        """Predict for examples that are scaled like the training data.

        Args:
            x: [examples, inputs], scaled like `x_train` and `x_val` of the dataset.
        """
        with no_grad(), np.errstate(all="ignore"):
            parts = [self.network(Tensor(x[block].astype(self.config.dtype))).numpy() for block in row_blocks(x)]
            outputs = np.concatenate(parts)
            if not are_predictions(outputs, self.preprocessing):
                return Prediction(outputs)
            if not self.preprocessing.has_labels:
                return Prediction(outputs, values=self.preprocessing.y_scale.undo(outputs.astype(np.float64)))
            to_probabilities = loss_of(self.config).probabilities
            probabilities = None if to_probabilities is None else to_probabilities(Tensor(outputs)).numpy()
        if self.preprocessing.multilabel:
            return Prediction(outputs, probabilities=probabilities, has_label=np.greater(outputs, 0))
        classes = predicted_classes(outputs)
        labels = np.array(self.preprocessing.labels)[classes]
        return Prediction(outputs, classes=classes, labels=labels, probabilities=probabilities)


def restore_model(config: RunConfig, directory: Path, checkpoint: str = "best") -> Model:
    """Restore the network of a checkpoint.

    Args:
        config: The config of the run.
        directory: The directory of the run.
        checkpoint: `best` or `last`; `last` also replaces a `best` that does not exist.

    Raises:
        ConfigError: `checkpoint` has another value.
        RecordError: The checkpoint is missing or damaged, or belongs to another network or other data.
    """
    path = _checkpoint_path(config, directory, checkpoint)
    arrays, progress = load_checkpoint(path)
    record = read_data_record(directory)
    if record is None:
        preprocessing = _recompute_preprocessing(config, arrays, progress.final, path)
    else:
        preprocessing = record.preprocessing
    network = build_network(without_initial_weights(config), preprocessing)
    state = {name.partition("/")[2]: a for name, a in arrays.items() if name.startswith(("parameters/", "buffers/"))}
    types = {array.dtype.name for array in state.values()} - {config.dtype}
    try:
        if types:
            raise ValueError(f"values of type {types.pop()}, expected {config.dtype}")
        network.load_state_dict(state)
    except ValueError as error:
        raise RecordError(f"{path}: does not fit the network that config.yaml describes: {error}") from error
    network.eval()
    return Model(config, preprocessing, network, progress.step)


def _checkpoint_path(config: RunConfig, directory: Path, checkpoint: str) -> Path:
    if checkpoint not in CHECKPOINTS:
        raise ConfigError(f"checkpoint={checkpoint}: expected one of {', '.join(CHECKPOINTS)}")
    folder = directory / "checkpoints"
    path = folder / f"{checkpoint}.npz"
    if checkpoint == "best" and not path.exists():
        path = folder / "last.npz"
    if not path.exists():
        raise RecordError(
            f"{path}: no such file; a run writes its first checkpoint after "
            f"checkpoint_every={config.checkpoint_every} steps, or at its end"
        )
    return path


def _recompute_preprocessing(
    config: RunConfig, arrays: Mapping[str, Array], metrics: Mapping[str, float], path: Path
) -> Preprocessing:
    """The preprocessing of a run of version 0.1.0, which did not save it, from the data as they are now.

    The best checkpoint must have the validation loss that it had during the run: with other data, inputs would be
    scaled differently, and predictions would be wrong without notice.
    """
    log.warning("%s: no data.json: a run of version 0.1.0, whose data are loaded again", path.parent.parent)
    experiment = assemble_experiment(without_initial_weights(config))
    recorded = metrics.get("val_loss")
    if path.stem != "best" or recorded is None:
        return experiment.data.preprocessing
    try:
        experiment.step.restore(arrays)
    except ValueError as error:
        raise RecordError(
            f"{path}: does not fit the network that config.yaml and the data describe: {error}"
        ) from error
    with np.errstate(all="ignore"):
        current = float(experiment.eager_engine.evaluate().get("val_loss", np.nan))
    if not np.isclose(current, recorded, rtol=1e-3, atol=1e-6, equal_nan=True):  # machines round differently
        raise RecordError(
            f"{path}: val_loss is {current:.5g} and was {recorded:.5g}: the data has changed since the run; restore it"
        )
    return experiment.data.preprocessing
