"""Options and components: the one definition of every option's name, type, range and default.

A component (an optimizer, network, schedule or dataset) is a frozen dataclass, entered by name into the
table of its group with `register`. Its fields are its options. `read` makes a checked `RunConfig` from
plain keys and values, and says in one line what is wrong with them.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

COMPONENTS = ("data", "network", "optimizer", "schedule", "layer")  # groups of dataclasses
TABLES: dict[str, dict[str, Any]] = {group: {} for group in (*COMPONENTS, "activation", "init", "loss", "diagnostic")}


class ConfigError(ValueError):
    """A person's mistake in a config; its message is one line: key=value, and what is allowed."""


def conf_directory() -> Path:
    """Where the configs are: inside the package where it was installed, beside it in a checkout."""
    package = Path(__file__).parent
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def find_file(path: str) -> Path:
    """A file by its path from the current directory or, where there is none, from the folder of the configs.

    So a study names what lies beside it, `experiments/mazur.npz`, from wherever it is run.
    """
    given = Path(path).expanduser()
    shipped = conf_directory() / given
    return shipped if shipped.is_file() and not given.exists() else given


def register(group: str, name: str) -> Callable[[T], T]:
    """Enter a component's dataclass, an activation or a loss, by name into its group's table.

    Raises ConfigError for an unknown group, and for a name that is taken.
    """

    def enter(component: T) -> T:
        if group not in TABLES:
            raise ConfigError(f"register: no group {group}; there is {', '.join(TABLES)}")
        if name in TABLES[group]:
            raise ConfigError(f"register: {group} {name} is there already; choose another name")
        if group in COMPONENTS and not dataclasses.is_dataclass(component):
            raise ConfigError(f"register: {group} {name}: expected a dataclass; put @dataclass(frozen=True) below")
        TABLES[group][name] = component
        return component

    return enter


