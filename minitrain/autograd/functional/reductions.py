"""Reductions over axes (x: [...] -> the shape without `axis`, or with size 1 there for keepdims), softmax and order.

Sums and products of integers and booleans are int64 (uint64 stays); means, variances, norms and softmax are computed in
float64, as in NumPy.
"""

from __future__ import annotations

from minitrain.autograd.tensor import Tensor, TensorLike, to_tensor
from minitrain.typing import Axis


def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over one axis, several axes, or all.

    >>> sum([[1.0, 2.0], [3.0, 4.0]], axis=0).numpy()
    array([4., 6.])
    """
    return to_tensor(x).sum(axis, keepdims)


def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over one axis, several axes, or all.

    >>> mean([1.0, 2.0, 6.0]).item()
    3.0
    """
    return to_tensor(x).mean(axis, keepdims)


def max(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest entry over one axis, several axes, or all; tied entries share the gradient evenly.

    Raises:
        ValueError: There are no entries.

    >>> max([1.0, 5.0, 2.0]).item()
    5.0
    """
    return to_tensor(x).max(axis, keepdims)


def min(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest entry over one axis, several axes, or all; tied entries share the gradient evenly.

    Raises:
        ValueError: There are no entries.

    >>> min([1.0, 5.0, 2.0]).item()
    1.0
    """
    return to_tensor(x).min(axis, keepdims)


def var(x: TensorLike, axis: Axis = None, correction: float = 1, keepdims: bool = False) -> Tensor:
    """The variance Σ (x - mean)² / (n - correction) over one axis, several axes, or all.

    Args:
        x: [...].
        axis: One axis, several axes, or None for all.
        correction: 1, the default of PyTorch, estimates the variance from a sample; 0, the default of NumPy and JAX,
            is the mean square.
        keepdims: Whether to keep the reduced axes with size 1.

    Raises:
        ValueError: n - correction is not positive; PyTorch returns nan.

    >>> var([1.0, 3.0]).item(), var([1.0, 3.0], correction=0).item()
    (2.0, 1.0)
    """
    return to_tensor(x).var(axis, correction, keepdims)


def std(x: TensorLike, axis: Axis = None, correction: float = 1, keepdims: bool = False) -> Tensor:
    """The standard deviation √var, over one axis, several axes, or all; of equal values it is 0 with derivative 0.

    Args:
        x: [...].
        axis: One axis, several axes, or None for all.
        correction: As in `var`.
        keepdims: Whether to keep the reduced axes with size 1.

    Raises:
        ValueError: n - correction is not positive; PyTorch returns nan.

    >>> std([1.0, 3.0], correction=0).item()
    1.0
    """
    return to_tensor(x).std(axis, correction, keepdims)


def norm(x: TensorLike, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Tensor:
    """The norm (Σ |x|^ord)^(1/ord) over one axis, several axes, or all; of zeros it is 0 with derivative 0.

    Args:
        x: [...].
        axis: One axis, several axes whose entries are one vector (as in torch.linalg.vector_norm), or None for all.
        keepdims: Whether to keep the reduced axes with size 1.
        ord: The order: 2 (Euclidean), 1, any other number, inf or -inf (the largest or smallest |x|), or 0 (the number
            of entries that are not 0, which carries no gradient).

    >>> norm([3.0, 4.0]).item(), norm([3.0, 4.0], ord=1).item(), norm([3.0, -4.0], ord=float("inf")).item()
    (5.0, 7.0, 4.0)
    """
    return to_tensor(x).norm(axis, keepdims, ord)


def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product over one axis, several axes, or all; its derivatives of any order are correct where entries are 0.

    >>> prod([2.0, 3.0, 4.0]).item()
    24.0
    """
    return to_tensor(x).prod(axis, keepdims)


def cumsum(x: TensorLike, axis: int | None = -1) -> Tensor:
    """Cumulative sums along an axis, or of all entries in order if it is None: entry i is the sum of entries 0 to i.

    >>> cumsum([1.0, 2.0, 3.0]).numpy()
    array([1., 3., 6.])
    """
    return to_tensor(x).cumsum(axis)


def cumprod(x: TensorLike, axis: int | None = -1) -> Tensor:
    """Cumulative products along an axis, or of all entries in order if it is None.

    Their derivatives of any order are correct where entries are 0.

    >>> cumprod([1.0, 2.0, 3.0, 4.0]).numpy()
    array([ 1.,  2.,  6., 24.])
    """
    return to_tensor(x).cumprod(axis)


def argmax(x: TensorLike, axis: int | None = -1) -> Tensor:
    """The index of the largest entry along an axis: x: [..., n] -> integers [...]; the first of equal ones.

    The axis is the last one by default; None, the default of NumPy and PyTorch, counts all entries in order.

    Raises:
        ValueError: The axis has no entries.

    >>> argmax([1.0, 5.0, 2.0]).item()
    1
    """
    return to_tensor(x).argmax(axis)


def argmin(x: TensorLike, axis: int | None = -1) -> Tensor:
    """The index of the smallest entry along an axis, as `argmax`: x: [..., n] -> integers [...].

    Raises:
        ValueError: The axis has no entries.

    >>> argmin([1.0, 5.0, 0.5]).item()
    2
    """
    return to_tensor(x).argmin(axis)


def sort(x: TensorLike, axis: int | None = -1, descending: bool = False) -> Tensor:
    """The entries along an axis in ascending or descending order, as in NumPy; PyTorch returns the indices, too.

    nan is larger than any number. With axis=None, all entries are sorted: [...] -> [n].

    >>> sort([3.0, 1.0, 2.0]).numpy()
    array([1., 2., 3.])
    """
    return to_tensor(x).sort(axis, descending)


def argsort(x: TensorLike, axis: int | None = -1, descending: bool = False) -> Tensor:
    """The indices that sort the entries along an axis: x: [..., n] -> integers [..., n]; equal ones keep their order.

    >>> argsort([3.0, 1.0, 2.0]).numpy()
    array([1, 2, 0])
    """
    return to_tensor(x).argsort(axis, descending)


def topk(x: TensorLike, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The k largest (or smallest) entries along an axis, in order, and their indices: [..., n] -> [..., k] twice.

    Raises:
        ValueError: There are fewer than k entries.

    >>> values, indices = topk([3.0, 1.0, 2.0], 2)
    >>> values.numpy(), indices.numpy()
    (array([3., 2.]), array([0, 2]))
    """
    return to_tensor(x).topk(k, axis, largest)


def logsumexp(x: TensorLike, axis: Axis = -1, keepdims: bool = False) -> Tensor:
    """The value log sum exp(x), without overflow: the largest entry is subtracted first.

    It is -inf if all entries are, or if there are none.

    >>> round(logsumexp([1000.0, 1000.0]).item(), 10)
    1000.6931471806
    """
    return to_tensor(x).logsumexp(axis, keepdims)


def softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """Softmax along an axis: exp(x) / sum exp(x).

    >>> softmax([0.0, 0.0]).numpy()
    array([0.5, 0.5])
    """
    return to_tensor(x).softmax(axis)


def log_softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """The logarithm of softmax along an axis: x - logsumexp(x).

    >>> log_softmax([1000.0, 0.0]).numpy()
    array([    0., -1000.])
    """
    return to_tensor(x).log_softmax(axis)
