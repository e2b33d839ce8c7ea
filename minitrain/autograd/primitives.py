"""The table of primitives: what the library can compute and differentiate.

One entry per primitive: how it is computed, and behind its formula for printing its derivatives, one
per input: `derivative(g, out, *inputs, **options)` is the gradient with respect to that input, given
the gradient `g` of the result `out`. `g`, `out` and the inputs are Tensors there, so a derivative is
itself differentiable, to any order. An entry without derivatives gives values that carry no gradient
(comparisons, argmax).

There are two kinds of entries.
- `@elementwise`: a function of NumPy's elementwise functions. It is run on arrays, and to compile a step
  once on symbols, which write down the NumPy calls it makes. Inputs have equal shapes, or are 0-d
  constants: broadcasting is the primitive `broadcast`, and no other derivative mentions shapes.
- `@kernel`: everything that moves, adds up or multiplies whole arrays. It lists the NumPy calls that write
  its result into a given array, and beside it stand the result's shape and type.

Rules that every entry keeps, so that a value alone, replayed or in a stack of runs has the same bits:
- results are C-contiguous; axes are negative, so that a leading axis of runs changes nothing;
- a sum over axis -1 or -2 is a product with ones (a fifth of the time of a reduction), an inner size of 1 in
  `matmul` is a multiply;
- values are IEEE 754's; functions and quotients give them without a warning (log 0 = -inf, 1/0 = inf).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Derivative = Callable[..., Any]  # (g, out, *inputs, **options) -> Tensor
Call = tuple[Any, ...]  # (function, *arguments)


@dataclass(frozen=True, eq=False)
class Kernel:
    """How a primitive writes its result into an array.

    calls: (out, *inputs, **options) -> the NumPy calls that do it, in order
    result: (*inputs, **options) -> shape and type of the result
    view: the result without copying, as a view of the input, or None where it is none
    together: which inputs have a leading axis of runs -> whether the calls then do all runs together, as they
        stand; where they do not, a stack makes them run by run
    """

    calls: Callable[..., Iterator[Call]]
    result: Callable[..., tuple[tuple[int, ...], Any]]
    view: Callable[..., Array | None] | None
    together: Callable[..., bool]

    def forward(self, *inputs: Array, **options: Any) -> Array:
        if self.view is not None:
            found = self.view(*inputs, **options)
            if found is not None:
                return found
        shape, dtype = self.result(*inputs, **options)
        out = np.empty(shape, dtype)
        for function, *arguments in self.calls(out, *inputs, **options):
            function(*arguments)
        return out


@dataclass(frozen=True, eq=False)
class Primitive:
    """One entry of the table.

    `formula` prints a result from its inputs: `{0}` is the first input's own formula, `{0:tight}`
    the same in brackets where it needs them, `{axis}` an option. `variadic` primitives take any
    number of inputs and one derivative, told which input it is for by the option `index`. `kernel`
    is None for an elementwise primitive.
    """

    name: str
    forward: Callable[..., Array]
    formula: str
    derivatives: tuple[Derivative, ...] = ()
    variadic: bool = False
    kernel: Kernel | None = None


TABLE: dict[str, Primitive] = {}


def elementwise(formula: str, *derivatives: Derivative) -> Callable[[Callable[..., Array]], Primitive]:
    """Enter the decorated function of arrays into the table, under its own name."""

    def enter(forward: Callable[..., Array]) -> Primitive:
        name = forward.__name__.rstrip("_")
        TABLE[name] = Primitive(name, forward, formula, derivatives)
        return TABLE[name]

    return enter


def kernel(
    formula: str,
    *derivatives: Derivative,
    result: Callable[..., tuple[tuple[int, ...], Any]],
    view: Callable[..., Array | None] | None = None,
    together: Callable[..., bool] = lambda *stacked: True,
    variadic: bool = False,
) -> Callable[[Callable[..., Iterator[Call]]], Primitive]:
    """Enter the decorated list of calls into the table, under its own name."""

    def enter(calls: Callable[..., Iterator[Call]]) -> Primitive:
        name = calls.__name__.rstrip("_")
        own = Kernel(calls, result, view, together)
        TABLE[name] = Primitive(name, own.forward, formula, derivatives, variadic, own)
        return TABLE[name]

    return enter


quiet = np.errstate(all="ignore")


# Arithmetic


@elementwise("[{0} + {1}]", lambda g, out, a, b: g, lambda g, out, a, b: g)
def add(a: Array, b: Array) -> Array:
    return np.add(a, b)


@elementwise("[{0} - {1:tight}]", lambda g, out, a, b: g, lambda g, out, a, b: -g)
def subtract(a: Array, b: Array) -> Array:
    return np.subtract(a, b)


@elementwise("{0} * {1}", lambda g, out, a, b: g * b, lambda g, out, a, b: g * a)
def multiply(a: Array, b: Array) -> Array:
    return np.multiply(a, b)


@elementwise("{0} / {1:tight}", lambda g, out, a, b: g / b, lambda g, out, a, b: -(g * out) / b)
@quiet
def divide(a: Array, b: Array) -> Array:
    return np.divide(a, b)


@elementwise("-{0:tight}", lambda g, out, x: -g)
def negative(x: Array) -> Array:
    return np.negative(x)


def _power_derivative(g: Any, out: Any, x: Any, exponent: float) -> Any:
    # The case exponent 0 apart: 0 * 0**-1 is nan, and the derivative of a constant is 0.
    return g * 0.0 if exponent == 0 else g * exponent * x ** (exponent - 1)


@elementwise("{0:tight}**{exponent:g}", _power_derivative)
@quiet
def power(x: Array, exponent: float) -> Array:
    """x ** exponent for a fixed exponent; the small ones without `np.power`, which is 20 times slower."""
    if exponent == 2:
        return np.multiply(x, x)
    if exponent == 1:
        return np.positive(x)
    if exponent == -1:
        return np.reciprocal(x)
    return np.power(x, exponent)


def _exponent_derivative(g: Any, out: Any, a: Any, b: Any) -> Any:
    # d(a**b)/db = a**b log a. At a = 0, b >= 0 the limit is 0 where 0 * -inf is nan.
    at_zero = (a == 0.0) * (b >= 0.0)
    return at_zero.where(0.0, g * out * at_zero.where(1.0, a).log())


def _base_derivative(g: Any, out: Any, a: Any, b: Any) -> Any:
    flat = b == 0.0
    return flat.where(0.0, g * (b * a ** flat.where(1.0, b - 1.0)))


@kernel(
    "{0:tight}**{1:tight}",
    _base_derivative,
    _exponent_derivative,
    result=lambda a, b: (a.shape or b.shape, a.dtype),
    together=lambda a, b: False,
)
def pow_(out: Array, a: Array, b: Array) -> Iterator[Call]:
    """A kernel because `np.power` rounds otherwise where all exponents are one number of 2, 1/2 or -1."""
    yield quiet(np.power), a, b, out


# Elementwise functions


@elementwise("exp({0})", lambda g, out, x: g * out)
@quiet
def exp(x: Array) -> Array:
    return np.exp(x)


@elementwise("log({0})", lambda g, out, x: g / x)
@quiet
def log(x: Array) -> Array:
    return np.log(x)


@elementwise("√({0})", lambda g, out, x: g / (out * 2.0))
@quiet
def sqrt(x: Array) -> Array:
    return np.sqrt(x)


@elementwise("sign({0})")
def sign(x: Array) -> Array:
    return np.sign(x)


@elementwise("|{0}|", lambda g, out, x: g * x.sign())
def abs_(x: Array) -> Array:
    return np.absolute(x)


@elementwise("tanh({0})", lambda g, out, x: g * (1.0 - out * out))
def tanh(x: Array) -> Array:
    return np.tanh(x)


@elementwise("σ({0})", lambda g, out, x: g * (out * (1.0 - out)))
@quiet
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)): where exp(-x) overflows, the quotient is 0, as it should be."""
    return np.reciprocal(np.add(np.exp(np.negative(x)), 1.0))


