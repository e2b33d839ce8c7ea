"""Costs of instructions, compared with manual calculations."""

import numpy as np
import pytest

from minitrain.autograd import primitives as P
from minitrain.autograd.functional.arrays import concatenate
from minitrain.autograd.primitives import windows
from minitrain.compiler.cost import ACCUMULATING, Cost, cost_of, largest_product
from minitrain.compiler.numpy_executor import NumpyExecutor
from minitrain.compiler.passes import optimize
from minitrain.compiler.tracing import trace


def costs(fn, *inputs):
    """The name and cost of every instruction."""
    executor = NumpyExecutor(optimize(trace(fn, *inputs)))
    return [(i.name, cost_of(i, executor.plan, executor.counts[i.value])) for i in executor.plan.order]


def array(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("fn", "inputs", "expected"),
    [
        # [3, 4] @ [4, 5]: 2 * 3 * 4 * 5 operations; 12, 20 and 15 entries of 4 bytes
        (lambda a, b: a.matmul(b), (array(3, 4), array(4, 5)), [("matmul", Cost(1, 188, 120))]),
        (lambda a, b: a.matmul(b, True, True), (array(4, 3), array(5, 4)), [("matmul", Cost(1, 188, 120))]),
        # twice as much for two of them
        (lambda a, b: a.matmul(b), (array(2, 3, 4), array(2, 4, 5)), [("matmul", Cost(1, 376, 240))]),
        (lambda a, b: a * b, (array(6), array(6)), [("multiply", Cost(1, 72, 6))]),
        (lambda a, b: a**b, (array(6), array(6)), [("pow", Cost(1, 72, 6))]),
        (lambda a, b: a > b, (array(6), array(6)), [("greater", Cost(1, 54, 6))]),
        (lambda a: a.sum(-1), (array(3, 4),), [("sum", Cost(1, 60, 12))]),
        (lambda a: a.reshape(4, 3), (array(3, 4),), [("reshape", Cost())]),
        (lambda a: a.transpose(), (array(3, 4),), [("transpose", Cost(1, 96, 0))]),
        # two of a hundred rows: 16 bytes of row numbers, 24 read, 24 written
        (lambda a, rows: a._take(rows), (array(100, 3), np.array([1, 2])), [("take", Cost(1, 64, 0))]),
        # a * a is written directly into the vector, b is copied
        (lambda a, b: concatenate([a * a, b]), (array(3), array(2)),
         [("multiply", Cost(1, 36, 3)), ("concatenate", Cost(1, 16, 0))]),
    ],
)  # fmt: skip
def test_costs_match_manual_calculations(fn, inputs, expected):
    assert costs(fn, *inputs) == expected


def test_the_default_cost_is_zero():
    assert Cost() == Cost(0, 0, 0)


def test_a_copy_to_a_replaced_input_is_counted():
    tape = optimize(trace(lambda a, b: {"x": b, "y": a * 2.0}, array(3), array(3)))
    executor = NumpyExecutor(tape, in_place={"x": "a"})
    assert executor.counts["x"] == 1
    assert executor.calls == sum(executor.counts.values()) == 2


def test_every_kernel_has_a_cost_or_only_moves_data():
    moving = {
        P.cast, P.reinterpret, P.reshape, P.broadcast, P.transpose, P.concatenate, P.slice_, P.unslice, P.take,
        windows.unfold,
    }  # fmt: skip
    assert {p for p in P.TABLE.values() if p.kernel is not None} == {P.matmul, P.pow_, *ACCUMULATING} | moving


def test_the_largest_product_is_that_of_two_matrices():
    assert largest_product(trace(lambda a, b: a.matmul(b) * 2.0, array(7, 3, 4), array(7, 4, 5))) == 120
    assert largest_product(trace(lambda a: a * 2.0, array(3))) == 0
