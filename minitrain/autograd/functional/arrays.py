"""Functions that shape, join, pick and multiply arrays."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.shapes import axes_from_end, row_numbers
from minitrain.autograd.tensor import Tensor, apply, inspectable, to_tensor

# Shapes


def reshape(x: Any, shape: Sequence[int]) -> Tensor:
    """The same values in another shape; one size may be -1.

    Raises ValueError where the entries do not fit.

    >>> reshape(np.zeros((2, 6)), (3, -1)).shape
    (3, 4)
    """
    return to_tensor(x).reshape(shape)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in the given order; reversed where none is given, as NumPy's.

    Raises ValueError where `axes` does not name each axis once.

    >>> transpose(np.zeros((2, 3, 4)), (1, 0, 2)).shape
    (3, 2, 4)
    """
    x = to_tensor(x)
    return x.transpose() if axes is None else x.transpose(axes)


def swapaxes(x: Any, a: int, b: int) -> Tensor:
    """Two axes exchanged: [..., m, ..., n, ...] -> [..., n, ..., m, ...].

    >>> swapaxes(np.zeros((2, 3, 4)), 0, -1).shape
    (4, 3, 2)
    """
    x = to_tensor(x)
    axes = list(range(-x.ndim, 0))
    (a,), (b,) = axes_from_end("swapaxes", x.shape, a), axes_from_end("swapaxes", x.shape, b)
    axes[a], axes[b] = b, a
    return x.transpose(axes)


def expand_dims(x: Any, axis: int) -> Tensor:
    """A new axis of size 1, at place `axis` of the result.

    >>> expand_dims(np.zeros((2, 3)), 1).shape
    (2, 1, 3)
    """
    x = to_tensor(x)
    (place,) = axes_from_end("expand_dims", (*x.shape, 1), axis)
    at = place + x.ndim + 1
    return x.reshape(*x.shape[:at], 1, *x.shape[at:])


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Tensor:
    """Without axes of size 1: those given, or all.

    Raises ValueError where an axis given has another size, as NumPy and JAX do (PyTorch keeps that axis).

    >>> squeeze(np.zeros((1, 3, 1))).shape, squeeze(np.zeros((1, 3, 1)), axis=0).shape
    ((3,), (3, 1))
    """
    x = to_tensor(x)
    if axis is None:
        return x.reshape([n for n in x.shape if n != 1])
    axes = axes_from_end("squeeze", x.shape, axis)
    if any(x.shape[a] != 1 for a in axes):
        raise ValueError(f"squeeze: axis {axis} of shape {list(x.shape)}: expected axes of size 1")
    return x.reshape([n for i, n in enumerate(x.shape) if i - x.ndim not in axes])


def broadcast_to(x: Any, shape: Sequence[int]) -> Tensor:
    """Repeated along new leading axes and along axes of size 1: [n] -> [m, n].

    Raises ValueError where a size is neither equal nor 1.

    >>> broadcast_to([1.0, 2.0], (2, 2)).numpy()
    array([[1., 2.],
           [1., 2.]])
    """
    return to_tensor(x).broadcast_to(shape)


