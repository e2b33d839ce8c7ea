"""Inverse trigonometric and hyperbolic functions, composed of arctan, log1p and sqrt: x: [...] -> [...].

They are accurate to a few units in the last place, near the ends of their domains too, nan outside, and their
derivatives are infinite where the mathematical ones are.
"""

from __future__ import annotations

from math import pi

from minitrain.autograd.tensor import Tensor, TensorLike, to_float, to_tensor

LARGE = 2.0**60  # of which the square is finite in float32, and 1 + the square has no digit more


def arctan(x: TensorLike) -> Tensor:
    """The angle from -π/2 to π/2 whose tangent is x.

    >>> round(arctan(1.0).item() * 4, 6)
    3.141593
    """
    return to_tensor(x).arctan()


def arcsin(x: TensorLike) -> Tensor:
    """The angle from -π/2 to π/2 whose sine is x, for x from -1 to 1.

    >>> round(arcsin(1.0).item() * 2, 6)
    3.141593
    """
    x = to_float(x)
    cosine = (1.0 - x).sqrt() * (1.0 + x).sqrt()  # the root of the product has the derivative nan at the ends
    return (x / (1.0 + cosine)).arctan() * 2.0  # the tangent of half the angle, which is finite at the ends


def arccos(x: TensorLike) -> Tensor:
    """The angle from 0 to π whose cosine is x, for x from -1 to 1.

    >>> arccos(1.0).item(), round(arccos(-1.0).item(), 6)
    (0.0, 3.141593)
    """
    x = to_float(x)
    negative = x < 0.0
    size = negative.where(-x, x)
    angle = ((1.0 - size).sqrt() / (1.0 + size).sqrt()).arctan() * 2.0
    return negative.where(pi - angle, angle)


def arcsinh(x: TensorLike) -> Tensor:
    """The number whose hyperbolic sine is x.

    >>> round(arcsinh(1.0).item(), 6)
    0.881374
    """
    x = to_float(x)
    negative = x < 0.0  # |x| has no derivative at 0
    size = negative.where(-x, x)
    finite = (size > LARGE).where(LARGE, size)
    ratio = finite / (1.0 + (finite * finite + 1.0).sqrt())
    # x + √(x² + 1) = 1 + x + x ratio = (1 + x) (1 + ratio x / (1 + x)), whose factors do not overflow
    result = size.log1p() + (ratio * (size / (1.0 + size))).log1p()
    return negative.where(-result, result)


def arccosh(x: TensorLike) -> Tensor:
    """The number of at least 0 whose hyperbolic cosine is x, for x of at least 1.

    >>> arccosh(1.0).item(), round(arccosh(2.0).item(), 6)
    (0.0, 1.316958)
    """
    half = (to_float(x) - 1.0) * 0.5
    # x + √(x² - 1) is the square of √half + √(1 + half)
    return (half.sqrt() + half / (1.0 + (1.0 + half).sqrt())).log1p() * 2.0


def arctanh(x: TensorLike) -> Tensor:
    """The number whose hyperbolic tangent is x, for x from -1 to 1, where it is infinite.

    >>> round(arctanh(0.5).item(), 6)
    0.549306
    """
    x = to_float(x)
    return (x.log1p() - (-x).log1p()) * 0.5
