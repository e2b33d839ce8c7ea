"""The base of Tensor: an array, how often it has changed, its gradient, and the primitive that computed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias
from weakref import ReferenceType, ref

import numpy as np

from minitrain.autograd.formula import formula, number
from minitrain.autograd.graph import recording
from minitrain.autograd.node import Traceable
from minitrain.autograd.primitives.table import Options, Primitive
from minitrain.typing import Array, DType, Shape

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

TensorLike: TypeAlias = "Value | Array | np.generic | float | Sequence[TensorLike]"


class Exposure(NamedTuple):
    """An array that `data` returned for writing, while it or a view of it is in use.

    Attributes:
        array: The array: another object than the one that stores the value, so that it is freed when its last user
            drops it.
        copy: A copy of the value, to detect writes.
    """

    array: ReferenceType[Array]
    copy: Array


class Value:
    """A value of any shape; its operations are defined by the subclass Tensor."""

    __slots__ = (
        "__weakref__",
        "_data",
        "_exposed",
        "_version",
        "_writable",
        "grad",
        "input_versions",
        "inputs",
        "name",
        "options",
        "primitive",
        "requires_grad",
    )
    __array_ufunc__ = None  # NumPy leaves `array * tensor` to Tensor.__rmul__

    _data: Array
    _exposed: Exposure | None  # the array that `data` last returned for writing
    _version: int  # the number of times that the value has changed
    _writable: bool  # whether the value may change: true for a leaf that the user created, false for a result
    input_versions: tuple[int, ...]
    grad: Array | None
    name: str | None
    primitive: Primitive | None
    inputs: tuple[Value, ...]
    options: Options
    requires_grad: bool

    def __init__(self, value: TensorLike, name: str | None = None, requires_grad: bool = False) -> None:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            data = np.array(value, np.float64)
        elif isinstance(value, (list, tuple)) and carries_gradient(value):
            raise TypeError(
                "Tensor: a list of values that carry gradients, which would be lost; use stack or concatenate of "
                "minitrain.functional, or pass their .numpy()"
            )
        else:
            data = supported(np.array(value._data if isinstance(value, Value) else value, order="C"))
        if requires_grad and data.dtype not in FLOATS:
            raise TypeError(
                f"Tensor: an array of {data.dtype} cannot carry a gradient; pass floating-point values, "
                "e.g. array.astype('float64')"
            )
        self._set(data, name, requires_grad)
        self._writable = True
        if isinstance(value, Value) and recording.tracer is not None:
            recording.tracer.alias(self, value)

    def _set(self, data: Array, name: str | None, requires_grad: bool) -> None:
        self._data = data
        self._exposed = None
        self._version = 0
        self.input_versions = ()
        self._writable = False
        self.grad = None
        self.name = name
        self.primitive = None
        self.inputs = ()
        self.options = {}
        self.requires_grad = requires_grad

    @property
    def shape(self) -> Shape:
        """The size of every axis."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """The number of entries."""
        return self._data.size

    @property
    def dtype(self) -> DType:
        """The type of the entries."""
        return self._data.dtype

    # Changes of the array

    def rebind(self, view: Array) -> None:
        """Use another array as storage from now on, without copying into it.

        Args:
            view: An array that already holds the values to use, of this shape: for instance a part of the flat vector
                of all parameters. It may have another dtype.
        """
        self._data = view
        self._exposed = None
        self.mark_changed()

    def mark_changed(self) -> None:
        """Count a change of the value that was made through the underlying array, such as the flat vector.

        Call it after every such write: a derivative that needs the overwritten value then raises RuntimeError.
        """
        self._version += 1

    def version(self) -> int:
        """The number of times that the value has changed, including writes to the array returned by `data`."""
        if self._exposed is not None:
            self._detect_writes(self._exposed)
        return self._version

    def _writable_array(self) -> Array:
        """The array of a leaf, for the user to write to; writes are detected by `version`."""
        if self._exposed is not None:
            self._detect_writes(self._exposed)
        array = None if self._exposed is None else self._exposed.array()
        if array is None:
            # NumPy lets the views of an array refer to it only if its memory belongs to something else than an array.
            array = np.asarray(self._data.data)
            self._exposed = Exposure(ref(array), self._data.copy())
        return array

    def _detect_writes(self, exposed: Exposure) -> None:
        """Count a change since the last look; once nobody uses the exposed array, this look is the last."""
        in_use = exposed.array() is not None
        bits = np.uint8 if exposed.copy.dtype == bool else f"u{exposed.copy.itemsize}"  # nan differs from itself
        changed = not (exposed.copy.view(bits) == self._data.view(bits)).all()
        if changed:
            self._version += 1
        if not in_use:
            self._exposed = None
        elif changed:
            self._exposed = Exposure(exposed.array, self._data.copy())

    # Access from Python

    def numpy(self) -> Array:
        """A copy of the value as an array."""
        self._guard_access(".numpy()")
        return self._data.copy()

    def item(self) -> float:
        """The value of a tensor of one element, as a Python number.

        Raises:
            ValueError: The tensor has another number of elements.
        """
        self._guard_access(".item()")
        if self.size != 1:
            raise ValueError(
                f"item: expected one element, got shape {list(self.shape)}; reduce it first, e.g. with .mean()"
            )
        result: float = self._data.item()
        return result

    def _guard_access(self, access: str) -> None:
        """Check that the value may be read from Python: while a step is traced, values that will change may not.

        Everything that returns the value as an array or a Python number calls this first.

        Args:
            access: The expression that reads the value, for the error message.

        Raises:
            TracingError: A step is traced, and the value depends on one of its inputs.
        """
        if recording.tracer is not None:
            recording.tracer.check_access(self, access)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        self._guard_access("an array of it")
        return np.array(self._data, dtype)

    def tolist(self) -> Any:
        """The value as nested lists of Python numbers; a Python number if it has no axes."""
        self._guard_access(".tolist()")
        return self._data.tolist()

    def __float__(self) -> float:
        self._guard_access("float()")
        return float(self.item())

    def __int__(self) -> int:
        self._guard_access("int()")
        return int(self.item())

    def __bool__(self) -> bool:
        self._guard_access("bool(), or a comparison in an `if`,")
        return bool(self.item())

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len: a 0-d tensor has no length")
        return self.shape[0]

    __hash__ = object.__hash__

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> NoReturn:
        raise TypeError(
            f"np.{function.__name__}: takes arrays and records no gradient; use minitrain.functional, or pass t.numpy()"
        )

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise TypeError(
            f"{self.label()}: item assignment is not supported, because a derivative may need the old value; write to "
            "a leaf's .data, or choose entries with where(condition, a, b)"
        )

    # Printing

    def __repr__(self) -> str:
        text = formula(self)
        if self.ndim == 0 and self.name is None and not self.requires_grad:
            return f"Tensor {number(self._data)}"
        if self.ndim == 0:
            grad = 0.0 if self.grad is None else number(np.asarray(self.grad))
            return f"Parameter {text} = {number(self._data)}; dL/d[{text}] = {grad}"
        expression = "" if text.startswith("array[") else f"{text}, "
        lines = f"{type(self).__name__} {expression}{self.dtype} {list(self.shape)} =\n{self._data}"
        return lines if self.grad is None else f"{lines}\ndL/d[{text}] =\n{self.grad}"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def label(self) -> str:
        """The class and name of the value, for messages."""
        return f"Parameter {self.name}" if self.name else "Tensor"


def inspectable(value: Traceable) -> Array | None:
    """The array of a value, if its entries may be validated now.

    Functions that check entries (class numbers, probabilities) use this instead of reading the value: it returns None,
    and the check is skipped, while a step is traced in which the value depends on an input, because the compiled step
    will run with other values.
    """
    return None if recording.tracer is not None and recording.tracer.depends_on_input(value) else value._data


def supported(data: Array) -> Array:
    """An array of a type that Tensors have, in the byte order of this machine.

    Raises:
        TypeError: The values are neither float32, float64, integers nor booleans.
    """
    if data.dtype in FLOATS:
        return data
    native = data.dtype.newbyteorder("=")
    if native not in FLOATS and native.kind not in "iub":
        advice = "; convert them with .astype('float64')" if native.kind == "f" else ""
        raise TypeError(
            f"Tensor: values of type {data.dtype} given; expected float32, float64, integers or booleans{advice}"
        )
    return data if data.dtype.isnative else data.astype(native)


def carries_gradient(value: object) -> bool:
    """Whether a value, or an entry of nested lists, is a Tensor that gradients flow to."""
    if isinstance(value, (list, tuple)):
        return any(carries_gradient(entry) for entry in value)
    return isinstance(value, Value) and value.requires_grad
