"""Functions that shift and scale to mean 0 and variance 1."""

from __future__ import annotations

from typing import Any

from minitrain.autograd.tensor import Tensor, to_tensor


def layer_norm(x: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """(x - mean) / √(variance + eps) · weight + bias, over the last axis (Ba, Kiros, Hinton 2016, eq. 3).

    The variance is the mean square, without correction. x: [..., n], weight, bias: [n] -> [..., n]
    Raises ValueError where weight or bias has another shape.

    >>> layer_norm([[1.0, 3.0], [5.0, 5.0]], eps=0.001).numpy().round(3)
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    x = to_tensor(x)
    _check("layer_norm", x, -1, weight=weight, bias=bias)
    centred = x - x.mean(-1, keepdims=True)
    result = centred / ((centred * centred).mean(-1, keepdims=True) + eps).sqrt()
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


def batch_norm(
    x: Any, mean: Any, variance: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / √(variance + eps) · weight + bias, for each channel (Ioffe, Szegedy 2015, algorithm 1).

    mean, variance: those of the batch in training, through which the gradient flows where they were computed
        from x; running ones in evaluation
    x: [batch, channels, ...], the others: [channels] -> [batch, channels, ...]
    Raises ValueError where one of the others has another shape.

    >>> batch_norm([[1.0, 8.0], [3.0, 4.0]], mean=[2.0, 6.0], variance=[1.0, 4.0], eps=0.0).numpy()
    array([[-1.,  1.],
           [ 1., -1.]])
    """
    x, mean, variance = to_tensor(x), to_tensor(mean), to_tensor(variance)
    _check("batch_norm", x, 1, mean=mean, variance=variance, weight=weight, bias=bias)

    def along_channels(t: Tensor) -> Tensor:
        return t.reshape(*t.shape, *(1,) * (x.ndim - 2))

    result = (x - along_channels(mean)) / along_channels((variance + eps).sqrt())
    result = result if weight is None else result * along_channels(weight)
    return result if bias is None else result + along_channels(bias)


def _check(what: str, x: Tensor, axis: int, **vectors: Tensor | None) -> None:
    """One number per place along the axis."""
    for name, t in vectors.items():
        if t is not None and t.shape != x.shape[axis:][:1]:
            raise ValueError(
                f"{what}: input {list(x.shape)}, {name} {list(t.shape)}: expected {name} of shape "
                f"{list(x.shape[axis:][:1])}, the size of axis {axis}"
            )
