"""Elementwise functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from minitrain.autograd.primitives.table import elementwise, quiet
from minitrain.typing import Array

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
