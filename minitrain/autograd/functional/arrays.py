"""Functions that join and multiply arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minitrain.autograd import primitives as P
from minitrain.autograd.shapes import axes_from_end
from minitrain.autograd.tensor import Tensor, apply, to_tensor


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


def matmul(a: Any, b: Any) -> Tensor:
    """The matrix product [..., m, k] @ [..., k, n] -> [..., m, n].

    Raises ValueError where the inner sizes differ.

    >>> matmul([[1.0, 2.0]], [[3.0], [4.0]]).numpy()
    array([[11.]])
    """
    return to_tensor(a) @ b


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
