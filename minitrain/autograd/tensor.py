"""Tensor and Parameter: values with operators, whose results remember how they were computed.

While gradients are recorded, a Tensor that is computed by a primitive keeps that primitive and its inputs. Gradients
are propagated back along these references (`graph.flow_back`). A node never refers to its results, so a graph that is
no longer used is freed at once, without the garbage collector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.graph import flow_back, no_grad, recording, topological_order
from minitrain.autograd.primitives import special, windows
from minitrain.autograd.primitives.movement import Key
from minitrain.autograd.primitives.table import Primitive
from minitrain.autograd.shapes import (
    axes_from_end,
    broadcast_shape,
    fitting_shape,
    joint_shape,
    product_shapes,
    row_numbers,
    slices_of,
)
from minitrain.autograd.value import FLOATS, TensorLike, Value, inspectable
from minitrain.typing import Array, Shape

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["FLOATS", "Parameter", "Tensor", "TensorLike", "apply", "as_tensor", "elementwise", "inspectable",
           "product", "to_tensor"]  # fmt: skip

Axis = int | Sequence[int] | None
Method = Callable[["Tensor", TensorLike], "Tensor"]


def _operator(primitive: Primitive) -> tuple[Method, Method]:
    """A primitive of two operands as a method, and as the reflected method."""
    return lambda self, other: elementwise(primitive, self, other), lambda self, other: elementwise(
        primitive, other, self
    )


def _function(primitive: Primitive) -> Callable[[Tensor], Tensor]:
    """A primitive of one operand as a method."""
    return lambda self: apply(primitive, self)


class Tensor(Value):
    """A value of any shape that remembers how it was computed.

    Args:
        value: A number (becomes float64), a sequence or an array of any shape. Arrays are copied; float32 and float64
            are kept.
        name: The name under which the value is printed; a result without a name prints as its expression.
        requires_grad: Whether gradients flow to the value; integers and booleans carry none.

    Attributes:
        grad: The gradient accumulated by `backward`, an array of the value's shape, or None.
        primitive: The primitive that computed the value; None for a leaf.
        inputs: The values that it was computed from.

    Raises:
        TypeError: The values are neither float32, float64, integers nor booleans, or cannot carry a gradient.

    >>> from minitrain import Parameter
    >>> a, b = Parameter(3.0, "a"), Parameter(2.0, "b")
    >>> loss = a * b + a
    >>> loss.backward()
    >>> print(loss)
    Parameter [a * b + a] = 9.0; dL/d[[a * b + a]] = 1.0
    >>> print(a)
    Parameter a = 3.0; dL/d[a] = 3.0
    """

    __slots__ = ()
    inputs: tuple[Tensor, ...]

    @property
    def data(self) -> Array:
        """The value as an array: of a leaf the array itself, which may be written to; of a result a read-only view.

        A leaf may be written to at any time (`p.data -= 0.3 * p.grad`). If a derivative then needs the overwritten
        value, `backward` raises RuntimeError.
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
    def data(self, value: TensorLike) -> None:
        if not self._writable:
            raise ValueError(
                f"{self.label()}: the value of a result cannot be replaced; write to a Parameter it was computed from"
            )
        new = value if isinstance(value, Tensor) else np.asarray(value)
        if new.shape != self.shape:
            raise ValueError(
                f"{self.label()}: a value of shape {list(new.shape)} was assigned, expected {list(self.shape)}"
            )
        self._data[...] = new._data if isinstance(new, Tensor) else new
        self.mark_changed()
        if recording.tracer is not None:
            recording.tracer.alias(self, new.astype(self.dtype) if isinstance(new, Tensor) else Tensor(self._data))

    # Gradients

    def backward(self, gradient: Array | Sequence[Any] | float | None = None) -> None:
        """Add the gradient of this value to `.grad` of every value that it was computed from.

        Args:
            gradient: The gradient of the loss with respect to this value, of its shape; 1 for a scalar.

        Raises:
            ValueError: The value is not a scalar and `gradient` is not passed, or it carries no gradient.
            RuntimeError: A value that a derivative needs was overwritten.
        """
        if not self.requires_grad:
            raise ValueError(
                "backward: this value carries no gradient: it depends on no Parameter, or was computed under "
                "no_grad(); compute it from Parameters, outside no_grad()"
            )
        if gradient is None and self.size != 1:
            raise ValueError(
                f"backward: a gradient can start from a scalar only, this value has shape {list(self.shape)}; "
                "reduce it (.sum(), .mean()) or pass gradient= of that shape"
            )
        seed = np.ones(self.shape, self.dtype) if gradient is None else np.asarray(gradient, self.dtype)
        if seed.shape != self.shape:
            raise ValueError(f"backward: gradient of shape {list(seed.shape)} given, expected {list(self.shape)}")
        with no_grad(), np.errstate(all="ignore"):  # 0 * inf is nan, without a warning
            for node, g in flow_back(topological_order(self), _constant(seed)):
                node.grad = g.numpy() if node.grad is None else np.asarray(node.grad + g._data)

    def detach(self) -> Tensor:
        """The same value without its graph: no gradient flows back from it."""
        with no_grad():
            return apply(P.identity, self)

    def zero_grad(self) -> None:
        """Discard the accumulated gradient."""
        self.grad = None

    # Operators: primitives of two operands, either of which may be a number or an array

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
    __hash__ = Value.__hash__  # a class that defines __eq__ has none otherwise

    def __pow__(self, other: TensorLike) -> Tensor:
        if isinstance(other, (int, float, np.number)):
            return apply(P.power, self, exponent=float(other))
        return self._pow(other)

    def __matmul__(self, other: TensorLike) -> Tensor:
        return product(self, as_tensor(other, self))

    def __rmatmul__(self, other: TensorLike) -> Tensor:
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

    def where(self, a: TensorLike, b: TensorLike) -> Tensor:
        """Elementwise `a` where this condition holds, else `b`; shapes are broadcast."""
        a, b = _pair(a, b)
        shape = broadcast_shape("where", self.shape, a.shape, b.shape)
        condition = self if self.dtype == bool else self != 0
        operands = [t if _is_constant_scalar(t) else t.broadcast_to(shape) for t in (a, b)]
        return apply(P.where, condition.broadcast_to(shape), *operands)

    def masks(self, x: Tensor) -> Tensor:
        """Elementwise `x` where this condition holds, else 0; both have one shape."""
        return apply(P.mask, self, x)

    def argmax(self, axis: int = -1) -> Tensor:
        """The index of the largest entry along an axis; the first of equal ones."""
        return apply(P.argmax, self, axis=axes_from_end("argmax", self.shape, axis)[0])

    # Reductions

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The sum over one axis, several axes, or all."""
        return self._reduce(P.sum_, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The mean over one axis, several axes, or all."""
        total = self.sum(axis, keepdims)
        return total / (self.size / max(total.size, 1))

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The largest entry along axes; tied entries share its gradient evenly."""
        return self._reduce(P.max_, axis, keepdims)

    def cumsum(self, axis: int, backward: bool = False) -> Tensor:
        """Cumulative sums along an axis, from its end if `backward`."""
        return apply(P.cumsum, self, axis=axes_from_end("cumsum", self.shape, axis)[0], backward=backward)

    def _reduce(self, reduction: Primitive, axis: Axis, keepdims: bool) -> Tensor:
        axes = axes_from_end(reduction.name, self.shape, axis)
        rows = self.reshape(1, -1) if self.ndim == 1 else self  # the primitive `sum` requires at least two axes
        result = (
            apply(reduction, rows, axes=tuple(range(-rows.ndim, 0)) if len(axes) == self.ndim else axes)
            if axes
            else self
        )
        if keepdims:
            result = result.reshape([1 if i - self.ndim in axes else n for i, n in enumerate(self.shape)])
        return result

    # Shapes

    def reshape(self, *shape: int | Iterable[int]) -> Tensor:
        """The same entries in another shape; one size may be -1."""
        sizes = fitting_shape(self.shape, _unpacked(shape))
        return self if sizes == self.shape else apply(P.reshape, self, shape=sizes)

    def transpose(self, *axes: int | Iterable[int]) -> Tensor:
        """The axes in the given order; reversed if no axes are given."""
        order = _unpacked(axes) if axes else tuple(range(self.ndim)[::-1])
        if sorted(a % max(self.ndim, 1) for a in order) != list(range(self.ndim)):
            raise ValueError(f"transpose: axes {list(order)} given, expected each of the {self.ndim} axes once")
        return apply(P.transpose, self, axes=tuple(a % self.ndim - self.ndim for a in order))

    @property
    def T(self) -> Tensor:  # noqa: N802  # NumPy's name
        """The tensor with its axes reversed."""
        return self.transpose()

    def broadcast_to(self, shape: Sequence[int]) -> Tensor:
        """The entries repeated along new leading axes and along axes of size 1: [n] -> [m, n]."""
        shape = tuple(shape)
        if shape == self.shape:
            return self
        if joint_shape(self.shape, shape) != shape:
            raise ValueError(
                f"broadcast_to: {list(self.shape)} cannot be broadcast to {list(shape)}; sizes must be equal or 1"
            )
        return apply(P.broadcast, self, shape=shape)

    def astype(self, dtype: DTypeLike) -> Tensor:
        """The value converted to another dtype; its gradient is converted back."""
        return self if self.dtype == dtype else apply(P.cast, self, dtype=np.dtype(dtype).name)

    # Indexing

    def __getitem__(self, key: Any) -> Tensor:
        """Index as NumPy does: integers, slices, None, ..., integer and boolean arrays.

        The gradient of an entry that is selected more than once is the sum over its uses.
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
        positions = np.arange(self.size).reshape(self.shape)[keys]
        return self.reshape(-1).take(positions)

    def slice(self, key: Key) -> Tensor:
        """self[key] for one slice per axis."""
        return apply(P.slice_, self, key=key)

    def narrow(self, axis: int, start: int, length: int) -> Tensor:
        """`length` entries along one axis, from `start` on."""
        key = [slice(None)] * self.ndim
        key[axis] = slice(start, start + length)
        return self.slice(tuple(key))

    def unslice(self, key: Key, shape: Shape) -> Tensor:
        """Zeros of a shape with this value at [key]."""
        return apply(P.unslice, self, key=key, shape=shape)

    def take(self, rows: Tensor | Array) -> Tensor:
        """Rows by number: [n, ...] and integers [*k] -> [*k, ...]."""
        return apply(P.take, self, rows if isinstance(rows, Tensor) else _constant(np.asarray(rows)))

    def scatter_add(self, rows: Tensor, size: int) -> Tensor:
        """Zeros of `size` rows, to which each row of this value is added at its number."""
        return apply(P.scatter_add, self, rows, size=size)

    # Windows and products

    def unfold(self, kernel: Shape, stride: Shape) -> Tensor:
        """All windows: [..., *sizes] -> [..., *kernel, *positions]."""
        return apply(windows.unfold, self, kernel=kernel, stride=stride)

    def fold(self, sizes: Shape, stride: Shape) -> Tensor:
        """Windows added up at their positions: the derivative of `unfold`."""
        return apply(windows.fold, self, sizes=sizes, stride=stride)

    def matmul(self, other: Tensor, transpose_self: bool = False, transpose_other: bool = False) -> Tensor:
        """The product [..., m, k] @ [..., k, n]; either factor may be transposed, without a copy."""
        return apply(P.matmul, self, other, transpose_a=transpose_self, transpose_b=transpose_other)


