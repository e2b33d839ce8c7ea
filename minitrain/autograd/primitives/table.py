"""The table of primitives: everything that the library can compute and differentiate.

An entry consists of a forward computation, a formula for printing, and one derivative per input:
`derivative(g, out, *inputs, **options)` is the gradient with respect to that input, where `g` is the gradient of the
result `out`. In a derivative, `g`, `out` and the inputs are Tensors, so a derivative can itself be differentiated, to
any order. The results of an entry without derivatives (comparisons, argmax) carry no gradient.

There are two kinds of entries:

- `@elementwise` entries are functions composed of NumPy's elementwise functions. They run on arrays; to compile a
  step, they run once on symbols, which record the NumPy calls. Their inputs have equal shapes, or are 0-d constants.
  Broadcasting is a primitive of its own (`broadcast`), so no other derivative has to deal with shapes.
- `@kernel` entries move, reduce or multiply whole arrays. They list the NumPy calls that write the result into a given
  array; the shape and dtype of the result are declared beside them.

Every entry follows these rules, so that a value has the same bits in an eager step, in a compiled step, and in a stack
of runs:

- Results are C-contiguous. Axes are negative, so a leading axis of runs does not change them.
- A sum over axis -1 or -2 is a product with a vector of ones, which takes a fifth of the time of a reduction. A matrix
  product whose inner size is 1 is a multiplication.
- Values follow IEEE 754: functions and quotients return inf and nan without a warning (log 0 = -inf, 1 / 0 = inf).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minitrain.autograd.primitives.operand import Operand
from minitrain.typing import Array, DType, Shape

Options = dict[str, Any]  # the keyword arguments of a primitive
Derivative = Callable[..., Operand | None]  # (g, out, *inputs, **options); None for an input without a gradient
Call = tuple[Any, ...]  # (function, *arguments)
ResultType = tuple[Shape, DType]


@dataclass(frozen=True, eq=False)
class Kernel:
    """How a primitive writes its result into an array.

    Attributes:
        calls: (out, *inputs, **options) -> the NumPy calls that write the result, in order.
        result: (*inputs, **options) -> shape and dtype of the result.
        view: (*inputs, **options, lead=0) -> the result as a view of the input, or None if it needs a copy. `lead` is
            the number of leading axes of runs.
        together: (for each input, whether it has an axis of runs) -> whether the calls compute all runs at once; if
            not, a stack makes them run by run.
    """

    calls: Callable[..., Iterator[Call]]
    result: Callable[..., ResultType]
    view: Callable[..., Array | None] | None
    together: Callable[..., bool]

    def forward(self, *inputs: Array, **options: Any) -> Array:
        """The result: a view where possible, else a new array."""
        if self.view is not None:
            view = self.view(*inputs, **options)
            if view is not None:
                return view
        shape, dtype = self.result(*inputs, **options)
        out = np.empty(shape, dtype)
        for function, *arguments in self.calls(out, *inputs, **options):
            function(*arguments)
        return out


@dataclass(frozen=True, eq=False)
class Primitive:
    """One entry of the table.

    Attributes:
        name: Its key in the table.
        forward: (*inputs, **options) -> the result, for arrays.
        formula: Prints a result from its inputs: `{0}` is the formula of the first input, `{0:tight}` the same in
            brackets where it needs them, `{all}` all inputs, `{axis}` an option.
        derivatives: One for each input; empty if results carry no gradient.
        variadic: Whether it takes any number of inputs. It then has one derivative, which receives the position of the
            input as the option `index`.
        kernel: The kernel; None for an elementwise primitive.
    """

    name: str
    forward: Callable[..., Array]
    formula: str
    derivatives: tuple[Derivative, ...] = ()
    variadic: bool = False
    kernel: Kernel | None = None


TABLE: dict[str, Primitive] = {}


def elementwise(formula: str, *derivatives: Derivative) -> Callable[[Callable[..., Array]], Primitive]:
    """Register the decorated function of arrays in the table, under its name without a trailing underscore.

    Args:
        formula: See `Primitive`.
        derivatives: One for each input.
    """

    def register(forward: Callable[..., Array]) -> Primitive:
        name = forward.__name__.rstrip("_")
        TABLE[name] = Primitive(name, forward, formula, derivatives)
        return TABLE[name]

    return register


def kernel(
    formula: str,
    *derivatives: Derivative,
    result: Callable[..., ResultType],
    view: Callable[..., Array | None] | None = None,
    together: Callable[..., bool] = lambda *stacked: True,
    variadic: bool = False,
) -> Callable[[Callable[..., Iterator[Call]]], Primitive]:
    """Register the decorated generator of NumPy calls in the table, under its name without a trailing underscore.

    Args:
        formula: See `Primitive`.
        derivatives: One for each input; one for all if the primitive is variadic.
        result: See `Kernel`.
        view: See `Kernel`.
        together: See `Kernel`.
        variadic: See `Primitive`.
    """

    def register(calls: Callable[..., Iterator[Call]]) -> Primitive:
        name = calls.__name__.rstrip("_")
        entry = Kernel(calls, result, view, together)
        TABLE[name] = Primitive(name, entry.forward, formula, derivatives, variadic, entry)
        return TABLE[name]

    return register


quiet = np.errstate(all="ignore")  # decorator of functions that return inf or nan without a warning
