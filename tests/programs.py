"""Helpers of the tests of autograd and compiler: equality of bits, reference execution of a tape, random graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minitrain import Tensor
from minitrain import functional as F
from minitrain.autograd.grad import gradients
from minitrain.autograd.shapes import joint_shape
from minitrain.compiler.numpy_executor import NumpyExecutor
from minitrain.compiler.passes import optimize
from minitrain.compiler.tracing import trace

# Bits

INTEGERS = {4: np.int32, 8: np.int64}
RUNS = 3


def same_bits(a, b):
    """Whether shapes, dtypes and bits are equal; all nans count as equal."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind != "f":
        return bool((a == b).all())
    bits = INTEGERS[a.itemsize]
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    return bool(((a.view(bits) == b.view(bits)) | (np.isnan(a) & np.isnan(b))).all())


def run_as_written(tape, inputs):
    """The outputs of a tape, computed instruction by instruction without a memory plan."""
    values = {v: array.copy() for v, array in tape.constants.items()}
    values |= {v: np.array(inputs[name]) for name, v in tape.inputs.items()}
    for i in tape.instructions:
        forward = i.operation if isinstance(i.operation, np.ufunc) else i.operation.forward
        values[i.value] = np.array(forward(*[values[v] for v in i.inputs], **i.options), order="C")
    return {name: values[v] for name, v in tape.outputs.items()}


def in_each_run(x, run):
    """Different values of the same kind for each run."""
    return np.roll(x, run, axis=-1 if x.ndim else None) if x.ndim else x + run if x.dtype.kind == "f" else x


def every_subset(count):
    return [subset for n in range(1, count + 1) for subset in combinations(range(count), n)]


def assert_same_bits(what, fn, inputs, stackings=None):
    """Compare a function in eager execution, compiled, and in stacks of runs.

    stackings: the inputs that differ between runs, for each stack to test; every subset by default
    """
    tape = optimize(trace(fn, *inputs))
    alone = NumpyExecutor(tape)
    names = list(tape.inputs)
    eager = {}  # (run, stacked inputs) -> values
    runs = [[in_each_run(x, run) for x in inputs] for run in range(RUNS)]

    def expected(run, stacked):
        key = run, stacked
        if key not in eager:
            arrays = [runs[run][i] if i in stacked else x for i, x in enumerate(inputs)]
            eager[key] = [t._data for t in fn(*map(Tensor, arrays))]
            for name, x in zip(names, arrays, strict=True):
                alone.inputs[name][...] = x
            alone.run()
            for k, value in enumerate(eager[key]):
                assert same_bits(value, alone.outputs[str(k)]), f"{what}: output {k} compiled"
        return eager[key]

    expected(0, ())
    for stacked in every_subset(len(inputs)) if stackings is None else stackings:
        executor = NumpyExecutor(tape, RUNS, [names[i] for i in stacked])
        for i, name in enumerate(names):
            executor.inputs[name][...] = [run[i] for run in runs] if i in stacked else inputs[i]
        executor.run()
        for run in range(RUNS):
            for k, value in enumerate(expected(run, stacked)):
                got = executor.outputs[str(k)]
                got = got[run] if got.ndim > value.ndim else got
                assert same_bits(value, got), f"{what}: output {k}, stacked inputs {stacked}, run {run}"


# Random graphs


def size(x):
    return prod(x.shape)


def positive(x):
    return x * x + 0.5


def as_rows(x):
    """Two axes."""
    return x.reshape(prod(x.shape[:-1]), x.shape[-1]) if x.ndim else x.reshape(1, 1)


def first_entries(x, count):
    return x.reshape(-1)[:count]


def axis_of(x, n):
    return n % x.ndim - x.ndim


def reduced(reduction, x, n):
    """Reduce over all axes, or over one with or without keepdims."""
    return reduction(x) if n == 0 or not x.ndim else reduction(x, axis=axis_of(x, n), keepdims=n % 2 == 1)


def convolved(F, x, y, stride):
    rows, weight = as_rows(x)[None], as_rows(y)[:, None, :2]
    if rows.shape[-1] < weight.shape[-1] or not size(x) or not size(y):
        return x
    return F.conv1d(rows, F.broadcast_to(weight, (weight.shape[0], rows.shape[1], weight.shape[2])), None, stride, 1)


