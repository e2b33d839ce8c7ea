"""Normalization layers: inputs are shifted and scaled to mean 0 and variance 1, over the batch or the features."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np

from minitrain.autograd import functional as F
from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Parameter, Tensor
from minitrain.nn.module import Buffer, Module


class LayerNorm(Module):
    """Layer normalization: x: [..., *shape] -> [..., *shape].

    (x - mean) / √(var + eps) · weight + bias over the last axes (Ba, Kiros and Hinton 2016, eq. 4).

    Args:
        shape: The sizes of the normalized axes, which the weight and the bias have, too.
        eps: Added to the variance.
        bias: Whether there is a bias.

    Raises:
        ValueError: When called, the last sizes of the input differ from `shape`.

    >>> LayerNorm(2)(Tensor([[1.0, 3.0]])).numpy().round(4)
    array([[-1.,  1.]])
    """

    def __init__(self, shape: int | Sequence[int], eps: float = 1e-5, bias: bool = True) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.eps = eps
        self.weight = Parameter(np.ones(self.shape), "weight")
        self.bias = Parameter(np.zeros(self.shape), "bias") if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output."""
        if x.shape[-len(self.shape) :] != self.shape:
            raise ValueError(f"LayerNorm: input {list(x.shape)}: expected its last sizes to be {list(self.shape)}")
        rows = x.reshape(*x.shape[: -len(self.shape)], prod(self.shape))
        bias = None if self.bias is None else self.bias.reshape(-1)
        return F.layer_norm(rows, self.weight.reshape(-1), bias, self.eps).reshape(x.shape)


class _BatchNorm(Module):
    """Batch normalization, channel by channel (Ioffe and Szegedy 2015, algorithms 1 and 2).

    (x - mean) / √(var + eps) · weight + bias. In training mode, the mean and the biased variance are those of the
    batch, and the running statistics are updated by `momentum`, the running variance with the unbiased estimate, as in
    PyTorch. In evaluation mode, the running statistics are used.

    Raises:
        ValueError: When called, the shape does not fit; in training mode, there is only one value per channel.
    """

    ranks: ClassVar[tuple[int, ...]]
    expected_shape: ClassVar[str]

    def __init__(self, features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        if features < 1:
            raise ValueError(f"{type(self).__name__}: features={features}: expected at least 1")
        self.eps = eps
        self.momentum = momentum
        self.weight = Parameter(np.ones(features), "weight")
        self.bias = Parameter(np.zeros(features), "bias")
        self.running_mean = Buffer(np.zeros(features), "running_mean")
        self.running_var = Buffer(np.ones(features), "running_var")

    def forward(self, x: Tensor) -> Tensor:
        features = self.weight.shape[0]
        if x.ndim not in self.ranks or x.shape[1] != features:
            expected = self.expected_shape.format(features=features)
            raise ValueError(f"{type(self).__name__}: input {list(x.shape)}: expected {expected}")
        mean: Tensor = self.running_mean
        var: Tensor = self.running_var
        if self.training:
            axes = [axis for axis in range(x.ndim) if axis != 1]
            mean, var = x.mean(axes), F.var(x, axes, correction=0)
            self._update_running(mean, var, x.size // features)
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.eps)

    @no_grad()
    def _update_running(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Update the running statistics with those of a batch of `count` values per channel."""
        if count < 2:
            raise ValueError(
                f"{type(self).__name__}: one value per channel in training: expected at least 2; "
                "give a larger batch, or call eval()"
            )
        unbiased = var * (count / (count - 1))
        for running, batch in ((self.running_mean, mean), (self.running_var, unbiased)):
            running.data = running * (1 - self.momentum) + batch * self.momentum


class BatchNorm1d(_BatchNorm):
    """Batch normalization of features: x: [batch, features] or [batch, features, length] -> the same shape.

    In training mode it uses the mean and the biased variance of the batch and updates the running statistics (the
    variance unbiased, as in PyTorch); in evaluation mode it uses the running statistics (Ioffe and Szegedy 2015,
    algorithms 1 and 2).

    >>> layer = BatchNorm1d(1)
    >>> layer(Tensor([[1.0], [3.0]])).numpy().round(4).ravel(), layer.running_mean.numpy().round(4)
    (array([-1.,  1.]), array([0.2]))
    """

    ranks = (2, 3)
    expected_shape = "[batch, {features}] or [batch, {features}, length]"


class BatchNorm2d(_BatchNorm):
    """Batch normalization of the channels of images: x: [batch, channels, height, width] -> the same shape.

    The statistics are over the batch and the image (Ioffe and Szegedy 2015, section 3.2), and are used and updated as
    in `BatchNorm1d`.

    >>> BatchNorm2d(3)(Tensor(np.ones((2, 3, 4, 4)))).shape
    (2, 3, 4, 4)
    """

    ranks = (4,)
    expected_shape = "[batch, {features}, height, width]"
