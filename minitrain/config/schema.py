"""Options and components: the one definition of every option's name, type, range and default.

A component (an optimizer, network, schedule or dataset) is a frozen dataclass, entered by name into the
table of its group with `register`. Its fields are its options. `parse_run_config` makes a checked `RunConfig` from
plain keys and values, and says in one line what is wrong with them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minitrain.errors import ConfigError, abbreviate
from minitrain.options import REQUIRED, option, validate_options
from minitrain.registry import REGISTRIES

# What the best network can be judged by: auto is the first of the others that the data gives.
METRICS = ("auto", "val_accuracy", "val_loss", "train_loss")


# replay: each step is traced once and replayed as a flat list of NumPy calls; eager: the oracle. Equal, bit for bit.
ENGINES = ("numpy", "eager")


# Pictures of a trained network, drawn in `model_plots.py`.
PLOTS = ("confusion_matrix", "decision_boundary", "first_layer_weights", "fitted_curve")


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run."""

    data: Any
    network: Any
    optimizer: Any
    schedule: Any
    lr: float = option(
        REQUIRED, "learning rate: the length of a step (if not given, the optimizer's usual one)", at_least=0
    )
    activation: str = option("relu", "function after each hidden layer", choices="activation")
    loss: str = option("cross_entropy", "what training makes small", choices="loss")
    reduction: str = option("mean", "the loss of a batch: mean or sum of its parts", choices=("mean", "sum"))
    label_smoothing: float | None = option(
        None, "share of each target spread over all classes (loss=cross_entropy)", at_least=0, at_most=1
    )
    steps: int = option(1000, "number of updates", at_least=1, at_most=10**12)
    warmup: int | None = option(None, "steps that rise to lr before the schedule begins", at_least=1)
    batch_size: int | None = option(64, "examples per step; null takes all of them", at_least=1)
    seed: int = option(0, "initial weights and order of the examples", at_least=0)
    max_grad_norm: float | None = option(None, "longest gradient: a longer one is shrunk to it", above=0)
    l2: float | None = option(None, "penalty: training makes loss + l2 * sum(p^2) small", at_least=0)
    l2_on: str = option("weights", "parameters p that l2 holds small", choices=("weights", "all"))
    patience: int | None = option(None, "evaluations without a better metric before training stops", at_least=1)
    diagnostics: list[str] = option([], "columns that evaluations add to metrics.csv, and draw", choices="diagnostic")
    monitor: str = option("auto", "what best is judged by; auto: the first there is", choices=METRICS)
    dtype: str = option("float32", "type of every number", choices=("float32", "float64"))
    engine: str = option("numpy", "how steps are computed: compiled, or one operation at a time", choices=ENGINES)
    blas_threads: int | str = option(
        1, "threads of a product; auto: all cores where products are large", at_least=1, choices=("auto",)
    )
    eval_every: int = option(100, "steps between evaluations on the validation data", at_least=1)
    log_every: int = option(10, "steps between rows of metrics.csv", at_least=1)
    checkpoint_every: int = option(500, "steps between checkpoints", at_least=1)
    on_divergence: str = option(
        "record", "a run that diverges: record it as a result, or let the command fail", choices=("record", "fail")
    )
    plots: list[str] = option([], "pictures of the best network, drawn when a run ends", choices=PLOTS)
    extensions: list[str] = option([], "your own modules with components, imported at the start")


def parse_run_config(values: Mapping[str, Any]) -> RunConfig:
    """The checked config of a run, from nested keys and values.

    Raises ConfigError, with one line, for an unknown key or name, a wrong type, and a value out of range.
    """
    groups = [f.name for f in dataclasses.fields(RunConfig) if "range" not in f.metadata]
    components = {group: _component(group, values.get(group)) for group in groups}
    rest = {key: value for key, value in values.items() if key not in groups}
    return RunConfig(**components, **validate_options(RunConfig, rest, ""))


def _component(group: str, values: Any) -> Any:
    if not isinstance(values, Mapping) or "name" not in values:
        raise ConfigError(f"{group}={values}: expected one of {', '.join(sorted(REGISTRIES[group]))}")
    name = values["name"]
    if not isinstance(name, str) or name not in REGISTRIES[group]:
        raise ConfigError(f"{group}.name={abbreviate(name)}: expected one of {', '.join(sorted(REGISTRIES[group]))}")
    cls = REGISTRIES[group][name]
    return cls(**validate_options(cls, {k: v for k, v in values.items() if k != "name"}, f"{group}."))
