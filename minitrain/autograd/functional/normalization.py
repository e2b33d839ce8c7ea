"""Normalization: shift and scale to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence

from minitrain.autograd.tensor import Tensor, TensorLike, of_one_dtype


def layer_norm(
    x: TensorLike, weight: TensorLike | None = None, bias: TensorLike | None = None, eps: float = 1e-5
) -> Tensor:
    """Layer normalization over the last axis: (x - mean) / √(variance + eps) · weight + bias.

    The variance is the mean square, without correction.

    Args:
        x: [..., n].
        weight: [n], or None for 1.
        bias: [n], or None for 0.
        eps: Added to the variance.

    Returns:
        [..., n].

    Raises:
        ValueError: Weight or bias has another shape.

    References:
        Ba, Kiros, Hinton 2016, eq. 3.

    >>> layer_norm([[1.0, 3.0], [5.0, 5.0]], eps=0.001).numpy().round(3)
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    (x,), (weight, bias) = _of_one_dtype([x], [weight, bias])
    _check("layer_norm", x, -1, weight=weight, bias=bias)
    centered = x - x.mean(-1, keepdims=True)
    result = centered / ((centered * centered).mean(-1, keepdims=True) + eps).sqrt()
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


def batch_norm(
    x: TensorLike,
    mean: TensorLike,
    variance: TensorLike,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalization of each channel: (x - mean) / √(variance + eps) · weight + bias.

    Args:
        x: [batch, channels, ...].
        mean: [channels]; of the batch in training, the running mean in evaluation. Gradients flow through statistics
            that were computed from x.
        variance: [channels]; likewise.
        weight: [channels], or None for 1.
        bias: [channels], or None for 0.
        eps: Added to the variance.

    Returns:
        [batch, channels, ...].

    Raises:
        ValueError: A vector has another shape.

    References:
        Ioffe, Szegedy 2015, algorithm 1.

    >>> batch_norm([[1.0, 8.0], [3.0, 4.0]], mean=[2.0, 6.0], variance=[1.0, 4.0], eps=0.0).numpy()
    array([[-1.,  1.],
           [ 1., -1.]])
    """
    (x, mean, variance), (weight, bias) = _of_one_dtype([x, mean, variance], [weight, bias])
    _check("batch_norm", x, 1, mean=mean, variance=variance, weight=weight, bias=bias)

    def along_channels(t: Tensor) -> Tensor:
        return t.reshape(*t.shape, *(1,) * (x.ndim - 2))

    result = (x - along_channels(mean)) / along_channels((variance + eps).sqrt())
    result = result if weight is None else result * along_channels(weight)
    return result if bias is None else result + along_channels(bias)


def _of_one_dtype(
    operands: Sequence[TensorLike], optional: Sequence[TensorLike | None]
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Operands, and optional ones, as floating-point Tensors of one dtype; None stays."""
    present = [v for v in optional if v is not None]
    tensors = [t._as_float() for t in of_one_dtype([*operands, *present])]
    rest = iter(tensors[len(operands) :])
    return tensors[: len(operands)], [None if v is None else next(rest) for v in optional]


def _check(what: str, x: Tensor, axis: int, **vectors: Tensor | None) -> None:
    """Check that every vector has one entry per index of the axis."""
    for name, t in vectors.items():
        if t is not None and t.shape != x.shape[axis:][:1]:
            raise ValueError(
                f"{what}: input {list(x.shape)}, {name} {list(t.shape)}: expected {name} of shape "
                f"{list(x.shape[axis:][:1])}, the size of axis {axis}"
            )
