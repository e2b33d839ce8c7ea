"""Elementwise functions: x: [...] -> [...]; several operands are broadcast to one shape."""

from __future__ import annotations

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.tensor import Tensor, TensorLike, elementwise, pair, to_float, to_tensor


def exp(x: TensorLike) -> Tensor:
    """The exponential e^x.

    >>> exp(0.0).item()
    1.0
    """
    return to_tensor(x).exp()


def expm1(x: TensorLike) -> Tensor:
    """e^x - 1, with a small relative error near 0 too.

    >>> expm1(1e-20).item()
    1e-20
    """
    return to_tensor(x).expm1()


def log(x: TensorLike) -> Tensor:
    """The natural logarithm: log 0 = -inf, log of a negative number is nan.

    >>> log(1.0).item()
    0.0
    """
    return to_tensor(x).log()


def log1p(x: TensorLike) -> Tensor:
    """log(1 + x), with a small relative error near 0 too: -inf at -1, nan below.

    >>> log1p(1e-20).item()
    1e-20
    """
    return to_tensor(x).log1p()


def sqrt(x: TensorLike) -> Tensor:
    """The square root; its derivative at 0 is inf.

    >>> sqrt(9.0).item()
    3.0
    """
    return to_tensor(x).sqrt()


def abs(x: TensorLike) -> Tensor:
    """The absolute value; its derivative at 0 is 0.

    >>> abs(-2.0).item()
    2.0
    """
    return to_tensor(x).abs()


def sign(x: TensorLike) -> Tensor:
    """-1, 0 or 1: carries no gradient.

    >>> sign([-2.0, 0.0, 5.0]).numpy()
    array([-1.,  0.,  1.])
    """
    return to_tensor(x).sign()


def sin(x: TensorLike) -> Tensor:
    """The sine of an angle in radians.

    >>> sin(0.0).item()
    0.0
    """
    return to_tensor(x).sin()


def cos(x: TensorLike) -> Tensor:
    """The cosine of an angle in radians.

    >>> cos(0.0).item()
    1.0
    """
    return to_tensor(x).cos()


def floor(x: TensorLike) -> Tensor:
    """The largest integer that is at most x; integers and booleans stay as they are. It carries no gradient.

    >>> floor([-1.5, 2.5]).numpy()
    array([-2.,  2.])
    """
    return to_tensor(x).floor()


def ceil(x: TensorLike) -> Tensor:
    """The smallest integer that is at least x; integers and booleans stay as they are. It carries no gradient.

    >>> ceil([-1.5, 2.5]).numpy()
    array([-1.,  3.])
    """
    return to_tensor(x).ceil()


def round(x: TensorLike, decimals: int = 0) -> Tensor:
    """The closest integer, the even one of two, or number of some decimals. It carries no gradient.

    Raises:
        TypeError: `decimals` is negative, and x has integers.

    >>> round([0.5, 1.5, 2.4]).numpy(), round(0.126, decimals=2).item()
    (array([0., 2., 2.]), 0.13)
    """
    return to_tensor(x).round(decimals)


def tanh(x: TensorLike) -> Tensor:
    """The hyperbolic tangent.

    >>> tanh(0.0).item()
    0.0
    """
    return to_tensor(x).tanh()


def erf(x: TensorLike) -> Tensor:
    """The error function 2/√π ∫₀ˣ exp(-t²) dt, within 5 units in the last place (Cody 1969).

    >>> erf(1.0).round(12).item()
    0.84270079295
    """
    return to_tensor(x).erf()


def maximum(a: TensorLike, b: TensorLike) -> Tensor:
    """The elementwise maximum of two operands, with broadcasting; equal values share the gradient evenly.

    >>> maximum([1.0, 5.0], 3.0).numpy()
    array([3., 5.])
    """
    return elementwise(P.maximum, a, b)


def minimum(a: TensorLike, b: TensorLike) -> Tensor:
    """The elementwise minimum of two operands, with broadcasting; equal values share the gradient evenly.

    >>> minimum([1.0, 5.0], 3.0).numpy()
    array([1., 3.])
    """
    a, b = pair(a, b)
    return a.minimum(b)


def clip(x: TensorLike, low: TensorLike | None = None, high: TensorLike | None = None) -> Tensor:
    """Limit x to two bounds, either of which may be None: x where low <= x <= high, else the bound.

    The derivative at a bound is 1, as in PyTorch; nan is propagated.

    Raises:
        ValueError: Both bounds are None.

    >>> clip([-2.0, 0.5, 3.0], 0.0, 1.0).numpy()
    array([0. , 0.5, 1. ])
    """
    return to_tensor(x).clip(low, high)


def where(condition: TensorLike, a: TensorLike, b: TensorLike) -> Tensor:
    """Elementwise `a` where the condition holds, else `b`, with broadcasting.

    The gradient of the branch that is not selected is 0 times its derivative, which is nan where that derivative is
    not finite: `where(x > 0, log(x), 0.0)` has gradient nan at 0. Replace the argument there first:

    >>> x = Tensor([0.0, 1.0], requires_grad=True)
    >>> safe = where(x > 0, x, 1.0)
    >>> where(x > 0, log(safe), 0.0).sum().backward()
    >>> x.grad
    array([0., 1.])
    """
    return to_tensor(condition).where(a, b)


def dropout(x: TensorLike, p: float, rng: np.random.Generator | int) -> Tensor:
    """Set each entry to 0 with probability `p`, and divide the others by 1 - p, so that the expected value is x.

    Args:
        x: [...].
        p: The probability; 0 drops nothing. Do not apply dropout when a network is evaluated.
        rng: A generator or a seed. Equal ones drop the same entries, in float32 and float64 alike.

    Raises:
        ValueError: `p` is outside 0 <= p < 1.

    References:
        Srivastava et al. 2014, section 10.

    >>> dropout(np.ones(6), 0.5, np.random.default_rng(0)).numpy()
    array([2., 0., 0., 0., 2., 2.])
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout: p={p} given, expected 0 <= p < 1: the probability of dropping an entry")
    x = to_float(x)
    generator = np.random.default_rng(rng) if isinstance(rng, (int, np.integer)) else rng
    retained = to_tensor(generator.random(x.shape)) >= p
    return retained._masks(x / (1 - p))
