"""Comparisons, and selection by truth values."""

from __future__ import annotations

from typing import Any

import numpy as np

from minitrain.autograd.primitives.table import elementwise
from minitrain.typing import Array


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
