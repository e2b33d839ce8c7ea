"""Passes: each takes a Tape and gives one that computes the same bits in fewer calls.

A pass rewrites a tape instruction by instruction, in order. What it may do is what keeps the bits: nothing
is reassociated, distributed or multiplied out. (Of a nan only that it is one is kept, not its sign.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.compiler.symbols import Operation, Options, Symbol, calls_of
from minitrain.compiler.tape import Instruction, Tape, renumbered
from minitrain.typing import Array

Pass = Callable[[Tape], Tape]


class Rewriting:
    """A tape being written anew: `values` says what became of the old tape's values."""

    def __init__(self, old: Tape) -> None:
        self.tape = Tape(dict(old.types), dict(old.inputs), dict(old.constants), varying=old.varying, draws=old.draws)
        self.old = old
        self.values = {v: v for v in (*old.inputs.values(), *old.constants)}
        self.made_by: dict[int, Instruction] = {}

    def add(self, operation: Operation, inputs: Sequence[int], options: Options) -> int:
        value = self.tape.add(operation, inputs, options)
        self.made_by[value] = self.tape.instructions[-1]
        return value

    def constant(self, array: Array) -> int:
        return self.tape.add_constant(array)

    def known(self, value: int) -> Array | None:
        """The array of a constant that is the same for all runs."""
        return None if value in self.tape.varying else self.tape.constants.get(value)

    def finish(self) -> Tape:
        self.tape.outputs = {name: self.values[v] for name, v in self.old.outputs.items()}
        return renumbered(self.tape)


def lower_to_numpy(tape: Tape) -> Tape:
    """Every elementwise primitive as the NumPy calls that it makes; kernels stay what they are."""
    new = Rewriting(tape)
    for i in tape.instructions:
        inputs = [new.values[v] for v in i.inputs]
        if isinstance(i.operation, np.ufunc) or i.operation.kernel is not None:
            new.values[i.value] = new.add(i.operation, inputs, i.options)
            continue
        symbols, result, calls = calls_of(i.operation, [tape.types[v] for v in i.inputs], i.options)
        lowered: dict[int, int] = {id(s): v for s, v in zip(symbols, inputs, strict=True)}
        for call in calls:
            arguments = [lowered[id(x)] if isinstance(x, Symbol) else new.constant(x) for x in call.inputs]
            lowered[id(call.output)] = new.add(call.operation, arguments, call.options)
        new.values[i.value] = lowered[id(result)]
    return new.finish()


def eliminate_dead_code(tape: Tape) -> Tape:
    """Without what no output depends on. Inputs stay: they are what a caller gives."""
    used = set(tape.outputs.values())
    kept = []
    for i in reversed(tape.instructions):
        if i.value in used:
            used.update(i.inputs)
            kept.append(i)
    constants = {v: array for v, array in tape.constants.items() if v in used}
    return renumbered(Tape(tape.types, tape.inputs, constants, kept[::-1], tape.outputs, tape.varying, tape.draws))


def eliminate_common_subexpressions(tape: Tape) -> Tape:
    """What is computed twice from the same values is computed once; equal constants are one."""
    new = Rewriting(tape)
    constants: dict[tuple[str, bytes], int] = {}
    for v, array in tape.constants.items():
        if v not in tape.varying:
            new.values[v] = constants.setdefault((str(tape.types[v]), array.tobytes()), v)
    seen: dict[tuple[object, ...], int] = {}
    for i in tape.instructions:
        inputs = [new.values[v] for v in i.inputs]
        key = (i.operation, *inputs, repr(i.options))
        if key not in seen:
            seen[key] = new.add(i.operation, inputs, i.options)
        new.values[i.value] = seen[key]
    return new.finish()


def fold_constants(tape: Tape) -> Tape:
    """What depends on constants alone is computed now."""
    new = Rewriting(tape)
    for i in tape.instructions:
        inputs = [new.values[v] for v in i.inputs]
        known = [new.known(v) for v in inputs]
        arrays = [array for array in known if array is not None]
        repeats_a_number = i.operation is P.broadcast and new.tape.types[inputs[0]].size == 1  # better kept as one
        if len(arrays) == len(known) and not repeats_a_number:
            with np.errstate(all="ignore"):
                forward = i.operation if isinstance(i.operation, np.ufunc) else i.operation.forward
                new.values[i.value] = new.constant(np.array(forward(*arrays, **i.options), order="C"))
        else:
            new.values[i.value] = new.add(i.operation, inputs, i.options)
    return new.finish()