@dataclass(frozen=True)
class Range:
    """What a value may be, beside its type. Bounds hold for the entries of a list, too."""

    help: str
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] | str | None = None  # names, or the table whose names they are

    def names(self) -> list[str] | None:
        return sorted(TABLES[self.choices]) if isinstance(self.choices, str) else list(self.choices or ()) or None

    def admits(self, value: Any) -> bool:
        if isinstance(value, list):
            return all(self.admits(each) for each in value)
        if isinstance(value, str):
            names = self.names()
            return names is None or value in names
        if not isinstance(value, (int, float)):
            return True
        return (
            math.isfinite(value)
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def bounds(self) -> str:
        parts = [
            f"{text} {bound:g}"
            for text, bound in (
                ("above", self.above),
                ("at least", self.at_least),
                ("at most", self.at_most),
                ("below", self.below),
            )
            if bound is not None
        ]
        return " and ".join(parts)


REQUIRED: Any = object()

# What the best network can be judged by: auto is the first of the others that the data gives.
METRICS = ("auto", "val_accuracy", "val_loss", "train_loss")

# replay: each step is traced once and replayed as a flat list of NumPy calls; eager: the oracle. Equal, bit for bit.
ENGINES = ("replay", "eager")

# Pictures of a trained network, drawn in `model_plots.py`.
PLOTS = ("confusion_matrix", "decision_boundary", "first_layer_weights", "fitted_curve")


def option(default: Any, help: str, **limits: Any) -> Any:
    """A dataclass field with its meaning and its limits (see `Range`)."""
    metadata = {"range": Range(help, **limits)}
    if default is REQUIRED:
        return field(metadata=metadata)
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


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
    clip: float | None = option(None, "longest gradient: a longer one is shrunk to it", above=0)
    l2: float | None = option(None, "penalty: training makes loss + l2 * sum(p^2) small", at_least=0)
    l2_on: str = option("weights", "parameters p that l2 holds small", choices=("weights", "all"))
    patience: int | None = option(None, "evaluations without a better metric before training stops", at_least=1)
    metrics: list[str] = option([], "columns that evaluations add to metrics.csv, and draw", choices="diagnostic")
    metric: str = option("auto", "what best is judged by; auto: the first there is", choices=METRICS)
    dtype: str = option("float32", "type of every number", choices=("float32", "float64"))
    engine: str = option("replay", "how steps are computed: compiled, or one operation at a time", choices=ENGINES)
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


@cache
def options(component: type) -> dict[str, tuple[Any, Any, Range]]:
    """Name -> (type, default or REQUIRED, range) of a dataclass's options, its own before those it shares (kw_only)."""
    hints = typing.get_type_hints(component)
    found = {}
    for f in sorted(dataclasses.fields(component), key=lambda f: bool(f.kw_only)):
        if "range" in f.metadata:
            default = REQUIRED if f.default is dataclasses.MISSING else f.default
            if f.default_factory is not dataclasses.MISSING:
                default = f.default_factory()
            found[f.name] = (hints[f.name], default, f.metadata["range"])
    return found


def read(values: Mapping[str, Any]) -> RunConfig:
    """The checked config of a run, from nested keys and values.

    Raises ConfigError, with one line, for an unknown key or name, a wrong type, and a value out of range.
    """
    groups = [f.name for f in dataclasses.fields(RunConfig) if "range" not in f.metadata]
    components = {group: _component(group, values.get(group)) for group in groups}
    rest = {key: value for key, value in values.items() if key not in groups}
    return RunConfig(**components, **checked(RunConfig, rest, ""))


def _component(group: str, values: Any) -> Any:
    if not isinstance(values, Mapping) or "name" not in values:
        raise ConfigError(f"{group}={values}: expected one of {', '.join(sorted(TABLES[group]))}")
    name = values["name"]
    if not isinstance(name, str) or name not in TABLES[group]:
        raise ConfigError(f"{group}.name={shown(name)}: expected one of {', '.join(sorted(TABLES[group]))}")
    cls = TABLES[group][name]
    return cls(**checked(cls, {k: v for k, v in values.items() if k != "name"}, f"{group}."))


def checked(cls: type, values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Values for a component's options, each checked; `prefix` is what the keys begin with in a message."""
    known = options(cls)
    for key in values:
        if key not in known:
            has = ", ".join(prefix + name for name in known) or "none"
            raise ConfigError(f"{prefix}{key}={shown(values[key])}: unknown key; there is {has}")
    result = {}
    for name, (hint, default, range_) in known.items():
        if name in values or default is REQUIRED:
            result[name] = check(values.get(name), hint, range_, prefix + name)
    return result


def check(value: Any, hint: Any, range_: Range, key: str) -> Any:
    """The value as its type, or ConfigError: `lr=abc: expected a number above 0`."""
    ok, converted = _convert(value, hint)
    if not ok or (converted is not None and not range_.admits(converted)):
        is_open = range_.at_most is None and range_.below is None
        large = "too large; " if is_open and isinstance(value, (int, float)) and 2**64 <= value < math.inf else ""
        raise ConfigError(f"{key}={shown(value)}: {large}expected {expected(hint, range_)}")
    return converted


def one_line(error: BaseException) -> str:
    """The first line of an exception's message that says something; its type where none does."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def shown(value: Any) -> str:
    """A value as a message names it."""
    try:
        text = "null" if value is None else str(value)
    except ValueError:  # Python writes out no integer of more than 4300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:59] + "…"


def _convert(value: Any, hint: Any) -> tuple[bool, Any]:
    """(True, the value as that type), or (False, None). 1e3 passes for an int, 1.5, true and 2^64 do not."""
    arguments = typing.get_args(hint)
    if hint is Any:
        return True, value
    if isinstance(hint, types.UnionType):
        return next((found for each in arguments if (found := _convert(value, each))[0]), (False, None))
    if typing.get_origin(hint) is list:
        if not isinstance(value, (list, tuple)):
            return False, None
        entries = [_convert(each, arguments[0]) for each in value]
        return all(ok for ok, _ in entries), [entry for _, entry in entries]
    if hint is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is int and value.bit_length() > (64 if hint is int else 1023):
        return False, None  # an int of 64 bits, or what a float can hold
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return True, float(value)
    if hint is str and type(value) is int:
        return True, str(value)  # a column or a file can have a number for its name
    return type(value) is hint, value


def expected(hint: Any, range_: Range) -> str:
    """What a value may be, in words: `a whole number, at least 1, or null`."""
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return ", or ".join(expected(each, range_) for each in arguments)
    if hint is types.NoneType:
        return "null"
    names = range_.names()
    if typing.get_origin(hint) is list:
        if names is not None:
            return f"a list of {', '.join(names)}"
        kind = {int: "whole numbers", float: "numbers", str: "names", Any: "layers"}[arguments[0]]
        return f"a list of {kind} {range_.bounds()}".rstrip()
    if hint is str and names is not None:
        return f"one of {', '.join(names)}" if len(names) > 1 else names[0]
    kind = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[hint]
    return f"{kind} {range_.bounds()}".rstrip()
