"""Rows of functions of shapes, indices and products."""

from __future__ import annotations

import math

import numpy as np
from function_rows import (
    KEEPS,
    SHAPES,
    TF,
    TYPES,
    Row,
    dims,
    each,
    examples,
    lookup,
    numpy_take,
    refuse_unless,
    small,
    torch_module,
)

from minitrain import functional as F

KEYS = (
    0, -1, np.int64(1), 5, slice(1, None), slice(None, None, -2), (slice(None), 0), (..., 0), (0, 0), None, (None, 0),
    ..., True, False, (True, 0), [0, 0], [], [-1], [7], np.array([[0, 0], [0, 0]]), np.array(0), [True], (0, 0, 0),
    1.5, "a", (),
)  # fmt: skip


def numpy_linear(x, w, b=None):
    if w.ndim != 2 or x.shape[-1:] != w.shape[-1:] or (b is not None and b.shape != w.shape[:1]):
        raise ValueError("shapes")
    return x @ w.T if b is None else x @ w.T + b


def numpy_embedding(ids, w):
    return w[ids]


def numpy_pad(x, widths, value=0):
    return np.pad(x, widths, constant_values=value)


def as_pairs(x, widths):
    """PyTorch's widths: from the last axis to the first."""
    return [int(n) for pair in np.broadcast_to(widths, (x.ndim, 2))[::-1] for n in pair]


def numpy_narrow(x, axis, start, length):
    if not 0 <= start <= start + length <= x.shape[axis]:
        raise IndexError("past the end")
    return np.take(x, range(start, start + length), axis)


def numpy_flatten(x, start=0, end=-1):
    if not x.ndim:
        return x.reshape(1)
    first, last = start % x.ndim, end % x.ndim
    if first > last:
        raise ValueError("order")
    return x.reshape(*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :])