def _silu_derivative(g: Any, out: Any, x: Any) -> Any:
    # silu' = s + x s (1 - s) = s + silu (1 - s) with s = sigmoid(x)
    s = x.sigmoid()
    return g * (s + out * (1.0 - s))


@elementwise("{0:tight}*σ({0})", _silu_derivative)
@quiet
def silu(x: Array) -> Array:
    """x sigmoid(x). A primitive so that a graph has one node for it, as in the notebook.

    The sigmoid is computed as in its own entry: a compiled step then has it once, for the derivative too.
    """
    return np.multiply(x, np.reciprocal(np.add(np.exp(np.negative(x)), 1.0)))


@elementwise("max(0, {0})", lambda g, out, x: (x > 0.0).masks(g))
def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def _larger_share(g: Any, this: Any, other: Any) -> Any:
    return (this > other).where(g, (this == other).masks(g * 0.5))


@elementwise(
    "max({0}, {1})",
    lambda g, out, a, b: _larger_share(g, a, b),
    lambda g, out, a, b: _larger_share(g, b, a),
)
def maximum(a: Array, b: Array) -> Array:
    return np.maximum(a, b)


def _bits(condition: Array, dtype: Any) -> Array:
    """All bits set where the condition holds, none elsewhere, as an integer of the size of `dtype`."""
    return np.negative(condition.view(np.int8), dtype=f"i{dtype.itemsize}")


