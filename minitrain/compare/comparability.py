"""Which metrics mean the same for all runs: runs are ranked only by such a metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minitrain.compare.results import Result, format_value, value_of, varying_keys
from minitrain.config.schema import LOSS_OPTIONS
from minitrain.data.record import read_data_record
from minitrain.errors import RecordError

# Keys of the data that change the inputs of a network or the division of the examples, but not what a metric measures
_INPUT_KEYS = (
    "data.seed", "data.fold", "data.stratify", "data.standardize", "data.categories", "data.drop", "data.size",
    "data.color",
)  # fmt: skip
# Keys of the data that change which examples there are, but not the unit of their targets
_EXAMPLE_KEYS = (
    "data.samples", "data.noise", "data.validation", "data.test", "data.folds", "data.missing", "data.points",
)  # fmt: skip
_FILE_KEYS = ("data.path", "data.x")
_OBJECTIVE_KEYS = ("loss", *LOSS_OPTIONS, "data.standardize_target")
_PENALTY_KEYS = ("l2", "l2_on")  # are part of the training objective only

TRAINING_METRICS = ("train_loss", "grad_norm", "layer_grad_norm", "sharpness")
LOSSES = (*TRAINING_METRICS, "val_loss")  # values of an objective and of its derivatives
UNIT_METRICS = ("val_rmse", "val_mae", "train_rmse", "train_mae")  # have the unit of the target
DEFAULT_METRICS = ("val_accuracy", "val_loss", "train_loss")  # the first that all runs have ranks them
OTHER_METRICS = (
    "val_rmse", "val_mae", "val_r2", "val_balanced_accuracy", "val_exact_match", "val_f1", "val_auc", "train_rmse",
    "train_mae", "train_r2", "train_accuracy", "train_balanced_accuracy", "train_exact_match", "train_f1", "train_auc",
)  # fmt: skip


@dataclass(frozen=True)
class Differences:
    """The keys in which runs differ and that change the meaning of a metric.

    Attributes:
        data: Keys of the data; `contents of data.path` if equal options lead to different examples.
        objective: Keys of the loss, the scale of the target included.
        penalty: Keys that change the training objective only.
    """

    data: tuple[str, ...]
    objective: tuple[str, ...]
    penalty: tuple[str, ...]

    @classmethod
    def between(cls, runs: Sequence[Result]) -> Differences:
        """The differences between runs."""
        keys = varying_keys(runs)
        data = [key for key in keys if key.partition(".")[0] == "data"]
        data = [key for key in data if key not in (*_INPUT_KEYS, *_OBJECTIVE_KEYS)]
        if not data and _have_different_examples(runs):
            data = [f"contents of {next((key for key in _FILE_KEYS if key in runs[0].config), 'data')}"]
        penalty = [key for key in keys if key in _PENALTY_KEYS]
        if "batch_size" in keys and any(value_of(run, "reduction") == "sum" for run in runs):
            penalty.append("batch_size")
        return cls(tuple(data), tuple(key for key in keys if key in _OBJECTIVE_KEYS), tuple(penalty))

    def reason(self, metric: str) -> str:
        """Why the runs cannot be ranked by a metric; empty if they can."""
        name = metric.partition("/")[0]
        if name in LOSSES and self.objective:
            return f"different losses ({', '.join(self.objective)})"
        if name in TRAINING_METRICS and self.penalty:
            return f"different training objectives ({', '.join(self.penalty)})"
        if name in LOSSES and self.data:
            return f"different data ({', '.join(self.data)})"
        if name in UNIT_METRICS and not set(self.data) <= set(_EXAMPLE_KEYS):
            return f"targets of different data ({', '.join(self.data)})"
        return ""

    def caution(self, metric: str) -> str:
        """What to bear in mind if the runs are ranked by a metric; empty if there is nothing."""
        if not self.data or self.reason(metric) or metric.partition("/")[0] not in (*DEFAULT_METRICS, *OTHER_METRICS):
            return ""
        return f"different data ({', '.join(self.data)}): the values of {metric} refer to different examples"


def default_metric(runs: Sequence[Result]) -> str:
    """The metric that all runs with values share: validation accuracy, else validation loss, else training loss."""
    with_values = _with_values(runs)
    shared = (metric for metric in DEFAULT_METRICS if _all_have(with_values, metric))
    return next(shared, "train_loss")


def comparable_metric(runs: Sequence[Result], differences: Differences) -> str:
    """`default_metric` if it means the same for all runs, else the first other metric that does and that all runs have.

    If there is none, the default metric is returned, and `Differences.reason` says why it ranks nothing.
    """
    with_values = _with_values(runs)
    first = default_metric(runs)
    candidates = [first, *(metric for metric in OTHER_METRICS if _all_have(with_values, metric))]
    return next((metric for metric in candidates if not differences.reason(metric)), first)


def _with_values(runs: Sequence[Result]) -> list[Result]:
    return [run for run in runs if len(run.curve("train_loss")[0])]


def _all_have(runs: Sequence[Result], metric: str) -> bool:
    return bool(runs) and all(len(run.curve(metric)[0]) for run in runs)


def _have_different_examples(runs: Sequence[Result]) -> bool:
    """Whether runs with equal options of the data have other examples: a file that changed, or arrays from Python."""
    runs_of_options: dict[tuple[str, ...], list[Result]] = {}
    for run in runs:
        data = (f"{key}={format_value(value)}" for key, value in run.config.items() if key.partition(".")[0] == "data")
        runs_of_options.setdefault(tuple(sorted(data)), []).append(run)
    return any(len(_fingerprints(equal)) > 1 for equal in runs_of_options.values())


def _fingerprints(runs: Sequence[Result]) -> set[str]:
    """The distinct fingerprints of the data of runs; none for data that are a function of the options."""
    fingerprints = set()
    for run in runs:
        try:
            record = read_data_record(run.directory)
        except RecordError:
            continue
        if record is not None:
            if record.is_generated:  # as for all of these runs: thousands of files need not be read
                break
            fingerprints.add(record.fingerprint.sha256)
    return fingerprints
