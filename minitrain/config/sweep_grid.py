"""The jobs of a sweep: every combination of values, keys that move together, random draws, repeats with other seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, product

import numpy as np
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import IntervalSweep, Override

from minitrain.errors import ConfigError
from minitrain.options import Range, validate_value

SWEEP_KEYS = ("zip", "samples", "sample_seed", "repeats")  # of the sweep: no run has them in its config


TRIES = 100  # draws for each sample that is asked for, before there are held to be no more


Axis = list[tuple[str, ...]] | tuple[str, IntervalSweep]  # overrides that are alternatives, or what to draw from


def expand_grid(given: Sequence[Override], seed: int) -> list[list[str]]:
    """The overrides of each job, from those of a sweep; where a key is given twice, the last one counts.

    seed: that of the runs, which repeats counts from
    Raises ConfigError for zip, samples, sample_seed and repeats that cannot be.

    >>> from hydra.core.override_parser.overrides_parser import OverridesParser
    >>> parse = OverridesParser.create().parse_overrides
    >>> expand_grid(parse(["lr=0.1,0.3", "network.widths=[8],[16]", "zip=[lr,network.widths]"]), seed=0)
    [['lr=0.1', 'network.widths=[8]'], ['lr=0.3', 'network.widths=[16]']]
    >>> expand_grid(parse(["lr=tag(log,interval(1e-4,1))", "samples=2", "repeats=2"]), seed=0)
    [['lr=0.03531', 'seed=0'], ['lr=0.03531', 'seed=1'], ['lr=0.0012', 'seed=0'], ['lr=0.0012', 'seed=1']]
    """
    overrides = {override.get_key_element(): override for override in given}
    own = {key: overrides.pop(key).value() for key in SWEEP_KEYS if key in overrides}
    whole = {
        key: validate_value(own[key], int, Range("", at_least=key != "sample_seed"), key) for key in own if key != "zip"
    }
    seeds: list[tuple[str, ...]] = [()]
    if "repeats" in own:
        if "seed" in overrides and overrides.pop("seed").is_sweep_override():
            raise ConfigError(
                f"repeats={own['repeats']}: counts seeds, and seed has several values; give one of the two"
            )
        first = validate_value(seed, int, Range("", at_least=0), "seed")
        seeds = [(f"seed={first + i}",) for i in range(whole["repeats"])]
    axes = _zipped({key: _axis(override) for key, override in overrides.items()}, own.get("zip", []))
    if "samples" in own:
        jobs = _draw(axes, whole["samples"], whole.get("sample_seed", 0))
    else:
        if "sample_seed" in own:
            raise ConfigError(f"sample_seed={own['sample_seed']}: nothing is drawn; add samples=20")
        values = [_values(axis) for axis in axes]
        jobs = [[text for texts in job for text in texts] for job in product(*values)]
    return [[*job, *repeat] for job in jobs for repeat in seeds]


def _axis(override: Override) -> Axis:
    value = override.value()
    if not isinstance(value, IntervalSweep):
        return [tuple(job) for job in BasicSweeper.split_arguments([override], None)[0]]
    low, high = value.start, value.end
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"{override.input_line}: expected interval(low,high), low below high")
    if "log" in value.tags and low <= 0:
        raise ConfigError(f"{override.input_line}: a logarithm needs numbers above 0; raise {low:g}")
    return override.get_key_element(), value


def _values(axis: Axis) -> list[tuple[str, ...]]:
    if isinstance(axis, tuple):
        raise ConfigError(
            f"{axis[0]}: a range to draw from; the grid needs values: a,b or range(1,4); to draw, add samples=20"
        )
    return axis


def _zipped(axes: dict[str, Axis], groups: object) -> list[Axis]:
    """The axes, with those of each group of keys made one."""
    if not isinstance(groups, list) or not groups or not isinstance(groups[0], list):
        groups = [groups]
    for group in groups:
        if group == []:
            continue
        if not isinstance(group, list) or len(group) < 2:
            raise ConfigError(f"zip={group}: expected two keys or more that move together: zip=[lr,network.widths]")
        for key in group:
            if key not in axes or len(axes[key]) < 2 or isinstance(axes[key], tuple):
                raise ConfigError(f"zip: {key} has no list of values to pair; give it some: {key}=a,b")
        first, *others = group
        joined = _values(axes[first])
        for key in others:
            values = _values(axes.pop(key))
            if len(values) != len(joined):
                raise ConfigError(f"zip: {first} has {len(joined)} values and {key} has {len(values)}; give as many")
            joined = [(*left, *right) for left, right in zip(joined, values, strict=True)]
        axes[first] = joined
    return list(axes.values())


def _draw(axes: Sequence[Axis], samples: int, seed: int) -> list[list[str]]:
    """Different jobs, each with a value drawn for every axis; the first of many samples are those of few."""
    if all(len(axis) == 1 for axis in axes):
        raise ConfigError(f"samples={samples}: nothing to draw; give a key several values, or lr=interval(0.1,1)")
    if not all(axes):
        return []
    rng = np.random.default_rng(seed)
    found: dict[tuple[str, ...], None] = {}
    for _ in range(TRIES * samples):
        found[tuple(chain(*(_drawn(axis, rng) for axis in axes)))] = None
        if len(found) == samples:
            return [list(job) for job in found]
    raise ConfigError(f"samples={samples}: {len(found)} different jobs were found; ask for at most {len(found)}")


def _drawn(axis: Axis, rng: np.random.Generator) -> tuple[str, ...]:
    if isinstance(axis, list):
        return axis[int(rng.integers(len(axis)))]
    key, interval = axis
    low, high = interval.start, interval.end
    assert low is not None
    assert high is not None
    log = "log" in interval.tags
    if isinstance(low, int) and isinstance(high, int):
        # each whole number has the interval from half below it to half above
        drawn = math.exp(rng.uniform(math.log(low - 0.5), math.log(high + 0.5))) if log else rng.integers(low, high + 1)
        return (f"{key}={min(max(round(drawn), low), high)}",)
    drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if log else rng.uniform(low, high)
    text = f"{drawn:.4g}"  # few digits: a person reads them in tables and names
    return (f"{key}={text if low <= float(text) <= high else repr(float(drawn))}",)