def simplify_algebra(tape: Tape) -> Tape:
    """Without operations that only pass their input on, and with numbers kept as numbers instead of repeated."""
    new = Rewriting(tape)
    for i in tape.instructions:
        inputs = [new.values[v] for v in i.inputs]
        new.values[i.value] = _simplified(new, i, inputs)
    return new.finish()


# The operands that leave the other one as it is where they are 1.
_EXACT_ONES: dict[Operation, tuple[int, ...]] = {np.multiply: (0, 1), np.divide: (1,)}


def _simplified(new: Rewriting, i: Instruction, inputs: list[int]) -> int:
    """The value of an instruction: one that is there already, or that of a new instruction."""
    types, result = new.tape.types, new.old.types[i.value]
    operation, first = i.operation, inputs[0]
    if isinstance(operation, np.ufunc):
        return _simplified_call(new, i, inputs)
    if operation in (P.reshape, P.cast, P.reinterpret, P.broadcast, P.concatenate) and types[first] == result:
        return first
    source = new.made_by.get(first)
    if operation in (P.reshape, P.reinterpret) and source is not None and source.operation is operation:
        return _simplified(new, i, [source.inputs[0]])
    if operation is P.reinterpret and source is not None and source.operation is P.broadcast:
        return new.add(P.broadcast, [new.add(operation, source.inputs, i.options)], source.options)
    if operation is P.reshape and source is not None and source.operation is P.broadcast:
        number = _number(new, first)
        if number is not None:
            return new.add(P.broadcast, [number], {"shape": result.shape})
    return new.add(operation, inputs, i.options)


def _simplified_call(new: Rewriting, i: Instruction, inputs: list[int]) -> int:
    types, result = new.tape.types, new.old.types[i.value]
    operation, first = i.operation, inputs[0]
    if operation is np.positive:
        return first
    source = new.made_by.get(first)
    if operation is np.negative and source is not None and source.operation is np.negative and not i.options:
        return source.inputs[0]
    for one in _EXACT_ONES.get(operation, ()):
        known, other = new.known(inputs[one]), inputs[1 - one]
        if known is not None and types[other] == result and (known == 1).all():
            return other
    numbers = [v if types[v].shape == () else _number(new, v) for v in inputs]
    if result.shape and all(v is not None for v in numbers):
        # A function of repeated numbers is that of the numbers, repeated.
        number = new.add(operation, [v for v in numbers if v is not None], i.options)
        return new.add(P.broadcast, [number], {"shape": result.shape})
    arguments = [v if n is None else n for v, n in zip(inputs, numbers, strict=True)]
    if operation in (np.add, np.subtract):
        negated = new.made_by.get(arguments[1])
        if negated is not None and negated.operation is np.negative:
            opposite = np.subtract if operation is np.add else np.add
            return new.add(opposite, [arguments[0], negated.inputs[0]], i.options)
    return new.add(operation, arguments, i.options)


def _number(new: Rewriting, value: int) -> int | None:
    """The 0-d value that this one repeats."""
    source = new.made_by.get(value)
    while source is not None and source.operation in (P.broadcast, P.reshape):
        value = source.inputs[0]
        if new.tape.types[value].size == 1 and source.operation is P.broadcast:
            return value if new.tape.types[value].shape == () else new.add(P.reshape, [value], {"shape": ()})
        source = new.made_by.get(value)
    return None


# In order. Simplifying and folding open up more to share; what is left over goes last.
PASSES: tuple[Pass, ...] = (
    lower_to_numpy,
    eliminate_dead_code,
    fold_constants,
    eliminate_common_subexpressions,
    simplify_algebra,
    fold_constants,
    eliminate_common_subexpressions,
    simplify_algebra,
    eliminate_common_subexpressions,
    eliminate_dead_code,
)


def optimize(tape: Tape) -> Tape:
    """All passes, with the tape checked after each."""
    for each in PASSES:
        tape = each(tape)
        tape.check()
    return tape
