"""Initializers of weights, which `network.init=` chooses from.

Each is a function of the shape of a weight, [out, in, *kernel_size], and a random generator. `in` and `out` below are
the fan-in and the fan-out: they include the size of the kernel.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf, prod, sqrt

import numpy as np

from minitrain.autograd.tensor import Parameter
from minitrain.registry import Registry, accepts, register
from minitrain.typing import Array

Shape = tuple[int, ...]
Initializer = Callable[[Shape, np.random.Generator], Array]
INITIALIZERS: Registry[Initializer] = Registry("init", accepts("shape", "rng"))


def initial(
    shape: Shape, bias: bool, rng: np.random.Generator | int, init: str = "pytorch", scale: float = 1.0
) -> tuple[Parameter, Parameter | None]:
    """The initial weight and bias of a layer.

    Args:
        shape: The shape of the weight, [out, in, *kernel_size].
        bias: Whether the layer has a bias [out]. Biases start at 0; with `init="pytorch"` they are uniform in ±1/√in.
        rng: A random generator, or a seed.
        init: The name of an initializer.
        scale: A factor on the initial weight.

    Raises:
        ValueError: The initializer is unknown.
        MemoryError: The weight is larger than the memory of the machine.

    >>> weight, bias = initial((3, 2), True, rng=0, init="he_normal")
    >>> weight.shape, bias.numpy()
    ((3, 2), array([0., 0., 0.]))
    """
    if init not in INITIALIZERS:
        raise ValueError(f"init={init}: expected one of {', '.join(sorted(INITIALIZERS))}")
    if 8 * prod(shape) > _memory():
        raise MemoryError(f"a weight {list(shape)} of {8 * prod(shape) / 2**30:,.0f} GiB")
    rng = np.random.default_rng(rng)
    weight = Parameter(INITIALIZERS[init](shape, rng) * scale, "weight")
    if not bias:
        return weight, None
    initial_bias = _symmetric(rng, shape[:1], 1 / sqrt(_fans(shape)[0])) if init == "pytorch" else np.zeros(shape[0])
    return weight, Parameter(initial_bias, "bias")


def _memory() -> float:
    """Bytes of physical memory: the system may grant more than that, and kill the process later."""
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in names else inf


def _fans(shape: Shape) -> tuple[int, int]:
    """Fan-in and fan-out: the number of inputs of an output, and of outputs of an input.

    >>> _fans((8, 3, 5, 5))
    (75, 200)
    """
    kernel_size = prod(shape[2:])
    return shape[1] * kernel_size, shape[0] * kernel_size


def _symmetric(rng: np.random.Generator, shape: Shape, bound: float) -> Array:
    return rng.uniform(-bound, bound, shape)


@register("init", "pytorch")
def pytorch(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform in ±1/√in, as PyTorch's linear and convolution layers (LeCun et al. 1998, Efficient BackProp, 4.6)."""
    return _symmetric(rng, shape, 1 / sqrt(_fans(shape)[0]))


@register("init", "uniform")
def uniform(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform in ±1; `init_scale` is then the bound."""
    return _symmetric(rng, shape, 1.0)


@register("init", "normal")
def normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal with standard deviation 1; `init_scale` is then the deviation."""
    return rng.normal(size=shape)


@register("init", "xavier_uniform")
def xavier_uniform(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform in ±√(6 / (in + out)) (Glorot and Bengio 2010, eq. 16), for tanh-like activations."""
    return _symmetric(rng, shape, sqrt(6 / sum(_fans(shape))))


@register("init", "xavier_normal")
def xavier_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal with variance 2 / (in + out) (Glorot and Bengio 2010, eq. 12)."""
    return rng.normal(scale=sqrt(2 / sum(_fans(shape))), size=shape)


@register("init", "he_uniform")
def he_uniform(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform in ±√(6 / in), of variance 2 / in (He et al. 2015, eq. 10), for ReLU-like activations."""
    return _symmetric(rng, shape, sqrt(6 / _fans(shape)[0]))


@register("init", "he_normal")
def he_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal with variance 2 / in (He et al. 2015, eq. 10)."""
    return rng.normal(scale=sqrt(2 / _fans(shape)[0]), size=shape)


@register("init", "lecun_normal")
def lecun_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal with variance 1 / in (LeCun et al. 1998, Efficient BackProp, eq. 16), also for SELU."""
    return rng.normal(scale=sqrt(1 / _fans(shape)[0]), size=shape)


@register("init", "orthogonal")
def orthogonal(shape: Shape, rng: np.random.Generator) -> Array:
    """A random matrix [out, in] with orthonormal rows or columns, whichever are fewer (Saxe et al. 2014, section 3).

    It is the Q of a QR decomposition of normal numbers with the signs of R's diagonal, which is uniformly distributed
    over all such matrices (Mezzadri 2007, section 5).

    >>> w = orthogonal((2, 5), np.random.default_rng(0))
    >>> bool(np.allclose(w @ w.T, np.eye(2)))
    True
    """
    rows, columns = shape[0], prod(shape[1:])
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diagonal(r))
    return np.ascontiguousarray(q if rows >= columns else q.T).reshape(shape)


@register("init", "zeros")
def zeros(shape: Shape, rng: np.random.Generator) -> Array:
    """Zeros: hidden units that start equal stay equal, so this is for linear networks and for demonstrations."""
    return np.zeros(shape)