# Name -> an operation on two values of a graph; n below 6 selects an axis or variant. F provides the functions:
# minitrain.functional, or an adapter of another library with the same names. Values that an operation does not accept
# are returned unchanged.
OPERATIONS: dict[str, Callable[[Any, Any, Any, int], Any]] = {
    "x + y": lambda F, x, y, n: x + y,
    "x - y": lambda F, x, y, n: x - y,
    "x * y": lambda F, x, y, n: x * y,
    "x / y": lambda F, x, y, n: x / positive(y),
    "x ** y": lambda F, x, y, n: positive(x) ** F.tanh(y),
    "-x": lambda F, x, y, n: -x,
    "x + 3": lambda F, x, y, n: x + 3,
    "1.5 - x": lambda F, x, y, n: 1.5 - x,
    "x * -0.5": lambda F, x, y, n: x * -0.5,
    "x / 3": lambda F, x, y, n: x / 3.0,
    "2 / x": lambda F, x, y, n: 2.0 / positive(x),
    "2 ** x": lambda F, x, y, n: 2.0 ** F.tanh(x),
    "x ** n": lambda F, x, y, n: x ** (n % 4),
    "x ** -1": lambda F, x, y, n: positive(x) ** -1,
    "x ** 0.5": lambda F, x, y, n: positive(x) ** 0.5,
    "x // y": lambda F, x, y, n: F.floor(x // positive(y)),
    "x % y": lambda F, x, y, n: x % positive(y),
    "floor": lambda F, x, y, n: x - F.floor(x * 3.0),
    "round": lambda F, x, y, n: x - F.round(x * 3.0),
    "arctan": lambda F, x, y, n: F.arctan(x),
    "arcsinh": lambda F, x, y, n: F.arcsinh(x),
    "~": lambda F, x, y, n: F.where(~(x > y), x, y * 0.5),
    "&": lambda F, x, y, n: F.where((x > y) & (x > 0.0), x, y * 0.5),
    "exp": lambda F, x, y, n: F.exp(x),
    "log": lambda F, x, y, n: F.log(positive(x)),
    "sqrt": lambda F, x, y, n: F.sqrt(positive(x)),
    "log1p": lambda F, x, y, n: F.log1p(x * x),
    "expm1": lambda F, x, y, n: F.expm1(x),
    "sin": lambda F, x, y, n: F.sin(x),
    "cos": lambda F, x, y, n: F.cos(x),
    "tanh": lambda F, x, y, n: F.tanh(x),
    "erf": lambda F, x, y, n: F.erf(x),
    "sigmoid": lambda F, x, y, n: F.sigmoid(x),
    "silu": lambda F, x, y, n: F.silu(x),
    "softplus": lambda F, x, y, n: F.softplus(x),
    "relu": lambda F, x, y, n: F.relu(x),
    "abs": lambda F, x, y, n: F.abs(x),
    "sign": lambda F, x, y, n: x * F.sign(y),
    "clip": lambda F, x, y, n: F.clip(x, -0.5, 0.75),
    "maximum": lambda F, x, y, n: F.maximum(x, y),
    "x > y": lambda F, x, y, n: F.where(x > y, x, y * 0.5),
    "x >= y": lambda F, x, y, n: F.where(x >= y, x, y * 0.5),
    "x < y": lambda F, x, y, n: F.where(x < y, x, y * 0.5),
    "x <= y": lambda F, x, y, n: F.where(x <= y, x, y * 0.5),
    "x == y": lambda F, x, y, n: F.where(x == y, x, y * 0.5),
    "x != y": lambda F, x, y, n: F.where(x != y, x, y * 0.5),
    "isfinite": lambda F, x, y, n: F.where(x.isfinite(), x, y),
    "sum": lambda F, x, y, n: reduced(F.sum, x, n),
    "mean": lambda F, x, y, n: reduced(F.mean, x, n) if size(x) else x,
    "max": lambda F, x, y, n: reduced(F.max, x, n) if size(x) else x,
    "argmax": lambda F, x, y, n: x * F.argmax(as_rows(x)).sum() if size(x) else x,
    "sort": lambda F, x, y, n: x * F.sort(y, axis_of(y, n)).sum() if y.ndim else x,
    "cumprod": lambda F, x, y, n: F.cumprod(x, axis_of(x, n)) if x.ndim and size(x) < 9 else x,
    "cumsum": lambda F, x, y, n: F.cumsum(x, axis_of(x, n)) if x.ndim else x,
    "softmax": lambda F, x, y, n: F.softmax(as_rows(x)) if size(x) else x,
    "logsumexp": lambda F, x, y, n: F.logsumexp(as_rows(x)) if size(x) else x,
    "prod": lambda F, x, y, n: F.prod(x, -1) if x.ndim and x.shape[-1] < 5 else x,
    "flatten": lambda F, x, y, n: x.reshape(-1),
    "as rows": lambda F, x, y, n: as_rows(x),
    "swapaxes": lambda F, x, y, n: F.swapaxes(x, axis_of(x, n), -1) if x.ndim else x,
    "broadcast_to": lambda F, x, y, n: F.broadcast_to(x, (2, *x.shape)),
    "astype": lambda F, x, y, n: x.astype("float32").astype("float64").astype(x.dtype),
    "concatenate": lambda F, x, y, n: F.concatenate([x, -x], axis_of(x, n)) if x.ndim else x,
    "stack": lambda F, x, y, n: F.stack([x, x * 2.0, x], n % (x.ndim + 1)),
    "x[n:]": lambda F, x, y, n: x[n % 2 :] if x.ndim else x[None],
    "x[::2]": lambda F, x, y, n: x[::2] if x.ndim else x[None],
    "x[..., :1]": lambda F, x, y, n: x[..., :1] if x.ndim else x[None],
    "x[-1]": lambda F, x, y, n: x[-1] if size(x) and x.ndim else x[None],
    "x[[0, 0, -1]]": lambda F, x, y, n: x[[0, 0, -1]] if size(x) and x.ndim else x[None],
    "pad": lambda F, x, y, n: F.pad(first_entries(x, 3), [(n % 3, 1)]),
    "avg_pool1d": lambda F, x, y, n: F.avg_pool1d(as_rows(x)[None], 2, 1, 1) if size(x) else x,
    "conv1d": lambda F, x, y, n: convolved(F, x, y, 1 + n % 2),
    "x @ x": lambda F, x, y, n: as_rows(x) @ F.swapaxes(as_rows(x), 0, 1),
    "dot": lambda F, x, y, n: first_entries(x, min(size(x), size(y))) @ first_entries(y, min(size(x), size(y))),
    "outer": lambda F, x, y, n: first_entries(x, 4).reshape(-1, 1) @ first_entries(y, 4).reshape(1, -1),
    "linear": lambda F, x, y, n: F.linear(as_rows(x), as_rows(y)) if as_rows(x).shape[1] == as_rows(y).shape[1] else x,
}


def _top_two(x, y, n):
    """The difference of the largest two entries, over each axis and over all."""
    if not x.size:
        return x
    rows = [x.reshape(-1, 1), *(np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1) for axis in range(x.ndim))]
    ordered = [np.sort(r, axis=0) for r in rows]
    return np.concatenate([(r[-1:] - r[-2:-1]).ravel() for r in ordered if len(r) > 1] or [np.empty(0)])


