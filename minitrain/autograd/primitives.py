"""The table of primitives: what the library can compute and differentiate.

One entry per primitive. Its forward takes and gives NumPy arrays; behind its name for
printing stand its derivatives, one per input: `derivative(g, out, *inputs, **options)` is the
gradient with respect to that input, given the gradient `g` of the result `out`. `g`, `out` and
the inputs are Tensors there, so a derivative is itself differentiable, to any order. An entry
without derivatives gives values that carry no gradient (comparisons, argmax).

Rules that every entry keeps, so that all engines compute the same bits:
- inputs of elementwise primitives have equal shapes, or are 0-d constants: broadcasting is the
  primitive `broadcast`, and no other derivative mentions shapes;
- results are C-contiguous; axes are negative, so that leading axes change nothing;
- a sum over axis -2 is a product with ones, an inner size of 1 in `matmul` is a multiply;
- values are IEEE 754's; functions and quotients give them without a warning (log 0 = -inf, 1/0 = inf).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Derivative = Callable[..., Any]  # (g, out, *inputs, **options) -> Tensor


@dataclass(frozen=True, eq=False)
class Primitive:
    """One entry of the table.

    `formula` prints a result from its inputs: `{0}` is the first input's own formula, `{0:tight}`
    the same in brackets where it needs them, `{axis}` an option. `variadic` primitives take any
    number of inputs and one derivative, told which input it is for by the option `index`.
    """

    name: str
    forward: Callable[..., Array]
    formula: str
    derivatives: tuple[Derivative, ...] = ()
    variadic: bool = False


TABLE: dict[str, Primitive] = {}


def primitive(
    formula: str, *derivatives: Derivative, variadic: bool = False
) -> Callable[[Callable[..., Array]], Primitive]:
    """Enter the decorated forward function into the table, under its own name."""

    def enter(forward: Callable[..., Array]) -> Primitive:
        name = forward.__name__.rstrip("_")
        TABLE[name] = Primitive(name, forward, formula, derivatives, variadic)
        return TABLE[name]

    return enter


quiet = np.errstate(all="ignore")


# Arithmetic


@primitive("[{0} + {1}]", lambda g, out, a, b: g, lambda g, out, a, b: g)
def add(a: Array, b: Array) -> Array:
    return np.add(a, b)


@primitive("[{0} - {1:tight}]", lambda g, out, a, b: g, lambda g, out, a, b: -g)
def subtract(a: Array, b: Array) -> Array:
    return np.subtract(a, b)


@primitive("{0} * {1}", lambda g, out, a, b: g * b, lambda g, out, a, b: g * a)
def multiply(a: Array, b: Array) -> Array:
    return np.multiply(a, b)


@primitive("{0} / {1:tight}", lambda g, out, a, b: g / b, lambda g, out, a, b: -(g * out) / b)
@quiet
def divide(a: Array, b: Array) -> Array:
    return np.divide(a, b)


@primitive("-{0:tight}", lambda g, out, x: -g)
def negative(x: Array) -> Array:
    return np.negative(x)


def _power_derivative(g: Any, out: Any, x: Any, exponent: float) -> Any:
    # The case exponent 0 apart: 0 * 0**-1 is nan, and the derivative of a constant is 0.
    return g * 0.0 if exponent == 0 else g * (x ** (exponent - 1) * exponent)


@primitive("{0:tight}**{exponent:g}", _power_derivative)
@quiet
def power(x: Array, exponent: float) -> Array:
    """x ** exponent for a fixed exponent; the small ones without `np.power`, which is 20 times slower."""
    if exponent == 2:
        return np.multiply(x, x)
    if exponent == 1:
        return x.copy()
    if exponent == 0:
        return np.ones_like(x)
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


@primitive("{0:tight}**{1:tight}", _base_derivative, _exponent_derivative)
@quiet
def pow_(a: Array, b: Array) -> Array:
    return np.power(a, b)


# Elementwise functions


@primitive("exp({0})", lambda g, out, x: g * out)
@quiet
def exp(x: Array) -> Array:
    return np.exp(x)


@primitive("log({0})", lambda g, out, x: g / x)
@quiet
def log(x: Array) -> Array:
    return np.log(x)


@primitive("√({0})", lambda g, out, x: g / (out * 2.0))
@quiet
def sqrt(x: Array) -> Array:
    return np.sqrt(x)


@primitive("sign({0})")
def sign(x: Array) -> Array:
    return np.sign(x)


@primitive("|{0}|", lambda g, out, x: g * x.sign())
def abs_(x: Array) -> Array:
    return np.absolute(x)


@primitive("tanh({0})", lambda g, out, x: g * (1.0 - out * out))
def tanh(x: Array) -> Array:
    return np.tanh(x)


@primitive("σ({0})", lambda g, out, x: g * (out * (1.0 - out)))
@quiet
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)): where exp(-x) overflows, the quotient is 0, as it should be."""
    result = np.negative(x)
    return np.reciprocal(np.add(np.exp(result), 1.0))


