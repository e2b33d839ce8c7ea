"""Transformations of a flat gradient [n] before the optimizer's update: the L2 penalty, then clipping."""

from __future__ import annotations

from minitrain.autograd.functional.arrays import pad
from minitrain.autograd.tensor import Tensor


def l2_penalty(params: Tensor, l2: float, count: int) -> Tensor:
    """The L2 penalty, l2 sum(p²) over the first `count` parameters: [n] -> [].

    >>> l2_penalty(Tensor([1.0, 2.0, 3.0]), 0.1, count=2).item()
    0.5
    """
    penalized = params.narrow(-1, 0, count)
    return (penalized * penalized).sum() * l2


def l2_gradient(params: Tensor, l2: float, count: int) -> Tensor:
    """The gradient of `l2_penalty`, 2 l2 p for the first `count` parameters and 0 for the others: [n] -> [n].

    >>> l2_gradient(Tensor([1.0, 2.0, 3.0]), 0.25, count=2).numpy()
    array([0.5, 1. , 0. ])
    """
    penalized = params.narrow(-1, 0, count)
    return pad(penalized * l2 * 2.0, (0, params.size - count))


def clip_by_global_norm(grads: Tensor, limit: float) -> Tensor:
    """Clip a gradient by its global norm, as PyTorch's clip_grad_norm_: [...] -> [...].

    g min(1, limit / (|g| + 1e-6)), where |g| is the root of the sum of all squares. To clip several gradients by their
    common norm, concatenate them first.

    Args:
        grads: The gradient.
        limit: The largest norm that is left unchanged.

    References:
        Pascanu, Mikolov, Bengio 2013, "On the difficulty of training recurrent neural networks", algorithm 1.

    >>> clip_by_global_norm(Tensor([3.0, 4.0]), 1.0).numpy().round(6)
    array([0.6, 0.8])
    >>> clip_by_global_norm(Tensor([3.0, 4.0]), 10.0).numpy()
    array([3., 4.])
    """
    scale = limit / ((grads * grads).sum().sqrt() + 1e-6)
    return grads * (scale > 1.0).where(1.0, scale)
