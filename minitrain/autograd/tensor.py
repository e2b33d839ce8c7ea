"""Tensor and Parameter: values with operators, whose results remember how they were computed.

While gradients are recorded, a Tensor that is computed by a primitive keeps that primitive and its inputs. Gradients
are propagated back along these references (`graph.flow_back`). A node never refers to its results, so a graph that is
no longer used is freed at once, without the garbage collector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.graph import flow_back, no_grad, recording, topological_order
from minitrain.autograd.primitives import special
from minitrain.autograd.primitives.table import Primitive
from minitrain.autograd.rearranging import Rearranging
from minitrain.autograd.shapes import broadcast_shape, product_shapes
from minitrain.autograd.value import FLOATS, TensorLike, Value, carries_gradient, inspectable, supported
from minitrain.typing import Array, DType, Shape

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["FLOATS", "Parameter", "Tensor", "TensorLike", "apply", "as_tensor", "elementwise", "inspectable",
           "of_one_dtype", "pair", "product", "to_float", "to_tensor"]  # fmt: skip

Method = Callable[["Tensor", TensorLike], "Tensor"]


def _operator(primitive: Primitive) -> tuple[Method, Method]:
    """A primitive of two operands as a method, and as the reflected method."""
    return lambda self, other: elementwise(primitive, self, other), lambda self, other: elementwise(
        primitive, other, self
    )


def _comparison(primitive: Primitive) -> Method:
    """A comparison as a method; integers may be compared with numbers that their type does not have."""
    return lambda self, other: elementwise(
        primitive, self, other if type(other) is not int else _comparable(self, other)
    )


def _number_function(primitive: Primitive) -> Callable[[Tensor], Tensor]:
    """A primitive of one operand as a method, which takes no booleans."""
    return lambda self: apply(primitive, self if self._data.dtype.kind == "f" else _numbers(primitive.name, self))


def _function(primitive: Primitive) -> Callable[[Tensor], Tensor]:
    """A primitive of one operand as a method."""
    return lambda self: apply(primitive, self)


def _float_function(primitive: Primitive) -> Callable[[Tensor], Tensor]:
    """A primitive of one operand as a method, which converts integers and booleans to float64."""
    return lambda self: apply(primitive, self if self._data.dtype.kind == "f" else self._as_float())


class Tensor(Rearranging["Tensor"]):
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
        return self._writable_array()

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
            return apply(P.cast, self, dtype=self.dtype.name) if self.dtype == bool else apply(P.identity, self)

    def zero_grad(self) -> None:
        """Discard the accumulated gradient."""
        self.grad = None

    # Operators: primitives of two operands, either of which may be a number or an array

    __add__, __radd__ = _operator(P.add)
    __sub__, __rsub__ = _operator(P.subtract)
    __mul__, __rmul__ = _operator(P.multiply)
    __truediv__, __rtruediv__ = _operator(P.divide)
    __gt__ = _comparison(P.greater)
    __ge__ = _comparison(P.greater_equal)
    __lt__ = _comparison(P.less)
    __le__ = _comparison(P.less_equal)
    __eq__ = _comparison(P.equal)  # type: ignore[assignment]  # elementwise, as in NumPy
    __ne__ = _comparison(P.not_equal)  # type: ignore[assignment]  # elementwise, as in NumPy
    __hash__ = Value.__hash__  # a class that defines __eq__ has none otherwise
    __neg__ = _number_function(P.negative)
    maximum, _ = _operator(P.maximum)

    def __matmul__(self, other: TensorLike) -> Tensor:
        return product(self, as_tensor(other, self))

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return product(as_tensor(other, self), self)

    # What the inherited methods need

    def _apply(self, primitive: Primitive, *others: Tensor, **options: Any) -> Tensor:
        return apply(primitive, self, *others, **options)

    def _combine(self, primitive: Primitive, other: TensorLike) -> Tensor:
        return elementwise(primitive, self, other)

    def _operand(self, other: TensorLike) -> Tensor:
        return as_tensor(other, self)

    def _pair(self, other: TensorLike) -> tuple[Tensor, Tensor]:
        return pair(self, other)

    def _constant(self, data: Array) -> Tensor:
        return _constant(data)

    # Functions: primitives of one operand

    exp = _float_function(P.exp)
    expm1 = _float_function(special.expm1)
    log = _float_function(P.log)
    log1p = _float_function(special.log1p)
    sqrt = _float_function(P.sqrt)
    sin = _float_function(special.sin)
    cos = _float_function(special.cos)
    arctan = _float_function(special.arctan)
    erf = _float_function(special.erf)
    tanh = _float_function(P.tanh)
    sigmoid = _float_function(P.sigmoid)
    silu = SiLU = _float_function(P.silu)  # the second names are the notebook's
    softplus = _float_function(special.softplus)
    sign = _number_function(P.sign)
    relu = ReLU = _number_function(P.relu)
    abs = __abs__ = _function(P.abs_)
    isfinite = _function(P.isfinite)

    def where(self, a: TensorLike, b: TensorLike) -> Tensor:
        """Elementwise `a` where this condition holds, else `b`; shapes are broadcast."""
        a, b = pair(a, b)
        shape = broadcast_shape("where", self.shape, a.shape, b.shape)
        condition = self if self.dtype == bool else self != 0
        operands = [t if _is_constant_scalar(t) else t._repeat(shape) for t in (a, b)]
        return apply(P.where, condition._repeat(shape), *operands)

    def _masks(self, x: Tensor) -> Tensor:
        """Elementwise `x` where this condition holds, else 0; both have one shape."""
        return apply(P.mask, self, x)

    # Types

    def astype(self, dtype: DTypeLike) -> Tensor:
        """The value converted to another dtype; its gradient is converted back. Integers and booleans carry none."""
        if self.dtype == dtype:
            return self
        return apply(P.cast, self, dtype=supported(np.empty(0, dtype)).dtype.name)

    def _as_float(self) -> Tensor:
        """The value itself if it is floating-point, else converted to float64."""
        return self if self._data.dtype.kind == "f" else self.astype(np.float64)

    # Windows and products

    def matmul(self, other: TensorLike, transpose_self: bool = False, transpose_other: bool = False) -> Tensor:
        """The product [..., m, k] @ [..., k, n]; either factor may be transposed, without a copy.

        Raises:
            ValueError: The shapes do not match.
        """
        return product(self, as_tensor(other, self), transpose_self, transpose_other)

    def _matmul(self, other: Tensor, transpose_self: bool = False, transpose_other: bool = False) -> Tensor:
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

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ifloordiv__ = __imod__ = __ipow__ = __imatmul__ = _refuse
    __iand__ = __ior__ = __ixor__ = _refuse


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
    if recording.on and primitive.derivatives and any([t.requires_grad for t in inputs]) and data.dtype.kind == "f":
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
    a, b = pair(a, b)
    if a.shape != b.shape:
        shape = broadcast_shape(primitive.name, a.shape, b.shape)
        # A constant scalar is not broadcast: NumPy repeats it without a copy, and no gradient needs its shape.
        a = a if _is_constant_scalar(a) else a._repeat(shape)
        b = b if _is_constant_scalar(b) else b._repeat(shape)
    return apply(primitive, a, b)


def product(a: Tensor, b: Tensor, transpose_a: bool = False, transpose_b: bool = False) -> Tensor:
    """The matrix product a @ b as in NumPy: a 1-d operand is a row on the left and a column on the right.

    Args:
        a: [..., m, k] or [k].
        b: [..., k, n] or [k].
        transpose_a: Whether a has its last two axes exchanged, and at least two axes.
        transpose_b: Likewise.

    Raises:
        ValueError: An operand is a scalar, the inner sizes differ, or the leading axes cannot be broadcast.
    """
    a, b = pair(a, b)
    if (transpose_a and a.ndim < 2) or (transpose_b and b.ndim < 2):
        raise ValueError(
            f"matmul: left {list(a.shape)}, right {list(b.shape)}: a factor without two axes is transposed"
        )
    left_shape, right_shape, shape = product_shapes(_exchanged(a.shape, transpose_a), _exchanged(b.shape, transpose_b))
    left, right = (a if a.ndim > 1 else a.reshape(1, -1)), (b if b.ndim > 1 else b.reshape(-1, 1))
    left = left._repeat(_exchanged(left_shape, transpose_a))
    right = right._repeat(_exchanged(right_shape, transpose_b))
    return left._matmul(right, transpose_a, transpose_b).reshape(shape)


def _exchanged(shape: Shape, transposed: bool) -> Shape:
    return (*shape[:-2], shape[-1], shape[-2]) if transposed else shape


# Conversion of operands


def to_tensor(value: TensorLike) -> Tensor:
    """The value itself if it is a Tensor, else a new Tensor; gradients flow to the Tensors in a list."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (list, tuple)) and carries_gradient(value):
        rows = of_one_dtype(value)
        if len({row.shape for row in rows}) > 1:
            shapes = ", ".join(str(list(row.shape)) for row in rows)
            raise ValueError(f"a list of Tensors of shapes {shapes}: expected equal shapes")
        first, *others = [row.reshape(1, *row.shape) for row in rows]
        return first._join(*others, axis=-first.ndim)
    return Tensor(value)