ROWS = [
    # Shapes
    examples(
        "reshape",
        ours=F.reshape,
        calls=[(((2, 6),), {"shape": s}) for s in ((3, -1), 12, [4, np.int64(3)], (5,), (-1, -1), (-1, 0))]
        + [(((0, 3),), {"shape": s}) for s in ((0,), (3, -1), (-1, 0), (2, 0))]
        + [(((),), {"shape": (1, 1)})],
        numpy_name="np.reshape",
        torch_name="torch.reshape",
        torch=lambda x, shape: x.reshape(tuple(np.atleast_1d(shape).tolist())),
    ),
    examples(
        "transpose",
        ours=F.transpose,
        calls=[(((2, 3, 4),), {"axes": a}) for a in ((1, 0, 2), (-1, 0, 1), (0, 0, 1), (0, 1), (0, 1, 5))]
        + [((s,), {}) for s in SHAPES],
        numpy_name="np.transpose",
        torch_name="torch.permute",
        torch=lambda x, axes=None: x.permute(tuple(range(x.ndim))[::-1] if axes is None else axes),
    ),
    examples(
        "swapaxes",
        [(((2, 3, 4),), {"a": 0, "b": np.int64(-1)}), (((2, 3),), {"a": 0, "b": 2}), (((0, 3),), {"a": 0, "b": 1})],
        "np.swapaxes",
        "torch.swapaxes",
        numpy=lambda x, a, b: np.swapaxes(x, a, b),
        torch=lambda x, a, b: x.swapaxes(int(a), int(b)),
    ),
    examples(
        "expand_dims",
        [((s,), {"axis": a}) for s in SHAPES for a in (0, -1, np.int64(1), 5)],
        "np.expand_dims",
        "torch.unsqueeze",
        torch=lambda x, axis: x.unsqueeze(int(axis)),
    ),
    examples(
        "squeeze",
        [(((1, 3, 1),), {"axis": a}) for a in (None, 0, -1, (0, 2), np.int64(0), 1, 5, (0, 0))]
        + [((s,), {}) for s in SHAPES],
        "np.squeeze",
        "torch.squeeze",
        torch=lambda x, axis=None: x.squeeze() if axis is None else x.squeeze(dims(x, axis)),
        note="an axis of another size is refused, as in NumPy",
    ),
    examples(
        "flatten",
        [((s,), {}) for s in SHAPES]
        + [(((2, 3, 4),), {"start": 1}), (((2, 3, 4),), {"end": -2}), (((2, 3),), {"start": 1, "end": 0})],
        numpy=numpy_flatten,
        numpy_name="ndarray.flatten",
        torch_name="torch.flatten",
        torch=lambda x, start=0, end=-1: x.flatten(start, end),
    ),
    examples(
        "broadcast_to",
        [(((3,),), {"shape": s}) for s in ((2, 3), 3, [np.int64(3)], (3, 2), (), -1)]
        + [(((1, 3),), {"shape": (0, 3)}), (((),), {"shape": 2})],
        "np.broadcast_to",
        "torch.broadcast_to",
        torch=lambda x, shape: x.broadcast_to(tuple(np.atleast_1d(shape).tolist())),
    ),
    examples(
        "pad",
        [(((2, 3),), {"widths": w}) for w in (1, (1, 2), [(0, 1), (2, 0)], [(1, 1)], -1, [(1, 1)] * 3, 0.5)]
        + [(((0, 2),), {"widths": 1}), (((3,),), {"widths": (np.int64(1), 0), "value": 7})],
        "np.pad",
        TF + "pad",
        numpy=lambda x, widths, value=0: refuse_unless(
            np.shape(widths) != (1, 2) or x.ndim == 1, numpy_pad, x, widths, value
        ),
        torch=lambda x, widths, value=0: lookup(TF + "pad")(x, as_pairs(x, widths), value=value),
        types=TYPES[:-1],
        note="widths as in NumPy, from the first axis to the last",
    ),
    examples(
        "concatenate",
        [
            ((a, b), {"axis": n})
            for a, b, n in (
                ((2, 3), (1, 3), 0),
                ((2, 3), (2, 0), -1),
                ((0, 3), (0, 3), np.int64(1)),
                ((2, 3), (2, 2), 0),
                ((2,), (2, 2), 0),
                ((), (), 0),
                ((2,), (2,), 1),
            )
        ],
        "np.concatenate",
        "torch.cat",
        ours=lambda a, b, axis=0: F.concatenate([a, b], axis),
        numpy=lambda a, b, axis=0: np.concatenate([a, b], axis),
        torch=lambda a, b, axis=0: torch_module().cat([a, b], int(axis)),
    ),
    examples(
        "stack",
        [((s, s), {"axis": n}) for s in SHAPES for n in (0, -1, np.int64(0), 5)] + [(((2,), (3,)), {"axis": 0})],
        "np.stack",
        "torch.stack",
        ours=lambda a, b, axis=0: F.stack([a, b], axis),
        numpy=lambda a, b, axis=0: np.stack([a, b], axis),
        torch=lambda a, b, axis=0: torch_module().stack([a, b], int(axis)),
    ),
    examples(
        "__getitem__",
        [((s,), {"key": k}) for s in ((3, 4), (1,), (0, 3), ()) for k in KEYS],
        numpy=lambda x, key: x[key],
        numpy_name="ndarray.__getitem__",
        torch_name="Tensor.__getitem__",
        torch=lambda x, key: x[key],
    ),
    examples(
        "narrow",
        [
            (((3, 4),), {"axis": a, "start": s, "length": n})
            for a, s, n in ((0, 1, 2), (-1, 0, 4), (np.int64(1), 2, 0), (0, 2, 2), (0, -1, 1), (2, 0, 1), (1, 0, -1))
        ],
        numpy=numpy_narrow,
        torch_name="torch.narrow",
        torch=lambda x, axis, start, length: x.narrow(int(axis), start, length),
    ),
    examples(
        "take",
        [(((3, 2),), {"rows": r}) for r in ([0, 0, 2], [[-1, 1]], 1, np.int64(2), [], [3], [-4], [0.5])]
        + [(((0, 2),), {"rows": []}), (((),), {"rows": 0})],
        "np.take",
        numpy=lambda x, rows: numpy_take(x, rows),
        torch_name="torch.index_select",
        torch=lambda x, rows: x[torch_module().tensor(rows)],
        note="rows: along the first axis",
    ),
    examples(
        "take_along_axis",
        [
            (((2, 3),), {"indices": np.array(i), "axis": a})
            for i, a in (
                ([[0, 2], [1, -1]], -1),
                ([[0, 1, 1]], np.int64(0)),
                ([[3], [0]], -1),
                ([0, 1], -1),
                ([[0.5]], -1),
                ([[0]], 2),
            )
        ]
        + [(((2, 0),), {"indices": np.zeros((2, 0), int), "axis": -1})],
        "np.take_along_axis",
        "torch.take_along_dim",
        torch=lambda x, indices, axis: x.take_along_dim(torch_module().tensor(indices % x.shape[axis]), int(axis)),
    ),
    Row(
        "one_hot",
        lambda x, classes: refuse_unless(x.dtype.kind != "b", np.eye(classes).__getitem__, x.astype(int)),
        None,
        each([((3,),), ((0,),), ((),), ((2, 1),)], [{"classes": 5}]),
        types=TYPES[2:],
        sample=lambda rng, shape, dtype: rng.integers(0, 5, shape).astype(dtype),
        torch_name=TF + "one_hot",
        note="float64; PyTorch's is int64",
        **KEEPS,
    ),
    examples(
        "embedding",
        [(((3, 2),), {"ids": i}) for i in ([0, 2, 2], [[1]], [], 1, [3], [0.5])] + [(((3,),), {"ids": [0]})],
        ours=lambda w, ids: F.embedding(ids, w),
        numpy=lambda w, ids: refuse_unless(w.ndim == 2, numpy_take, w, ids),
        torch=lambda w, ids: lookup(TF + "embedding")(torch_module().tensor(ids), w),
        torch_name=TF + "embedding",
    ),
    # Products
    examples(
        "linear",
        [
            (s, {})
            for s in (
                ((4, 3), (2, 3)),
                ((3,), (2, 3)),
                ((0, 3), (2, 3)),
                ((5, 4, 3), (2, 3)),
                ((4, 3), (2, 2)),
                ((), (2, 3)),
                ((4, 3), (2, 3), (2,)),
                ((4, 3), (2, 3), (3,)),
                ((4, 3), (3,)),
            )
        ],
        numpy=numpy_linear,
        torch_name=TF + "linear",
        sample=small,
    ),
    examples(
        "einsum",
        [
            (s, {"equation": e})
            for e, s in (
                ("ij,jk->ik", ((2, 3), (3, 4))),
                ("ii", ((3, 3),)),
                ("ij->ji", ((2, 3),)),
                ("bij,bkj->bik", ((2, 2, 3), (2, 4, 3))),
                ("i,j->ij", ((2,), (3,))),
                ("ij,ij->", ((0, 3), (0, 3))),
                ("ij", ((2,),)),
                ("ij,jk->il", ((2, 3), (3, 4))),
                ("ij,jk", ((2, 3), (2, 4))),
                ("...i,...i->...", ((2, 3), (3,))),
            )
        ],
        "np.einsum",
        "torch.einsum",
        ours=lambda *x, equation: F.einsum(equation, *x),
        numpy=lambda *x, equation: np.einsum(equation, *x),
        sample=small,
        types=TYPES[:-1],
        torch=lambda *x, equation: torch_module().einsum(equation, *x),
    ),
]
