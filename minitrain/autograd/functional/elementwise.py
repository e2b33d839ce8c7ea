"""Functions of each entry: x: [...] -> [...]; of two operands, repeated to their joint shape."""

from __future__ import annotations

from typing import Any

from minitrain.autograd import primitives as P
from minitrain.autograd.tensor import Tensor, elementwise, to_tensor


def exp(x: Any) -> Tensor:
    """The exponential e^x.

    >>> exp(0.0).item()
    1.0
    """
    return to_tensor(x).exp()


def log(x: Any) -> Tensor:
    """The natural logarithm: log 0 = -inf, log of a negative number is nan.

    >>> log(1.0).item()
    0.0
    """
    return to_tensor(x).log()


def sqrt(x: Any) -> Tensor:
    """The square root; its derivative at 0 is inf.

    >>> sqrt(9.0).item()
    3.0
    """
    return to_tensor(x).sqrt()


def abs(x: Any) -> Tensor:
    """The absolute value; its derivative at 0 is 0.

    >>> abs(-2.0).item()
    2.0
    """
    return to_tensor(x).abs()


def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent.

    >>> tanh(0.0).item()
    0.0
    """
    return to_tensor(x).tanh()


def sigmoid(x: Any) -> Tensor:
    """The logistic function 1 / (1 + e^-x), right in relative terms for large negative x too.

    >>> sigmoid(0.0).item()
    0.5
    """
    return to_tensor(x).sigmoid()


def silu(x: Any) -> Tensor:
    """x sigmoid(x) (Elfwing, Uchibe, Doya 2018, eq. 1), also called swish.

    >>> silu(0.0).item()
    0.0
    """
    return to_tensor(x).silu()


def relu(x: Any) -> Tensor:
    """max(0, x); its derivative at 0 is 0 and nan passes through.

    >>> relu(-3.0).item()
    0.0
    """
    return to_tensor(x).relu()


def identity(x: Any) -> Tensor:
    """x itself: the activation of a linear network.

    >>> identity(2.0).item()
    2.0
    """
    return to_tensor(x)


def maximum(a: Any, b: Any) -> Tensor:
    """The larger of two, elementwise, repeated to their joint shape; equal values share the gradient evenly.

    >>> maximum([1.0, 5.0], 3.0).numpy()
    array([3., 5.])
    """
    return elementwise(P.maximum, to_tensor(a), b)


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """a where the condition holds, else b, repeated to their joint shape.

    The gradient of the branch not taken is 0 times its derivative, which is nan where that derivative is
    not finite: `where(x > 0, log(x), 0.0)` has gradient nan at 0. Make the argument safe first:

    >>> x = Tensor([0.0, 1.0], requires_grad=True)
    >>> safe = where(x > 0, x, 1.0)
    >>> where(x > 0, log(safe), 0.0).sum().backward()
    >>> x.grad
    array([0., 1.])
    """
    return to_tensor(condition).where(a, b)
