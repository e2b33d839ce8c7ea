"""Symbolic execution of elementwise primitives: types of results, and the NumPy calls that a primitive makes.

A Symbol takes the place of an array when an elementwise primitive is compiled: NumPy dispatches every function that is
applied to it (`__array_ufunc__`), and the symbol records the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.primitives.table import Options, Primitive
from minitrain.compiler.types import Type, type_of
from minitrain.typing import Array, DType

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Operation = Primitive | np.ufunc


def result_type(operation: Operation, types: Sequence[Type], options: Options) -> Type:
    """The type of an operation's result.

    Raises:
        ValueError: The operation does not accept operands of these types.

    >>> row = Type((3,), np.dtype("float32"))
    >>> print(result_type(np.add, [row, Type((), np.dtype("float32"))], {}))
    f32[3]
    """
    if isinstance(operation, np.ufunc):
        shapes = {t.shape for t in types if t.shape}
        if len(shapes) > 1:
            operands = ", ".join(map(str, types))
            raise ValueError(f"{operation.__name__}: operands {operands}: expected equal shapes, or scalars")
        dtype = options.get("dtype") or operation.resolve_dtypes((*[t.dtype for t in types], None))[-1]
        return Type(shapes.pop() if shapes else (), np.dtype(dtype))
    if operation.kernel is not None:
        return Type(*operation.kernel.result(*types, **options))
    return calls_of(operation, types, options)[1].type


@dataclass(frozen=True)
class SymbolicCall:
    """One call that an elementwise primitive makes.

    Attributes:
        operation: A NumPy function, or the primitive `reinterpret`.
        inputs: Symbols, and arrays for numbers that are written in the primitive.
        options: Keyword arguments of the call.
        output: The symbol of the result.
    """

    operation: Operation
    inputs: tuple[Symbol | Array, ...]
    options: Options
    output: Symbol


@dataclass(eq=False)
class Symbol(np.lib.mixins.NDArrayOperatorsMixin):
    """Takes the place of an array of a type, and appends to `calls` every function that is applied to it."""

    type: Type
    calls: list[SymbolicCall] = field(repr=False)

    @property
    def dtype(self) -> DType:
        """The dtype of the entries."""
        return self.type.dtype

    def view(self, dtype: DTypeLike) -> Symbol:
        """The same bits as another dtype of that size."""
        return self if dtype == self.dtype else self._call(P.reinterpret, (self,), {"dtype": np.dtype(dtype).name})

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Symbol:
        if method != "__call__":
            raise TypeError(
                f"{ufunc.__name__}.{method}: an elementwise primitive may only call the function itself; write a kernel"
            )
        dtypes = [x.dtype if isinstance(x, (Symbol, np.ndarray, np.generic)) else type(x) for x in inputs]
        resolved = ufunc.resolve_dtypes((*dtypes, None))
        arrays = [
            x if isinstance(x, Symbol) else np.asarray(x, dtype) for x, dtype in zip(inputs, resolved, strict=False)
        ]
        return self._call(ufunc, tuple(arrays), options)

    def _call(self, operation: Operation, inputs: tuple[Symbol | Array, ...], options: Options) -> Symbol:
        types = [x.type if isinstance(x, Symbol) else type_of(x) for x in inputs]
        output = Symbol(result_type(operation, types, options), self.calls)
        self.calls.append(SymbolicCall(operation, inputs, options, output))
        return output


def calls_of(
    primitive: Primitive, types: Sequence[Type], options: Options
) -> tuple[list[Symbol], Symbol, list[SymbolicCall]]:
    """Run an elementwise primitive on symbols.

    Returns:
        The symbols of its inputs, the symbol of its result, and the calls that it makes in order.

    >>> _, result, calls = calls_of(P.sigmoid, [Type((3,), np.dtype("float32"))], {})
    >>> print(result.type, [call.operation.__name__ for call in calls])
    f32[3] ['negative', 'exp', 'add', 'reciprocal']
    """
    calls: list[SymbolicCall] = []
    symbols = [Symbol(t, calls) for t in types]
    result: Any = primitive.forward(*symbols, **options)
    return symbols, result, calls
