"""Elementwise activation functions: x: [...] -> [...]; they and their derivatives are finite for every finite x."""

from __future__ import annotations

from math import pi

from minitrain.autograd.functional.elementwise import clip, erf, expm1
from minitrain.autograd.tensor import Tensor, TensorLike, to_float, to_tensor


def identity(x: TensorLike) -> Tensor:
    """Return x unchanged: the activation of a linear network.

    >>> identity(2.0).item()
    2.0
    """
    return to_tensor(x)


def relu(x: TensorLike) -> Tensor:
    """max(0, x); its derivative at 0 is 0, and nan is propagated.

    >>> relu(-3.0).item()
    0.0
    """
    return to_tensor(x).relu()


def leaky_relu(x: TensorLike, slope: float = 0.01) -> Tensor:
    """Leaky ReLU: x where x > 0, else slope x; its derivative at 0 is the slope.

    References:
        Maas, Hannun, Ng 2013: Rectifier nonlinearities improve neural network acoustic models.

    >>> leaky_relu([-2.0, 3.0]).numpy()
    array([-0.02,  3.  ])
    """
    x = to_float(x)
    return (x > 0.0).where(x, x * slope)


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Exponential linear unit: x where x > 0, else alpha (e^x - 1).

    References:
        Clevert, Unterthiner, Hochreiter 2016, eq. 15.

    >>> elu([-1000.0, 3.0]).numpy()
    array([-1.,  3.])
    """
    x = to_float(x)
    positive = x > 0.0
    # e^x must not overflow in the branch that is not selected: its gradient would be 0 * inf.
    return positive.where(x, expm1(positive.where(0.0, x)) * alpha)


# The fixed point of mean 0 and variance 1 (Klambauer et al. 2017, eq. 14).
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def selu(x: TensorLike) -> Tensor:
    """Scaled ELU: scale elu(x, alpha), which preserves mean 0 and variance 1.

    References:
        Klambauer et al. 2017, eq. 2.

    >>> selu([-1000.0, 1.0]).numpy().round(4)
    array([-1.7581,  1.0507])
    """
    return elu(x, SELU_ALPHA) * SELU_SCALE


def sigmoid(x: TensorLike) -> Tensor:
    """The logistic function 1 / (1 + e^-x), with a small relative error for large negative x too.

    >>> sigmoid(0.0).item()
    0.5
    """
    return to_tensor(x).sigmoid()


def logsigmoid(x: TensorLike) -> Tensor:
    """The logarithm of the sigmoid, -softplus(-x), without overflow.

    >>> logsigmoid(-1000.0).item()
    -1000.0
    """
    return -softplus(-to_float(x))


def softplus(x: TensorLike) -> Tensor:
    """log(1 + e^x), a smooth ReLU. PyTorch returns x itself above 20; this function is exact.

    References:
        Dugas et al. 2001.

    >>> round(softplus(25.0).item(), 13)
    25.0000000000139
    """
    return to_tensor(x).softplus()


def silu(x: TensorLike) -> Tensor:
    """SiLU, also called swish: x sigmoid(x).

    References:
        Elfwing, Uchibe, Doya 2018, eq. 1.

    >>> silu(0.0).item()
    0.0
    """
    return to_tensor(x).silu()


def mish(x: TensorLike) -> Tensor:
    """Mish: x tanh(softplus(x)).

    References:
        Misra 2020, eq. 1.

    >>> round(mish(1.0).item(), 6)
    0.865098
    """
    x = to_float(x)
    return x * softplus(x).tanh()


def gelu(x: TensorLike, approximate: str = "none") -> Tensor:
    """GELU: x Φ(x), where Φ is the normal distribution function.

    Args:
        x: [...].
        approximate: "none" for Φ(x) = (1 + erf(x / √2)) / 2, the default of PyTorch; "tanh" for
            (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, the default of JAX.

    Raises:
        ValueError: Another value of `approximate`.

    References:
        Hendrycks, Gimpel 2016, section 2.

    >>> round(gelu(1.0).item(), 6), round(gelu(1.0, approximate="tanh").item(), 6)
    (0.841345, 0.841192)
    """
    x = to_float(x)
    if approximate == "none":
        return x * 0.5 * (1.0 + erf(x * 0.5**0.5))
    if approximate == "tanh":
        return x * 0.5 * (1.0 + ((2 / pi) ** 0.5 * (x + 0.044715 * (x * x * x))).tanh())
    raise ValueError(f"gelu: approximate={approximate!r} given, expected 'none' or 'tanh'")


def hardtanh(x: TensorLike, low: float = -1.0, high: float = 1.0) -> Tensor:
    """Limit x to two bounds; the derivative at a bound is 1, where PyTorch's is 0.

    Raises:
        ValueError: low is larger than high.

    References:
        Collobert 2004.

    >>> hardtanh([-3.0, 0.5]).numpy()
    array([-1. ,  0.5])
    """
    if low > high:
        raise ValueError(f"hardtanh: low={low}, high={high}: expected low to be at most high")
    return clip(x, low, high)


def hardswish(x: TensorLike) -> Tensor:
    """Hard swish: x clip(x + 3, 0, 6) / 6, a piecewise approximation of SiLU.

    The derivatives at -3 and 3 are those of the inner side, -1/2 and 3/2; PyTorch's are 0 and 1.

    References:
        Howard et al. 2019, section 5.2.

    >>> hardswish([-4.0, 3.0]).numpy()
    array([-0.,  3.])
    """
    x = to_float(x)
    return x * clip(x + 3.0, 0.0, 6.0) / 6.0
