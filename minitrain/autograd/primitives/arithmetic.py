"""Arithmetic primitives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minitrain.autograd.primitives.table import Call, elementwise, kernel, quiet
from minitrain.typing import Array

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


def _larger_share(g: Any, this: Any, other: Any) -> Any:
    return (this > other).where(g, (this == other).masks(g * 0.5))


@elementwise(
    "max({0}, {1})",
    lambda g, out, a, b: _larger_share(g, a, b),
    lambda g, out, a, b: _larger_share(g, b, a),
)
def maximum(a: Array, b: Array) -> Array:
    return np.maximum(a, b)