def _silu_derivative(g: Any, out: Any, x: Any) -> Any:
    # silu' = s + x s (1 - s) = s + silu (1 - s) with s = sigmoid(x)
    s = x.sigmoid()
    return g * (s + out * (1.0 - s))


@primitive("{0:tight}*σ({0})", _silu_derivative)
@quiet
def silu(x: Array) -> Array:
    """x sigmoid(x). A primitive so that a graph has one node for it, as in the notebook."""
    return np.divide(x, np.add(np.exp(np.negative(x)), 1.0))


@primitive("max(0, {0})", lambda g, out, x: (x > 0.0).where(g, 0.0))
def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def _larger_share(g: Any, this: Any, other: Any) -> Any:
    return (this > other).where(g, (this == other).where(g * 0.5, 0.0))


@primitive(
    "max({0}, {1})",
    lambda g, out, a, b: _larger_share(g, a, b),
    lambda g, out, a, b: _larger_share(g, b, a),
)
def maximum(a: Array, b: Array) -> Array:
    return np.maximum(a, b)


@primitive(
    "where({0}, {1}, {2})",
    lambda g, out, condition, a, b: None,
    lambda g, out, condition, a, b: condition.where(g, 0.0),
    lambda g, out, condition, a, b: condition.where(0.0, g),
)
def where(condition: Array, a: Array, b: Array) -> Array:
    return np.where(condition, a, b)


# Comparisons and tests: truth values, without derivatives


@primitive("[{0} > {1}]")
def greater(a: Array, b: Array) -> Array:
    return np.greater(a, b)


@primitive("[{0} >= {1}]")
def greater_equal(a: Array, b: Array) -> Array:
    return np.greater_equal(a, b)


@primitive("[{0} < {1}]")
def less(a: Array, b: Array) -> Array:
    return np.less(a, b)


@primitive("[{0} <= {1}]")
def less_equal(a: Array, b: Array) -> Array:
    return np.less_equal(a, b)


@primitive("[{0} == {1}]")
def equal(a: Array, b: Array) -> Array:
    return np.equal(a, b)


@primitive("[{0} != {1}]")
def not_equal(a: Array, b: Array) -> Array:
    return np.not_equal(a, b)


@primitive("isfinite({0})")
def isfinite(x: Array) -> Array:
    return np.isfinite(x)


@primitive("argmax({0}, axis={axis})")
def argmax(x: Array, axis: int) -> Array:
    return np.argmax(x, axis=axis)


# Reductions


