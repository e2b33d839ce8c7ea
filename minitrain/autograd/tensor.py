"""Tensor and Parameter: a value, its gradient, and the graph it came from.

A Tensor made by a primitive keeps that primitive and its inputs while gradients are recorded. From
there gradients flow back (`flow_back`), in an iterative walk that any depth of graph survives. A node
never refers to its results, so a dropped graph is freed at once, without the garbage collector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.formula import formula, number
from minitrain.autograd.graph import flow_back, no_grad, recording, topological_order
from minitrain.autograd.primitives import special, windows
from minitrain.autograd.primitives.movement import Key
from minitrain.autograd.primitives.table import Primitive
from minitrain.autograd.shapes import axes_from_end, fitting_shape, joint_shape, row_numbers, slices_of
from minitrain.typing import Array

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _operator(primitive: Primitive) -> tuple[Callable[[Tensor, Any], Tensor], Callable[[Tensor, Any], Tensor]]:
    """A primitive of two operands as a method, and as the reflected method."""
    return lambda self, other: elementwise(primitive, self, other), lambda self, other: elementwise(
        primitive, other, self
    )


def _function(primitive: Primitive) -> Callable[[Tensor], Tensor]:
    """A primitive of one operand as a method."""
    return lambda self: apply(primitive, self)


class Tensor:
    """A value of any shape that knows where it came from.

    value: a number (float64), a sequence or an array (float32 and float64 kept, copied), of any shape
    name: how it is printed; a result without a name prints as its expression
    requires_grad: whether gradients flow to it; integers and truth values carry none
    grad: the gradient that `backward` added up, an array of the value's shape, or None

    >>> from minitrain import Parameter
    >>> a, b = Parameter(3.0, "a"), Parameter(2.0, "b")
    >>> loss = a * b + a
    >>> loss.backward()
    >>> print(loss)
    Parameter [a * b + a] = 9.0; dL/d[[a * b + a]] = 1.0
    >>> print(a)
    Parameter a = 3.0; dL/d[a] = 3.0
    """

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
    _exposed: Array | None  # what `data` was when last handed out for writing
    _version: int  # how often the value has changed
    _writable: bool  # whether the value may change: a leaf made by a person, not a result
    input_versions: tuple[int, ...]  # those of the inputs when this result was computed
    grad: Array | None
    name: str | None
    primitive: Primitive | None
    inputs: tuple[Tensor, ...]
    options: dict[str, Any]
    requires_grad: bool

    def __init__(self, value: Any, name: str | None = None, requires_grad: bool = False) -> None:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            data = np.array(value, np.float64)
        else:
            data = np.array(value._data if isinstance(value, Tensor) else value, order="C")
        if data.dtype.kind not in "fiub" or data.dtype == np.float16:
            raise TypeError(
                f"Tensor: values of type {data.dtype} given; expected float32, float64, integers or truth values"
            )
        if requires_grad and data.dtype not in FLOATS:
            raise TypeError(
                f"Tensor: an array of {data.dtype} cannot carry a gradient; give floating-point values, "
                "e.g. array.astype('float64')"
            )
        self._set(data, name, requires_grad)
        self._writable = True
        if isinstance(value, Tensor) and recording.tracer is not None:
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

    # The value

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype

    @property
    def data(self) -> Array:
        """The value as an array: of a leaf the array itself, to write to; of a result a read-only view.

        A leaf may be written to at any time (`p.data -= 0.3 * p.grad`): a derivative that needs an
        overwritten value finds that out when it runs, and raises.
        """
        self._guard_access(".data")
        if not self._writable:
            view = self._data.view()
            view.flags.writeable = False
            return view
        if self._exposed is None:
            self._exposed = self._data.copy()
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        if not self._writable:
            raise ValueError(
                f"{self.label()}: the value of a result cannot be replaced; write to a Parameter it came from"
            )
        given = value if isinstance(value, Tensor) else np.asarray(value)
        if given.shape != self.shape:
            raise ValueError(
                f"{self.label()}: shape {list(self.shape)}, cannot take a value of shape {list(given.shape)}"
            )
        self._data[...] = given._data if isinstance(given, Tensor) else given
        self.mark_changed()
        if recording.tracer is not None:
            recording.tracer.alias(self, given.astype(self.dtype) if isinstance(given, Tensor) else Tensor(self._data))

    def rebind(self, view: Array) -> None:
        """Live in another array from now on, e.g. as part of one vector, which holds the value."""
        self._data = view
        self._exposed = None
        self.mark_changed()

    def mark_changed(self) -> None:
        """Count a change of the value made through the array it lives in."""
        self._version += 1

    def version(self) -> int:
        """How often the value has changed, writes through `data` included."""
        if self._exposed is not None and self._exposed.tobytes() != self._data.tobytes():
            self._exposed = self._data.copy()
            self._version += 1
        return self._version

    def numpy(self) -> Array:
        """The value as an array of its own."""
        self._guard_access(".numpy()")
        return self._data.copy()

    def _guard_access(self, what: str) -> None:
        """Every way from a value to Python: a step that is compiled may not take it."""
        if recording.tracer is not None:
            recording.tracer.refuse(self, what)

    def item(self) -> float:
        """The value of a tensor of one element, as a Python number."""
        self._guard_access(".item()")
        if self.size != 1:
            raise ValueError(
                f"item: expected one element, got shape {list(self.shape)}; reduce it first, e.g. with .mean()"
            )
        result: float = self._data.item()
        return result

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> NoReturn:
        raise TypeError(
            f"np.{function.__name__}: takes arrays, where gradients end; use minitrain.functional, or give t.numpy()"
        )

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise TypeError(
            f"{self.label()}: an entry cannot be assigned: a derivative may need the value it has; write to a leaf's "
            ".data, or choose entries with where(condition, a, b)"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        self._guard_access("an array of it")
        return np.array(self._data, dtype)

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

    def __repr__(self) -> str:
        text = formula(self)
        if self.ndim == 0 and self.name is None and not self.requires_grad:
            return f"Tensor {number(self._data)}"
        if self.ndim == 0:
            grad = 0.0 if self.grad is None else number(np.asarray(self.grad))
            return f"Parameter {text} = {number(self._data)}; dL/d[{text}] = {grad}"
        what = "" if text.startswith("array[") else f"{text}, "
        lines = f"{type(self).__name__} {what}{self.dtype} {list(self.shape)} =\n{self._data}"
        return lines if self.grad is None else f"{lines}\ndL/d[{text}] =\n{self.grad}"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    __hash__ = object.__hash__

    def label(self) -> str:
        """What to call it in a message."""
        return f"Parameter {self.name}" if self.name else "Tensor"

    # Gradients

    def backward(self, gradient: Any = None) -> None:
        """Add the gradient of this value to `.grad` of every value it was computed from.

        gradient: the gradient of the loss with respect to this value, of its shape; 1 for a scalar
        Raises ValueError for a value that is not a scalar without `gradient`, for one that carries no
        gradient, and for one that needs a value overwritten since.
        """
        if not self.requires_grad:
            raise ValueError(
                "backward: this value carries no gradient: it depends on no Parameter, or was computed under "
                "no_grad(); compute it from Parameters, outside no_grad()"
            )
        if gradient is None and self.size != 1:
            raise ValueError(
                f"backward: a gradient can start from a scalar only, this has shape {list(self.shape)}; "
                "reduce it (.sum(), .mean()) or give gradient= of that shape"
            )
        seed = np.ones(self.shape, self.dtype) if gradient is None else np.asarray(gradient, self.dtype)
        if seed.shape != self.shape:
            raise ValueError(f"backward: gradient of shape {list(seed.shape)} given, expected {list(self.shape)}")
        with no_grad(), np.errstate(all="ignore"):  # 0 * inf is nan, without a warning
            for node, g in flow_back(topological_order(self), _constant(seed)):
                node.grad = g.numpy() if node.grad is None else np.asarray(node.grad + g._data)

    def detach(self) -> Tensor:
        """The value alone: no gradient flows back from it."""
        with no_grad():
            return apply(P.identity, self)

    def zero_grad(self) -> None:
        """Forget the gradient added up so far."""
        self.grad = None

    # Operators: primitives of two operands, each side of which may be a number or an array

    __add__, __radd__ = _operator(P.add)
    __sub__, __rsub__ = _operator(P.subtract)
    __mul__, __rmul__ = _operator(P.multiply)
    __truediv__, __rtruediv__ = _operator(P.divide)
    _pow, __rpow__ = _operator(P.pow_)
    __gt__, _ = _operator(P.greater)
    __ge__, _ = _operator(P.greater_equal)
    __lt__, _ = _operator(P.less)
    __le__, _ = _operator(P.less_equal)
    __eq__, _ = _operator(P.equal)  # type: ignore[assignment]  # elementwise, as in NumPy
    __ne__, _ = _operator(P.not_equal)  # type: ignore[assignment]  # elementwise, as in NumPy
    maximum, _ = _operator(P.maximum)
    __neg__ = _function(P.negative)

    def __pow__(self, other: Any) -> Tensor:
        is_number = isinstance(other, (int, float, np.number))
        return apply(P.power, self, exponent=float(other)) if is_number else self._pow(other)

    def __matmul__(self, other: Any) -> Tensor:
        return product(self, as_tensor(other, self))

    def __rmatmul__(self, other: Any) -> Tensor:
        return product(as_tensor(other, self), self)

    # Functions: primitives of one operand

    exp = _function(P.exp)
    log = _function(P.log)
    sqrt = _function(P.sqrt)
    sign = _function(P.sign)
    abs = __abs__ = _function(P.abs_)
    sin = _function(special.sin)
    cos = _function(special.cos)
    tanh = _function(P.tanh)
    sigmoid = _function(P.sigmoid)
    silu = SiLU = _function(P.silu)  # the second names are the notebook's
    relu = ReLU = _function(P.relu)
    isfinite = _function(P.isfinite)

    def where(self, a: Any, b: Any) -> Tensor:
        """a where this truth value holds, else b, elementwise."""
        a, b = _pair(a, b)
        shape = _common_shape("where", self, a, b)
        condition = self if self.dtype == bool else self != 0
        operands = [t if _is_constant_scalar(t) else t.broadcast_to(shape) for t in (a, b)]
        return apply(P.where, condition.broadcast_to(shape), *operands)

    def masks(self, x: Tensor) -> Tensor:
        """x where this truth value holds, else 0; both of one shape."""
        return apply(P.mask, self, x)

    def argmax(self, axis: int = -1) -> Tensor:
        """The index of the largest entry along an axis (the first of equals)."""
        return apply(P.argmax, self, axis=axes_from_end("argmax", self.shape, axis)[0])

    # Reductions

    def sum(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """The sum over one axis, several, or all."""
        return self._reduce(P.sum_, axis, keepdims)

    def mean(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """The mean over one axis, several, or all."""
        total = self.sum(axis, keepdims)
        return total / (self.size / max(total.size, 1))

    def max(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """The largest entry along axes; tied entries share its gradient evenly."""
        return self._reduce(P.max_, axis, keepdims)

    def cumsum(self, axis: int, backward: bool = False) -> Tensor:
        """Running sums along an axis; from its end where `backward`."""
        return apply(P.cumsum, self, axis=axes_from_end("cumsum", self.shape, axis)[0], backward=backward)

    def _reduce(self, reduction: Primitive, axis: int | Sequence[int] | None, keepdims: bool) -> Tensor:
        axes = axes_from_end(reduction.name, self.shape, axis)
        rows = self.reshape(1, -1) if self.ndim == 1 else self  # `sum` tells one axis of many from the only one
        result = (
            apply(reduction, rows, axes=tuple(range(-rows.ndim, 0)) if len(axes) == self.ndim else axes)
            if axes
            else self
        )
        if keepdims:
            result = result.reshape([1 if i - self.ndim in axes else n for i, n in enumerate(self.shape)])
        return result

    # Shapes

    def reshape(self, *shape: Any) -> Tensor:
        """The same values in another shape; one size may be -1."""
        given = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], Iterable) else shape
        sizes = fitting_shape(self.shape, given)
        return self if sizes == self.shape else apply(P.reshape, self, shape=sizes)

    def transpose(self, *axes: Any) -> Tensor:
        """Axes in the given order; reversed where none is given."""
        order = tuple(axes[0]) if len(axes) == 1 and isinstance(axes[0], Iterable) else axes or range(self.ndim)[::-1]
        if sorted(a % max(self.ndim, 1) for a in order) != list(range(self.ndim)):
            raise ValueError(f"transpose: axes {list(order)} given, expected each of the {self.ndim} axes once")
        return apply(P.transpose, self, axes=tuple(a % self.ndim - self.ndim for a in order))

    @property
    def T(self) -> Tensor:  # noqa: N802  # NumPy's name
        return self.transpose()

    def broadcast_to(self, shape: Sequence[int]) -> Tensor:
        """Repeat along new leading axes and along axes of size 1: [n] -> [m, n]."""
        shape = tuple(shape)
        if shape == self.shape:
            return self
        if joint_shape(self.shape, shape) != shape:
            raise ValueError(
                f"broadcast_to: {list(self.shape)} cannot be repeated to {list(shape)}; sizes must be equal or 1"
            )
        return apply(P.broadcast, self, shape=shape)

    def astype(self, dtype: Any) -> Tensor:
        """The value as another type; the gradient comes back as this one."""
        return self if self.dtype == dtype else apply(P.cast, self, dtype=np.dtype(dtype).name)

    def __getitem__(self, key: Any) -> Tensor:
        """Index as NumPy does: integers, slices, None, ..., integer and boolean arrays.

        The gradient of an entry picked more than once is the sum over its uses.
        """
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) == 1 and isinstance(key, Tensor) and key.dtype.kind in "iu" and inspectable(key) is None:
            return self.take((key < 0).where(key + len(self), key))
        keys = tuple(k.numpy() if isinstance(k, Tensor) else k for k in keys)
        plan = slices_of(self.shape, keys)
        if plan is not None:
            slices, shape = plan
            return (self if slices is None else self.slice(slices)).reshape(shape)
        if len(keys) == 1 and np.asarray(keys[0]).dtype.kind in "iu":
            return self.take(row_numbers(np.asarray(keys[0]), self.shape[0]))
        places = np.arange(self.size).reshape(self.shape)[keys]
        return self.reshape(-1).take(places)

    def slice(self, key: Key) -> Tensor:
        """self[key] for one slice per axis."""
        return apply(P.slice_, self, key=key)

    def narrow(self, axis: int, start: int, length: int) -> Tensor:
        """`length` entries from `start` on along one axis."""
        key = [slice(None)] * self.ndim
        key[axis] = slice(start, start + length)
        return self.slice(tuple(key))

    def unslice(self, key: Key, shape: tuple[int, ...]) -> Tensor:
        """Zeros of the given shape with this value at [key]."""
        return apply(P.unslice, self, key=key, shape=shape)

    def take(self, rows: Any) -> Tensor:
        """Rows by number: [n, ...] and integers [*k] -> [*k, ...]."""
        return apply(P.take, self, rows if isinstance(rows, Tensor) else _constant(np.asarray(rows)))

    def scatter_add(self, rows: Tensor, size: int) -> Tensor:
        """Zeros of `size` rows with each row added at its number."""
        return apply(P.scatter_add, self, rows, size=size)

    def unfold(self, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        """Every window: [..., *sizes] -> [..., *kernel, *places]."""
        return apply(windows.unfold, self, kernel=kernel, stride=stride)

    def fold(self, sizes: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        """Windows added up where they came from: the derivative of `unfold`."""
        return apply(windows.fold, self, sizes=sizes, stride=stride)

    def matmul(self, other: Tensor, transpose_self: bool = False, transpose_other: bool = False) -> Tensor:
        """The product [..., m, k] @ [..., k, n], either factor read transposed: no copy is made for that."""
        return apply(P.matmul, self, other, transpose_a=transpose_self, transpose_b=transpose_other)


class Parameter(Tensor):
    """A trainable leaf: a Tensor that gradients flow to.

    >>> Parameter(4, "x")
    Parameter x = 4.0; dL/d[x] = 0.0
    """

    __slots__ = ()

    def __init__(self, value: Any, name: str | None = None) -> None:
        super().__init__(value, name, requires_grad=True)

    def _refuse(self, other: Any) -> NoReturn:
        raise TypeError(
            f"{self.label()}: +=, -= and the like would put a result in its place, and train that no more; change its "
            "value by .data (w.data -= lr * w.grad), or give the result another name (total = w + x)"
        )

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _refuse


# How a primitive is applied


def apply(primitive: Primitive, *inputs: Tensor, **options: Any) -> Tensor:
    """Compute a primitive's result, and record it where a gradient will flow."""
    data = primitive.forward(*[t._data for t in inputs], **options)
    if type(data) is not np.ndarray:
        data = np.asarray(data)  # NumPy gives a scalar for 0-d operands
    elif data.base is not None and any([t._writable for t in inputs]):
        data = data.copy()  # a view of a leaf would change when the leaf is written to
    result = Tensor.__new__(Tensor)
    result._set(data, None, False)
    if recording.on and primitive.derivatives and any([t.requires_grad for t in inputs]):
        result.requires_grad = True
        result.primitive = primitive
        result.inputs = inputs
        result.options = options
        result.input_versions = tuple([t.version() for t in inputs])
    if recording.tracer is not None:
        recording.tracer.record(primitive, inputs, options, result)
    return result