def _to_next_integer(x):
    return x - np.rint(x)


def _gaps(x):
    """The differences of entries that follow each other in order."""
    return np.diff(np.sort(x, axis=None))


# Operation -> the distance of its operands from a point where the result or a derivative is discontinuous
KINKS: dict[str, Callable[[Any, Any, int], Any]] = {
    "relu": lambda x, y, n: x,
    "abs": lambda x, y, n: x,
    "sign": lambda x, y, n: y,
    "clip": lambda x, y, n: (x + 0.5) * (x - 0.75),
    "maximum": lambda x, y, n: x - y,
    "x // y": lambda x, y, n: _to_next_integer(x / positive(y)),
    "x % y": lambda x, y, n: _to_next_integer(x / positive(y)),
    "floor": lambda x, y, n: _to_next_integer(x * 3.0),
    "round": lambda x, y, n: _to_next_integer(x * 3.0 + 0.5),
    "&": lambda x, y, n: (x - y) * x,
    **{name: lambda x, y, n: x - y for name in ("x > y", "x >= y", "x < y", "x <= y", "x == y", "x != y", "~")},
    "max": _top_two,
    "argmax": _top_two,
    "sort": lambda x, y, n: _gaps(y),
}
SHAPES = ((), (1,), (3,), (4,), (2, 3), (3, 1), (1, 4), (2, 1, 3), (0,), (0, 3))
LARGEST = 24  # entries of a value: larger values are truncated
NICE = (0.0, -0.0, 1.0, -1.0, 0.5, 0.75, -0.5, 2.0)  # kinks of functions, and equal values
SPECIAL = (*NICE, np.inf, -np.inf, np.nan, 5e-324, 1e-40, -3e38)