def _spread(g: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Repeat a reduced `g` along the axes that the reduction of `x` took away."""
    kept = tuple(1 if i - x.ndim in axes else size for i, size in enumerate(x.shape))
    return g.reshape(kept).broadcast_to(x.shape)


@primitive("sum({0}, axis={axes})", lambda g, out, x, axes: _spread(g, x, axes))
def sum_(x: Array, axes: tuple[int, ...]) -> Array:
    if axes == (-2,) and x.dtype.kind == "f":
        return np.matmul(np.ones((1, x.shape[-2]), x.dtype), x)[..., 0, :]
    return np.add.reduce(x, axis=axes)


def _max_derivative(g: Any, out: Any, x: Any, axes: tuple[int, ...]) -> Any:
    # Tied entries share the gradient evenly.
    tied = (x == _spread(out, x, axes)).astype(x.dtype)
    return _spread(g / tied.sum(axes), x, axes) * tied


@primitive("max({0}, axis={axes})", _max_derivative)
def max_(x: Array, axes: tuple[int, ...]) -> Array:
    return np.maximum.reduce(x, axis=axes)


@primitive("cumsum({0}, axis={axis})", lambda g, out, x, axis, backward: g.cumsum(axis, not backward))
def cumsum(x: Array, axis: int, backward: bool) -> Array:
    """Running sums along an axis, from its end where `backward`: a product with a triangle would take n² additions."""
    if backward:
        return np.flip(np.cumsum(np.flip(x, axis), axis), axis).copy(order="C")
    return np.cumsum(x, axis)


# Shapes and places


@primitive("{0}", lambda g, out, x: g)
def identity(x: Array) -> Array:
    return x.copy()


@primitive("{0}", lambda g, out, x, dtype: g.astype(x.dtype))
def cast(x: Array, dtype: str) -> Array:
    return x.astype(dtype)


@primitive("{0}", lambda g, out, x, shape: g.reshape(x.shape))
def reshape(x: Array, shape: tuple[int, ...]) -> Array:
    return x.reshape(shape)


def _broadcast_derivative(g: Any, out: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """Sum over every axis along which x was repeated."""
    new = len(shape) - x.ndim
    repeated = tuple(i - len(shape) for i, n in enumerate(shape) if i < new or (n != 1 and x.shape[i - new] == 1))
    return g.sum(repeated).reshape(x.shape)


@primitive("{0}", _broadcast_derivative)
def broadcast(x: Array, shape: tuple[int, ...]) -> Array:
    result = np.empty(shape, x.dtype)
    result[...] = x  # a third of the time of np.broadcast_to(x, shape).copy()
    return result


@primitive("{0:tight}ᵀ", lambda g, out, x, axes: g.transpose([int(i) for i in np.argsort([a % x.ndim for a in axes])]))
def transpose(x: Array, axes: tuple[int, ...]) -> Array:
    return np.transpose(x, axes).copy(order="C")


@primitive(
    "concatenate({all}, axis={axis})",
    lambda g, out, *xs, axis, index: g.narrow(axis, sum(x.shape[axis] for x in xs[:index]), xs[index].shape[axis]),
    variadic=True,
)
def concatenate(*xs: Array, axis: int) -> Array:
    return np.concatenate(xs, axis=axis)


Key = tuple[slice, ...]


@primitive("{0:tight}[{key}]", lambda g, out, x, key: g.unslice(key, x.shape))
def slice_(x: Array, key: Key) -> Array:
    """x[key] for a tuple of slices, one per axis."""
    return np.asarray(x[key], order="C")


@primitive("unslice({0}, {key})", lambda g, out, x, key, shape: g.slice(key))
def unslice(x: Array, key: Key, shape: tuple[int, ...]) -> Array:
    """Zeros of the given shape with x at [key]: the derivative of `slice`."""
    result = np.zeros(shape, x.dtype)
    result[key] = x
    return result


@primitive("{0:tight}[{1}]", lambda g, out, x, rows: g.scatter_add(rows, x.shape[0]))
def take(x: Array, rows: Array) -> Array:
    """The rows x[rows] for an integer array of any shape: [n, ...] -> [*rows.shape, ...]."""
    return np.take(x, rows, axis=0)


@primitive("scatter_add({0}, {1})", lambda g, out, x, rows, size: g.take(rows))
def scatter_add(x: Array, rows: Array, size: int) -> Array:
    """Zeros of `size` rows with each row of x added at its place: the derivative of `take`."""
    result = np.zeros((size, *x.shape[rows.ndim :]), x.dtype)
    np.add.at(result, rows, x)
    return result


# Products


def _left_derivative(g: Any, out: Any, a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> Any:
    if transpose_a:
        return b.matmul(g, transpose_b, True)
    return g.matmul(b, False, not transpose_b)


def _right_derivative(g: Any, out: Any, a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> Any:
    if transpose_b:
        return g.matmul(a, True, transpose_a)
    return a.matmul(g, not transpose_a, False)


@primitive("{0:tight} @ {1:tight}", _left_derivative, _right_derivative)
def matmul(a: Array, b: Array, transpose_a: bool, transpose_b: bool) -> Array:
    """The product of [..., m, k] and [..., k, n], each stored transposed where its flag says so."""
    if a is b or np.may_share_memory(a, b):
        b = b.copy()  # BLAS takes another road (syrk) for a matrix times itself
    a = a.swapaxes(-1, -2) if transpose_a else a
    b = b.swapaxes(-1, -2) if transpose_b else b
    if a.shape[-1] == 1:
        return np.multiply(a, b, order="C")
    return np.matmul(a, b)
