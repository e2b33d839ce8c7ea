"""Functions over axes: x: [...] -> the shape without `axis`, or with size 1 there for keepdims; and softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minitrain.autograd.tensor import Tensor, to_tensor

Axis = int | Sequence[int] | None


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over one axis, several, or all.

    >>> sum([[1.0, 2.0], [3.0, 4.0]], axis=0).numpy()
    array([4., 6.])
    """
    return to_tensor(x).sum(axis, keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over one axis, several, or all.

    >>> mean([1.0, 2.0, 6.0]).item()
    3.0
    """
    return to_tensor(x).mean(axis, keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest entry over one axis, several, or all; tied entries share the gradient evenly.

    >>> max([1.0, 5.0, 2.0]).item()
    5.0
    """
    return to_tensor(x).max(axis, keepdims)


def argmax(x: Any, axis: int = -1) -> Tensor:
    """The index of the largest entry along an axis: x: [..., n] -> integers [...].

    >>> argmax([1.0, 5.0, 2.0]).item()
    1
    """
    return to_tensor(x).argmax(axis)


def _shift(x: Tensor, axis: Axis) -> Tensor:
    """The largest entry as a constant, 0 where it is infinite: what to subtract before exp."""
    peak = Tensor(x.numpy()).max(axis, keepdims=True)
    return peak.isfinite().where(peak, 0.0)


def logsumexp(x: Any, axis: Axis = -1, keepdims: bool = False) -> Tensor:
    """log sum exp(x) without overflow: the largest entry is taken out first; all -inf give -inf.

    >>> round(logsumexp([1000.0, 1000.0]).item(), 10)
    1000.6931471806
    """
    x = to_tensor(x)
    shift = _shift(x, axis)
    result = (x - shift).exp().sum(axis, keepdims=True).log() + shift
    return result if keepdims else result.reshape(x.sum(axis).shape)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """exp(x) / sum exp(x) along an axis.

    >>> softmax([0.0, 0.0]).numpy()
    array([0.5, 0.5])
    """
    x = to_tensor(x)
    e = (x - _shift(x, axis)).exp()
    return e / e.sum(axis, keepdims=True)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """x - logsumexp(x) along an axis.

    >>> log_softmax([1000.0, 0.0]).numpy()
    array([    0., -1000.])
    """
    x = to_tensor(x)
    z = x - _shift(x, axis)
    return z - z.exp().sum(axis, keepdims=True).log()
