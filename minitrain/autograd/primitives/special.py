"""Special functions that cannot be composed accurately from other primitives.

log1p and expm1 would lose all digits near 0; softplus composed from |x| has no derivative at 0; sin, cos, arctan and
erf cannot be composed at all. The other inverse functions are composed of arctan, log1p and sqrt
(`functional.inverse`).
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from minitrain.autograd.primitives.selection import select
from minitrain.autograd.primitives.table import elementwise, quiet
from minitrain.typing import Array


@elementwise("log1p({0})", lambda g, out, x: g / (x + 1.0))
@quiet
def log1p(x: Array) -> Array:
    """log(1 + x)."""
    return np.log1p(x)


@elementwise("expm1({0})", lambda g, out, x: g * x.exp())
@quiet
def expm1(x: Array) -> Array:
    """exp(x) - 1."""
    return np.expm1(x)


@elementwise("sin({0})", lambda g, out, x: g * x.cos())
@quiet
def sin(x: Array) -> Array:
    """The sine of an angle in radians."""
    return np.sin(x)


@elementwise("cos({0})", lambda g, out, x: -(g * x.sin()))
@quiet
def cos(x: Array) -> Array:
    """The cosine of an angle in radians."""
    return np.cos(x)


@elementwise("arctan({0})", lambda g, out, x: g / (x * x + 1.0))
@quiet
def arctan(x: Array) -> Array:
    """The angle in radians, from -π/2 to π/2, whose tangent is x."""
    return np.arctan(x)


@elementwise("softplus({0})", lambda g, out, x: g * x.sigmoid())
@quiet
def softplus(x: Array) -> Array:
    """log(1 + exp(x))."""
    return np.logaddexp(x, 0.0)


# Coefficients of W. J. Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23 (1969),
# highest power first: erf(x) / x as a function of x² up to 0.46875, and exp(x²) erfc(x) as a function of x above.
NEAR = 0.46875
NEAR_NUMERATOR = (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2,
              3.20937758913846947e3)  # fmt: skip
NEAR_DENOMINATOR = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
FAR_NUMERATOR = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
             2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
             1.23033935479799725e3)  # fmt: skip
FAR_DENOMINATOR = (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
             3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3)  # fmt: skip
ONE_FROM = 6.0  # 1 - erf(6) is 2e-17: less than half a unit in the last place of 1


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Horner's rule, highest power first."""
    result = coefficients[0] * x
    for c in coefficients[1:-1]:
        result = (result + c) * x
    return result + coefficients[-1]


@elementwise("erf({0})", lambda g, out, x: g * ((-(x * x)).exp() * (2 / sqrt(pi))))
@quiet
def erf(x: Array) -> Array:
    """2/√π ∫₀ˣ exp(-t²) dt, within 5 units in the last place; NumPy has no error function."""
    small = np.minimum(np.maximum(x, -NEAR), NEAR)
    square = small * small
    near = small * (_polynomial(NEAR_NUMERATOR, square) / _polynomial(NEAR_DENOMINATOR, square))
    size = np.minimum(np.absolute(x), ONE_FROM)
    far = 1.0 - np.exp(-size * size) * (_polynomial(FAR_NUMERATOR, size) / _polynomial(FAR_DENOMINATOR, size))
    return select(size <= NEAR, near, np.copysign(far, x))
