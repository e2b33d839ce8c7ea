"""Types of values without the values, and what NumPy would do with them.

A Symbol stands in for an array when an elementwise primitive is run to be compiled: NumPy hands every
function applied to it over, and it writes the call down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.primitives.table import Primitive
from minitrain.compiler.types import Type, type_of

Operation = Primitive | np.ufunc


Options = dict[str, Any]


def result_type(operation: Operation, types: Sequence[Type], options: Options) -> Type:
    """The type of an operation's result. Raises ValueError for types that it cannot take.

    >>> row = Type((3,), np.dtype("float32"))
    >>> print(result_type(np.add, [row, Type((), np.dtype("float32"))], {}))
    f32[3]
    """
    if isinstance(operation, np.ufunc):
        shapes = {t.shape for t in types if t.shape}
        if len(shapes) > 1:
            given = ", ".join(map(str, types))
            raise ValueError(f"{operation.__name__}: {given}: expected equal shapes, or numbers")
        dtype = options.get("dtype") or operation.resolve_dtypes((*[t.dtype for t in types], None))[-1]
        return Type(shapes.pop() if shapes else (), np.dtype(dtype))
    if operation.kernel is not None:
        return Type(*operation.kernel.result(*types, **options))
    return calls_of(operation, types, options)[1].type


@dataclass(frozen=True)
class SymbolicCall:
    """One call that an elementwise primitive makes: of a NumPy function, or the same bits seen as another type."""

    operation: Operation
    inputs: tuple[Symbol | np.ndarray[Any, Any], ...]  # an array is a number written in the primitive
    options: Options
    output: Symbol


@dataclass(eq=False)
class Symbol(np.lib.mixins.NDArrayOperatorsMixin):
    """Stands in for an array of a type; what is done to it goes to a list of calls."""

    type: Type
    calls: list[SymbolicCall] = field(repr=False)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.type.dtype

    def view(self, dtype: Any) -> Symbol:
        return self if dtype == self.dtype else self._call(P.reinterpret, (self,), {"dtype": np.dtype(dtype).name})

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Symbol:
        if method != "__call__":
            raise TypeError(f"{ufunc.__name__}.{method}: an elementwise primitive may only call it; write a kernel")
        known = [x.dtype if isinstance(x, (Symbol, np.ndarray, np.generic)) else type(x) for x in inputs]
        resolved = ufunc.resolve_dtypes((*known, None))
        arrays = [
            x if isinstance(x, Symbol) else np.asarray(x, dtype) for x, dtype in zip(inputs, resolved, strict=False)
        ]
        return self._call(ufunc, tuple(arrays), options)

    def _call(self, operation: Operation, inputs: tuple[Any, ...], options: Options) -> Symbol:
        types = [x.type if isinstance(x, Symbol) else type_of(x) for x in inputs]
        output = Symbol(result_type(operation, types, options), self.calls)
        self.calls.append(SymbolicCall(operation, inputs, options, output))
        return output


def calls_of(
    primitive: Primitive, types: Sequence[Type], options: Options
) -> tuple[list[Symbol], Symbol, list[SymbolicCall]]:
    """What an elementwise primitive computes of inputs of these types: symbols of them, of its result, and its calls.

    >>> _, result, calls = calls_of(P.sigmoid, [Type((3,), np.dtype("float32"))], {})
    >>> print(result.type, [call.operation.__name__ for call in calls])
    f32[3] ['negative', 'exp', 'add', 'reciprocal']
    """
    calls: list[SymbolicCall] = []
    symbols = [Symbol(t, calls) for t in types]
    result: Any = primitive.forward(*symbols, **options)
    return symbols, result, calls
