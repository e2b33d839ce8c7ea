"""Functions of Tensors, composed from primitives; their derivatives follow.

Every function takes Tensors, arrays or numbers and gives a Tensor. `from minitrain import functional as F`
is the usual name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.primitives import Array
from minitrain.autograd.shapes import axes_from_end
from minitrain.autograd.tensor import Tensor, apply, elementwise

__all__ = [
    "abs",
    "accuracy",
    "argmax",
    "concatenate",
    "cross_entropy",
    "exp",
    "identity",
    "linear",
    "log",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "mse_loss",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "sqrt",
    "sum",
    "tanh",
    "where",
]

Axis = int | Sequence[int] | None


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(x)


# Elementwise: x: [...] -> [...]


def exp(x: Any) -> Tensor:
    """The exponential e^x.

    >>> exp(0.0).item()
    1.0
    """
    return _tensor(x).exp()


def log(x: Any) -> Tensor:
    """The natural logarithm: log 0 = -inf, log of a negative number is nan.

    >>> log(1.0).item()
    0.0
    """
    return _tensor(x).log()


def sqrt(x: Any) -> Tensor:
    """The square root; its derivative at 0 is inf.

    >>> sqrt(9.0).item()
    3.0
    """
    return _tensor(x).sqrt()


def abs(x: Any) -> Tensor:
    """The absolute value; its derivative at 0 is 0.

    >>> abs(-2.0).item()
    2.0
    """
    return _tensor(x).abs()


def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent.

    >>> tanh(0.0).item()
    0.0
    """
    return _tensor(x).tanh()


def sigmoid(x: Any) -> Tensor:
    """The logistic function 1 / (1 + e^-x), right in relative terms for large negative x too.

    >>> sigmoid(0.0).item()
    0.5
    """
    return _tensor(x).sigmoid()


def silu(x: Any) -> Tensor:
    """x sigmoid(x) (Elfwing, Uchibe, Doya 2018, eq. 1), also called swish.

    >>> silu(0.0).item()
    0.0
    """
    return _tensor(x).silu()


def relu(x: Any) -> Tensor:
    """max(0, x); its derivative at 0 is 0 and nan passes through.

    >>> relu(-3.0).item()
    0.0
    """
    return _tensor(x).relu()


def identity(x: Any) -> Tensor:
    """x itself: the activation of a linear network.

    >>> identity(2.0).item()
    2.0
    """
    return _tensor(x)


def maximum(a: Any, b: Any) -> Tensor:
    """The larger of two, elementwise, repeated to their joint shape; equal values share the gradient evenly.

    >>> maximum([1.0, 5.0], 3.0).numpy()
    array([3., 5.])
    """
    return elementwise(P.maximum, _tensor(a), b)


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """a where the condition holds, else b, repeated to their joint shape.

    The gradient of the branch not taken is 0 times its derivative, which is nan where that derivative is
    not finite: `where(x > 0, log(x), 0.0)` has gradient nan at 0. Make the argument safe first:

    >>> x = Tensor([0.0, 1.0], requires_grad=True)
    >>> safe = where(x > 0, x, 1.0)
    >>> where(x > 0, log(safe), 0.0).sum().backward()
    >>> x.grad
    array([0., 1.])
    """
    return _tensor(condition).where(a, b)


