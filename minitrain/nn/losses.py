"""Losses that `loss=` chooses from: (output [batch, outputs], target) -> a scalar.

The target is [batch] integer classes, [batch, outputs] numbers, or None.
"""

from __future__ import annotations

import numpy as np

from minitrain.autograd import functional as F
from minitrain.autograd.primitives import Array
from minitrain.autograd.tensor import Tensor
from minitrain.config import ConfigError, register


@register("loss", "cross_entropy")
def cross_entropy(output: Tensor, target: Array | None) -> Tensor:
    """Mean negative log-likelihood of the target class.

    >>> cross_entropy(Tensor([[1000.0, 0.0]]), np.array([1])).item()
    1000.0
    """
    target = _needed("cross_entropy", target)
    if target.dtype.kind == "f":
        raise ConfigError("loss=cross_entropy: needs classes, and the data has numbers as targets; set loss=mse")
    return F.cross_entropy(output, target)


@register("loss", "mse")
def mse(output: Tensor, target: Array | None) -> Tensor:
    """Mean squared error; a class counts as a vector with 1 at its place and 0 elsewhere.

    >>> mse(Tensor([[0.0, 1.0]]), np.array([1])).item()
    0.0
    """
    target = _needed("mse", target)
    if target.dtype.kind in "iu":
        target = (target[:, None] == np.arange(output.shape[-1])).astype(output.dtype)
    return F.mse_loss(output, target)


@register("loss", "output")
def output(output: Tensor, target: Array | None) -> Tensor:
    """The mean of the output itself, for a network that ends in its own loss; the target is not used.

    >>> output(Tensor([[9.0]]), None).item()
    9.0
    """
    return output.mean()


def _needed(name: str, target: Array | None) -> Array:
    if target is None:
        raise ConfigError(f"loss={name}: compares with a target, and the data has none; set loss=output")
    return target
