"""Execute a Tape with NumPy: a loop over calls whose arrays are bound in advance, for one run or a stack of runs.

No graph is walked and no result is allocated. In a stack, values that differ between runs have a leading axis of
runs; all others are stored and computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from minitrain.autograd.primitives.table import Call
from minitrain.compiler.memory_plan import Plan
from minitrain.compiler.tape import Instruction, Tape
from minitrain.typing import Array

BoundCall = Callable[[], object]


class NumpyExecutor:
    """A tape that is ready to run.

    Args:
        tape: A tape lowered to NumPy calls.
        runs: The number of stacked runs; None for a single run, whose arrays have no axis of runs.
        stacked: The names of the inputs that differ between the stacked runs.
        arrays: Input name -> array to use as that input, without a copy. Other inputs get an array of zeros, which the
            caller fills.
        in_place: Output name -> name of the input that it replaces at the end of a run.
        first: The names of the outputs that `run(0)` computes, while no input changes; `run(1)` computes the others.

    Attributes:
        plan: The memory plan.
        tape: The tape that is run.
        inputs: Input name -> array that the caller fills.
        outputs: Output name -> array of the result.
        nbytes: The memory of the computed values, in bytes.
        counts: Value -> the number of its NumPy calls; output name -> 1 if it is copied to the input that it replaces.
        phases: The bound calls of `run(0)` and of `run(1)`.

    Raises:
        ValueError: An array in `arrays` has another shape or dtype than its input.

    >>> from minitrain.compiler.passes import optimize
    >>> from minitrain.compiler.tracing import trace
    >>> executor = NumpyExecutor(optimize(trace(lambda x: (x * 2.0).tanh(), np.ones(3))))
    >>> executor.inputs["x"][...] = 0.5
    >>> executor.run()
    >>> executor.outputs["0"].round(4)
    array([0.7616, 0.7616, 0.7616])
    """

    def __init__(
        self,
        tape: Tape,
        runs: int | None = None,
        stacked: Collection[str] = (),
        arrays: Mapping[str, Array] | None = None,
        in_place: Mapping[str, str] | None = None,
        first: Sequence[str] = (),
    ) -> None:
        replaced_inputs = in_place or {}
        plan = Plan(tape, runs, stacked, replaced_inputs, first)
        plan.allocate(arrays or {})
        self.plan = plan
        self.tape = tape = plan.tape
        self.inputs = {name: plan.arrays[v] for name, v in tape.inputs.items()}
        self.outputs = {name: plan.arrays[v] for name, v in tape.outputs.items()}
        self.nbytes = plan.nbytes
        self.counts: dict[int | str, int] = {}
        early, late = plan.order[: plan.boundary], plan.order[plan.boundary :]
        self.phases = (self._bind(early), self._bind(late) + self._bind_copies(replaced_inputs))
        self.outputs |= {output: self.inputs[target] for output, target in replaced_inputs.items()}

    @property
    def calls(self) -> int:
        """The number of NumPy calls of a run."""
        return sum(map(len, self.phases))

    def run(self, phase: int | None = None) -> None:
        """Compute the outputs of both phases, or of one."""
        for calls in self.phases if phase is None else (self.phases[phase],):
            for call in calls:
                call()

    def _bind(self, instructions: Sequence[Instruction]) -> list[BoundCall]:
        """The calls of some instructions, in order; their numbers go to `counts`."""
        bound_calls: list[BoundCall] = []
        for i in instructions:
            calls = [bind(call) for call in _calls(self.plan, i) if not _copies_onto_itself(call)]
            self.counts[i.value] = len(calls)
            bound_calls += calls
        return bound_calls

    def _bind_copies(self, in_place: Mapping[str, str]) -> list[BoundCall]:
        """Copies of outputs to the inputs that they replace, for those that are not written there directly."""
        copies: list[BoundCall] = []
        for output, target in in_place.items():
            if self.plan.root(self.tape.outputs[output]) != self.tape.inputs[target]:
                self.counts[output] = 1
                copies.append(bind((np.copyto, self.inputs[target], self.outputs[output])))
        return copies


def bind(call: Call) -> BoundCall:
    """A call with its arguments bound."""
    function, *arguments = call
    if function in (np.maximum, np.minimum):  # these require `out` by keyword, which costs 0.1 us in any other function
        return partial(function, *arguments[:-1], out=arguments[-1])
    return partial(function, *arguments)


def _copies_onto_itself(call: Call) -> bool:
    """Whether a call copies a value to the memory in which it already lies."""
    return call[0] is np.copyto and call[1].__array_interface__ == call[2].__array_interface__


def _calls(plan: Plan, i: Instruction) -> Iterator[Call]:
    """The NumPy calls of one instruction; none for a view."""
    if i.value in plan.views:
        return iter(())
    out, inputs = plan.arrays[i.value], [plan.arrays[v] for v in i.inputs]
    stacked = [bool(plan.run_axes(v)) for v in i.inputs]
    if isinstance(i.operation, np.ufunc):
        ndim = plan.tape.types[i.value].ndim
        aligned = [_align_runs(x, ndim) if s else x for x, s in zip(inputs, stacked, strict=True)]
        return iter([_ufunc_call(i, i.operation, aligned, out)])
    return _kernel_calls(i, out, inputs, stacked)


def _ufunc_call(i: Instruction, ufunc: np.ufunc, inputs: Sequence[Array], out: Array) -> Call:
    return (partial(ufunc, *inputs, out=out, **i.options),) if i.options else (ufunc, *inputs, out)


def _kernel_calls(i: Instruction, out: Array, inputs: Sequence[Array], stacked: Sequence[bool]) -> Iterator[Call]:
    """The calls of a kernel: for all runs at once where it can, else run by run."""
    kernel = None if isinstance(i.operation, np.ufunc) else i.operation.kernel
    if kernel is None:
        raise AssertionError(f"executor: {i.name} is not a NumPy call; apply the pass lower_to_numpy first")
    if not any(stacked) or kernel.together(*stacked):
        yield from kernel.calls(out, *inputs, **i.options)
        return
    for run in range(len(out)):
        own_inputs = [x[run, ...] if s else x for x, s in zip(inputs, stacked, strict=True)]
        yield from kernel.calls(out[run, ...], *own_inputs, **i.options)


def _align_runs(x: Array, ndim: int) -> Array:
    """A scalar of each run, for use with values of `ndim` axes: [runs] -> [runs, 1, ...]."""
    return x.reshape(x.shape + (1,) * (ndim + 1 - x.ndim)) if x.ndim == 1 else x
