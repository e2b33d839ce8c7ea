"""Rows of normalization, convolution, pooling and losses."""

from __future__ import annotations

import math

import numpy as np
from elementwise_rows import softplus
from function_rows import (
    KEEPS,
    SHAPES,
    TF,
    TYPES,
    as_float,
    each,
    examples,
    lookup,
    positive,
    refuse_unless,
    small,
    torch_module,
    unchanged,
)
from reduction_rows import numpy_softmax

from minitrain import functional as F


def numpy_layer_norm(x, w=None, b=None, eps=1e-5):
    centered = x - x.mean(-1, keepdims=True)
    result = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + eps)
    result = result if w is None else result * w
    return result if b is None else result + b


def numpy_batch_norm(x, mean, variance, w=None, b=None, eps=1e-5):
    def expand(v):
        return v.reshape(-1, *(1,) * (x.ndim - 2))

    result = (x - expand(mean)) / np.sqrt(expand(variance) + eps)
    result = result if w is None else result * expand(w)
    return result if b is None else result + expand(b)


def numpy_convolution(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """By definition, entry by entry of the kernel."""
    d = x.ndim - 2
    stride, padding, dilation = ((n,) * d if isinstance(n, int) else tuple(n) for n in (stride, padding, dilation))
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    sizes = [
        (n - (k - 1) * a - 1) // s + 1 for n, k, a, s in zip(x.shape[2:], w.shape[2:], dilation, stride, strict=True)
    ]
    if min(sizes) < 1 or w.shape[0] % groups or x.shape[1] != w.shape[1] * groups:
        raise ValueError("sizes")
    out = np.zeros((x.shape[0], w.shape[0], *sizes), np.result_type(x, w))
    inside, outside = w.shape[1], w.shape[0] // groups
    for o in range(w.shape[0]):
        channels = slice(o // outside * inside, (o // outside + 1) * inside)
        for at in np.ndindex(*w.shape[2:]):
            window = tuple(
                slice(i * a, i * a + s * n, s) for i, a, s, n in zip(at, dilation, stride, sizes, strict=True)
            )
            kernel = w[(o, slice(None), *at)].reshape(-1, *(1,) * d)
            out[:, o] += (x[(slice(None), channels, *window)] * kernel).sum(1).astype(out.dtype)
    return out if b is None else out + b.reshape(-1, *(1,) * d)


def numpy_pool(reduction, fill):
    def pool(x, kernel_size, stride=None, padding=0):
        d = x.ndim - 2
        kernel, padding = ((n,) * d if np.ndim(n) == 0 else tuple(n) for n in (kernel_size, padding))
        stride = kernel if stride is None else (stride,) * d if np.ndim(stride) == 0 else stride
        lowest = fill if x.dtype.kind == "f" or not fill else False if x.dtype == bool else np.iinfo(x.dtype).min
        x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)], constant_values=lowest)
        windows = np.lib.stride_tricks.sliding_window_view(x, kernel, tuple(range(2, 2 + d)))
        windows = windows[(slice(None), slice(None), *(slice(None, None, s) for s in stride))]
        return reduction(windows, axis=tuple(range(-d, 0)))

    return pool


def torch_reduced(loss):
    return lambda *arguments, **options: lookup(f"torch.nn.functional.{loss}")(*arguments, **options)


def numpy_loss(entries):
    def loss(*arguments, reduction="mean", **options):
        values = entries(*arguments, **options)
        return values.mean() if reduction == "mean" else values.sum() if reduction == "sum" else values

    return loss


def log_softmax(x):
    return np.log(numpy_softmax(x))


def classes_of(scores):
    """Class numbers that are a function of the shape: operands of a loss that are not differentiated."""
    rows, classes = sizes_of(scores)
    return np.arange(rows) % max(classes, 1)


def sizes_of(x):
    """The shape of a Tensor, an array or a list; a Tensor is not read, because it may be traced."""
    return x.shape if hasattr(x, "shape") else np.shape(x)


def picked(x):
    return x[np.arange(len(x)), classes_of(x)]


def numpy_margin(x):
    margin = np.maximum(0, 1 - picked(x)[:, None] + x)
    margin[np.arange(len(x)), classes_of(x)] = 0
    return margin.sum(1) / x.shape[1]


