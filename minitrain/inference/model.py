"""A trained network, restored from a run's directory: `load_model` and `Model.predict`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Tensor
from minitrain.config.loading import read_run_config
from minitrain.config.schema import RunConfig
from minitrain.data import Dataset, RowsOnDisk, row_blocks
from minitrain.data.inputs import validate_inputs
from minitrain.errors import ConfigError, RecordError
from minitrain.nn.module import Module
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.summary import RunProgress
from minitrain.training.experiment import Experiment, assemble_experiment
from minitrain.typing import Array

CHECKPOINTS = ("best", "last")


def load_model(directory: str | Path, checkpoint: str = "best") -> Model:
    """Load the network of a run: `load_model("outputs/DATE/TIME").predict(x).labels`.

    The run's data is loaded again, because the scale of the inputs is computed from it. The modules of the run's
    `extensions` are never imported; import them before.

    Args:
        directory: The directory of the run.
        checkpoint: `best`, with the best value of the monitored metric, or `last`; `last` also replaces a `best` that
            does not exist yet.

    Raises:
        ConfigError: The directory is not a run's, or its config is invalid.
        RecordError: A file in it is missing or damaged, or the data has changed since the run.
    """
    return restore_model(read_run_config(Path(directory)), Path(directory), checkpoint)


@dataclass(frozen=True)
class Prediction:
    """Predictions for a batch of examples.

    Attributes:
        outputs: The outputs of the network: [examples, outputs].
        values: For regression, the outputs in the units of the target: [examples, outputs]; else None.
        classes: For classification, the index of the predicted class: [examples]; else None.
        labels: The names of these classes: [examples]; else None.
        probabilities: The probability of each class: [examples, classes]; None unless the loss defines it
            (cross_entropy, binary_cross_entropy).
    """

    outputs: Array
    values: Array | None = None
    classes: Array | None = None
    labels: Array | None = None
    probabilities: Array | None = None


@dataclass(frozen=True)
class Model:
    """A trained network in evaluation mode.

    Attributes:
        experiment: The experiment that the run's config describes.
        step: The number of updates that the network has been trained for.

    >>> from minitrain.data import Iris
    >>> from minitrain.components.networks import LinearConfig
    >>> from minitrain.optim import SGDRule
    >>> from minitrain.optim.schedules import Constant
    >>> experiment = assemble_experiment(RunConfig(Iris(), LinearConfig(), SGDRule(), Constant(), lr=0.1))
    >>> model = Model(experiment, step=0)
    >>> prediction = model.predict([[5.1, 3.5, 1.4, 0.2], [6.2, 2.9, 4.3, 1.3]])  # centimeters, as in the data
    >>> prediction.probabilities.shape, prediction.labels[0] in model.data.labels
    ((2, 3), True)
    """

    experiment: Experiment
    step: int

    @property
    def network(self) -> Module:
        """The network."""
        return self.experiment.model

    @property
    def config(self) -> RunConfig:
        """The config of the run."""
        return self.experiment.config

    @property
    def data(self) -> Dataset:
        """The data of the run."""
        return self.experiment.data

    def predict(self, x: ArrayLike) -> Prediction:
        """Predict for examples in the units of the data.

        Args:
            x: [examples, inputs], or [examples, ...], such as the shape of images.

        Raises:
            ConfigError: The number of inputs differs from that of the training data, or x contains NaN or Inf.
        """
        return self.predict_scaled(self.data.x_scale.apply(validate_inputs(np.asarray(x), self.data, "x")))

    def predict_scaled(self, x: Array | RowsOnDisk) -> Prediction:
        """Predict for examples that are scaled like the training data.

        Args:
            x: [examples, inputs], scaled like `data.x_train` and `data.x_val`.
        """
        with no_grad(), np.errstate(all="ignore"):
            parts = [self.network(Tensor(x[block].astype(self.config.dtype))).numpy() for block in row_blocks(x)]
            outputs = np.concatenate(parts)
            if self.data.classes is None:
                return Prediction(outputs, values=self.data.y_scale.undo(outputs.astype(np.float64)))
            classes = (outputs[:, 0] > 0).astype(np.int64) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
            to_probabilities = self.experiment.loss.probabilities
            probabilities = None if to_probabilities is None else to_probabilities(Tensor(outputs)).numpy()
        labels = np.array(self.data.labels)[classes]
        return Prediction(outputs, classes=classes, labels=labels, probabilities=probabilities)


def restore_model(config: RunConfig, directory: Path, checkpoint: str = "best", data: Dataset | None = None) -> Model:
    """Restore the network of a checkpoint.

    Args:
        config: The config of the run.
        directory: The directory of the run.
        checkpoint: `best` or `last`; `last` also replaces a `best` that does not exist.
        data: The dataset of `config.data`, if it has been loaded already.

    Raises:
        ConfigError: `checkpoint` has another value.
        RecordError: The checkpoint is missing or damaged, or belongs to another network or other data.
    """
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
    experiment = assemble_experiment(config, data)
    arrays, progress = load_checkpoint(path)
    try:
        experiment.step.restore(arrays)
    except ValueError as error:
        raise RecordError(
            f"{path}: does not fit the network that config.yaml and the data describe: {error}"
        ) from error
    experiment.model.eval()
    if path.stem == "best":
        _check_data(experiment, progress, path)
    return Model(experiment, progress.step)


def _check_data(experiment: Experiment, progress: RunProgress, path: Path) -> None:
    """Check that the best checkpoint has the validation loss on the data that it had during the run.

    With other data, inputs would be scaled differently, and predictions would be wrong without notice.
    """
    recorded = progress.final.get("val_loss")
    if recorded is None:
        return
    with np.errstate(all="ignore"):
        current = float(experiment.eager_engine.evaluate().get("val_loss", np.nan))
    if not np.isclose(current, recorded, rtol=1e-3, atol=1e-6, equal_nan=True):  # machines round differently
        raise RecordError(
            f"{path}: val_loss is {current:.5g} and was {recorded:.5g}: the data has changed since the run; restore it"
        )
