"""Passes: each takes a Tape and returns one that computes the same bits with fewer calls.

A pass rewrites a tape instruction by instruction, in order. To keep the bits, no pass reassociates, distributes or
multiplies out. (The sign and payload of a NaN are not preserved.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.primitives.table import Options
from minitrain.compiler.symbols import Operation, Symbol, calls_of
from minitrain.compiler.tape import Instruction, Tape, renumbered
from minitrain.compiler.types import Type
from minitrain.typing import Array

Pass = Callable[[Tape], Tape]


class TapeRewriter:
    """Writes a new tape from an old one.

    Attributes:
        old: The tape that is rewritten.
        tape: The new tape.
        values: Value of the old tape -> the value of the new tape that replaces it.
        producers: Value of the new tape -> the instruction that computes it.
    """

    def __init__(self, old: Tape) -> None:
        self.tape = Tape(
            dict(old.types),
            dict(old.inputs),
            dict(old.constants),
            varying=old.varying,
            random_inputs=old.random_inputs,
        )
        self.old = old
        self.values = {v: v for v in (*old.inputs.values(), *old.constants)}
        self.producers: dict[int, Instruction] = {}

    def add(self, operation: Operation, inputs: Sequence[int], options: Options) -> int:
        """Append an instruction and return its value."""
        value = self.tape.add(operation, inputs, options)
        self.producers[value] = self.tape.instructions[-1]
        return value

    def add_constant(self, array: Array) -> int:
        """Add a constant and return its value."""
        return self.tape.add_constant(array)

    def constant_of(self, value: int) -> Array | None:
        """The array of a constant that is the same for all runs; None for other values."""
        return None if value in self.tape.varying else self.tape.constants.get(value)

    def inputs_of(self, i: Instruction) -> list[int]:
        """The values of the new tape that replace the inputs of an instruction."""
        return [self.values[v] for v in i.inputs]

    def finish(self) -> Tape:
        """The new tape with the outputs of the old one."""
        self.tape.outputs = {name: self.values[v] for name, v in self.old.outputs.items()}
        return renumbered(self.tape)


def lower_to_numpy(tape: Tape) -> Tape:
    """Replace every elementwise primitive by the NumPy calls that it makes; kernels are kept."""
    new = TapeRewriter(tape)
    for i in tape.instructions:
        inputs = new.inputs_of(i)
        if isinstance(i.operation, np.ufunc) or i.operation.kernel is not None:
            new.values[i.value] = new.add(i.operation, inputs, i.options)
            continue
        symbols, result, calls = calls_of(i.operation, [tape.types[v] for v in i.inputs], i.options)
        lowered: dict[int, int] = {id(s): v for s, v in zip(symbols, inputs, strict=True)}
        for call in calls:
            arguments = [lowered[id(x)] if isinstance(x, Symbol) else new.add_constant(x) for x in call.inputs]
            lowered[id(call.output)] = new.add(call.operation, arguments, call.options)
        new.values[i.value] = lowered[id(result)]
    return new.finish()


def eliminate_dead_code(tape: Tape) -> Tape:
    """Remove instructions and constants that no output depends on; inputs are kept, because callers fill them."""
    used = set(tape.outputs.values())
    live = []
    for i in reversed(tape.instructions):
        if i.value in used:
            used.update(i.inputs)
            live.append(i)
    constants = {v: array for v, array in tape.constants.items() if v in used}
    return renumbered(
        Tape(tape.types, tape.inputs, constants, live[::-1], tape.outputs, tape.varying, tape.random_inputs)
    )


def eliminate_common_subexpressions(tape: Tape) -> Tape:
    """Compute once what is computed repeatedly from the same values, and merge equal constants."""
    new = TapeRewriter(tape)
    constants: dict[tuple[str, bytes], int] = {}
    for v, array in tape.constants.items():
        if v not in tape.varying:
            new.values[v] = constants.setdefault((str(tape.types[v]), array.tobytes()), v)
    computed: dict[tuple[object, ...], int] = {}
    for i in tape.instructions:
        inputs = new.inputs_of(i)
        key = (i.operation, *inputs, repr(i.options))
        if key not in computed:
            computed[key] = new.add(i.operation, inputs, i.options)
        new.values[i.value] = computed[key]
    return new.finish()


def fold_constants(tape: Tape) -> Tape:
    """Compute what depends on constants alone."""
    new = TapeRewriter(tape)
    for i in tape.instructions:
        inputs = new.inputs_of(i)
        constants = [array for array in map(new.constant_of, inputs) if array is not None]
        repeats_a_scalar = i.operation is P.broadcast and new.tape.types[inputs[0]].size == 1  # cheaper as a scalar
        if len(constants) == len(inputs) and not repeats_a_scalar:
            with np.errstate(all="ignore"):
                forward = i.operation if isinstance(i.operation, np.ufunc) else i.operation.forward
                new.values[i.value] = new.add_constant(np.array(forward(*constants, **i.options), order="C"))
        else:
            new.values[i.value] = new.add(i.operation, inputs, i.options)
    return new.finish()


def simplify_algebra(tape: Tape) -> Tape:
    """Remove operations that return their input unchanged, and keep repeated scalars as scalars."""
    new = TapeRewriter(tape)
    for i in tape.instructions:
        inputs = new.inputs_of(i)
        simplify = _simplify_ufunc if isinstance(i.operation, np.ufunc) else _simplify_kernel
        new.values[i.value] = simplify(new, i, inputs)
    return new.finish()


# Rewrites of one instruction. Each takes the new tape, the old instruction and its inputs in the new tape, and returns
# a value of the new tape: an existing one, or that of a new instruction. A rewrite that may not apply returns None.

_KEEPS_ITS_INPUT = (P.reshape, P.cast, P.reinterpret, P.broadcast, P.concatenate)  # where the result has its type


def _simplify_kernel(new: TapeRewriter, i: Instruction, inputs: list[int]) -> int:
    if i.operation in _KEEPS_ITS_INPUT and new.tape.types[inputs[0]] == _result(new, i):
        return inputs[0]
    for rewrite in (_merge_repeated, _reinterpret_before_broadcast, _reshape_repeated_scalar):
        value = rewrite(new, i, inputs)
        if value is not None:
            return value
    return new.add(i.operation, inputs, i.options)


def _merge_repeated(new: TapeRewriter, i: Instruction, inputs: list[int]) -> int | None:
    """reshape(reshape(x)) -> reshape(x), and the same for reinterpret."""
    producer = new.producers.get(inputs[0])
    if i.operation in (P.reshape, P.reinterpret) and producer is not None and producer.operation is i.operation:
        return _simplify_kernel(new, i, [producer.inputs[0]])
    return None


def _reinterpret_before_broadcast(new: TapeRewriter, i: Instruction, inputs: list[int]) -> int | None:
    """reinterpret(broadcast(x)) -> broadcast(reinterpret(x))."""
    producer = new.producers.get(inputs[0])
    if i.operation is P.reinterpret and producer is not None and producer.operation is P.broadcast:
        return new.add(P.broadcast, [new.add(i.operation, producer.inputs, i.options)], producer.options)
    return None


def _reshape_repeated_scalar(new: TapeRewriter, i: Instruction, inputs: list[int]) -> int | None:
    """reshape(broadcast(scalar)) -> broadcast(scalar)."""
    producer = new.producers.get(inputs[0])
    if i.operation is not P.reshape or producer is None or producer.operation is not P.broadcast:
        return None
    scalar = _repeated_scalar(new, inputs[0])
    return None if scalar is None else new.add(P.broadcast, [scalar], {"shape": _result(new, i).shape})


def _simplify_ufunc(new: TapeRewriter, i: Instruction, inputs: list[int]) -> int:
    for rewrite in (_skip_identity, _cancel_double_negation, _skip_one, _apply_to_scalars):
        value = rewrite(new, i, inputs)
        if value is not None:
            return value
    arguments = [_as_scalar(new, v) for v in inputs]
    value = _absorb_negation(new, i, arguments)
    return new.add(i.operation, arguments, i.options) if value is None else value


def _skip_identity(new: TapeRewriter, i: Instruction, inputs: list[int]) -> int | None:
    """positive(x) -> x."""
    return inputs[0] if i.operation is np.positive else None


def _cancel_double_negation(new: TapeRewriter, i: Instruction, inputs: list[int]) -> int | None:
    """-(-x) -> x."""
    producer = new.producers.get(inputs[0])
    if i.operation is np.negative and producer is not None and producer.operation is np.negative and not i.options:
        return producer.inputs[0]
    return None


# Operation -> the positions of the operands that, where they are 1, leave the other operand unchanged.
_EXACT_ONES: dict[Operation, tuple[int, ...]] = {np.multiply: (0, 1), np.divide: (1,)}


def _skip_one(new: TapeRewriter, i: Instruction, inputs: list[int]) -> int | None:
    """X * 1 -> x, 1 * x -> x, x / 1 -> x."""
    for position in _EXACT_ONES.get(i.operation, ()):
        constant, other = new.constant_of(inputs[position]), inputs[1 - position]
        if constant is not None and new.tape.types[other] == _result(new, i) and (constant == 1).all():
            return other
    return None


def _apply_to_scalars(new: TapeRewriter, i: Instruction, inputs: list[int]) -> int | None:
    """f(broadcast(a), broadcast(b)) -> broadcast(f(a, b)) for scalars a and b."""
    shape = _result(new, i).shape
    arguments = [_as_scalar(new, v) for v in inputs]
    if not shape or any(new.tape.types[v].shape != () for v in arguments):
        return None
    scalar = new.add(i.operation, arguments, i.options)
    return new.add(P.broadcast, [scalar], {"shape": shape})


def _absorb_negation(new: TapeRewriter, i: Instruction, inputs: list[int]) -> int | None:
    """A + -b -> a - b, a - -b -> a + b."""
    if i.operation not in (np.add, np.subtract):
        return None
    negation = new.producers.get(inputs[1])
    if negation is None or negation.operation is not np.negative:
        return None
    opposite = np.subtract if i.operation is np.add else np.add
    return new.add(opposite, [inputs[0], negation.inputs[0]], i.options)


def _result(new: TapeRewriter, i: Instruction) -> Type:
    """The type of the old instruction's result."""
    return new.old.types[i.value]


def _as_scalar(new: TapeRewriter, value: int) -> int:
    """The scalar that a value repeats; the value itself where it is a scalar or repeats none."""
    scalar = None if new.tape.types[value].shape == () else _repeated_scalar(new, value)
    return value if scalar is None else scalar


def _repeated_scalar(new: TapeRewriter, value: int) -> int | None:
    """The scalar (0-d) that a value repeats; None where it repeats none."""
    producer = new.producers.get(value)
    while producer is not None and producer.operation in (P.broadcast, P.reshape):
        value = producer.inputs[0]
        if new.tape.types[value].size == 1 and producer.operation is P.broadcast:
            return value if new.tape.types[value].shape == () else new.add(P.reshape, [value], {"shape": ()})
        producer = new.producers.get(value)
    return None


# In order. Simplification and folding create new common subexpressions; dead code is removed last.
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
    """Apply all passes, and check the tape after each.

    Raises:
        ValueError: A pass returned a tape that is not valid.
    """
    for apply_pass in PASSES:
        tape = apply_pass(tape)
        tape.check()
    return tape