def long(x):
    return torch_module().tensor(classes_of(x))


REDUCTIONS = ({}, {"reduction": "sum"}, {"reduction": "none"})
LOGITS = (((4, 3),), ((1, 2),))
POOLS = (
    (((2, 3, 7),), {"kernel_size": 2}),
    (((2, 1, 7),), {"kernel_size": 3, "stride": 2, "padding": 1}),
    (((0, 1, 4),), {"kernel_size": np.int64(2)}),
)
POOLS_2D = (
    (((2, 3, 5, 4),), {"kernel_size": 2}),
    (((1, 1, 5, 4),), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}),
)


def signs(shape):
    return np.where(np.arange(math.prod(shape)).reshape(shape) % 2, 1, -1)


def probabilities(shape):
    return (np.arange(math.prod(shape)).reshape(shape) % 3) / 2


ROWS = [
    # Normalization
    examples(
        "layer_norm",
        [(s, {}) for s in (((2, 3),), ((2, 3), (3,), (3,)), ((0, 3), (3,)), ((2, 3), (2,)))],
        numpy=numpy_layer_norm,
        torch=lambda x, *v: lookup(TF + "layer_norm")(x, x.shape[-1:], *v),
        computes=as_float,
        torch_name=TF + "layer_norm",
        sample=small,
    ),
    examples(
        "batch_norm",
        [
            (s, {})
            for s in (
                ((4, 3), (3,), (3,)),
                ((2, 3, 2), (3,), (3,), (3,), (3,)),
                ((0, 3), (3,), (3,)),
                ((4, 3), (2,), (3,)),
            )
        ],
        numpy=numpy_batch_norm,
        computes=as_float,
        sample=positive,
        torch=lambda x, *v: lookup(TF + "batch_norm")(x, *v),
        torch_name=TF + "batch_norm",
    ),
    # Convolution and pooling
    examples(
        "conv1d",
        [
            (((2, 3, 7), (4, 3, 3)), {}),
            (((2, 3, 7), (4, 3, 3), (4,)), {"stride": 2, "padding": 1}),
            (((2, 4, 7), (6, 2, 2)), {"groups": 2, "dilation": 3}),
            (((0, 1, 3), (2, 1, 2)), {}),
            (((1, 2, 3), (1, 2, 4)), {}),
            (((1, 2, 3), (1, 3, 2)), {}),
            (((2, 4, 7), (3, 2, 2)), {"groups": 2}),
        ],
        numpy=numpy_convolution,
        sample=small,
        torch_name=TF + "conv1d",
        types=TYPES[:-1],
    ),
    examples(
        "conv2d",
        [
            (((2, 3, 5, 4), (4, 3, 3, 2), (4,)), {}),
            (((1, 2, 5, 6), (4, 1, 2, 2)), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}),
        ],
        numpy=numpy_convolution,
        sample=small,
        torch_name=TF + "conv2d",
        types=TYPES[:-1],
    ),
    *[
        examples(
            f"{kind}_pool{d}d",
            calls,
            numpy=numpy_pool(function, fill),
            computes=computes,
            torch_name=f"{TF}{kind}_pool{d}d",
            torch=lambda x, kernel_size, stride=None, padding=0, name=f"{TF}{kind}_pool{d}d": lookup(name)(
                x,
                tuple(map(int, np.atleast_1d(kernel_size))) if np.ndim(kernel_size) else int(kernel_size),
                stride,
                padding,
            ),
            note=note,
        )
        for d, calls in ((1, POOLS), (2, POOLS_2D))
        for kind, function, fill, computes, note in (
            ("max", np.max, -np.inf, unchanged, "tied entries share the gradient; PyTorch's goes to the first"),
            ("avg", np.mean, 0, as_float, ""),
        )
    ],
    # Losses: targets are functions of the shape, since they are not differentiated
    examples(
        "cross_entropy",
        each(LOGITS, REDUCTIONS),
        numpy=numpy_loss(lambda x: -picked(log_softmax(x))),
        computes=as_float,
        torch=lambda x, **o: lookup(TF + "cross_entropy")(x, long(x), **o),
        sample=small,
        ours=lambda x, **o: F.cross_entropy(x, classes_of(x), **o),
        torch_name=TF + "cross_entropy",
        note="`ignore_index=None`, where PyTorch's is -100",
    ),
    examples(
        "nll_loss",
        each(LOGITS, REDUCTIONS),
        numpy=numpy_loss(lambda x: -picked(x)),
        computes=as_float,
        sample=small,
        torch=lambda x, **o: lookup(TF + "nll_loss")(x, long(x), **o),
        ours=lambda x, **o: F.nll_loss(x, classes_of(x), **o),
        torch_name=TF + "nll_loss",
    ),
    examples(
        "multi_margin_loss",
        each(LOGITS, REDUCTIONS),
        numpy=numpy_loss(numpy_margin),
        computes=as_float,
        sample=small,
        torch=lambda x, **o: lookup(TF + "multi_margin_loss")(x, long(x), **o),
        ours=lambda x, **o: F.multi_margin_loss(x, classes_of(x), **o),
        torch_name=TF + "multi_margin_loss",
    ),
    examples(
        "binary_cross_entropy_with_logits",
        each([((3,),), ((2, 2),), ((),)], REDUCTIONS),
        computes=as_float,
        sample=small,
        numpy=numpy_loss(lambda x: softplus(x) - probabilities(sizes_of(x)).astype(x.dtype) * x),
        torch=lambda x, **o: lookup(TF + "binary_cross_entropy_with_logits")(
            x, torch_module().tensor(probabilities(sizes_of(x))).to(x), **o
        ),
        ours=lambda x, **o: F.binary_cross_entropy_with_logits(x, probabilities(sizes_of(x)), **o),
        torch_name=TF + "binary_cross_entropy_with_logits",
        note="small losses keep their digits",
    ),
    examples(
        "hinge_loss",
        each([((3,),), ((2, 2),)], REDUCTIONS),
        computes=as_float,
        sample=small,
        numpy=numpy_loss(lambda x: np.maximum(0, 1 - signs(sizes_of(x)).astype(x.dtype) * x)),
        ours=lambda x, **o: F.hinge_loss(x, signs(sizes_of(x)), **o),
        numpy_name="sklearn.metrics.hinge_loss",
    ),
    *[
        examples(
            name,
            each([((3,), (3,)), ((2, 2), (2, 2)), ((), ()), ((0,), (0,)), ((2,), (2, 1))], REDUCTIONS),
            computes=as_float,
            sample=small,
            by_first=True,
            numpy=numpy_loss(lambda p, t, entry=entry: refuse_unless(p.shape == t.shape, entry, p - t)),
            torch_name=TF + name,
            note=note,
        )
        for name, entry, note in (
            ("mse_loss", lambda e: e**2, "operands are not broadcast; the type is that of the prediction"),
            ("l1_loss", np.abs, "likewise; the derivative at 0 is 0"),
            (
                "huber_loss",
                lambda e: np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5).astype(e.dtype),
                "likewise; the derivative of an infinite error is ± delta",
            ),
        )
    ],
    examples(
        "kl_div",
        each([((3,), (3,)), ((2, 2), (2, 2))], REDUCTIONS),
        computes=as_float,
        sample=positive,
        by_first=True,
        numpy=numpy_loss(lambda x, t: t * (np.log(t) - x)),
        torch_name=TF + "kl_div",
        note="0 where the target is 0",
    ),
    examples(
        "accuracy",
        each([((4, 3),), ((1, 2),)]),
        ours=lambda x: F.accuracy(x, classes_of(x)),
        numpy=lambda x: np.mean(x.argmax(1) == classes_of(x)),
        torch_name="",
        note="the fraction of rows",
        **KEEPS,
    ),
    # Types and copies
    examples(
        "astype",
        [(((3,),), {"dtype": t}) for t in TYPES],
        numpy=lambda x, dtype: x.astype(dtype),
        numpy_name="ndarray.astype",
        torch=lambda x, dtype: x.to(getattr(torch_module(), dtype)),
        torch_name="Tensor.to",
        sample=small,
        computes=unchanged,
    ),
    examples("detach", [((s,), {}) for s in SHAPES], numpy=lambda x: x, torch_name="Tensor.detach", **KEEPS),
]