class Parameter(Tensor):
    """A trainable leaf: a Tensor that gradients flow to.

    Args:
        value: A number or floating-point array.
        name: The name under which it is printed.

    >>> Parameter(4, "x")
    Parameter x = 4.0; dL/d[x] = 0.0
    """

    __slots__ = ()

    def __init__(self, value: TensorLike, name: str | None = None) -> None:
        super().__init__(value, name, requires_grad=True)

    def _refuse(self, other: object) -> NoReturn:
        raise TypeError(
            f"{self.label()}: augmented assignment (+=, -= and others) would replace the Parameter by a result, which "
            "is not trained; change its value through .data (w.data -= lr * w.grad), or assign the result to another "
            "name (total = w + x)"
        )

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _refuse


def _unpacked(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Arguments that are given one by one, or as one sequence."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], Iterable) else sizes


# Application of primitives


def apply(primitive: Primitive, *inputs: Tensor, **options: Any) -> Tensor:
    """Compute the result of a primitive, and record the primitive where a gradient will flow.

    Args:
        primitive: An entry of the table of primitives.
        inputs: Its operands.
        options: Its keyword arguments.
    """
    data = primitive.forward(*[t._data for t in inputs], **options)
    if type(data) is not np.ndarray:
        data = np.asarray(data)  # NumPy returns a scalar for 0-d operands
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


def elementwise(primitive: Primitive, a: TensorLike, b: TensorLike) -> Tensor:
    """Apply a primitive of two operands, which are broadcast to one shape."""
    a, b = _pair(a, b)
    if a.shape != b.shape:
        shape = broadcast_shape(primitive.name, a.shape, b.shape)
        # A constant scalar is not broadcast: NumPy repeats it without a copy, and no gradient needs its shape.
        a = a if _is_constant_scalar(a) else a.broadcast_to(shape)
        b = b if _is_constant_scalar(b) else b.broadcast_to(shape)
    return apply(primitive, a, b)


def product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product a @ b as in NumPy: a 1-d operand is a row on the left and a column on the right.

    Raises:
        ValueError: An operand is a scalar, the inner sizes differ, or the leading axes cannot be broadcast.
    """
    a, b = _pair(a, b)
    left_shape, right_shape, shape = product_shapes(a.shape, b.shape)
    left, right = (a if a.ndim > 1 else a.reshape(1, -1)), (b if b.ndim > 1 else b.reshape(-1, 1))
    return left.broadcast_to(left_shape).matmul(right.broadcast_to(right_shape)).reshape(shape)


# Conversion of operands


def to_tensor(value: TensorLike) -> Tensor:
    """The value itself if it is a Tensor, else a new Tensor."""
    return value if isinstance(value, Tensor) else Tensor(value)


def as_tensor(value: TensorLike, like: Tensor) -> Tensor:
    """An operand as a Tensor; numbers and 0-d arrays take the dtype of `like`, so that they never promote it.

    Raises:
        TypeError: The operand is neither a number, an array of numbers nor a Tensor.
    """
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


def _pair(a: TensorLike, b: TensorLike) -> tuple[Tensor, Tensor]:
    """Two operands as Tensors of one dtype: if only one is floating-point, its dtype; else the wider of both."""
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
