"""Rows of the table of functions: what a function is compared with, over which types, shapes and axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from minitrain import Tensor
from minitrain import functional as F

TYPES = ("float32", "float64", "int64", "int32", "uint8", "int8", "bool")
SHAPES = ((), (1,), (0,), (0, 3), (2, 0), (3, 4))
PAIRS = (((), ()), ((3,), ()), ((2, 3), (3,)), ((3, 1), (1, 2)), ((0, 3), (3,)), ((1,), (0,)), ((2, 1, 3), (2, 1)))
AXES = (None, 0, -1, np.int64(1), (0, 1), (-1, 0), (), (0, 0), (0, -2), 5, (0, 7), 0.5)
ONE_AXIS = (None, 0, -1, np.int64(1), 5, (0, 1), 0.5)

Options = dict[str, Any]
Arrays = list[np.ndarray]


TF = "torch.nn.functional."
KEEPS = {"differentiable": False}
Options = dict[str, Any]


# How a function computes: from the common type of its operands, the type that it computes in


def common_type(dtypes):
    """The widest of the floating-point types; if there is none, NumPy's promotion."""
    return np.result_type(*([t for t in dtypes if t.kind == "f"] or dtypes))


def as_float(dtype):
    return dtype if dtype.kind == "f" else np.dtype("float64")


def as_sum(dtype):
    return dtype if dtype.kind == "f" else np.dtype("int64")


def as_numbers(dtype):
    return np.dtype("int64") if dtype.kind == "b" else dtype


def unchanged(dtype):
    return dtype


def no_booleans(dtypes):
    return "booleans given, expected numbers" if common_type(dtypes).kind == "b" else ""


def only_bits(dtypes):
    return "expected integers or booleans" if common_type(dtypes).kind == "f" else ""


def no_booleans_at_all(dtypes):
    return "boolean subtract" if common_type(dtypes).kind == "b" else ""


def never(dtypes):
    return ""


@dataclass(frozen=True)
class Row:
    """A function or method.

    name: its name in minitrain.functional, as a method, or of a special method
    numpy, torch: the same function of arrays and of PyTorch's tensors
    cases: (shapes of the operands, options)
    computes: the type it computes in, as a function of the common type
    refuses: the types it refuses: a part of the message, as a function of the types
    sample: (rng, shape, dtype) -> an operand
    numpy_name, torch_name, note: the line of docs/functions.md
    """

    name: str
    numpy: Callable[..., Any] | None
    torch: Callable[..., Any] | None
    cases: tuple[tuple[tuple[tuple[int, ...], ...], Options], ...]
    computes: Callable[[np.dtype], np.dtype] = unchanged
    refuses: Callable[[list[np.dtype]], str] = never
    sample: Callable[..., np.ndarray] | None = None
    numpy_name: str = ""
    torch_name: str = ""
    note: str = ""
    ours: Callable[..., Any] | None = None
    types: tuple[str, ...] = TYPES
    differentiable: bool = True
    fixed: tuple[int, ...] = ()  # operands that keep their own type: conditions
    by_first: bool = False  # whether the type is that of the first operand

    def type_of(self, dtypes: list[np.dtype]) -> np.dtype:
        """The type that it computes in."""
        return self.computes(dtypes[0] if self.by_first else common_type(dtypes))

    def forms(self) -> list[Callable[..., Any]]:
        """The function, and the method where there is one."""
        if self.ours is not None:
            return [self.ours]
        functions = [getattr(F, self.name)] if self.name in F.__all__ else []
        return functions + ([getattr(Tensor, self.name)] if hasattr(Tensor, self.name) else [])


# Operands


def small(rng, shape, dtype):
    """Numbers from -2 to 2; integers from -9 to 9, without a sign from 0."""
    if dtype.kind == "f":
        return rng.uniform(-2, 2, shape).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    return rng.integers(0 if dtype.kind == "u" else -9, 10, shape).astype(dtype)


def whole(rng, shape, dtype):
    """Also the smallest and the largest integers."""
    x = small(rng, shape, dtype)
    if dtype.kind in "iu" and x.size > 2:
        x.reshape(-1)[[0, -1]] = np.iinfo(dtype).min, np.iinfo(dtype).max
    return x


def positive(rng, shape, dtype):
    if dtype.kind == "f":
        return rng.uniform(0.2, 3, shape).astype(dtype)
    return np.ones(shape, bool) if dtype.kind == "b" else rng.integers(1, 5, shape).astype(dtype)


