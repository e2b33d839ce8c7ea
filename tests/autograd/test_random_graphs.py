"""Random graphs of all primitives: compared with PyTorch, and for equal bits alone and in stacks."""

import hypothesis
import numpy as np
import pytest
from hypothesis import given, reject, settings
from programs import KINKS, OPERATIONS, Graph, assert_same_bits, every_subset, graphs, total_of, with_gradients
from threadpoolctl import threadpool_limits

from minitrain import Tensor
from minitrain import functional as F
from minitrain.autograd.grad import gradients
from minitrain.autograd.primitives.table import TABLE
from minitrain.compiler.passes import lower_to_numpy
from minitrain.compiler.tracing import trace

FEW = settings(max_examples=100, deadline=None, database=None, derandomize=True)
PARTS = 20  # of 10,000 graphs, so that all cores have some


def part_of_10_000(number):
    many = settings(max_examples=10_000 // PARTS, deadline=None, database=None)
    return lambda test: hypothesis.seed(number)(many(test))


@pytest.fixture(autouse=True)
def quiet_and_alone():
    """One BLAS thread and no warnings, as in training."""
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        yield


# Bits


def check_bits(graph):
    """In one of the types, to order 1 or 2, and stacked in one way: all inputs of each run, or some."""
    dtype, order = (("float32", 1), ("float64", 2), ("float64", 1), ("float32", 2))[graph.seed % 4]
    inputs = graph.inputs(dtype)
    stackings = every_subset(len(inputs))
    assert_same_bits(graph, with_gradients(graph, order), inputs, [stackings[graph.seed % len(stackings)]])


@FEW
@given(graphs(special=True))
def test_graphs_have_the_same_bits(graph):
    check_bits(graph)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(PARTS))
def test_10_000_graphs_have_the_same_bits(number):
    part_of_10_000(number)(given(graphs(special=True))(check_bits))()


def test_operations_reach_every_primitive():
    """Every entry of the table must be used by an operation or by its derivative."""
    reached = set()
    for name in OPERATIONS:
        graph = Graph(((2, 3), (2, 3)), ((name, 0, 1, 1),), seed=0)
        tape = trace(with_gradients(graph, order=1), *graph.inputs())
        reached |= {i.name for t in (tape, lower_to_numpy(tape)) for i in t.instructions}
    assert TABLE.keys() <= reached


# PyTorch

NEAR = 1e-6  # to a kink: rounding, which two libraries do otherwise, may decide on which side a value is
LARGE = 100.0  # values whose functions would lose the digits that are compared


class PyTorchFunctions:
    """PyTorch's functions by the names and arguments of minitrain's functional."""

    def __init__(self, torch):
        self.torch = torch

    def __getattr__(self, name):
        return getattr(self.torch if hasattr(self.torch, name) else self.torch.nn.functional, name)

    def sum(self, x, axis=None, keepdims=False):
        return self.torch.sum(x, dim=axis, keepdim=keepdims)

    def mean(self, x, axis=None, keepdims=False):
        return self.torch.mean(x, dim=axis, keepdim=keepdims)

    def max(self, x, axis=None, keepdims=False):
        return self.torch.amax(x, dim=() if axis is None else axis, keepdim=keepdims)

    def argmax(self, x):
        return self.torch.argmax(x, dim=-1)

    def softmax(self, x):
        return self.torch.softmax(x, -1)

    def logsumexp(self, x):
        return self.torch.logsumexp(x, -1)

    def softplus(self, x):
        return self.torch.logaddexp(x, self.torch.zeros_like(x))

    def sort(self, x, axis):
        return self.torch.sort(x, dim=axis, stable=True).values

    def concatenate(self, xs, axis):
        return self.torch.cat(xs, axis)

    def pad(self, x, widths):
        return self.torch.nn.functional.pad(x, widths[0])

    def silu(self, x):
        return self.torch.nn.functional.silu(x)


def keep_away_from_kinks(name, x, y, n):
    x, y = (np.asarray(t._data if isinstance(t, Tensor) else t.detach()) for t in (x, y))
    if not (np.abs(x) < LARGE).all():
        reject()
    if name in KINKS:
        distance = np.abs(KINKS[name](x, y, n))
        if ((distance > 0) & (distance < NEAR)).any():
            reject()


def check_against_pytorch(torch, graph):
    """Values, gradients, and the gradients of their weighted sum."""
    ours = [Tensor(x, requires_grad=True) for x in graph.inputs()]
    theirs = [torch.tensor(x, requires_grad=True) for x in graph.inputs()]
    values = graph.values(F, ours, keep_away_from_kinks)
    expected = graph.values(PyTorchFunctions(torch), theirs, keep_away_from_kinks)
    compare(values, expected)
    total, expected_total = total_of(values, Tensor), total_of(expected, torch.tensor)
    for _ in range(2):
        first = gradients(total, ours)
        expected_first = torch.autograd.grad(expected_total, theirs, create_graph=True, materialize_grads=True)
        compare(first, expected_first)
        total, expected_total = total_of(first, Tensor), total_of(expected_first, torch.tensor)
        if not expected_total.requires_grad:
            break


def compare(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        expected = b.numpy(force=True)
        largest = np.abs(expected).max(initial=1.0)
        np.testing.assert_allclose(a.numpy(), expected, rtol=1e-9, atol=1e-9 * largest)


COMPARABLE = tuple(name for name in OPERATIONS if name not in ("astype", "x // y"))
# rounding to float32 is a kink everywhere; PyTorch does not differentiate x // y


@FEW
@given(graphs(COMPARABLE))
def test_graphs_match_values_and_gradients_of_pytorch(graph):
    check_against_pytorch(pytest.importorskip("torch"), graph)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(PARTS))
def test_10_000_graphs_match_values_and_gradients_of_pytorch(number):
    torch = pytest.importorskip("torch")

    def check(graph):
        check_against_pytorch(torch, graph)

    part_of_10_000(number)(given(graphs(COMPARABLE))(check))()
