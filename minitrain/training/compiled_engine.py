"""The compiled step: a Step traced once to tapes, and replayed, for one run or for a stack of runs.

A stack is many runs of one tape as one computation. What differs between them has an axis of runs in front; the
data is there once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from minitrain.compiler.numpy_executor import NumpyExecutor
from minitrain.compiler.passes import optimize
from minitrain.compiler.tape import Tape, stack, unstack
from minitrain.config.schema import RunConfig
from minitrain.data import row_blocks
from minitrain.optim.schedules import schedule_factor
from minitrain.rng import generator
from minitrain.training.diagnostics import kind
from minitrain.training.step_tapes import curvature_tapes, diagnostics_tapes, metrics_tapes, output_tapes, training_tape
from minitrain.training.training_step import TrainingStep
from minitrain.typing import Array

LARGEST = 64  # runs of a stack: more save nothing (measured)


SHARED = ("x_train", "y_train", "x_val", "y_val")  # inputs that the runs of a stack have in common


class CompiledEngine:
    """Replays the step of one run, or of several whose tapes have one key.

    Losses and metrics are [] for one run, and [runs] for several. The vectors of several runs become rows of common
    arrays; each run still has its own by `Step.vectors`.
    Raises TracingError for a step that cannot be replayed, ValueError for runs that cannot be stacked.
    """

    def __init__(self, *steps: TrainingStep, tapes: Sequence[Tape] | None = None) -> None:
        self.steps = steps
        self.tapes = [training_tape(step) for step in steps] if tapes is None else tapes
        self.first = steps[0]
        self.runs = None if len(steps) == 1 else len(steps)
        if any(step.config.data != self.first.config.data for step in steps):
            raise ValueError("a stack of runs on several datasets: expected one, which the runs share")
        tape = self._optimized(self.tapes)
        self.vectors = self.first.vectors() if self.runs is None else _joined(steps)
        self.training = self._replay(tape, {name: name for name in self.vectors if name in tape.outputs}, ["loss"])
        self._numbers = Numbers([step.config for step in steps])
        self._orders: tuple[int, Array] = (-1, np.empty(0, np.intp))
        self._outputs: dict[int, NumpyExecutor] = {}  # examples at once -> what gives the network's output for them
        self._metrics: NumpyExecutor | None = None
        self._diagnostics: NumpyExecutor | None = None
        self._curvature: tuple[NumpyExecutor, dict[str, Array]] | None = None  # and what differs between runs in it

    def loss(self, k: int) -> Array:
        """The losses of step k; nothing changes until `update`. The array is written over by the next step."""
        inputs = self.training.inputs
        if "rows" in inputs:
            epoch, rows = self.first.place(k)
            if self._orders[0] != epoch:
                orders = [step.order(epoch) for step in self.steps]
                self._orders = epoch, orders[0] if self.runs is None else np.stack(orders)
            inputs["rows"][...] = self._orders[1][..., rows]
        if "x" in inputs or self.training.tape.draws:
            for run, step in self._runs():
                self._read(step, k, run)
                self._draw(step, k, run)
        self.training.run(0)
        return self.training.outputs["loss"]

    def update(self, k: int) -> None:
        """Take step k, whose loss was computed last."""
        self._set_numbers(k)
        self.training.run(1)

    def evaluate(self) -> dict[str, Array]:
        """Metrics on the validation examples, where there are any."""
        val = self.first.val
        if not len(val):
            return {}
        outputs = []
        for block in row_blocks(val.x):
            x = val.x[block]
            if len(x) not in self._outputs:
                self._outputs[len(x)] = self._replay(self._optimized(output_tapes(self.steps, x)))
            replay = self._outputs[len(x)]
            replay.inputs["x_val"][...] = x
            replay.run()
            outputs.append(replay.outputs["output"].copy())
        output = np.concatenate(outputs, axis=0 if self.runs is None else 1)
        if self._metrics is None:
            one = output if self.runs is None else output[0]
            self._metrics = self._replay(self._optimized(metrics_tapes(self.steps, one)))
        self._metrics.inputs["output"][...] = output
        self._metrics.run()
        return {name: array.copy() for name, array in self._metrics.outputs.items()}

    def inspect(self, k: int) -> dict[str, Array]:
        """The diagnostics of step k, whose loss was computed last, by column; nothing changes."""
        columns = self.first.diagnostics
        if not columns:
            return {}
        if self._diagnostics is None:
            tape = self._optimized(diagnostics_tapes(self.steps))
            self._diagnostics = self._replay(tape, given=self.training.inputs)  # where the training step has them
        self._set_numbers(k)
        self._diagnostics.run()
        found = {name: array.copy() for name, array in self._diagnostics.outputs.items()} | self._inspect_hessian()
        return {name: found[name] for name in columns if name in found}

    @property
    def nbytes(self) -> int:
        """The memory of a step: its values, and the vectors of the runs."""
        return self.training.nbytes + sum(vector.nbytes for vector in self.vectors.values())

    @property
    def runs_at_once(self) -> int:
        """How many runs like this one, alone, a stack should have: as many as a core's own cache holds."""
        return max(1, min(cache_size() // self.nbytes, LARGEST))

    def select(self, runs: Sequence[int]) -> CompiledEngine:
        """Some of the runs, as they are now."""
        return CompiledEngine(*[self.steps[run] for run in runs], tapes=[self.tapes[run] for run in runs])

    def _runs(self) -> list[tuple[Any, TrainingStep]]:
        """Each run with its place in the arrays."""
        return [(..., self.first)] if self.runs is None else list(enumerate(self.steps))

    def _set_numbers(self, k: int) -> None:
        for name, values in self._numbers.changed_at(k).items():
            self.training.inputs[f"optimizer.{name}"][...] = values

    def _inspect_hessian(self) -> dict[str, Array]:
        """What products with each run's Hessian tell, one run after the other: one fills a core's cache."""
        if not any(kind(name) == "hessian" for name in self.first.config.diagnostics):
            return {}
        if self._curvature is None:
            self._curvature = self._curvature_of()
        replay, differing = self._curvature
        inputs = replay.inputs

        def product(direction: Array) -> Array:
            inputs["direction"][...] = direction
            replay.run()
            return replay.outputs["product"]

        found = []
        for run, step in self._runs():
            values = step.vectors() | {name: array[run] for name, array in differing.items()}
            for name in inputs.keys() & values.keys():
                inputs[name][...] = values[name]
            found.append(step.inspect_hessian(product))
        return found[0] if self.runs is None else {name: np.array([one[name] for one in found]) for name in found[0]}

    def _read(self, step: TrainingStep, k: int, run: Any) -> None:
        """The examples of step k, where the data lies on disk."""
        if "x" in self.training.inputs:
            batch = step.batch(k)
            self.training.inputs["x"][run] = batch.x
            if batch.y is not None:
                self.training.inputs["y"][run] = batch.y

    def _draw(self, step: TrainingStep, k: int, run: Any) -> None:
        """Random numbers of step k, as the layers' generators give them."""
        owners: dict[str, np.random.Generator] = {}
        for draw in self.training.tape.draws:
            if draw.owner not in owners:
                owners[draw.owner] = generator(step.config.seed, f"layer {draw.owner}", k)
            drawn = getattr(owners[draw.owner], draw.method)(*draw.arguments, **draw.options)
            self.training.inputs[draw.input][run] = drawn

    def _optimized(self, tapes: Sequence[Tape]) -> Tape:
        return optimize(tapes[0] if self.runs is None else stack(tapes))

    def _replay(
        self,
        tape: Tape,
        in_place: Mapping[str, str] | None = None,
        first: Sequence[str] = (),
        given: Mapping[str, Array] | None = None,
    ) -> NumpyExecutor:
        arrays = {
            "x_train": self.first.train.x,
            "y_train": self.first.train.y,
            "y_val": self.first.val.y,
            **self.vectors,
            **(given or {}),
        }
        there = {name: array for name, array in arrays.items() if name in tape.inputs and isinstance(array, np.ndarray)}
        return NumpyExecutor(tape, self.runs, [n for n in tape.inputs if n not in SHARED], there, in_place, first)

    def _curvature_of(self) -> tuple[NumpyExecutor, dict[str, Array]]:
        tape, differing = unstack(self._optimized(curvature_tapes(self.steps)))
        given = {name: array for name, array in self.training.inputs.items() if name in ("x_train", "y_train")}
        return NumpyExecutor(tape, given=given), differing


@lru_cache
def cache_size() -> int:
    """Bytes of a core's own cache, level 2; 1 MiB where the system does not tell."""
    try:
        text = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text().strip()
        return int(text.rstrip("KM")) * {"K": 2**10, "M": 2**20}[text[-1]]
    except (OSError, ValueError, KeyError):
        return 2**20


class Numbers:
    """The optimizer's arguments of all runs: runs with one rule, or one schedule, share the work.

    >>> from minitrain.config.schema import RunConfig
    >>> from minitrain.optim import SGDRule
    >>> from minitrain.optim.schedules import Linear
    >>> runs = [RunConfig(None, None, SGDRule(), Linear(), lr=lr) for lr in (0.5, 1.0)]
    >>> Numbers(runs).changed_at(500)
    {'lr': array([0.25, 0.5 ])}
    """

    def __init__(self, configs: Sequence[RunConfig]) -> None:
        self.rates: Any = configs[0].lr if len(configs) == 1 else np.array([config.lr for config in configs])
        self.rules, self.rule_of = _distinct([config.optimizer for config in configs])
        self.schedules, self.schedule_of = _distinct([(c.schedule, c.warmup, c.steps) for c in configs])
        self._last: Any = None

    def changed_at(self, k: int) -> dict[str, Any]:
        """Name -> number, or [runs], at step k; none of them where all are what they were."""
        factors = [schedule_factor(schedule, warmup, k, steps) for schedule, warmup, steps in self.schedules]
        coefficients = [rule.coefficients(k) for rule in self.rules]
        if (factors, coefficients) == self._last:
            return {}
        self._last = factors, coefficients
        numbers = {"lr": self.rates * _each(factors, self.schedule_of)}
        return numbers | {name: _each([c[name] for c in coefficients], self.rule_of) for name in coefficients[0]}


def _distinct(values: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """The different ones, and which of them each is."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found, [found.index(value) for value in values]


def _each(values: Sequence[float], which: Sequence[int]) -> Any:
    """One number for all, or [runs]."""
    return values[0] if len(values) == 1 else np.array(values)[which]


def _joined(steps: Sequence[TrainingStep]) -> dict[str, Array]:
    """The vectors of several runs as rows of common arrays, in which each run's lie from now on: [runs, n]."""
    joined = {name: np.stack([step.vectors()[name] for step in steps]) for name in steps[0].vectors()}
    for run, step in enumerate(steps):
        step.move_to({name: array[run] for name, array in joined.items()})
    return joined