def within_one(rng, shape, dtype):
    if dtype.kind == "f":
        return rng.uniform(-0.9, 0.9, shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


def above_one(rng, shape, dtype):
    return (positive(rng, shape, dtype).astype(dtype) + np.ones((), dtype)).astype(dtype)


# The names of NumPy and PyTorch


def lookup(name: str) -> Callable[..., Any] | None:
    """The function of a dotted name; None if its library is not installed."""
    path = name.removeprefix("np.").split(".") if name.startswith("np.") else name.split(".")[1:]
    root = "numpy" if name.startswith("np.") else "torch"
    if find_spec(root) is None:
        return None
    return reduce(getattr, path, import_module(root))


def late(name: str) -> Callable[..., Any]:
    """The function of a dotted name, imported when it is called."""
    return lambda *arguments, **options: lookup(name)(*arguments, **options)


def torch_module():
    return import_module("torch")


def each(shapes, options=({},)):
    return tuple((s, o) for s in shapes for o in options)


def unary(name, numpy="", torch="", sample=small, computes=as_float, shapes=SHAPES, **more):
    """An elementwise function; by default NumPy's and PyTorch's of the same name."""
    numpy_name = more.pop(
        "numpy_name", numpy if isinstance(numpy, str) and numpy else "" if callable(numpy) else f"np.{name}"
    )
    torch_name = more.pop(
        "torch_name", torch if isinstance(torch, str) and torch else "" if callable(torch) else f"torch.{name}"
    )
    options = more.pop("options", ({},))
    return Row(
        name,
        numpy if callable(numpy) else late(numpy_name),
        torch if callable(torch) else late(torch_name),
        each([(s,) for s in shapes], options),
        computes,
        sample=sample,
        numpy_name=numpy_name,
        torch_name=torch_name,
        **more,
    )


def binary(name, numpy_name, torch_name, computes=unchanged, sample=small, **more):
    return Row(
        name,
        more.pop("numpy", None) or late(numpy_name),
        more.pop("torch", None) or late(torch_name),
        each(more.pop("shapes", PAIRS)),
        computes,
        sample=sample,
        numpy_name=numpy_name,
        torch_name=torch_name,
        **more,
    )


# Rows of reductions, and of examples of arguments


def dims(x, axis):
    """PyTorch's `dim` for axes; no axes mean all of them there."""
    if axis == ():
        raise TypeError("PyTorch reduces all axes")
    return tuple(range(x.ndim)) if axis is None else tuple(map(int, axis)) if isinstance(axis, tuple) else int(axis)


def several_axes(name, numpy_name, torch_name, computes, axes=AXES, sample=small, **more):
    torch = more.pop("torch", None) or (
        lambda x, axis=None, keepdims=False: lookup(torch_name)(x, dim=dims(x, axis), keepdim=keepdims)
    )
    options = [{"axis": a, "keepdims": k} for a in axes for k in (False, True)]
    numpy = more.pop("numpy", None) or late(numpy_name)
    return Row(name, numpy, torch, each([(s,) for s in (*SHAPES, (2, 1, 3))], options), computes, sample=sample,
               numpy_name=numpy_name, torch_name=torch_name, **more)  # fmt: skip


def one_axis(name, numpy_name, torch_name, computes, axes=ONE_AXIS, sample=small, options=({},), **more):
    choices = [{"axis": a, **o} for a in axes for o in options]
    numpy = more.pop("numpy", None) or late(numpy_name)
    torch = more.pop("torch", None) or (
        lambda x, axis: lookup(torch_name)(x.reshape(-1) if axis is None else x, dim=-1 if axis is None else int(axis))
    )
    return Row(name, numpy, torch, each([(s,) for s in (*SHAPES, (2, 1, 3))], choices), computes, sample=sample,
               numpy_name=numpy_name, torch_name=torch_name, **more)  # fmt: skip


def examples(name, calls, numpy_name="", torch_name="", **more):
    """calls: (shapes, options); options are the same for both libraries."""
    numpy, torch = more.pop("numpy", None), more.pop("torch", None)
    return Row(
        name,
        numpy or late(numpy_name),
        torch or (late(torch_name) if torch_name and not more.pop("numpy_only", False) else None),
        tuple(calls),
        numpy_name=numpy_name,
        torch_name=torch_name,
        **{"sample": whole, **more},
    )


def refuse_unless(condition, function, *arguments):
    if not condition:
        raise ValueError("refused")
    return function(*arguments)


def numpy_take(x, rows):
    indices = np.asarray(rows) if np.size(rows) else np.empty(np.shape(rows), int)
    if indices.dtype.kind not in "iu" or not x.ndim:
        raise TypeError("expected integers")
    return np.take(x, indices, axis=0)
