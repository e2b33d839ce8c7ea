"""Functions that reshape, join, index and multiply arrays."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from minitrain.autograd.shapes import axis_from_end
from minitrain.autograd.tensor import Tensor, TensorLike, as_tensor, inspectable, of_one_dtype, pair, to_tensor
from minitrain.typing import Axis

# Shapes


def reshape(x: TensorLike, shape: Sequence[int]) -> Tensor:
    """The same entries in another shape; one size may be -1.

    Raises:
        ValueError: The number of entries differs.

    >>> reshape(np.zeros((2, 6)), (3, -1)).shape
    (3, 4)
    """
    return to_tensor(x).reshape(shape)


def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """The axes in the given order; reversed if no axes are given, as in NumPy.

    Raises:
        ValueError: `axes` does not contain each axis once.

    >>> transpose(np.zeros((2, 3, 4)), (1, 0, 2)).shape
    (3, 2, 4)
    """
    x = to_tensor(x)
    return x.transpose() if axes is None else x.transpose(axes)


def flatten(x: TensorLike, start: int = 0, end: int = -1) -> Tensor:
    """Join the axes from `start` to `end`, all by default: [a, b, c] -> [a b c]; a scalar becomes [1].

    Raises:
        ValueError: There is no such axis, or `start` is after `end`.

    >>> flatten(np.zeros((2, 3, 4)), start=1).shape
    (2, 12)
    """
    return to_tensor(x).flatten(start, end)


def swapaxes(x: TensorLike, a: int, b: int) -> Tensor:
    """Exchange two axes: [..., m, ..., n, ...] -> [..., n, ..., m, ...].

    >>> swapaxes(np.zeros((2, 3, 4)), 0, -1).shape
    (4, 3, 2)
    """
    return to_tensor(x).swapaxes(a, b)


def expand_dims(x: TensorLike, axis: int) -> Tensor:
    """Insert an axis of size 1, at position `axis` of the result.

    >>> expand_dims(np.zeros((2, 3)), 1).shape
    (2, 1, 3)
    """
    return to_tensor(x).expand_dims(axis)


def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """Remove axes of size 1: those given, or all.

    Raises:
        ValueError: A given axis has another size, as in NumPy and JAX; PyTorch keeps that axis.

    >>> squeeze(np.zeros((1, 3, 1))).shape, squeeze(np.zeros((1, 3, 1)), axis=0).shape
    ((3,), (3, 1))
    """
    return to_tensor(x).squeeze(axis)


def broadcast_to(x: TensorLike, shape: int | Sequence[int]) -> Tensor:
    """Repeat entries along new leading axes and along axes of size 1: [n] -> [m, n].

    Raises:
        ValueError: A size is neither equal nor 1.

    >>> broadcast_to([1.0, 2.0], (2, 2)).numpy()
    array([[1., 2.],
           [1., 2.]])
    """
    return to_tensor(x).broadcast_to(shape)


def pad(x: TensorLike, widths: int | Sequence[int] | Sequence[Sequence[int]], value: float = 0.0) -> Tensor:
    """Add entries of a constant value before and after each axis: size n -> before + n + after.

    Args:
        x: [...].
        widths: (before, after) for every axis, starting with the first axis as in NumPy; PyTorch starts with the last.
            One pair is that of all axes, and one number the width on all sides.
        value: The constant.

    Raises:
        ValueError: An axis has no pair, or a width is negative.

    >>> pad([1.0, 2.0], [(1, 2)], value=9.0).numpy()
    array([9., 1., 2., 9., 9.])
    """
    x = to_tensor(x)
    given = np.asarray(widths)
    is_valid = given.dtype.kind in "iu" and given.shape in ((), (2,), (x.ndim, 2)) and (given >= 0).all()
    if not is_valid and not x.ndim == len(given.ravel()) == 0:
        raise ValueError(
            f"pad: widths {widths} for shape {list(x.shape)}: expected {x.ndim} pairs (before, after) of at least 0, "
            "one pair, or one number"
        )
    pairs = np.broadcast_to(given, (x.ndim, 2)).tolist() if x.ndim else []
    shape = tuple(before + n + after for n, (before, after) in zip(x.shape, pairs, strict=True))
    key = tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, pairs, strict=True))
    result = x._unslice(key, shape)
    if value == 0:
        return result
    inside = np.zeros(shape, bool)
    inside[key] = True
    return Tensor(inside).where(result, value)


# Joining


def concatenate(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Join tensors along an axis: [m, ...], [n, ...] -> [m + n, ...]; they are converted to their common type.

    Raises:
        ValueError: There are no tensors, or their other sizes differ.

    >>> concatenate([Tensor([1.0]), Tensor([2.0, 3.0])]).numpy()
    array([1., 2., 3.])
    """
    parts = of_one_dtype(tensors)
    if not parts:
        raise ValueError("concatenate: no tensors given; pass at least one")
    ndim = parts[0].ndim
    axis = axis_from_end("concatenate", parts[0].shape, axis)
    other_sizes = {t.shape[: axis % ndim] + t.shape[axis % ndim + 1 :] if t.ndim == ndim else None for t in parts}
    if len(other_sizes) > 1:
        shapes = ", ".join(str(list(t.shape)) for t in parts)
        raise ValueError(f"concatenate: shapes {shapes}: expected equal sizes on all axes except the joined one")
    first, *others = parts
    return first._join(*others, axis=axis)