def to_float(value: TensorLike) -> Tensor:
    """The value as a floating-point Tensor; integers and booleans are converted to float64."""
    return to_tensor(value)._as_float()


def as_tensor(value: TensorLike, like: Tensor) -> Tensor:
    """An operand as a Tensor; numbers and 0-d arrays take the dtype of `like`, so that they never promote it.

    Raises:
        TypeError: The operand is neither a number, an array of numbers nor a Tensor.
        OverflowError: A Python integer is beside integers that do not reach it.
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (list, tuple)) and carries_gradient(value):
        return to_tensor(value)
    data = np.asarray(value)
    if data.dtype.kind not in "fiub":
        missing = "; to ask for a missing value, write `t is None`" if value is None else ""
        raise TypeError(f"{value!r} beside a Tensor: expected a real number, an array of them or a Tensor{missing}")
    if data.ndim == 0 and like.dtype in FLOATS:
        data = data.astype(like.dtype)
    elif type(value) is int and like.dtype.kind in "iu":
        data = np.asarray(value, like.dtype)
    return _constant(supported(data).copy(order="C"))


def of_one_dtype(values: Sequence[TensorLike]) -> list[Tensor]:
    """Several operands as Tensors of one dtype; numbers take that of the others.

    Raises:
        ValueError: There are none.
    """
    others = [v if isinstance(v, Tensor) else to_tensor(v) for v in values if not _is_number(v)]
    if not others:
        return [to_tensor(v) for v in values]
    like = _cast(others, _common_dtype([t.dtype for t in others]))
    rest = iter(like)
    tensors = [as_tensor(v, like[0]) if _is_number(v) else next(rest) for v in values]
    return _cast(tensors, _common_dtype([t.dtype for t in tensors]))


def _constant(data: Array) -> Tensor:
    result = Tensor.__new__(Tensor)
    result._set(data, None, False)
    return result


def _is_constant_scalar(t: Tensor) -> bool:
    return t.ndim == 0 and not t.requires_grad


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number))


def pair(a: TensorLike, b: TensorLike) -> tuple[Tensor, Tensor]:
    """Two operands as Tensors of one dtype: if only one is floating-point, its dtype; else the wider of both."""
    if not isinstance(a, Tensor):
        if not isinstance(b, Tensor) and (_is_number(b) or not _is_number(a)):
            a = to_tensor(a)
        else:
            b = to_tensor(b)
            a = as_tensor(a, b)
    b = as_tensor(b, a)
    if a.dtype != b.dtype:
        a, b = _cast((a, b), _common_dtype((a.dtype, b.dtype)))
    return a, b


def _common_dtype(dtypes: Sequence[DType]) -> DType:
    """The widest of the floating-point dtypes; if there is none, the dtype that all can be converted to."""
    return np.result_type(*([dtype for dtype in dtypes if dtype in FLOATS] or dtypes))


def _cast(tensors: Sequence[Tensor], dtype: DType) -> list[Tensor]:
    return [t.astype(dtype) for t in tensors]


def _comparable(t: Tensor, other: int) -> float:
    """A number to compare with a Tensor: an integer beyond the type of the Tensor's integers becomes infinite."""
    if t.dtype.kind in "iu":
        limits = np.iinfo(t.dtype)
        return inf if other > limits.max else -inf if other < limits.min else other
    return other


def _numbers(what: str, t: Tensor) -> Tensor:
    """The value itself, if it has numbers.

    Raises:
        TypeError: It has booleans.
    """
    if t.dtype == bool:
        raise TypeError(
            f"{what}: booleans given, expected numbers; convert them with .astype('int64'), or negate them with ~"
        )
    return t
