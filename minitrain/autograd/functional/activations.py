"""Activations, functions of each entry: x: [...] -> [...], finite for every finite x, and so are their derivatives."""

from __future__ import annotations

from math import pi
from typing import Any

from minitrain.autograd.functional.elementwise import clip, erf, expm1
from minitrain.autograd.primitives import special
from minitrain.autograd.tensor import Tensor, apply, to_tensor


def identity(x: Any) -> Tensor:
    """X itself: the activation of a linear network.

    >>> identity(2.0).item()
    2.0
    """
    return to_tensor(x)


def relu(x: Any) -> Tensor:
    """max(0, x); its derivative at 0 is 0 and nan passes through.

    >>> relu(-3.0).item()
    0.0
    """
    return to_tensor(x).relu()


def leaky_relu(x: Any, slope: float = 0.01) -> Tensor:
    """X where x > 0, else slope x (Maas, Hannun, Ng 2013); its derivative at 0 is the slope.

    >>> leaky_relu([-2.0, 3.0]).numpy()
    array([-0.02,  3.  ])
    """
    x = to_tensor(x)
    return (x > 0.0).where(x, x * slope)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """X where x > 0, else alpha (e^x - 1) (Clevert, Unterthiner, Hochreiter 2016, eq. 15).

    >>> elu([-1000.0, 3.0]).numpy()
    array([-1.,  3.])
    """
    x = to_tensor(x)
    positive = x > 0.0
    # e^x must not overflow in the branch not taken: its gradient would be 0 * inf.
    return positive.where(x, expm1(positive.where(0.0, x)) * alpha)


# The fixed point of mean 0 and variance 1 (Klambauer et al. 2017, eq. 14).
SELU_ALPHA = 1.6732632423543772848170429916717


SELU_SCALE = 1.0507009873554804934193349852946


def selu(x: Any) -> Tensor:
    """Scale elu(x, alpha), which keeps mean 0 and variance 1 (Klambauer et al. 2017, eq. 2).

    >>> selu([-1000.0, 1.0]).numpy().round(4)
    array([-1.7581,  1.0507])
    """
    return elu(x, SELU_ALPHA) * SELU_SCALE


def sigmoid(x: Any) -> Tensor:
    """The logistic function 1 / (1 + e^-x), right in relative terms for large negative x too.

    >>> sigmoid(0.0).item()
    0.5
    """
    return to_tensor(x).sigmoid()


def logsigmoid(x: Any) -> Tensor:
    """Log sigmoid(x) = -softplus(-x), without overflow.

    >>> logsigmoid(-1000.0).item()
    -1000.0
    """
    return -softplus(-to_tensor(x))


def softplus(x: Any) -> Tensor:
    """log(1 + e^x), a smooth relu (Dugas et al. 2001); PyTorch gives x itself above 20, ours never does.

    >>> round(softplus(25.0).item(), 13)
    25.0000000000139
    """
    return apply(special.softplus, to_tensor(x))


def silu(x: Any) -> Tensor:
    """X sigmoid(x) (Elfwing, Uchibe, Doya 2018, eq. 1), also called swish.

    >>> silu(0.0).item()
    0.0
    """
    return to_tensor(x).silu()


def mish(x: Any) -> Tensor:
    """X tanh(softplus(x)) (Misra 2020, eq. 1).

    >>> round(mish(1.0).item(), 6)
    0.865098
    """
    x = to_tensor(x)
    return x * softplus(x).tanh()


def gelu(x: Any, approximate: str = "none") -> Tensor:
    """X Φ(x), Φ the normal distribution function (Hendrycks, Gimpel 2016, section 2).

    approximate: "none" for Φ(x) = (1 + erf(x / √2)) / 2, as PyTorch's default (JAX's is the other); "tanh" for
        (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2
    Raises ValueError for another `approximate`.

    >>> round(gelu(1.0).item(), 6), round(gelu(1.0, approximate="tanh").item(), 6)
    (0.841345, 0.841192)
    """
    x = to_tensor(x)
    if approximate == "none":
        return x * 0.5 * (1.0 + erf(x * 0.5**0.5))
    if approximate == "tanh":
        return x * 0.5 * (1.0 + ((2 / pi) ** 0.5 * (x + 0.044715 * (x * x * x))).tanh())
    raise ValueError(f"gelu: approximate={approximate!r} given, expected 'none' or 'tanh'")


def hardtanh(x: Any, low: float = -1.0, high: float = 1.0) -> Tensor:
    """X held between two bounds (Collobert 2004); the derivative at a bound is 1, PyTorch's is 0.

    >>> hardtanh([-3.0, 0.5]).numpy()
    array([-1. ,  0.5])
    """
    return clip(x, low, high)


def hardswish(x: Any) -> Tensor:
    """X clip(x + 3, 0, 6) / 6 (Howard et al. 2019, section 5.2), silu in straight pieces.

    >>> hardswish([-4.0, 3.0]).numpy()
    array([-0.,  3.])
    """
    x = to_tensor(x)
    return x * clip(x + 3.0, 0.0, 6.0) / 6.0
