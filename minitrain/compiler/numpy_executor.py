"""Replay a Tape: a loop over NumPy calls bound ahead, for one run or a stack of runs.

No graph is walked, and every result has its place. In a stack, what differs between runs has a leading axis of
runs; what does not is there once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from minitrain.autograd.primitives.table import Call
from minitrain.compiler.memory_plan import Plan
from minitrain.compiler.tape import Instruction, Tape
from minitrain.typing import Array

BoundCall = Callable[[], Any]


class NumpyExecutor:
    """A tape made ready to run.

    runs: how many runs are stacked; None for one alone, whose arrays have no axis of runs
    stacked: the inputs that differ between the runs of a stack
    given: arrays to use as inputs where they lie; the others are made, and a caller fills them
    in_place: output -> the input that it replaces at the end of a replay
    first: the outputs that `run(0)` computes, while no input changes; `run(1)` computes the others
    Raises ValueError for an array of another shape or type than its input.

    >>> from minitrain.compiler.passes import optimize
    >>> from minitrain.compiler.tracing import trace
    >>> replay = NumpyExecutor(optimize(trace(lambda x: (x * 2.0).tanh(), np.ones(3))))
    >>> replay.inputs["x"][...] = 0.5
    >>> replay.run()
    >>> replay.outputs["0"].round(4)
    array([0.7616, 0.7616, 0.7616])
    """

    def __init__(
        self,
        tape: Tape,
        runs: int | None = None,
        stacked: Collection[str] = (),
        given: Mapping[str, Array] | None = None,
        in_place: Mapping[str, str] | None = None,
        first: Sequence[str] = (),
    ) -> None:
        places = in_place or {}
        plan = Plan(tape, runs, stacked, places, first)
        plan.allocate(given or {})
        self.plan = plan
        self.tape = tape = plan.tape
        self.inputs = {name: plan.arrays[v] for name, v in tape.inputs.items()}
        self.outputs = {name: plan.arrays[v] for name, v in tape.outputs.items()}
        self.nbytes = plan.nbytes  # of the values computed
        self.counts: dict[int | str, int] = {}  # value -> its NumPy calls; and an output's, where it is copied
        phases: tuple[list[BoundCall], list[BoundCall]] = ([], [])
        for at, i in enumerate(plan.order):
            calls = [bound(call) for call in _calls(plan, i) if not _copies_onto_itself(call)]
            self.counts[i.value] = len(calls)
            phases[at >= plan.boundary].extend(calls)
        for output, target in places.items():
            if plan.root(tape.outputs[output]) != tape.inputs[target]:
                self.counts[output] = 1
                phases[1].append(bound((np.copyto, self.inputs[target], self.outputs[output])))
        self.phases = phases
        self.outputs |= {output: self.inputs[target] for output, target in places.items()}

    @property
    def calls(self) -> int:
        """How many NumPy calls a replay makes."""
        return sum(map(len, self.phases))

    def run(self, phase: int | None = None) -> None:
        """Compute the outputs, or those of one phase."""
        for calls in self.phases if phase is None else (self.phases[phase],):
            for call in calls:
                call()


def bound(call: Call) -> BoundCall:
    function, *arguments = call
    if function in (np.maximum, np.minimum):  # to be given by name there, which takes 0.1 us in every other
        return partial(function, *arguments[:-1], out=arguments[-1])
    return partial(function, *arguments)


def _copies_onto_itself(call: Call) -> bool:
    """Whether a value is to be copied to where it was written in the first place."""
    return call[0] is np.copyto and call[1].__array_interface__ == call[2].__array_interface__


def _calls(plan: Plan, i: Instruction) -> Iterator[Call]:
    """The NumPy calls of one instruction."""
    if i.value in plan.owners:
        return
    out, inputs = plan.arrays[i.value], [plan.arrays[v] for v in i.inputs]
    stacked = [bool(plan.lead(v)) for v in i.inputs]
    if isinstance(i.operation, np.ufunc):
        rank = plan.tape.types[i.value].ndim
        aligned = [_aligned(x, rank) if s else x for x, s in zip(inputs, stacked, strict=True)]
        function = partial(i.operation, **i.options) if i.options else i.operation
        yield (partial(function, *aligned, out=out),) if i.options else (i.operation, *aligned, out)
        return
    kernel = i.operation.kernel
    assert kernel is not None, "lower the tape first"
    if not any(stacked) or kernel.together(*stacked):
        yield from kernel.calls(out, *inputs, **i.options)
        return
    for run in range(len(out)):
        yield from kernel.calls(
            out[run, ...], *[x[run, ...] if s else x for x, s in zip(inputs, stacked, strict=True)], **i.options
        )


def _aligned(x: Array, rank: int) -> Array:
    """A number of each run against values of `rank` axes: [runs] -> [runs, 1, ...]."""
    return x.reshape(x.shape + (1,) * (rank + 1 - x.ndim)) if x.ndim == 1 else x
