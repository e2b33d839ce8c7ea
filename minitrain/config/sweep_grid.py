"""The jobs of a sweep: all combinations of values, keys that vary together, random samples, repeats by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, RangeSweep, Sweep

from minitrain.config.hydra_compat import grid_values
from minitrain.errors import ConfigError, plural
from minitrain.options import Range, validate_value

COUNTS = ("samples", "sample_seed", "repeats")
SWEEP_KEYS = ("zip", *COUNTS, "halving", "rungs", "halving_by")  # keys of a sweep, which no run has in its config
DRAWS_PER_SAMPLE = 100  # draws without a new job after which there are taken to be no more

MOST_RUNS = 100_000  # of a sweep: checking their configs takes about 10 s and 230 MB

Alternatives = list[tuple[str, ...]]  # each: the overrides of one alternative


@dataclass(frozen=True)
class Interval:
    """A range of a key that is sampled.

    Attributes:
        low, high: Its bounds.
        is_log: Whether the logarithm is uniform, instead of the value.
    """

    key: str
    low: float
    high: float
    is_log: bool

    def sample(self, rng: np.random.Generator) -> tuple[str, ...]:
        """An override with a random value."""
        low, high = self.low, self.high
        if isinstance(low, int) and isinstance(high, int):
            # Each integer has the interval from half below it to half above.
            value = self._uniform(rng, low - 0.5, high + 0.5) if self.is_log else rng.integers(low, high + 1)
            return (f"{self.key}={min(max(round(value), low), high)}",)
        value = self._uniform(rng, low, high)
        text = f"{value:.4g}"  # few digits, since the value is shown in tables and names
        return (f"{self.key}={text if low <= float(text) <= high else repr(float(value))}",)

    def _uniform(self, rng: np.random.Generator, low: float, high: float) -> float:
        return math.exp(rng.uniform(math.log(low), math.log(high))) if self.is_log else rng.uniform(low, high)


Axis = Alternatives | Interval


def expand_grid(overrides: Sequence[Override], seed: int) -> list[list[str]]:
    """The overrides of each job of a sweep; of a key that is given twice, the last value counts.

    Args:
        overrides: The overrides of the sweep.
        seed: The seed of the runs, from which `repeats` counts.

    Raises:
        ConfigError: `zip`, `samples`, `sample_seed` or `repeats` cannot be applied, or there are too many jobs.

    >>> from hydra.core.override_parser.overrides_parser import OverridesParser
    >>> parse = OverridesParser.create().parse_overrides
    >>> expand_grid(parse(["lr=0.1,0.3", "network.widths=[8],[16]", "zip=[lr,network.widths]"]), seed=0)
    [['lr=0.1', 'network.widths=[8]'], ['lr=0.3', 'network.widths=[16]']]
    >>> expand_grid(parse(["lr=tag(log,interval(1e-4,1))", "samples=2", "repeats=2"]), seed=0)
    [['lr=0.03531', 'seed=0'], ['lr=0.03531', 'seed=1'], ['lr=0.0012', 'seed=0'], ['lr=0.0012', 'seed=1']]
    """
    by_key = {
        override.get_key_element(): override for override in overrides if override.get_key_element() not in SWEEP_KEYS
    }
    keys = sweep_keys(overrides)
    counts = {
        key: validate_value(keys[key], int, Range("", at_least=0 if key == "sample_seed" else 1), key)
        for key in COUNTS
        if key in keys
    }
    check_run_count(counts.get("samples", 1) * counts.get("repeats", 1))
    seeds = _seeds(by_key, counts.get("repeats"), seed)
    axes = _zip_axes({key: _axis(override) for key, override in by_key.items()}, keys.get("zip", []))
    if "samples" not in counts:
        check_run_count(math.prod(len(_alternatives(axis)) for axis in axes) * len(seeds))
    jobs = _jobs(axes, counts)
    return [[*job, *repeat] for job in jobs for repeat in seeds]


def sweep_keys(overrides: Sequence[Override]) -> dict[str, object]:
    """The values of the sweep's own keys; of a key that is given twice, the last one counts."""
    return {o.get_key_element(): o.value() for o in overrides if o.get_key_element() in SWEEP_KEYS}


def holds_sweep(value: object) -> bool:
    """Whether a list or a mapping has several values in one of its entries, such as an interval."""
    pending = list(value.list) if isinstance(value, ChoiceSweep) else [value]
    while pending:  # without recursion: a value may be nested deeply
        entry = pending.pop()
        entries = list(entry.values()) if isinstance(entry, dict) else entry if isinstance(entry, list) else []
        if any(isinstance(inner, (Sweep, Glob)) for inner in entries):
            return True
        pending += entries
    return False


def differing_overrides(jobs: Sequence[Sequence[str]]) -> list[list[str]]:
    """The overrides of each job that not all jobs have.

    >>> differing_overrides([["lr=0.1", "steps=5"], ["lr=0.3", "steps=5"]])
    [['lr=0.1'], ['lr=0.3']]
    """
    shared = set(jobs[0]).intersection(*jobs) if jobs else set()
    return [[text for text in job if text not in shared] for job in jobs]


