"""Arithmetic primitives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minitrain.autograd.primitives.operand import Operand
from minitrain.autograd.primitives.table import Call, elementwise, kernel, quiet
from minitrain.typing import Array


@elementwise("[{0} + {1}]", lambda g, out, a, b: g, lambda g, out, a, b: g)
def add(a: Array, b: Array) -> Array:
    """The sum a + b."""
    return np.add(a, b)


@elementwise("[{0} - {1:tight}]", lambda g, out, a, b: g, lambda g, out, a, b: -g)
def subtract(a: Array, b: Array) -> Array:
    """The difference a - b."""
    return np.subtract(a, b)


@elementwise("{0} * {1}", lambda g, out, a, b: g * b, lambda g, out, a, b: g * a)
def multiply(a: Array, b: Array) -> Array:
    """The product a * b."""
    return np.multiply(a, b)


@elementwise("{0} / {1:tight}", lambda g, out, a, b: g / b, lambda g, out, a, b: -(g * out) / b)
@quiet
def divide(a: Array, b: Array) -> Array:
    """The quotient a / b."""
    return np.divide(a, b)


@elementwise("{0:tight} // {1:tight}")
@quiet
def floor_divide(a: Array, b: Array) -> Array:
    """The largest integer that is at most a / b; a primitive because integers are divided exactly."""
    return np.floor_divide(a, b)


@elementwise("{0:tight} % {1:tight}", lambda g, out, a, b: g, lambda g, out, a, b: -(g * (a // b)))
@quiet
def remainder(a: Array, b: Array) -> Array:
    """The remainder a - (a // b) b, of the sign of b; a primitive because that formula loses digits."""
    return np.remainder(a, b)


@elementwise("-{0:tight}", lambda g, out, x: -g)
def negative(x: Array) -> Array:
    """-x."""
    return np.negative(x)


def _power_derivative(g: Operand, out: Operand, x: Operand, exponent: float) -> Operand:
    # Exponent 0 is a special case: the derivative of a constant is 0, where 0 * 0**-1 is nan.
    return g * 0.0 if exponent == 0 else g * exponent * x ** (exponent - 1)


@elementwise("{0:tight}**{exponent:g}", _power_derivative)
@quiet
def power(x: Array, exponent: float) -> Array:
    """X ** exponent for a fixed exponent; small integers avoid `np.power`, which is 20 times as slow.

    The exponent of integers is an integer of at least 0.
    """
    if exponent == 2:
        return np.multiply(x, x)
    if exponent == 1:
        return np.positive(x)
    if exponent == -1:
        return np.reciprocal(x)
    return np.power(x, exponent)


def _exponent_derivative(g: Operand, out: Operand, a: Operand, b: Operand) -> Operand:
    # d(a**b)/db = a**b log a. At a = 0, b >= 0 the limit is 0, where the product 0 * -inf is nan.
    at_zero = (a == 0.0) * (b >= 0.0)
    return at_zero.where(0.0, g * out * at_zero.where(1.0, a).log())


def _base_derivative(g: Operand, out: Operand, a: Operand, b: Operand) -> Operand:
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
    """A kernel, because `np.power` rounds differently where all exponents are one number: 2, 1/2 or -1."""
    yield quiet(np.power), a, b, out


def _maximum_derivative(g: Operand, this: Operand, other: Operand) -> Operand:
    """The gradient goes to the larger operand; equal ones share it."""
    return (this > other).where(g, (this == other)._masks(g * 0.5))


@elementwise(
    "max({0}, {1})",
    lambda g, out, a, b: _maximum_derivative(g, a, b),
    lambda g, out, a, b: _maximum_derivative(g, b, a),
)
def maximum(a: Array, b: Array) -> Array:
    """The larger of a and b; nan if either is nan."""
    return np.maximum(a, b)