@dataclass(frozen=True)
class Graph:
    """Random inputs and operations.

    steps: (operation, index of its first operand, of its second, variant); operands are earlier values
    """

    shapes: tuple[tuple[int, ...], ...]
    steps: tuple[tuple[str, int, int, int], ...]
    seed: int
    special: bool = False  # whether inputs may be infinite, nan or denormal

    def inputs(self, dtype="float64"):
        rng = np.random.default_rng(self.seed)
        chosen = SPECIAL if self.special else NICE
        share = rng.choice([0.0, 0.2, 1.0])
        return [
            np.where(rng.random(s) < share, rng.choice(chosen, s), rng.uniform(-2, 2, s)).astype(dtype)
            for s in self.shapes
        ]

    def values(self, F, inputs, look=lambda name, x, y, n: None):
        """All values of the graph. look: called with every operation and its operands before it is computed"""
        pool = list(inputs)
        for name, i, j, n in self.steps:
            x, y = pool[i % len(pool)], pool[j % len(pool)]
            if joint_shape(tuple(x.shape), tuple(y.shape)) is None:
                y = y.sum()
            look(name, x, y, n)
            value = OPERATIONS[name](F, x, y, n)
            pool.append(first_entries(value, LARGEST) if size(value) > LARGEST else value)
        return pool


def graphs(names=tuple(OPERATIONS), shapes=None, steps=6, special=False):
    """A strategy of graphs of these operations."""
    number = st.integers(0, 63)
    step = st.tuples(st.sampled_from(names), number, number, st.integers(0, 5))
    return st.builds(
        Graph,
        st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3).map(tuple) if shapes is None else st.just(shapes),
        st.lists(step, min_size=1, max_size=steps).map(tuple),
        st.integers(0, 2**32 - 1),
        st.booleans() if special else st.just(False),
    )


def total_of(values, tensor):
    """A scalar that depends nonlinearly on the last few values, on each entry differently.

    tensor: converts an array to a constant of the dtype of the values
    """
    weights = [tensor(np.cos(np.arange(size(t)) + i)) for i, t in enumerate(values[-3:])]
    flat = [t.reshape(-1) for t in values[-3:]]
    return sum(((t + t * t * 0.1) * w).sum() for t, w in zip(flat, weights, strict=True))


def with_gradients(graph, order):
    """A function that returns the total of a graph, its gradients, and for order 2 those of a function of them."""

    def fn(*inputs):
        nodes = [Tensor(x, requires_grad=True) for x in inputs]
        results = [total_of(graph.values(F, nodes), lambda array: array.astype(inputs[0].dtype))]
        slope = results[0]
        for _ in range(order):
            results += gradients(slope, nodes)
            slope = total_of(results[-len(nodes) :], lambda array: array.astype(inputs[0].dtype))
        return results

    return fn


STEP = ((6,), (6,), (3, 4))  # shapes of the inputs of a graph that `as_step` takes


def as_step(graph):
    """A graph as a training step: two vectors that replace the first two inputs, and further outputs."""

    def step(a, b, c):
        *_, x, y, z = graph.values(F, [a, b, c])
        total = x.sum() + y.sum() + z.sum()
        joined = F.concatenate([z.reshape(-1), y.reshape(-1), a.tanh()])
        return {
            "a": a * 0.5 + (total * x.sum()).tanh(), "b": b - (total * y.sum()).tanh() * a, "total": total,
            "joined": joined,
        }  # fmt: skip

    return step
