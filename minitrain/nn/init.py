"""Initial weights: the table that `init=` chooses from.

Each is a function of a weight's shape [out, in, *kernel] and a generator. `in` and `out` below count all
connections: in times the kernel's size, out times the kernel's size.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf, prod, sqrt

import numpy as np

from minitrain.autograd.tensor import Parameter
from minitrain.registry import Registry, is_callable, register
from minitrain.typing import Array

Shape = tuple[int, ...]


Initializer = Callable[[Shape, np.random.Generator], Array]

INITIALIZERS: Registry[Initializer] = Registry("init", is_callable)


def initial(
    shape: Shape, bias: bool, rng: np.random.Generator | int, init: str = "pytorch", scale: float = 1.0
) -> tuple[Parameter, Parameter | None]:
    """A layer's initial weight [out, in, *kernel], times `scale`, and its bias [out], or None without `bias`.

    Biases are zero, but under `pytorch` uniform in ±1/√in as the weights are.
    Raises ValueError for an `init` that is not in the table, MemoryError for a weight that is larger than the memory.

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
    start = _symmetric(rng, shape[:1], 1 / sqrt(_fans(shape)[0])) if init == "pytorch" else np.zeros(shape[0])
    return weight, Parameter(start, "bias")


def _memory() -> float:
    """Bytes that this machine has: a system may promise more, and end the process later."""
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in names else inf


def _fans(shape: Shape) -> tuple[int, int]:
    """How many inputs an output has, and how many outputs an input has.

    >>> _fans((8, 3, 5, 5))
    (75, 200)
    """
    kernel = prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def _symmetric(rng: np.random.Generator, shape: Shape, bound: float) -> Array:
    return rng.uniform(-bound, bound, shape)


@register("init", "pytorch")
def pytorch(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform in ±1/√in, as PyTorch's linear and convolution layers (LeCun et al. 1998, Efficient BackProp, 4.6)."""
    return _symmetric(rng, shape, 1 / sqrt(_fans(shape)[0]))


@register("init", "uniform")
def uniform(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform in ±1: `init_scale` is the bound."""
    return _symmetric(rng, shape, 1.0)


@register("init", "normal")
def normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal with deviation 1: `init_scale` is the deviation."""
    return rng.normal(size=shape)


@register("init", "xavier_uniform")
def xavier_uniform(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform in ±√(6 / (in + out)) (Glorot and Bengio 2010, eq. 16): for tanh-like activations."""
    return _symmetric(rng, shape, sqrt(6 / sum(_fans(shape))))


@register("init", "xavier_normal")
def xavier_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal with variance 2 / (in + out) (Glorot and Bengio 2010, eq. 12)."""
    return rng.normal(scale=sqrt(2 / sum(_fans(shape))), size=shape)


@register("init", "he_uniform")
def he_uniform(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform in ±√(6 / in), of variance 2 / in (He et al. 2015, eq. 10): for ReLU and its kin."""
    return _symmetric(rng, shape, sqrt(6 / _fans(shape)[0]))


@register("init", "he_normal")
def he_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal with variance 2 / in (He et al. 2015, eq. 10)."""
    return rng.normal(scale=sqrt(2 / _fans(shape)[0]), size=shape)


@register("init", "lecun_normal")
def lecun_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal with variance 1 / in (LeCun et al. 1998, Efficient BackProp, eq. 16): for SELU, too."""
    return rng.normal(scale=sqrt(1 / _fans(shape)[0]), size=shape)


@register("init", "orthogonal")
def orthogonal(shape: Shape, rng: np.random.Generator) -> Array:
    """A random matrix [out, in] with orthonormal rows or columns, the fewer of them (Saxe et al. 2014, section 3).

    Q of a QR decomposition of normal numbers, its signs those of R's diagonal: uniform among all such matrices
    (Mezzadri 2007, section 5).

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
    """Zeros: hidden units that start equal stay equal, so for linear networks and for showing just that."""
    return np.zeros(shape)