def stack(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis: k of [n] -> [k, n]; they are converted to their common type.

    Raises:
        ValueError: There are no tensors, or their shapes differ.

    >>> stack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])], axis=1).numpy()
    array([[1., 3.],
           [2., 4.]])
    """
    parts = of_one_dtype(tensors)
    if len({t.shape for t in parts}) != 1:
        shapes = ", ".join(str(list(t.shape)) for t in parts) or "none"
        raise ValueError(f"stack: shapes {shapes}: expected at least one tensor, all of one shape")
    return concatenate([expand_dims(t, axis) for t in parts], axis)


# Indexing


def take_along_axis(x: TensorLike, indices: TensorLike, axis: int = -1) -> Tensor:
    """Select entries along one axis by index: x: [..., n], indices: [..., k] -> [..., k].

    The other sizes are broadcast. An entry that is selected more than once gets the sum of its gradients.

    Raises:
        ValueError: The numbers of axes differ.
        IndexError: An index is out of range.
        TypeError: The indices are not integers.

    >>> take_along_axis([[1.0, 2.0], [3.0, 4.0]], np.array([[1], [0]])).numpy()
    array([[2.],
           [3.]])
    """
    x, indices = to_tensor(x), to_tensor(indices)
    axis = axis_from_end("take_along_axis", x.shape, axis)
    if indices.ndim != x.ndim:
        raise ValueError(
            f"take_along_axis: shape {list(x.shape)}, indices {list(indices.shape)}: expected as many axes; "
            "add axes of size 1 to the indices"
        )
    return x._along(x._row_numbers("take_along_axis", indices, axis), axis)


def one_hot(ids: TensorLike, classes: int, dtype: str = "float64") -> Tensor:
    """One-hot encoding, 1 at the index of each id and 0 elsewhere: integers [...] -> [..., classes].

    Args:
        ids: Integers from 0 to classes - 1.
        classes: The number of classes.
        dtype: The type of the result; PyTorch's is integer.

    Raises:
        TypeError: The ids are not integers.
        IndexError: An id is outside 0 to classes - 1.

    >>> one_hot([0, 2], 3).numpy()
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    ids = _integers("one_hot", to_tensor(ids))
    values = inspectable(ids)
    if values is not None and (invalid := values[(values < 0) | (values >= classes)]).size:
        raise IndexError(f"one_hot: id {invalid[0]} given for {classes} classes; expected 0 to {classes - 1}")
    return (ids[..., None] == np.arange(classes)).astype(dtype)


def embedding(ids: TensorLike, weight: TensorLike) -> Tensor:
    """The row of each id: integers [...], weight: [rows, width] -> [..., width].

    A row that is used more than once gets the sum of its gradients.

    Raises:
        ValueError: The weight has not two axes.
        TypeError: The ids are not integers.
        IndexError: An id is not a row of weight.

    >>> embedding([1, 1, 0], Tensor([[1.0, 2.0], [3.0, 4.0]])).numpy()
    array([[3., 4.],
           [3., 4.],
           [1., 2.]])
    """
    weight = to_tensor(weight)
    if weight.ndim != 2:
        raise ValueError(f"embedding: weight {list(weight.shape)}: expected [rows, width]")
    return weight._take(weight._row_numbers("embedding", ids, 0))


def _integers(what: str, value: Tensor) -> Tensor:
    if value.dtype.kind not in "iu":
        raise TypeError(f"{what}: {value.dtype} given, expected integers, e.g. array.astype('int64')")
    return value


# Products


def matmul(a: TensorLike, b: TensorLike) -> Tensor:
    """The matrix product [..., m, k] @ [..., k, n] -> [..., m, n]; leading axes are broadcast.

    Raises:
        ValueError: The inner sizes differ.

    >>> matmul([[1.0, 2.0]], [[3.0], [4.0]]).numpy()
    array([[11.]])
    """
    return to_tensor(a) @ b


def linear(x: TensorLike, weight: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """The affine map x Wᵀ + b, as in PyTorch: x: [..., in], weight: [out, in], bias: [out] -> [..., out].

    Raises:
        ValueError: The last axis of x has another size than `in`, or the weight or the bias another shape.

    >>> linear(Tensor([[1.0, 2.0]]), Tensor([[3.0, 4.0]]), Tensor([0.5])).numpy()
    array([[11.5]])
    """
    x, weight = pair(x, weight)
    if weight.ndim != 2:
        raise ValueError(f"linear: weight {list(weight.shape)}: expected [out, in]")
    bias = None if bias is None else as_tensor(bias, weight)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias {list(bias.shape)}: expected {list(weight.shape[:1])}, one entry per output")
    if x.ndim < 1 or x.shape[-1] != weight.shape[-1]:
        raise ValueError(
            f"linear: input {list(x.shape)}, weight {list(weight.shape)}: expected an input of shape "
            f"[batch, {weight.shape[-1]}]; build the layer with in_features={x.shape[-1] if x.ndim else 1}"
        )
    # One product of two matrices: a batched one would compute a gradient of the weight for each leading index.
    result = x.reshape(prod(x.shape[:-1]), x.shape[-1])._matmul(weight, transpose_other=True)
    result = result if bias is None else result + bias
    return result.reshape(*x.shape[:-1], weight.shape[0])
