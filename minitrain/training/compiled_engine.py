"""The compiled engine: traces training steps to tapes, and executes them for one run or for a group of runs.

A group is several runs whose tapes have the same key, computed as one. Values that differ between the runs have a
leading axis of runs; the data is shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import EllipsisType
from typing import TypeVar

import numpy as np

from minitrain.compiler.numpy_executor import NumpyExecutor
from minitrain.compiler.passes import optimize
from minitrain.compiler.tape import Tape, stack, unstack
from minitrain.config.schema import RunConfig
from minitrain.data import row_blocks
from minitrain.optim.schedules import Schedule, schedule_factor
from minitrain.rng import generator
from minitrain.training.diagnostics import kind_of
from minitrain.training.step_tapes import diagnostics_tapes, hessian_tapes, metrics_tapes, output_tapes, training_tape
from minitrain.training.training_step import BATCH_OUTPUT, TrainingStep
from minitrain.typing import Array

MAX_RUNS = 64  # of a group: the overhead of a call per run is then small, and more runs save no time (measured)
SHARED_INPUTS = ("x_train", "y_train", "x_val", "y_val")  # the data: runs of a group have one dataset
DEFAULT_CACHE_SIZE = 2**20  # bytes; typical of the level-2 cache of a core

Index = int | EllipsisType  # of a run in arrays [runs, ...]; ... for arrays of one run, without that axis
T = TypeVar("T")


class CompiledEngine:
    """Computes the steps of one run, or of several runs whose tapes have the same key.

    Implements `Engine`. The flat vectors of several runs become rows of common arrays, and each run's `TrainingStep`
    is rebound to its row.

    Args:
        *steps: The training steps of the runs.
        tapes: Their training tapes, if they were traced before.

    Attributes:
        steps: The training steps of the runs.
        runs: The number of runs of a group; None for one run, whose arrays have no axis of runs.
        vectors: The flat vectors that a step changes, by name: [n] or [runs, n].
        training: The executor of the training step.

    Raises:
        TracingError: A step cannot be compiled.
        ValueError: The runs cannot be computed together.
    """

    def __init__(self, *steps: TrainingStep, tapes: Sequence[Tape] | None = None) -> None:
        self.steps = steps
        self.tapes = [training_tape(step) for step in steps] if tapes is None else tapes
        self.first = steps[0]
        self.runs = None if len(steps) == 1 else len(steps)
        if any(step.config.data != self.first.config.data for step in steps):
            raise ValueError("a group of runs has several datasets; expected one, which the runs share")
        tape = self._optimize(self.tapes)
        self.vectors = self.first.vectors() if self.runs is None else _join_vectors(steps)
        in_place = {name: name for name in self.vectors if name in tape.outputs}
        self.training = self._executor(tape, self._arrays(), in_place, ["loss"])
        self._scalars = StepScalars([step.config for step in steps], [step.schedule for step in steps])
        self._orders: tuple[int, Array] = (-1, np.empty(0, np.intp))  # an epoch, and its orders: [(runs,) examples]
        self._outputs: dict[int, NumpyExecutor] = {}  # number of examples -> executor of the network's output
        self._metrics: NumpyExecutor | None = None
        self._diagnostics: NumpyExecutor | None = None
        self._hessian: tuple[NumpyExecutor, dict[str, Array]] | None = None  # and the inputs that differ between runs

    def loss(self, k: int) -> Array:
        """The losses of step k: [] or [runs]; overwritten by the next step. Nothing else changes until `update`."""
        inputs = self.training.inputs
        if "rows" in inputs:
            epoch, batch = self.first.locate_batch(k)
            if self._orders[0] != epoch:
                orders = [step.order(epoch) for step in self.steps]
                self._orders = epoch, orders[0] if self.runs is None else np.stack(orders)
            inputs["rows"][...] = self._orders[1][..., batch]
        if "x" in inputs or self.training.tape.random_inputs:
            for run, step in self._indexed_steps():
                self._read_batch(step, k, run)
                self._draw(step, k, run)
        self.training.run(0)
        return self.training.outputs["loss"]

    def update(self, k: int) -> None:
        """Take step k, whose loss was computed last."""
        self._set_scalars(k)
        self.training.run(1)

    def evaluate(self) -> dict[str, Array]:
        """Metrics on the validation examples, by name: [] or [runs] each; empty if there are none."""
        val = self.first.val
        if not len(val):
            return {}
        outputs = []
        for block in row_blocks(val.x):
            x = val.x[block]
            if len(x) not in self._outputs:
                self._outputs[len(x)] = self._executor(self._optimize(output_tapes(self.steps, x)), self._arrays())
            executor = self._outputs[len(x)]
            executor.inputs["x_val"][...] = x
            executor.run()
            outputs.append(executor.outputs["output"].copy())
        output = np.concatenate(outputs, axis=0 if self.runs is None else 1)
        if self._metrics is None:
            output_of_run = output if self.runs is None else output[0]
            self._metrics = self._executor(self._optimize(metrics_tapes(self.steps, output_of_run)), self._arrays())
        self._metrics.inputs["output"][...] = output
        self._metrics.run()
        return {name: array.copy() for name, array in self._metrics.outputs.items()} | self._join(
            [step.measure(output[run]) for run, step in self._indexed_steps()]
        )

    def _join(self, values: Sequence[Mapping[str, float]]) -> dict[str, Array]:
        """The metrics of each run, which are computed outside of the tape: name -> [] or [runs]."""
        arrays = {name: np.array([of_run[name] for of_run in values]) for name in values[0]}
        return arrays if self.runs is not None else {name: array.reshape(()) for name, array in arrays.items()}

    def inspect(self, k: int) -> dict[str, Array]:
        """The diagnostics of step k, whose loss was computed last: column -> [] or [runs]; nothing changes."""
        columns = self.first.diagnostics
        if not columns:
            return {}
        if self._diagnostics is None:
            tape = self._optimize(diagnostics_tapes(self.steps))
            self._diagnostics = self._executor(tape, self._arrays() | self.training.inputs)
        self._set_scalars(k)
        self._diagnostics.run()
        values = {name: array.copy() for name, array in self._diagnostics.outputs.items()} | self._inspect_hessian()
        if self.first.batch_metrics:
            output = values[BATCH_OUTPUT]
            values |= self._join([step.measure_batch(k, output[run]) for run, step in self._indexed_steps()])
        return {name: values[name] for name in columns if name in values}

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers of a step and of the runs' vectors."""
        return self.training.nbytes + sum(vector.nbytes for vector in self.vectors.values())

    @property
    def runs_at_once(self) -> int:
        """How many runs like this one, of an engine for one run, fit together into the cache of a core."""
        return max(1, min(cache_size() // self.nbytes, MAX_RUNS))

    def select(self, runs: Sequence[int]) -> CompiledEngine:
        """An engine for some of the runs, in their present state."""
        return CompiledEngine(*[self.steps[run] for run in runs], tapes=[self.tapes[run] for run in runs])

    def _indexed_steps(self) -> Iterator[tuple[Index, TrainingStep]]:
        if self.runs is None:
            yield ..., self.first
        else:
            yield from enumerate(self.steps)

    def _set_scalars(self, k: int) -> None:
        for name, values in self._scalars.changed_at(k).items():
            self.training.inputs[f"optimizer.{name}"][...] = values

    def _read_batch(self, step: TrainingStep, k: int, run: Index) -> None:
        """Read the examples of step k, if the data is on disk."""
        if "x" in self.training.inputs:
            batch = step.batch(k)
            self.training.inputs["x"][run] = batch.x
            if batch.y is not None:
                self.training.inputs["y"][run] = batch.y

    def _draw(self, step: TrainingStep, k: int, run: Index) -> None:
        """Draw the random numbers of step k, as the generators of the layers would."""
        generators: dict[str, np.random.Generator] = {}
        for draw in self.training.tape.random_inputs:
            if draw.owner not in generators:
                generators[draw.owner] = generator(step.config.seed, f"layer {draw.owner}", k)
            values = getattr(generators[draw.owner], draw.method)(*draw.arguments, **draw.options)
            self.training.inputs[draw.input][run] = values

    def _inspect_hessian(self) -> dict[str, Array]:
        """The diagnostics of the Hessian, one run after another: products over all examples fill the cache."""
        if not any(kind_of(name) == "hessian" for name in self.first.config.diagnostics):
            return {}
        if self._hessian is None:
            self._hessian = self._hessian_executor()
        executor, differing = self._hessian
        inputs = executor.inputs

        def product(direction: Array) -> Array:
            inputs["direction"][...] = direction
            executor.run()
            return executor.outputs["product"]

        values = []
        for run, step in self._indexed_steps():
            arrays = step.vectors() | {name: array[run] for name, array in differing.items()}
            for name in inputs.keys() & arrays.keys():
                inputs[name][...] = arrays[name]
            values.append(step.inspect_hessian(product))
        if self.runs is None:
            return values[0]
        return {name: np.array([of_run[name] for of_run in values]) for name in values[0]}

    def _optimize(self, tapes: Sequence[Tape]) -> Tape:
        return optimize(tapes[0] if self.runs is None else stack(tapes))

    def _arrays(self) -> dict[str, Array]:
        """The arrays that executors use as inputs without a copy, by name."""
        data = {"x_train": self.first.train.x, "y_train": self.first.train.y, "y_val": self.first.val.y}
        return {name: array for name, array in data.items() if isinstance(array, np.ndarray)} | self.vectors

    def _executor(
        self,
        tape: Tape,
        arrays: Mapping[str, Array],
        in_place: Mapping[str, str] | None = None,
        first: Sequence[str] = (),
    ) -> NumpyExecutor:
        used = {name: array for name, array in arrays.items() if name in tape.inputs}
        stacked = [name for name in tape.inputs if name not in SHARED_INPUTS]
        return NumpyExecutor(tape, self.runs, stacked, used, in_place, first)

    def _hessian_executor(self) -> tuple[NumpyExecutor, dict[str, Array]]:
        """The executor of products with one run's Hessian, and the inputs that differ between runs: [runs, ...]."""
        tape, differing = unstack(self._optimize(hessian_tapes(self.steps)))
        data = {name: array for name, array in self.training.inputs.items() if name in ("x_train", "y_train")}
        return NumpyExecutor(tape, arrays=data), differing


@lru_cache
def cache_size() -> int:
    """Bytes of a core's level-2 cache, or a default if the system does not report it."""
    try:
        text = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text().strip()
        return int(text.rstrip("KM")) * {"K": 2**10, "M": 2**20}[text[-1]]
    except (OSError, ValueError, KeyError):
        return DEFAULT_CACHE_SIZE


class StepScalars:
    """The scalar arguments of the optimizer's update, for one run or for all runs of a group.

    Runs with equal rules or schedules share the computation.

    Args:
        configs: The configs of the runs.
        schedules: Their schedules; adaptive ones are those of the run.

    >>> from minitrain.config.schema import RunConfig
    >>> from minitrain.optim import SGDRule
    >>> from minitrain.optim.schedules import Linear
    >>> runs = [RunConfig(None, None, SGDRule(), Linear(), lr=lr) for lr in (0.5, 1.0)]
    >>> StepScalars(runs, [Linear(), Linear()]).changed_at(500)
    {'lr': array([0.25, 0.5 ])}
    """

    def __init__(self, configs: Sequence[RunConfig], schedules: Sequence[Schedule]) -> None:
        self.rates = configs[0].lr if len(configs) == 1 else np.array([config.lr for config in configs])
        self.rules, self.rule_of = _distinct([config.optimizer for config in configs])
        self.schedules, self.schedule_of = _distinct(
            [(schedule, c.warmup, c.steps) for schedule, c in zip(schedules, configs, strict=True)]
        )
        self._last: tuple[list[float], list[dict[str, float]]] | None = None

    def changed_at(self, k: int) -> dict[str, float | Array]:
        """The scalars at step k by name, a number or [runs]; empty if they equal those of the last call."""
        factors = [schedule_factor(schedule, warmup, k, steps) for schedule, warmup, steps in self.schedules]
        coefficients = [rule.coefficients(k) for rule in self.rules]
        if (factors, coefficients) == self._last:
            return {}
        self._last = factors, coefficients
        scalars = {"lr": self.rates * _for_runs(factors, self.schedule_of)}
        return scalars | {name: _for_runs([c[name] for c in coefficients], self.rule_of) for name in coefficients[0]}


def _distinct(values: Sequence[T]) -> tuple[list[T], list[int]]:
    """The distinct values, and for each value the index of its equal among them."""
    distinct: list[T] = []
    for value in values:
        if value not in distinct:
            distinct.append(value)
    return distinct, [distinct.index(value) for value in values]


def _for_runs(values: Sequence[float], index_of_run: Sequence[int]) -> float | Array:
    """The value of each run [runs]; a number if all runs share one."""
    return values[0] if len(values) == 1 else np.array(values)[index_of_run]


def _join_vectors(steps: Sequence[TrainingStep]) -> dict[str, Array]:
    """Copy the vectors of several runs to rows of common arrays [runs, n], and rebind the runs to them."""
    joined = {name: np.stack([step.vectors()[name] for step in steps]) for name in steps[0].vectors()}
    for run, step in enumerate(steps):
        step.rebind({name: array[run] for name, array in joined.items()})
    return joined
