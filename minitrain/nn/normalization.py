"""Layers that shift and scale their input to mean 0 and variance 1, over the batch or over the features."""

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
    """(x - mean) / √(var + eps) · weight + bias over the last axes (Ba, Kiros, Hinton 2016, eq. 4).

    shape: the sizes of the axes it goes over; weight and bias have them: x: [..., *shape] -> [..., *shape]
    Raises ValueError for an input that does not end in them.

    >>> LayerNorm(2)(Tensor([[1.0, 3.0]])).numpy().round(4)
    array([[-1.,  1.]])
    """

    def __init__(self, shape: int | Sequence[int], eps: float = 1e-5, bias: bool = True) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.eps = eps
        self.weight = Parameter(np.ones(self.shape), "weight")
        self.bias = Parameter(np.zeros(self.shape), "bias") if bias else None

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-len(self.shape) :] != self.shape:
            raise ValueError(f"LayerNorm: input {list(x.shape)}: expected its last sizes to be {list(self.shape)}")
        rows = x.reshape(*x.shape[: -len(self.shape)], prod(self.shape))
        bias = None if self.bias is None else self.bias.reshape(-1)
        return F.layer_norm(rows, self.weight.reshape(-1), bias, self.eps).reshape(x.shape)


class _BatchNorm(Module):
    """Normalisation over the batch, channel by channel (Ioffe and Szegedy 2015, algorithms 1 and 2).

    (x - mean) / √(var + eps) · weight + bias. In training, mean and (biased) variance are the batch's, and the running
    ones move by `momentum` towards them, the variance towards the unbiased one, as in PyTorch. In evaluation
    they are the running ones.
    Raises ValueError for another shape, and in training for one value per channel: it would be its own mean.
    """

    ranks: ClassVar[tuple[int, ...]]
    takes: ClassVar[str]

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
            raise ValueError(
                f"{type(self).__name__}: input {list(x.shape)}: expected {self.takes.format(features=features)}"
            )
        mean: Tensor = self.running_mean
        var: Tensor = self.running_var
        if self.training:
            axes = [axis for axis in range(x.ndim) if axis != 1]
            mean, var = x.mean(axes), F.var(x, axes, correction=0)
            self._move(mean, var, x.size // features)
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.eps)

    @no_grad()
    def _move(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Move the running statistics towards those of a batch of `count` values per channel."""
        if count < 2:
            raise ValueError(
                f"{type(self).__name__}: one value per channel in training: expected at least 2; "
                "give a larger batch, or call eval()"
            )
        unbiased = var * (count / (count - 1))
        for running, batch in ((self.running_mean, mean), (self.running_var, unbiased)):
            running.data = running * (1 - self.momentum) + batch * self.momentum


class BatchNorm1d(_BatchNorm):
    """Normalisation of each feature over the batch (Ioffe and Szegedy 2015, algorithms 1 and 2).

    x: [batch, features] or [batch, features, length] -> the same shape. In training by the batch's mean and biased
    variance, with running ones beside (the variance unbiased, as in PyTorch); in evaluation by the running ones.

    >>> layer = BatchNorm1d(1)
    >>> layer(Tensor([[1.0], [3.0]])).numpy().round(4).ravel(), layer.running_mean.numpy().round(4)
    (array([-1.,  1.]), array([0.2]))
    """

    ranks = (2, 3)
    takes = "[batch, {features}] or [batch, {features}, length]"


class BatchNorm2d(_BatchNorm):
    """Normalisation of each channel over the batch and the image (Ioffe and Szegedy 2015, section 3.2).

    x: [batch, channels, height, width] -> the same shape; statistics as `BatchNorm1d`'s.

    >>> BatchNorm2d(3)(Tensor(np.ones((2, 3, 4, 4)))).shape
    (2, 3, 4, 4)
    """

    ranks = (4,)
    takes = "[batch, {features}, height, width]"