# Reductions: x: [...] -> the shape without `axis`, or with size 1 there for keepdims


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over one axis, several, or all.

    >>> sum([[1.0, 2.0], [3.0, 4.0]], axis=0).numpy()
    array([4., 6.])
    """
    return _tensor(x).sum(axis, keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over one axis, several, or all.

    >>> mean([1.0, 2.0, 6.0]).item()
    3.0
    """
    return _tensor(x).mean(axis, keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest entry over one axis, several, or all; tied entries share the gradient evenly.

    >>> max([1.0, 5.0, 2.0]).item()
    5.0
    """
    return _tensor(x).max(axis, keepdims)


def argmax(x: Any, axis: int = -1) -> Tensor:
    """The index of the largest entry along an axis: x: [..., n] -> integers [...].

    >>> argmax([1.0, 5.0, 2.0]).item()
    1
    """
    return _tensor(x).argmax(axis)


def _shift(x: Tensor, axis: Axis) -> Tensor:
    """The largest entry as a constant, 0 where it is infinite: what to subtract before exp."""
    peak = Tensor(x.numpy()).max(axis, keepdims=True)
    return peak.isfinite().where(peak, 0.0)


def logsumexp(x: Any, axis: Axis = -1, keepdims: bool = False) -> Tensor:
    """log sum exp(x) without overflow: the largest entry is taken out first; all -inf give -inf.

    >>> round(logsumexp([1000.0, 1000.0]).item(), 10)
    1000.6931471806
    """
    x = _tensor(x)
    shift = _shift(x, axis)
    result = (x - shift).exp().sum(axis, keepdims=True).log() + shift
    return result if keepdims else result.reshape(x.sum(axis).shape)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """exp(x) / sum exp(x) along an axis.

    >>> softmax([0.0, 0.0]).numpy()
    array([0.5, 0.5])
    """
    x = _tensor(x)
    e = (x - _shift(x, axis)).exp()
    return e / e.sum(axis, keepdims=True)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """x - logsumexp(x) along an axis.

    >>> log_softmax([1000.0, 0.0]).numpy()
    array([    0., -1000.])
    """
    x = _tensor(x)
    z = x - _shift(x, axis)
    return z - z.exp().sum(axis, keepdims=True).log()


# Joining


def concatenate(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors one after another along an axis: [m, ...], [n, ...] -> [m + n, ...].

    Raises ValueError for no tensors, and where the other sizes differ.

    >>> concatenate([Tensor([1.0]), Tensor([2.0, 3.0])]).numpy()
    array([1., 2., 3.])
    """
    if not tensors:
        raise ValueError("concatenate: no tensors given; give at least one")
    ndim = tensors[0].ndim
    (axis,) = axes_from_end("concatenate", tensors[0].shape, axis)
    others = {t.shape[: axis % ndim] + t.shape[axis % ndim + 1 :] if t.ndim == ndim else None for t in tensors}
    if len(others) > 1:
        shapes = ", ".join(str(list(t.shape)) for t in tensors)
        raise ValueError(f"concatenate: shapes {shapes}: expected equal sizes on all axes but the one joined")
    return apply(P.concatenate, *tensors, axis=axis)


# Products


def matmul(a: Any, b: Any) -> Tensor:
    """The matrix product [..., m, k] @ [..., k, n] -> [..., m, n].

    Raises ValueError where the inner sizes differ.

    >>> matmul([[1.0, 2.0]], [[3.0], [4.0]]).numpy()
    array([[11.]])
    """
    return _tensor(a) @ b


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b: x: [..., in], weight: [out, in], bias: [out] -> [..., out], laid out as PyTorch's.

    Raises ValueError where x has another size than `in`.

    >>> linear(Tensor([[1.0, 2.0]]), Tensor([[3.0, 4.0]]), Tensor([0.5])).numpy()
    array([[11.5]])
    """
    if x.ndim < 2 or x.shape[-1] != weight.shape[-1]:
        raise ValueError(
            f"linear: input {list(x.shape)}, weight {list(weight.shape)}: expected an input of shape "
            f"[batch, {weight.shape[-1]}]; build the layer with in_features={x.shape[-1] if x.ndim else 1}"
        )
    result = x.matmul(weight, transpose_other=True)
    return result if bias is None else result + bias


# Losses: a mean over the batch


def cross_entropy(logits: Tensor, target: Array) -> Tensor:
    """Mean negative log-likelihood of the target class: logits [batch, classes], integers [batch] -> [].

    -log softmax(logits)[target], without overflow for any logits.
    Raises ValueError where the target is not one integer class per row.

    >>> cross_entropy(Tensor([[1000.0, 0.0]]), np.array([1])).item()
    1000.0
    """
    target = np.asarray(target)
    if target.shape != logits.shape[:1] or target.dtype.kind not in "iu" or logits.ndim != 2:
        raise ValueError(
            f"cross_entropy: logits {list(logits.shape)}, target {target.dtype} {list(target.shape)}: expected logits "
            "[batch, classes] and one integer class per row"
        )
    picked = Tensor(target[:, None] == np.arange(logits.shape[-1]))
    return -picked.where(log_softmax(logits), 0.0).sum() / len(target)


def mse_loss(prediction: Tensor, target: Array) -> Tensor:
    """Mean squared error, over all entries: two of shape [batch, ...] -> [].

    Raises ValueError where the shapes differ: a target [batch] against a prediction [batch, 1] would be
    repeated to [batch, batch].

    >>> mse_loss(Tensor([1.0, 3.0]), np.array([0.0, 0.0])).item()
    5.0
    """
    if prediction.shape != np.shape(target):
        raise ValueError(
            f"mse_loss: prediction {list(prediction.shape)}, target {list(np.shape(target))}: expected equal shapes; "
            "reshape one of them"
        )
    return ((prediction - target) ** 2).mean()


def accuracy(logits: Tensor, target: Array) -> float:
    """The share of rows whose largest logit is the target's: [batch, classes], [batch] -> 0 to 1.

    >>> accuracy(Tensor([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    0.5
    """
    return float(np.mean(logits.argmax().numpy() == target))
