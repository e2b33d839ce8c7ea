"""Rows of reductions, cumulative functions and order."""

from __future__ import annotations

import math

import numpy as np
from function_rows import (
    AXES,
    KEEPS,
    ONE_AXIS,
    as_float,
    as_sum,
    dims,
    examples,
    lookup,
    one_axis,
    positive,
    several_axes,
    unchanged,
    whole,
)

from minitrain import functional as F


def numpy_logsumexp(x, axis=-1, keepdims=False):
    with np.errstate(all="ignore"):
        return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


def numpy_softmax(x, axis=-1):
    e = np.exp(x)
    return e / e.sum(axis=checked_axis(x, axis), keepdims=True)


def checked_axis(x, axis):
    """The one axis of a function along an axis: for values without axes, in which NumPy and PyTorch differ, refused."""
    if not isinstance(axis, (int, np.integer)) or not x.ndim:
        raise TypeError("expected one axis")
    return axis


def numpy_mean(x, axis=None, keepdims=False):
    """Also of a value without axes over axis 0, which NumPy's mean refuses and its sum accepts."""
    total = x.sum(axis=axis, keepdims=keepdims)
    return (total / (x.size / max(total.size, 1))).astype(x.dtype)


def numpy_norm(ord):
    def norm(x, axis=None, keepdims=False):
        size = np.abs(x)
        if ord in (np.inf, -np.inf):
            return (np.max if ord > 0 else np.min)(size, axis=axis, keepdims=keepdims)
        if ord == 0:
            return (size != 0).sum(axis=axis, keepdims=keepdims).astype(x.dtype)
        return (size**ord).sum(axis=axis, keepdims=keepdims) ** (1 / ord)

    return norm


def torch_norm(ord):
    def norm(x, axis=None, keepdims=False):
        return lookup("torch.linalg.vector_norm")(x, ord, dim=None if axis is None else dims(x, axis), keepdim=keepdims)

    return norm


def with_ord(ord):
    return lambda x, axis=None, keepdims=False: F.norm(x, axis, keepdims, ord=ord)


def numpy_variance(function):
    def variance(x, axis=None, keepdims=False, correction=1):
        axes = range(x.ndim) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, max(x.ndim, 1))
        if math.prod(x.shape[a] for a in axes if x.ndim) <= correction:
            raise ValueError("the divisor would not be positive")
        return function(x, axis=axis, keepdims=keepdims, ddof=correction)

    return variance


def descending(x, axis):
    """Stable: equal entries keep their order."""
    x = x.reshape(-1) if axis is None else x
    axis = checked_axis(x, -1 if axis is None else axis)
    return np.flip(x.shape[axis] - 1 - np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)


def torch_descending(x, axis):
    return (
        (x.reshape(-1) if axis is None else x)
        .sort(stable=True, dim=-1 if axis is None else int(axis), descending=True)
        .indices
    )


def stable(x, axis, **options):
    return np.argsort(x, axis=None if axis is None else checked_axis(x, axis), kind="stable", **options)


def numpy_topk(x, k, axis=-1, largest=True):
    if not 0 <= k <= x.shape[axis]:
        raise ValueError("too many")
    order = (descending if largest else stable)(x, axis)
    indices = np.take(order, range(k), axis)
    return np.take_along_axis(x, indices, axis), indices


def numpy_at(reduction):
    return lambda x, axis=-1: reduction(x, axis=None if axis is None else checked_axis(x, axis))