def select(condition: Array, a: Array, b: Array) -> Array:
    """a where the condition holds, else b, bit by bit: `np.where` takes five times as long, and has no `out`."""
    bits = _bits(condition, a.dtype)
    other = b.view(bits.dtype)
    return np.bitwise_xor(np.bitwise_and(np.bitwise_xor(a.view(bits.dtype), other), bits), other).view(a.dtype)


@elementwise(
    "where({0}, {1}, {2})",
    lambda g, out, condition, a, b: None,
    lambda g, out, condition, a, b: condition.masks(g),
    lambda g, out, condition, a, b: (condition == False).masks(g),  # noqa: E712  # elementwise
)
def where(condition: Array, a: Array, b: Array) -> Array:
    return select(condition, a, b)


@elementwise(
    "where({0}, {1}, 0)",
    lambda g, out, condition, x: None,
    lambda g, out, condition, x: condition.masks(g),
)
def mask(condition: Array, x: Array) -> Array:
    """x where the condition holds, else 0. A primitive because it takes a third of the time of `where`."""
    bits = _bits(condition, x.dtype)
    return np.bitwise_and(x.view(bits.dtype), bits).view(x.dtype)


# Comparisons and tests: truth values, without derivatives


@elementwise("[{0} > {1}]")
def greater(a: Array, b: Array) -> Array:
    return np.greater(a, b)


@elementwise("[{0} >= {1}]")
def greater_equal(a: Array, b: Array) -> Array:
    return np.greater_equal(a, b)


@elementwise("[{0} < {1}]")
def less(a: Array, b: Array) -> Array:
    return np.less(a, b)


@elementwise("[{0} <= {1}]")
def less_equal(a: Array, b: Array) -> Array:
    return np.less_equal(a, b)


@elementwise("[{0} == {1}]")
def equal(a: Array, b: Array) -> Array:
    return np.equal(a, b)


@elementwise("[{0} != {1}]")
def not_equal(a: Array, b: Array) -> Array:
    return np.not_equal(a, b)


@elementwise("isfinite({0})")
def isfinite(x: Array) -> Array:
    return np.isfinite(x)


# Reductions