def check_run_count(count: int) -> None:
    """Raise ConfigError if a sweep has too many runs; they are counted before they are expanded."""
    if count > MOST_RUNS:
        raise ConfigError(
            f"{plural(count, 'run')}: expected at most {MOST_RUNS:,} in a sweep; give fewer values, or samples=100 for "
            "some of them"
        )


def check_values(override: Override) -> None:
    """Raise ConfigError if a range has too many values, without expanding it, or a step of 0.

    >>> from hydra.core.override_parser.overrides_parser import OverridesParser
    >>> check_values(OverridesParser.create().parse_override("seed=range(0,1e9)"))
    Traceback (most recent call last):
    minitrain.errors.ConfigError: seed=range(0,1e9): 1,000,000,000 values; expected at most 100,000 in a sweep
    """
    value = override.value()
    if isinstance(value, RangeSweep) and value.start is not None and value.stop is not None:
        if value.step == 0:
            raise ConfigError(f"{override.input_line}: expected a step other than 0: range(0,10,1)")
        count = (float(value.stop) - float(value.start)) / float(value.step)
        if not count <= MOST_RUNS:
            raise ConfigError(f"{override.input_line}: {count:,.0f} values; expected at most {MOST_RUNS:,} in a sweep")


def _seeds(by_key: dict[str, Override], repeats: int | None, seed: int) -> Alternatives:
    """The seeds that each job is repeated with."""
    if repeats is None:
        return [()]
    if "seed" in by_key and by_key.pop("seed").is_sweep_override():
        raise ConfigError(f"repeats={repeats}: counts seeds, and seed has several values; give one of the two")
    first = validate_value(seed, int, Range("", at_least=0), "seed")
    return [(f"seed={first + i}",) for i in range(repeats)]


def _jobs(axes: Sequence[Axis], counts: Mapping[str, int]) -> list[list[str]]:
    if "samples" in counts:
        return _sample(axes, counts["samples"], counts.get("sample_seed", 0))
    if "sample_seed" in counts:
        raise ConfigError(f"sample_seed={counts['sample_seed']}: nothing is sampled; add samples=20")
    return [list(chain(*job)) for job in product(*map(_alternatives, axes))]


def _axis(override: Override) -> Axis:
    check_values(override)
    value = override.value()
    if not isinstance(value, IntervalSweep):
        return grid_values(override)
    low, high = value.start, value.end
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"{override.input_line}: expected interval(low,high), low below high")
    is_log = "log" in value.tags
    if is_log and low <= 0:
        raise ConfigError(f"{override.input_line}: a logarithmic interval needs numbers above 0; raise {low:g}")
    return Interval(override.get_key_element(), low, high, is_log)


def _alternatives(axis: Axis) -> Alternatives:
    if isinstance(axis, Interval):
        raise ConfigError(
            f"{axis.key}: an interval to sample from, but the grid needs values: a,b or range(1,4); to sample, add "
            "samples=20"
        )
    return axis


def _zip_axes(axes: dict[str, Axis], zipped: object) -> list[Axis]:
    """The axes, with those of each group of zipped keys joined to one."""
    groups = zipped if isinstance(zipped, list) and zipped and isinstance(zipped[0], list) else [zipped]
    for group in groups:
        if group == []:
            continue
        if not isinstance(group, list) or len(group) < 2:
            raise ConfigError(f"zip={group}: expected two or more keys that vary together: zip=[lr,network.widths]")
        _join(axes, group)
    return list(axes.values())


def _join(axes: dict[str, Axis], keys: Sequence[str]) -> None:
    """Replace the axes of several keys by one, under the first key."""
    for key in keys:
        axis = axes.get(key)
        if axis is None or isinstance(axis, Interval) or len(axis) < 2:
            raise ConfigError(f"zip: {key} has no list of values to pair; give it some: {key}=a,b")
    first, *others = keys
    joined = _alternatives(axes[first])
    for key in others:
        values = _alternatives(axes.pop(key))
        if len(values) != len(joined):
            raise ConfigError(f"zip: {first} has {len(joined)} values and {key} has {len(values)}; give equally many")
        joined = [(*left, *right) for left, right in zip(joined, values, strict=True)]
    axes[first] = joined


def _sample(axes: Sequence[Axis], samples: int, seed: int) -> list[list[str]]:
    """Distinct jobs with a random value for every axis; the first of many samples are those of few."""
    if all(not isinstance(axis, Interval) and len(axis) == 1 for axis in axes):
        raise ConfigError(f"samples={samples}: nothing to sample; give a key several values, or lr=interval(0.1,1)")
    if not all(axes):
        return []
    rng = np.random.default_rng(seed)
    jobs: dict[tuple[str, ...], None] = {}
    for _ in range(DRAWS_PER_SAMPLE * samples):
        jobs[tuple(chain(*(_draw(axis, rng) for axis in axes)))] = None
        if len(jobs) == samples:
            return [list(job) for job in jobs]
    raise ConfigError(f"samples={samples}: only {len(jobs)} different jobs exist; request at most {len(jobs)}")


def _draw(axis: Axis, rng: np.random.Generator) -> tuple[str, ...]:
    return axis.sample(rng) if isinstance(axis, Interval) else axis[int(rng.integers(len(axis)))]
