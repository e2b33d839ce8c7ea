"""Functions of each entry: x: [...] -> [...]; of two operands, repeated to their joint shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.primitives import special
from minitrain.autograd.tensor import Tensor, apply, elementwise, to_tensor


def exp(x: Any) -> Tensor:
    """The exponential e^x.

    >>> exp(0.0).item()
    1.0
    """
    return to_tensor(x).exp()


def expm1(x: Any) -> Tensor:
    """e^x - 1, right in relative terms near 0 too.

    >>> expm1(1e-20).item()
    1e-20
    """
    return apply(special.expm1, to_tensor(x))


def log(x: Any) -> Tensor:
    """The natural logarithm: log 0 = -inf, log of a negative number is nan.

    >>> log(1.0).item()
    0.0
    """
    return to_tensor(x).log()


def log1p(x: Any) -> Tensor:
    """log(1 + x), right in relative terms near 0 too: -inf at -1, nan below.

    >>> log1p(1e-20).item()
    1e-20
    """
    return apply(special.log1p, to_tensor(x))


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


def sign(x: Any) -> Tensor:
    """-1, 0 or 1: carries no gradient.

    >>> sign([-2.0, 0.0, 5.0]).numpy()
    array([-1.,  0.,  1.])
    """
    return to_tensor(x).sign()


def sin(x: Any) -> Tensor:
    """The sine of an angle in radians.

    >>> sin(0.0).item()
    0.0
    """
    return to_tensor(x).sin()


def cos(x: Any) -> Tensor:
    """The cosine of an angle in radians.

    >>> cos(0.0).item()
    1.0
    """
    return to_tensor(x).cos()


def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent.

    >>> tanh(0.0).item()
    0.0
    """
    return to_tensor(x).tanh()


def erf(x: Any) -> Tensor:
    """The error function 2/√π ∫₀ˣ exp(-t²) dt, within 5 units in the last place (Cody 1969).

    >>> round(erf(1.0).item(), 12)
    0.84270079295
    """
    return apply(special.erf, to_tensor(x))


def maximum(a: Any, b: Any) -> Tensor:
    """The larger of two, elementwise, repeated to their joint shape; equal values share the gradient evenly.

    >>> maximum([1.0, 5.0], 3.0).numpy()
    array([3., 5.])
    """
    return elementwise(P.maximum, a, b)


def minimum(a: Any, b: Any) -> Tensor:
    """The smaller of two, elementwise, repeated to their joint shape; equal values share the gradient evenly.

    >>> minimum([1.0, 5.0], 3.0).numpy()
    array([1., 3.])
    """
    a, b = (-each if isinstance(each, Tensor) else np.negative(each) for each in (a, b))
    return -maximum(a, b)


def clip(x: Any, low: Any = None, high: Any = None) -> Tensor:
    """X held between two bounds, either of which may be None: x where low <= x <= high, else the bound.

    The derivative at a bound is 1, as PyTorch's; nan passes through.
    Raises ValueError where no bound is given.

    >>> clip([-2.0, 0.5, 3.0], 0.0, 1.0).numpy()
    array([0. , 0.5, 1. ])
    """
    if low is None and high is None:
        raise ValueError("clip: no bound given; give low, high or both")
    result = to_tensor(x)
    if low is not None:
        result = (result < low).where(low, result)
    if high is not None:
        result = (result > high).where(high, result)
    return result


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """A where the condition holds, else b, repeated to their joint shape.

    The gradient of the branch not taken is 0 times its derivative, which is nan where that derivative is
    not finite: `where(x > 0, log(x), 0.0)` has gradient nan at 0. Make the argument safe first:

    >>> x = Tensor([0.0, 1.0], requires_grad=True)
    >>> safe = where(x > 0, x, 1.0)
    >>> where(x > 0, log(safe), 0.0).sum().backward()
    >>> x.grad
    array([0., 1.])
    """
    return to_tensor(condition).where(a, b)


def dropout(x: Any, rate: float, rng: np.random.Generator | int) -> Tensor:
    """Each entry made 0 with probability `rate`, the others divided by 1 - rate (Srivastava et al. 2014, section 10).

    The expected value is x. The generator, or a seed, decides which: equal ones drop the same entries, in float32
    and float64 alike. Rate 0 drops nothing; when a network is evaluated, leave dropout out.
    Raises ValueError for a rate outside 0 <= rate < 1.

    >>> dropout(np.ones(6), 0.5, np.random.default_rng(0)).numpy()
    array([2., 0., 0., 0., 2., 2.])
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: rate={rate} given, expected 0 <= rate < 1: the share of entries to drop")
    x = to_tensor(x)
    generator = np.random.default_rng(rng) if isinstance(rng, int) else rng
    kept = to_tensor(generator.random(x.shape)) >= rate
    return kept.masks(x / (1 - rate))
