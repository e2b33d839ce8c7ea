"""Elementwise functions."""

from __future__ import annotations

import numpy as np

from minitrain.autograd.primitives.operand import Operand
from minitrain.autograd.primitives.table import elementwise, quiet
from minitrain.typing import Array


@elementwise("exp({0})", lambda g, out, x: g * out)
@quiet
def exp(x: Array) -> Array:
    """The exponential."""
    return np.exp(x)


@elementwise("log({0})", lambda g, out, x: g / x)
@quiet
def log(x: Array) -> Array:
    """The natural logarithm."""
    return np.log(x)


@elementwise("√({0})", lambda g, out, x: g / (out * 2.0))
@quiet
def sqrt(x: Array) -> Array:
    """The square root."""
    return np.sqrt(x)


@elementwise("sign({0})")
def sign(x: Array) -> Array:
    """-1, 0 or 1."""
    return np.sign(x)


@elementwise("|{0}|", lambda g, out, x: g * x.sign())
def abs_(x: Array) -> Array:
    """The absolute value."""
    return np.absolute(x)


@elementwise("floor({0})")
def floor(x: Array) -> Array:
    """The largest integer that is at most x."""
    return np.floor(x)


@elementwise("round({0})")
def round_(x: Array) -> Array:
    """The closest integer; the even one of two."""
    return np.rint(x)


@elementwise("tanh({0})", lambda g, out, x: g * (1.0 - out * out))
def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(x)


@elementwise("σ({0})", lambda g, out, x: g * (out * (1.0 - out)))
@quiet
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)): where exp(-x) overflows, the quotient is 0, which is correct."""
    return np.reciprocal(np.add(np.exp(np.negative(x)), 1.0))


def _silu_derivative(g: Operand, out: Operand, x: Operand) -> Operand:
    # silu' = s + x s (1 - s) = s + silu (1 - s) with s = sigmoid(x)
    s = x.sigmoid()
    return g * (s + out * (1.0 - s))


@elementwise("{0:tight}*σ({0})", _silu_derivative)
@quiet
def silu(x: Array) -> Array:
    """X sigmoid(x), a primitive so that a graph has one node for it, as in the notebook.

    The sigmoid is computed as in the entry `sigmoid`, so that a compiled step computes it once for value and
    derivative.
    """
    return np.multiply(x, np.reciprocal(np.add(np.exp(np.negative(x)), 1.0)))


@elementwise("max(0, {0})", lambda g, out, x: (x > 0.0)._masks(g))
def relu(x: Array) -> Array:
    """max(0, x); nan passes through."""
    return np.maximum(x, 0)