def inspectable(value: Tensor) -> Array | None:
    """The array of a value to be checked; None while a step is traced that will see others."""
    return None if recording.tracer is not None and recording.tracer.is_changing(value) else value._data


def to_tensor(value: Any) -> Tensor:
    """A Tensor as it is, anything else as a new one."""
    return value if isinstance(value, Tensor) else Tensor(value)


def as_tensor(value: Any, like: Tensor) -> Tensor:
    """An operand: numbers and 0-d arrays take the type of `like`, so that they never promote it."""
    if isinstance(value, Tensor):
        return value
    data = np.asarray(value)
    if data.dtype.kind not in "fiub":
        raise TypeError(f"{value!r} beside a Tensor: expected a number, an array of numbers or a Tensor")
    if data.ndim == 0 and like.dtype in FLOATS:
        data = data.astype(like.dtype)
    return _constant(data.copy(order="C"))


def _constant(data: Array) -> Tensor:
    result = Tensor.__new__(Tensor)
    result._set(data, None, False)
    return result


def _is_constant_scalar(t: Tensor) -> bool:
    return t.ndim == 0 and not t.requires_grad


def _pair(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Two operands as Tensors of one type: where only one is floating-point, its; else the wider."""
    if not isinstance(a, Tensor):
        a = as_tensor(a, b) if isinstance(b, Tensor) else Tensor(a)
    b = as_tensor(b, a)
    if a.dtype != b.dtype:
        if (a.dtype in FLOATS) == (b.dtype in FLOATS):
            dtype = np.promote_types(a.dtype, b.dtype)
        else:
            dtype = a.dtype if a.dtype in FLOATS else b.dtype
        a, b = a.astype(dtype), b.astype(dtype)
    return a, b


def elementwise(primitive: Primitive, a: Any, b: Any) -> Tensor:
    """Apply a primitive of two operands, repeated to their joint shape where they differ."""
    a, b = _pair(a, b)
    if a.shape != b.shape:
        shape = _common_shape(primitive.name, a, b)
        # A constant number needs no copy: NumPy repeats it, and no gradient asks for its shape.
        a = a if _is_constant_scalar(a) else a.broadcast_to(shape)
        b = b if _is_constant_scalar(b) else b.broadcast_to(shape)
    return apply(primitive, a, b)


def _common_shape(what: str, *operands: Tensor) -> tuple[int, ...]:
    shape = joint_shape(*[t.shape for t in operands])
    if shape is None:
        given = ", ".join(str(list(t.shape)) for t in operands)
        raise ValueError(f"{what}: shapes {given} do not go together: counted from the end, sizes must be equal or 1")
    return shape


def product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b as NumPy means it: vectors are a row on the left and a column on the right."""
    if not a.ndim or not b.ndim:
        raise ValueError(f"matmul: left {list(a.shape)}, right {list(b.shape)}: a number has no inner size; use *")
    a, b = _pair(a, b)
    left, right = (a if a.ndim > 1 else a.reshape(1, -1)), (b if b.ndim > 1 else b.reshape(-1, 1))
    if left.shape[-1] != right.shape[-2]:
        raise ValueError(
            f"matmul: left {list(a.shape)}, right {list(b.shape)}: inner sizes {left.shape[-1]} and {right.shape[-2]} "
            "differ; make the last axis of the left as long as the second-last of the right"
        )
    batch = joint_shape(left.shape[:-2], right.shape[:-2])
    if batch is None:
        raise ValueError(f"matmul: left {list(a.shape)}, right {list(b.shape)}: the leading axes do not go together")
    result = left.broadcast_to(batch + left.shape[-2:]).matmul(right.broadcast_to(batch + right.shape[-2:]))
    shape = batch + left.shape[-2:-1] * (a.ndim > 1) + right.shape[-1:] * (b.ndim > 1)
    return result.reshape(shape)