def pad(x: Any, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """Entries of a constant value before and after each axis: size n -> before + n + after.

    widths: (before, after) for every axis, the first axis first, as NumPy's (PyTorch lists the last axis first)
    Raises ValueError where an axis has no pair, or a width is negative.

    >>> pad([1.0, 2.0], [(1, 2)], value=9.0).numpy()
    array([9., 1., 2., 9., 9.])
    """
    x = to_tensor(x)
    pairs = [(int(before), int(after)) for before, after in widths]
    if len(pairs) != x.ndim or any(n < 0 for pair in pairs for n in pair):
        raise ValueError(
            f"pad: widths {pairs} for shape {list(x.shape)}: expected {x.ndim} pairs (before, after) of at least 0"
        )
    shape = tuple(before + n + after for n, (before, after) in zip(x.shape, pairs, strict=True))
    key = tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, pairs, strict=True))
    result = x.unslice(key, shape)
    if value == 0.0:
        return result
    inside = np.zeros(shape, bool)
    inside[key] = True
    return Tensor(inside).where(result, value)


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


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of equal shape side by side along a new axis: k of [n] -> [k, n].

    Raises ValueError for no tensors, and where the shapes differ.

    >>> stack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])], axis=1).numpy()
    array([[1., 3.],
           [2., 4.]])
    """
    if len({t.shape for t in tensors}) != 1:
        shapes = ", ".join(str(list(t.shape)) for t in tensors) or "none"
        raise ValueError(f"stack: shapes {shapes}: expected at least one tensor, all of one shape")
    return concatenate([expand_dims(t, axis) for t in tensors], axis)


# Picking


def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Tensor:
    """Along one axis, the entries at the given places: x: [..., n], indices: [..., k] -> [..., k].

    The other sizes are equal, or 1 and repeated. An entry picked more than once gets the sum of its gradients.
    Raises ValueError where the shapes do not go together, IndexError for a place outside the axis.

    >>> take_along_axis([[1.0, 2.0], [3.0, 4.0]], np.array([[1], [0]])).numpy()
    array([[2.],
           [3.]])
    """
    x, indices = to_tensor(x), to_tensor(indices)
    (axis,) = axes_from_end("take_along_axis", x.shape, axis)
    if indices.ndim != x.ndim:
        raise ValueError(
            f"take_along_axis: shape {list(x.shape)}, indices {list(indices.shape)}: expected as many axes; "
            "add axes of size 1 to the indices"
        )
    first = np.arange(x.size).reshape(x.shape).take([0], axis)
    places = _places("take_along_axis", indices, x.shape[axis], axis) * prod(x.shape[x.ndim + axis + 1 :]) + first
    return x.reshape(-1).take(places)


def one_hot(ids: Any, classes: int, dtype: str = "float64") -> Tensor:
    """1 at the place of each id, 0 elsewhere: integers [...] -> [..., classes], floating-point.

    PyTorch's are integers; dtype: the type of ours
    Raises TypeError for ids that are not integers, IndexError for one outside 0 to classes - 1.

    >>> one_hot([0, 2], 3).numpy()
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    ids = _integers("one_hot", to_tensor(ids))
    values = inspectable(ids)
    if values is not None and (wrong := values[(values < 0) | (values >= classes)]).size:
        raise IndexError(f"one_hot: id {wrong[0]} given for {classes} classes; expected 0 to {classes - 1}")
    return (ids[..., None] == np.arange(classes)).astype(dtype)


def embedding(ids: Any, weight: Tensor) -> Tensor:
    """The row of each id: integers [...], weight: [rows, width] -> [..., width].

    A row used more than once gets the sum of its gradients.
    Raises TypeError for ids that are not integers, IndexError for one that weight has no row for.

    >>> embedding([1, 1, 0], Tensor([[1.0, 2.0], [3.0, 4.0]])).numpy()
    array([[3., 4.],
           [3., 4.],
           [1., 2.]])
    """
    return weight.take(_places("embedding", to_tensor(ids), weight.shape[0]))


def _places(what: str, indices: Tensor, size: int, axis: int = 0) -> Tensor:
    """Places along an axis, from 0 on; negative ones count from the end."""
    values = inspectable(_integers(what, indices))
    if values is None:
        return (indices < 0).where(indices + size, indices)
    return Tensor(row_numbers(values, size, axis))


def _integers(what: str, value: Tensor) -> Tensor:
    if value.dtype.kind not in "iu":
        raise TypeError(f"{what}: {value.dtype} given, expected integers, e.g. array.astype('int64')")
    return value


# Products


def matmul(a: Any, b: Any) -> Tensor:
    """The matrix product [..., m, k] @ [..., k, n] -> [..., m, n]; leading axes repeated to their joint shape.

    Raises ValueError where the inner sizes differ.

    >>> matmul([[1.0, 2.0]], [[3.0], [4.0]]).numpy()
    array([[11.]])
    """
    return to_tensor(a) @ b


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """X Wᵀ + b: x: [..., in], weight: [out, in], bias: [out] -> [..., out], laid out as PyTorch's.

    Raises ValueError where x has another size than `in`.

    >>> linear(Tensor([[1.0, 2.0]]), Tensor([[3.0, 4.0]]), Tensor([0.5])).numpy()
    array([[11.5]])
    """
    if x.ndim < 2 or x.shape[-1] != weight.shape[-1]:
        raise ValueError(
            f"linear: input {list(x.shape)}, weight {list(weight.shape)}: expected an input of shape "
            f"[batch, {weight.shape[-1]}]; build the layer with in_features={x.shape[-1] if x.ndim else 1}"
        )
    # As one product of two matrices: in a batched one, the gradient of the weight would be one for each leading index.
    result = x.reshape(prod(x.shape[:-1]), x.shape[-1]).matmul(weight, transpose_other=True)
    result = result if bias is None else result + bias
    return result.reshape(*x.shape[:-1], weight.shape[0])