ROWS = [
    # Reductions
    several_axes("sum", "np.sum", "torch.sum", as_sum),
    several_axes("mean", "np.mean", "torch.mean", as_float, numpy=numpy_mean),
    several_axes("max", "np.max", "torch.amax", unchanged, sample=whole, note="tied entries share the gradient"),
    several_axes("min", "np.min", "torch.amin", unchanged, sample=whole, note="tied entries share the gradient"),
    several_axes(
        "var",
        "np.var",
        "torch.var",
        as_float,
        numpy=numpy_variance(np.var),
        note="`correction=1` as in PyTorch; a divisor of 0 is refused",
    ),
    several_axes(
        "std",
        "np.std",
        "torch.std",
        as_float,
        numpy=numpy_variance(np.std),
        note="as `var`; of equal values, the derivative is 0",
    ),
    several_axes(
        "norm",
        "np.linalg.norm",
        "torch.linalg.vector_norm",
        as_float,
        numpy=numpy_norm(2),
        torch=torch_norm(2),
        note="several axes are one vector; of zeros, the derivative is 0",
    ),
    *[
        several_axes(
            "norm",
            "",
            "",
            as_float,
            numpy=numpy_norm(ord),
            torch=torch_norm(ord),
            ours=with_ord(ord),
            axes=AXES[:5],
            sample=positive,
            differentiable=ord != 0,
        )
        for ord in (0, 1, 3, 0.5, -2, np.inf, -np.inf)
    ],
    several_axes(
        "prod",
        "np.prod",
        "torch.prod",
        as_sum,
        torch=lambda x, axis, keepdims: x.prod(int(axis), keepdims) if isinstance(axis, (int, np.integer)) else None,
    ),
    several_axes("logsumexp", "", "torch.logsumexp", as_float, numpy=numpy_logsumexp, note="`axis=-1` by default"),
    one_axis("softmax", "", "torch.softmax", as_float, axes=ONE_AXIS[1:], numpy=numpy_softmax),
    one_axis(
        "log_softmax",
        "",
        "torch.log_softmax",
        as_float,
        axes=ONE_AXIS[1:],
        numpy=lambda x, axis: np.log(numpy_softmax(x, axis)),
    ),
    one_axis("cumsum", "np.cumsum", "torch.cumsum", as_sum, numpy=numpy_at(np.cumsum), note="`axis=-1` by default"),
    one_axis("cumprod", "np.cumprod", "torch.cumprod", as_sum, numpy=numpy_at(np.cumprod), note="`axis=-1` by default"),
    one_axis(
        "argmax",
        "np.argmax",
        "torch.argmax",
        unchanged,
        sample=whole,
        numpy=numpy_at(np.argmax),
        note="`axis=-1` by default, NumPy's and PyTorch's is None",
        **KEEPS,
    ),
    one_axis(
        "argmin",
        "np.argmin",
        "torch.argmin",
        unchanged,
        sample=whole,
        numpy=numpy_at(np.argmin),
        note="`axis=-1` by default, NumPy's and PyTorch's is None",
        **KEEPS,
    ),
    one_axis(
        "sort",
        "np.sort",
        "torch.sort",
        unchanged,
        sample=whole,
        numpy=lambda x, axis: np.sort(x, axis=None if axis is None else checked_axis(x, axis)),
        torch=lambda x, axis: (x.reshape(-1) if axis is None else x).sort(-1 if axis is None else int(axis)).values,
        note="returns the values; PyTorch the indices, too",
    ),
    one_axis("argsort", "np.argsort", "torch.argsort", unchanged, sample=whole, numpy=stable, note="stable", **KEEPS),
    one_axis(
        "argsort",
        "",
        "",
        unchanged,
        sample=whole,
        numpy=descending,
        ours=lambda x, axis: F.argsort(x, axis, descending=True),
        torch=torch_descending,
        **KEEPS,
    ),
    examples(
        "topk",
        [
            (((3, 4),), {"k": 2}),
            (((3, 4),), {"k": 1, "axis": 0, "largest": False}),
            (((2, 0),), {"k": 0}),
            (((5,),), {"k": np.int64(3), "axis": np.int64(0)}),
            (((3,),), {"k": 4}),
            (((3,),), {"k": -1}),
        ],
        numpy=numpy_topk,
        torch=lambda x, k, axis=-1, largest=True: x.topk(int(k), int(axis), largest).values,
        torch_name="torch.topk",
    ),
]
