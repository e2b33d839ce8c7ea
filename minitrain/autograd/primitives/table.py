"""The table of primitives: what the library can compute and differentiate.

One entry per primitive: how it is computed, and behind its formula for printing its derivatives, one
per input: `derivative(g, out, *inputs, **options)` is the gradient with respect to that input, given
the gradient `g` of the result `out`. `g`, `out` and the inputs are Tensors there, so a derivative is
itself differentiable, to any order. An entry without derivatives gives values that carry no gradient
(comparisons, argmax).

There are two kinds of entries.
- `@elementwise`: a function of NumPy's elementwise functions. It is run on arrays, and to compile a step
  once on symbols, which write down the NumPy calls it makes. Inputs have equal shapes, or are 0-d
  constants: broadcasting is the primitive `broadcast`, and no other derivative mentions shapes.
- `@kernel`: everything that moves, adds up or multiplies whole arrays. It lists the NumPy calls that write
  its result into a given array, and beside it stand the result's shape and type.

Rules that every entry keeps, so that a value alone, replayed or in a stack of runs has the same bits:
- results are C-contiguous; axes are negative, so that a leading axis of runs changes nothing;
- a sum over axis -1 or -2 is a product with ones (a fifth of the time of a reduction), an inner size of 1 in
  `matmul` is a multiply;
- values are IEEE 754's; functions and quotients give them without a warning (log 0 = -inf, 1/0 = inf).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minitrain.typing import Array

Derivative = Callable[..., Any]  # (g, out, *inputs, **options) -> Tensor


Call = tuple[Any, ...]  # (function, *arguments)


@dataclass(frozen=True, eq=False)
class Kernel:
    """How a primitive writes its result into an array.

    calls: (out, *inputs, **options) -> the NumPy calls that do it, in order
    result: (*inputs, **options) -> shape and type of the result
    view: the result without copying, as a view of the input, or None where it is none
    together: which inputs have a leading axis of runs -> whether the calls then do all runs together, as they
        stand; where they do not, a stack makes them run by run
    """

    calls: Callable[..., Iterator[Call]]
    result: Callable[..., tuple[tuple[int, ...], Any]]
    view: Callable[..., Array | None] | None
    together: Callable[..., bool]

    def forward(self, *inputs: Array, **options: Any) -> Array:
        if self.view is not None:
            found = self.view(*inputs, **options)
            if found is not None:
                return found
        shape, dtype = self.result(*inputs, **options)
        out = np.empty(shape, dtype)
        for function, *arguments in self.calls(out, *inputs, **options):
            function(*arguments)
        return out


@dataclass(frozen=True, eq=False)
class Primitive:
    """One entry of the table.

    `formula` prints a result from its inputs: `{0}` is the first input's own formula, `{0:tight}`
    the same in brackets where it needs them, `{axis}` an option. `variadic` primitives take any
    number of inputs and one derivative, told which input it is for by the option `index`. `kernel`
    is None for an elementwise primitive.
    """

    name: str
    forward: Callable[..., Array]
    formula: str
    derivatives: tuple[Derivative, ...] = ()
    variadic: bool = False
    kernel: Kernel | None = None


TABLE: dict[str, Primitive] = {}


def elementwise(formula: str, *derivatives: Derivative) -> Callable[[Callable[..., Array]], Primitive]:
    """Enter the decorated function of arrays into the table, under its own name."""

    def enter(forward: Callable[..., Array]) -> Primitive:
        name = forward.__name__.rstrip("_")
        TABLE[name] = Primitive(name, forward, formula, derivatives)
        return TABLE[name]

    return enter


def kernel(
    formula: str,
    *derivatives: Derivative,
    result: Callable[..., tuple[tuple[int, ...], Any]],
    view: Callable[..., Array | None] | None = None,
    together: Callable[..., bool] = lambda *stacked: True,
    variadic: bool = False,
) -> Callable[[Callable[..., Iterator[Call]]], Primitive]:
    """Enter the decorated list of calls into the table, under its own name."""

    def enter(calls: Callable[..., Iterator[Call]]) -> Primitive:
        name = calls.__name__.rstrip("_")
        own = Kernel(calls, result, view, together)
        TABLE[name] = Primitive(name, own.forward, formula, derivatives, variadic, own)
        return TABLE[name]

    return enter


quiet = np.errstate(all="ignore")
