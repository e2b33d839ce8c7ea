"""Cost of the instructions of a tape, counted rather than measured: NumPy calls, bytes, floating-point operations.

Floating-point operations (flops), by kind of instruction:
- a product of [m, k] and [k, n]: 2 m k n, one multiplication and one addition for each of m k n pairs;
- an elementwise function: one per entry of its result, whether `add`, `exp`, a comparison or a function of bits;
- a reduction, a cumulative sum or a scatter-add: one per entry that it reads;
- data movement (a view, a copy, another shape or dtype, selected rows): 0.

Bytes are the minimum traffic: each input is read once and the result is written once, regardless of caches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.primitives import windows
from minitrain.compiler.memory_plan import Plan
from minitrain.compiler.symbols import Operation
from minitrain.compiler.tape import Instruction, Tape
from minitrain.compiler.types import Type

ACCUMULATING: tuple[Operation, ...] = (P.sum_, P.max_, P.argmax, P.argsort, P.cumsum, P.scatter_add, windows.fold)


@dataclass(frozen=True)
class Cost:
    """The cost of some instructions.

    Attributes:
        calls: NumPy calls.
        nbytes: Bytes read and written.
        flops: Floating-point operations.

    >>> Cost(1, 24, 3) + Cost(0, 0, 0) + Cost(2, 8, 1)
    Cost(calls=3, nbytes=32, flops=4)
    """

    calls: int = 0
    nbytes: int = 0
    flops: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.calls + other.calls, self.nbytes + other.nbytes, self.flops + other.flops)


def cost_of(i: Instruction, plan: Plan, calls: int) -> Cost:
    """The cost of one instruction, for one run.

    Args:
        i: The instruction.
        plan: The memory plan, which determines the parts of a concatenated vector that need no copy.
        calls: The number of NumPy calls that the instruction takes; without calls it costs nothing.
    """
    if not calls:
        return Cost()
    types, result = plan.tape.types, plan.tape.types[i.value]
    inputs = list(i.inputs)
    written = result.nbytes
    if i.operation is P.concatenate:
        inputs = [v for v in inputs if plan.root(v) != plan.root(i.value)]
        written = sum(types[v].nbytes for v in inputs)
    read = sum(types[v].nbytes for v in inputs)
    if i.operation is P.take:
        read += result.nbytes - types[inputs[0]].nbytes  # only the selected rows are read
    return Cost(calls, read + written, flops(i, types))


def flops(i: Instruction, types: Mapping[int, Type]) -> int:
    """Floating-point operations of an instruction.

    >>> f32 = np.dtype("float32")
    >>> types = {0: Type((64, 10), f32), 1: Type((10, 5), f32), 2: Type((64, 5), f32)}
    >>> flops(Instruction(2, P.matmul, (0, 1), {"transpose_a": False, "transpose_b": False}), types)
    6400
    """
    if isinstance(i.operation, np.ufunc) or i.operation is P.pow_:
        return types[i.value].size
    if i.operation is P.matmul:
        return types[i.value].size * 2 * _inner_size(i, types)
    return types[i.inputs[0]].size if i.operation in ACCUMULATING else 0


def largest_product(tape: Tape) -> int:
    """Flops of the largest product of two matrices in a tape; 0 if it has none.

    A batched product counts as many small ones.
    """
    return max((_matrix_product(i, tape.types) for i in tape.instructions if i.operation is P.matmul), default=0)


def _matrix_product(i: Instruction, types: Mapping[int, Type]) -> int:
    rows, columns = types[i.value].shape[-2:]
    return 2 * rows * columns * _inner_size(i, types)


def _inner_size(i: Instruction, types: Mapping[int, Type]) -> int:
    """The size k of a product of [m, k] and [k, n]."""
    return types[i.inputs[0]].shape[-2 if i.options["transpose_a"] else -1]