def _spread(g: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Repeat a reduced `g` along the axes that the reduction of `x` took away."""
    kept = tuple(1 if i - x.ndim in axes else size for i, size in enumerate(x.shape))
    return g.reshape(kept).broadcast_to(x.shape)


def _without(x: Any, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of x without some axes."""
    return tuple(size for i, size in enumerate(x.shape) if i - x.ndim not in axes)


def _sum_type(dtype: Any) -> Any:
    return dtype if dtype.kind == "f" else np.dtype(np.int64)


@kernel(
    "sum({0}, axis={axes})",
    lambda g, out, x, axes: _spread(g, x, axes),
    result=lambda x, axes: (_without(x, axes), _sum_type(x.dtype)),
)
def sum_(out: Array, x: Array, axes: tuple[int, ...]) -> Iterator[Call]:
    """Over some axes; x has at least two, so that a leading one makes no other sum of it."""
    if x.dtype.kind == "f" and axes == (-2,):
        ones = np.ones((1, x.shape[-2]), x.dtype)
        yield (ones.dot, x, out[None]) if x.ndim == 2 else (np.matmul, ones, x, out[..., None, :])
    elif x.dtype.kind == "f" and axes == (-1,):
        ones = np.ones((x.shape[-1], 1), x.dtype)
        yield (x.dot, ones, out[:, None]) if x.ndim == 2 else (np.matmul, x, ones, out[..., None])
    else:
        yield np.add.reduce, x, axes, out.dtype, out


def _max_derivative(g: Any, out: Any, x: Any, axes: tuple[int, ...]) -> Any:
    # Tied entries share the gradient evenly.
    tied = (x == _spread(out, x, axes)).astype(x.dtype)
    return _spread(g / tied.sum(axes), x, axes) * tied


SHORT = 64  # entries of a row: up to so many, NumPy takes the largest two to ten times as fast from columns


@kernel("max({0}, axis={axes})", _max_derivative, result=lambda x, axes: (_without(x, axes), x.dtype))
def max_(out: Array, x: Array, axes: tuple[int, ...]) -> Iterator[Call]:
    if axes == (-1,) and x.ndim > 1 and 0 < x.shape[-1] <= SHORT:
        columns = np.empty((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
        yield np.copyto, columns, x.swapaxes(-1, -2)
        yield np.maximum.reduce, columns, -2, None, out
    else:
        yield np.maximum.reduce, x, axes, None, out


@kernel("argmax({0}, axis={axis})", result=lambda x, axis: (_without(x, (axis,)), np.dtype(np.intp)))
def argmax(out: Array, x: Array, axis: int) -> Iterator[Call]:
    yield np.argmax, x, axis, out


@kernel(
    "cumsum({0}, axis={axis})",
    lambda g, out, x, axis, backward: g.cumsum(axis, not backward),
    result=lambda x, axis, backward: (x.shape, _sum_type(x.dtype)),
)
def cumsum(out: Array, x: Array, axis: int, backward: bool) -> Iterator[Call]:
    """Running sums along an axis, from its end where `backward`: a product with a triangle would take n² additions."""
    if backward:
        x, out = np.flip(x, axis), np.flip(out, axis)
    yield np.add.accumulate, x, axis, out.dtype, out


# Shapes and places


@elementwise("{0}", lambda g, out, x: g)
def identity(x: Array) -> Array:
    return np.positive(x)


@kernel("{0}", lambda g, out, x, dtype: g.astype(x.dtype), result=lambda x, dtype: (x.shape, np.dtype(dtype)))
def cast(out: Array, x: Array, dtype: str) -> Iterator[Call]:
    yield np.copyto, out, x, "unsafe"


@kernel(
    "{0}",
    result=lambda x, dtype: (x.shape, np.dtype(dtype)),
    view=lambda x, dtype, lead=0: x.view(dtype),
)
def reinterpret(out: Array, x: Array, dtype: str) -> Iterator[Call]:
    """The same bits as numbers of another type of that size."""
    yield np.copyto, out, x.view(dtype)


def _reshaped(x: Array, shape: tuple[int, ...], lead: int = 0) -> Array:
    return x.reshape(x.shape[:lead] + shape)


@kernel("{0}", lambda g, out, x, shape: g.reshape(x.shape), result=lambda x, shape: (shape, x.dtype), view=_reshaped)
def reshape(out: Array, x: Array, shape: tuple[int, ...]) -> Iterator[Call]:
    yield np.copyto, out, x.reshape(out.shape)


def _broadcast_derivative(g: Any, out: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """Sum over every axis along which x was repeated."""
    new = len(shape) - x.ndim
    repeated = tuple(i - len(shape) for i, n in enumerate(shape) if i < new or (n != 1 and x.shape[i - new] == 1))
    return g.sum(repeated).reshape(x.shape)


@kernel("{0}", _broadcast_derivative, result=lambda x, shape: (shape, x.dtype))
def broadcast(out: Array, x: Array, shape: tuple[int, ...]) -> Iterator[Call]:
    lead = out.ndim - len(shape)
    yield np.copyto, out, x.reshape(x.shape[:lead] + (1,) * (out.ndim - x.ndim) + x.shape[lead:])


@kernel(
    "{0:tight}ᵀ",
    lambda g, out, x, axes: g.transpose([int(i) for i in np.argsort([a % x.ndim for a in axes])]),
    result=lambda x, axes: (tuple(x.shape[a] for a in axes), x.dtype),
)
def transpose(out: Array, x: Array, axes: tuple[int, ...]) -> Iterator[Call]:
    lead = out.ndim - len(axes)
    yield np.copyto, out, x.transpose(*range(lead), *(a + out.ndim for a in axes))


Key = tuple[slice, ...]


def _behind_runs(key: Key) -> Any:
    return (..., *key)


def _along(axis: int, start: int, length: int) -> tuple[Any, ...]:
    return (..., slice(start, start + length), *(slice(None),) * (-axis - 1))


def _joined(*xs: Any, axis: int) -> tuple[tuple[int, ...], Any]:
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    return tuple(shape), xs[0].dtype


@kernel(
    "concatenate({all}, axis={axis})",
    lambda g, out, *xs, axis, index: g.narrow(axis, sum(x.shape[axis] for x in xs[:index]), xs[index].shape[axis]),
    result=_joined,
    variadic=True,
)
def concatenate(out: Array, *xs: Array, axis: int) -> Iterator[Call]:
    start = 0
    for x in xs:
        yield np.copyto, out[_along(axis, start, x.shape[axis])], x
        start += x.shape[axis]


def _sliced(x: Array, key: Key, lead: int = 0) -> Array | None:
    """x[key] where that is one piece of each run's memory."""
    part = x[(slice(None),) * lead + key]
    inner = part[(0,) * lead] if part.size else part
    return part if inner.flags.c_contiguous else None


@kernel(
    "{0:tight}[{key}]",
    lambda g, out, x, key: g.unslice(key, x.shape),
    result=lambda x, key: (tuple(len(range(*k.indices(n))) for k, n in zip(key, x.shape, strict=True)), x.dtype),
    view=_sliced,
)
def slice_(out: Array, x: Array, key: Key) -> Iterator[Call]:
    """x[key] for a tuple of slices, one per axis."""
    yield np.copyto, out, x[_behind_runs(key)]


@kernel(
    "unslice({0}, {key})", lambda g, out, x, key, shape: g.slice(key), result=lambda x, key, shape: (shape, x.dtype)
)
def unslice(out: Array, x: Array, key: Key, shape: tuple[int, ...]) -> Iterator[Call]:
    """Zeros of the given shape with x at [key]: the derivative of `slice`."""
    yield out.fill, 0
    yield np.copyto, out[_behind_runs(key)], x


@kernel(
    "{0:tight}[{1}]",
    lambda g, out, x, rows: g.scatter_add(rows, x.shape[0]),
    result=lambda x, rows: (rows.shape + x.shape[1:], x.dtype),
    together=lambda x, rows: not x,
)
def take(out: Array, x: Array, rows: Array) -> Iterator[Call]:
    """The rows x[rows] for an integer array of any shape: [n, ...] -> [*rows.shape, ...]; each number is in range."""
    yield np.take, x, rows, 0, out, "clip"  # the default mode takes 3.5 times as long


@kernel(
    "scatter_add({0}, {1})",
    lambda g, out, x, rows, size: g.take(rows),
    result=lambda x, rows, size: ((size, *x.shape[len(rows.shape) :]), x.dtype),
    together=lambda x, rows: False,
)
def scatter_add(out: Array, x: Array, rows: Array, size: int) -> Iterator[Call]:
    """Zeros of `size` rows with each row of x added at its place: the derivative of `take`."""
    yield out.fill, 0
    yield np.add.at, out, rows, x


# Products


def _left_derivative(g: Any, out: Any, a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> Any:
    if transpose_a:
        return b.matmul(g, transpose_b, True)
    return g.matmul(b, False, not transpose_b)


def _right_derivative(g: Any, out: Any, a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> Any:
    if transpose_b:
        return g.matmul(a, True, transpose_a)
    return a.matmul(g, not transpose_a, False)


def _product(a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> tuple[tuple[int, ...], Any]:
    return (*a.shape[:-2], a.shape[-1 if transpose_a else -2], b.shape[-2 if transpose_b else -1]), a.dtype


@kernel("{0:tight} @ {1:tight}", _left_derivative, _right_derivative, result=_product)
def matmul(out: Array, a: Array, b: Array, transpose_a: bool, transpose_b: bool) -> Iterator[Call]:
    """The product of [..., m, k] and [..., k, n], each stored transposed where its flag says so."""
    if np.may_share_memory(a, b):
        own = np.empty_like(b)
        yield np.copyto, own, b  # BLAS takes another road (syrk) for a matrix times itself
        b = own
    a = a.swapaxes(-1, -2) if transpose_a else a
    b = b.swapaxes(-1, -2) if transpose_b else b
    if a.shape[-1] == 1:
        yield np.multiply, a, b, out
    elif a.ndim == b.ndim == 2:
        yield a.dot, b, out  # the same bits as np.matmul, 0.3 us earlier
    else:
        yield np.matmul, a, b, out
