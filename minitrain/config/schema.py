"""The schema of a run's config: every key with its type, default, limits and meaning."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minitrain.components.losses import expected_target
from minitrain.components.networks import NetworkConfig
from minitrain.data.dataset import DatasetConfig
from minitrain.data.targets import FileOptions
from minitrain.errors import ConfigError, abbreviate
from minitrain.optim.rules import OptimizerRule
from minitrain.optim.schedules import AdaptiveSchedule, Schedule
from minitrain.options import REQUIRED, Option, option, options, validate_options
from minitrain.registry import REGISTRIES
from minitrain.storage.legacy import replacement
from minitrain.suggestions import closest, unknown_key

MONITORS = (
    "auto", "val_accuracy", "val_loss", "val_balanced_accuracy", "val_exact_match", "val_f1", "val_auc", "val_rmse",
    "val_mae", "val_r2", "train_loss",
)  # fmt: skip
ENGINES = ("numpy", "eager")
PLOTS = ("confusion_matrix", "decision_boundary", "first_layer_weights", "fitted_curve")

LOSS_OPTIONS = ("reduction", "label_smoothing", "class_weight", "huber_delta", "loss_scale")


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run."""

    data: DatasetConfig
    network: NetworkConfig
    optimizer: OptimizerRule
    schedule: Schedule | AdaptiveSchedule
    lr: float = option(
        REQUIRED, "learning rate; the optimizer's default_lr, or default_lr_mse with loss=mse, if not given", at_least=0
    )
    activation: str = option("relu", "activation after each hidden layer", choices="activation")
    loss: str = option("cross_entropy", "training objective", choices="loss")
    reduction: str = option("mean", "reduction of the loss over a batch", choices=("mean", "sum"))
    label_smoothing: float | None = option(
        None, "fraction of each target distributed over all classes (loss=cross_entropy)", at_least=0, at_most=1
    )
    class_weight: str | list[float] | None = option(
        None,
        "weight of each class in the loss (cross_entropy, binary_cross_entropy, hinge); balanced: equal sums",
        choices=("balanced",),
        above=0,
    )
    huber_delta: float | None = option(None, "error beyond which the loss is linear (loss=huber); 1 if null", above=0)
    loss_scale: float | None = option(None, "factor of the training and validation loss", above=0)
    steps: int = option(1000, "number of parameter updates", at_least=1, at_most=10**12)
    warmup: int | None = option(None, "steps of linear warm-up before the schedule begins", at_least=1)
    batch_size: int | None = option(64, "examples per step; null uses all of them", at_least=1)
    seed: int = option(0, "seed of the initial weights and of the order of the examples", at_least=0)
    max_grad_norm: float | None = option(None, "gradient clipping by global norm", above=0)
    l2: float | None = option(None, "L2 penalty: minimizes loss + l2 * sum(p^2)", at_least=0)
    l2_on: str = option("weights", "parameters p of the L2 penalty", choices=("weights", "all"))
    patience: int | None = option(
        None, "early stopping after this many evaluations without a better value of monitor", at_least=1
    )
    min_delta: float | None = option(
        None, "smallest improvement of monitor that patience counts; any if null", at_least=0
    )
    diagnostics: list[str] = option([], "diagnostics logged at each evaluation", choices="diagnostic")
    monitor: str = option(
        "auto", "metric that decides the best checkpoint; auto: the first available", choices=MONITORS
    )
    dtype: str = option("float32", "floating-point type", choices=("float32", "float64"))
    engine: str = option("numpy", "numpy: compiled steps; eager: one operation at a time; equal bits", choices=ENGINES)
    blas_threads: int | str = option(
        1, "threads of each matrix product; auto: all cores if the products are large", at_least=1, choices=("auto",)
    )
    eval_every: int = option(100, "steps between evaluations", at_least=1)
    log_every: int = option(10, "steps between rows of metrics.csv", at_least=1)
    checkpoint_every: int = option(500, "steps between checkpoints", at_least=1)
    on_divergence: str = option(
        "record", "record: a diverged run is a result; fail: it sets the exit status", choices=("record", "fail")
    )
    plots: list[str] = option([], "plots of the best checkpoint", choices=PLOTS)
    extensions: list[str] = option([], "modules with your own components, imported at the start")

    @property
    def dataset(self) -> DatasetConfig:
        """The dataset; a target that can be classes, labels or numbers is what the loss requires, if not decided."""
        if isinstance(self.data, FileOptions) and self.data.expected_target is None:
            return dataclasses.replace(self.data, expected_target=expected_target(self.loss))
        return self.data

    @property
    def loss_options(self) -> dict[str, Any]:
        """The options of the loss by their keys."""
        return {name: getattr(self, name) for name in LOSS_OPTIONS}


GROUPS = tuple(f.name for f in dataclasses.fields(RunConfig) if "range" not in f.metadata)


def options_named(key: str) -> list[Option]:
    """The options that a key can be: of the run, or of the components of its group.

    >>> [option.expected for option in options_named("network.widths")]
    ['a list of integers at least 1']
    """
    group, _, name = key.rpartition(".")
    components = REGISTRIES[group].values() if group in GROUPS else () if group else (RunConfig,)
    return [known[name] for component in components if name in (known := options(component))]


def parse_run_config(values: Mapping[str, object]) -> RunConfig:
    """The validated config of a run.

    Args:
        values: Key -> value; a group is a mapping with the name of a component and its options.

    Raises:
        ConfigError: A key or name is unknown, or a value has the wrong type or is out of range.
    """
    components = {group: _parse_component(group, values.get(group)) for group in GROUPS}
    top_level = {key: value for key, value in values.items() if key not in GROUPS}
    _refuse_renamed(RunConfig, top_level, "")
    valid = [*options(RunConfig), *GROUPS]
    for key, value in top_level.items():
        if key not in valid:
            raise ConfigError(f"{key}={abbreviate(value)}: {unknown_key(key, valid)}")
    return RunConfig(**components, **validate_options(RunConfig, top_level, ""))


def refuse_renamed(key: str, value: object) -> None:
    """Raise ConfigError, which states the new name, for a key or a value of an earlier version."""
    new = replacement(key, value)
    if new is not None:
        raise ConfigError(f"{key}={abbreviate(value)}: renamed; use {new}")


def unknown_name(group: str, name: object, names: list[str]) -> str:
    """The message about an unknown component of a group.

    >>> unknown_name("loss", "mes", ["mae", "mse"])
    'loss=mes: did you mean mse? expected one of mae, mse'
    """
    suggestion = closest(name, names) if isinstance(name, str) else None
    hint = f"did you mean {suggestion}? " if suggestion else ""
    return f"{group}={abbreviate(name)}: {hint}expected one of {', '.join(names)}"


def _parse_component(group: str, values: object) -> Any:
    names = sorted(REGISTRIES[group])
    if not isinstance(values, Mapping) or "name" not in values:
        raise ConfigError(f"{group}={abbreviate(values)}: expected one of {', '.join(names)}")
    name = values["name"]
    if not isinstance(name, str) or name not in REGISTRIES[group]:
        refuse_renamed(group, name)
        raise ConfigError(unknown_name(f"{group}.name", name, names))
    component = REGISTRIES[group][name]
    values = {key: value for key, value in values.items() if key != "name"}
    _refuse_renamed(component, values, f"{group}.")
    return component(**validate_options(component, values, f"{group}."))


def _refuse_renamed(component: type, values: Mapping[str, object], prefix: str) -> None:
    known = options(component)
    for key, value in values.items():
        if key not in known or (isinstance(value, str) and not known[key].range.admits(value)):
            refuse_renamed(prefix + key, value)
