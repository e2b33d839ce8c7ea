"""A run's network again: `load_model` in Python, and `minitrain predict` for the examples of a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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


def load_model(directory: str | Path, checkpoint: str = "best") -> Model:
    """The network of a run, ready to predict: `load_model("outputs/DATE/TIME").predict(x).labels`.

    checkpoint: best, what the run was judged by, or last, which stands in where there is no best yet
    The run's data is loaded again, for it tells how inputs are scaled; modules of its own components (extensions) are
    never imported: import them before.
    Raises ConfigError or RecordError, with one line, where the directory is not a run's, a file in it is damaged, or
    the data is not what it was.
    """
    return restore_model(read_run_config(Path(directory)), Path(directory), checkpoint)


CHECKPOINTS = ("best", "last")


@dataclass(frozen=True)
class Prediction:
    """What a network says of some examples.

    outputs: [examples, outputs], as the network gives them
    values: where it predicts numbers, [examples, outputs] in the target's own units, else None
    classes, labels: where it tells classes, their numbers and names, [examples] each, else None
    probabilities: of the classes, [examples, classes], where the loss is about such (cross_entropy,
    binary_cross_entropy), else None
    """

    outputs: Array
    values: Array | None = None
    classes: Array | None = None
    labels: Array | None = None
    probabilities: Array | None = None


@dataclass(frozen=True)
class Model:
    """A network in evaluation mode, and what it was trained by and on.

    experiment: what its config asks for; network, config and data are parts of it
    step: how many updates the network has had

    >>> from minitrain.data import Iris
    >>> from minitrain.components.networks import LinearConfig
    >>> from minitrain.optim import SGDRule
    >>> from minitrain.optim.schedules import Constant
    >>> experiment = assemble_experiment(RunConfig(Iris(), LinearConfig(), SGDRule(), Constant(), lr=0.1))
    >>> model = Model(experiment, step=0)
    >>> prediction = model.predict([[5.1, 3.5, 1.4, 0.2], [6.2, 2.9, 4.3, 1.3]])  # centimetres, as in the data
    >>> prediction.probabilities.shape, prediction.labels[0] in model.data.labels
    ((2, 3), True)
    """

    experiment: Experiment
    step: int

    @property
    def network(self) -> Module:
        return self.experiment.model

    @property
    def config(self) -> RunConfig:
        return self.experiment.config

    @property
    def data(self) -> Dataset:
        return self.experiment.data

    def predict(self, x: Any) -> Prediction:
        """x: [examples, inputs] or, as of images, [examples, ...], in the data's own units.

        Raises ConfigError for examples with other inputs than those of training, and for nan and inf.
        """
        return self.predict_scaled(self.data.x_scale.apply(validate_inputs(np.asarray(x), self.data, "x")))

    def predict_scaled(self, x: Array | RowsOnDisk) -> Prediction:
        """x: [examples, inputs], scaled as `data.x_train` and `data.x_val` are."""
        with no_grad(), np.errstate(all="ignore"):
            parts = [self.network(Tensor(x[block].astype(self.config.dtype))).numpy() for block in row_blocks(x)]
            outputs = np.concatenate(parts)
            if self.data.classes is None:
                return Prediction(outputs, values=self.data.y_scale.undo(outputs.astype(np.float64)))
            classes = (outputs[:, 0] > 0).astype(np.int64) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
            found = self.experiment.loss.probabilities
            probabilities = None if found is None else found(Tensor(outputs)).numpy()
        labels = np.array(self.data.labels)[classes]
        return Prediction(outputs, classes=classes, labels=labels, probabilities=probabilities)


def restore_model(config: RunConfig, directory: Path, checkpoint: str = "best", data: Dataset | None = None) -> Model:
    """The network of a checkpoint in a run's directory: best, or last, which stands in where there is no best.

    data: what `config.data` loads, where it is there already
    Raises RecordError where there is no checkpoint, or it is damaged, of another network, or of other data.
    """
    if checkpoint not in CHECKPOINTS:
        raise ConfigError(f"checkpoint={checkpoint}: expected one of {', '.join(CHECKPOINTS)}")
    folder = directory / "checkpoints"
    path = folder / f"{checkpoint}.npz"
    if checkpoint == "best" and not path.exists():
        path = folder / "last.npz"
    if not path.exists():
        raise RecordError(
            f"{path}: not there; a run has its first checkpoint after checkpoint_every={config.checkpoint_every} "
            "steps, or at its end"
        )
    experiment = assemble_experiment(config, data)
    arrays, progress = load_checkpoint(path)
    try:
        experiment.step.restore(arrays)
    except ValueError as error:
        raise RecordError(f"{path}: of another network than config.yaml and the data describe: {error}") from error
    experiment.model.eval()
    if path.stem == "best":
        _check_data(experiment, progress, path)
    return Model(experiment, progress.step)


def _check_data(experiment: Experiment, progress: RunProgress, path: Path) -> None:
    """Refuse data by which the best network is another than it was: it would be scaled in another way."""
    then = progress.final.get("val_loss")
    if then is None:
        return
    with np.errstate(all="ignore"):
        now = float(experiment.eager_engine.evaluate().get("val_loss", np.nan))
    if not np.isclose(now, then, rtol=1e-3, atol=1e-6, equal_nan=True):  # another machine rounds in another way
        raise RecordError(
            f"{path}: its val_loss is {now:.5g} and was {then:.5g}: the data has changed since the run; give it back "
            "as it was"
        )
