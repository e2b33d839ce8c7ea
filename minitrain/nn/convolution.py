"""Layers over images [batch, channels, height, width] and sequences [batch, channels, length]."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from minitrain.autograd import functional as F
from minitrain.autograd.functional.convolution import Sizes
from minitrain.autograd.tensor import Tensor
from minitrain.nn.init import initial
from minitrain.nn.module import Module


class _Conv(Module):
    """A convolution with a weight [out, in, *kernel] and a bias [out]; how many axes are the subclass's to say."""

    axes: ClassVar[int]
    function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        bias: bool = True,
        *,
        rng: np.random.Generator | int,
        init: str = "pytorch",
        init_scale: float = 1.0,
    ) -> None:
        sizes = (kernel,) * self.axes if isinstance(kernel, int) else tuple(kernel)
        if min(in_channels, out_channels, *sizes) < 1 or len(sizes) != self.axes:
            raise ValueError(
                f"{type(self).__name__}: in_channels={in_channels}, out_channels={out_channels}, kernel={kernel}: "
                f"expected at least 1 each, and a kernel of one size or {self.axes}"
            )
        self.weight, self.bias = initial((out_channels, in_channels, *sizes), bias, rng, init, init_scale)
        self.stride = stride
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        return type(self).function(x, self.weight, self.bias, self.stride, self.padding)


class Conv1d(_Conv):
    """Weighted sums over windows of a sequence: x: [batch, in, length] -> [batch, out, positions].

    positions = (length + 2 padding - kernel) // stride + 1; weight [out, in, kernel] and bias [out] as PyTorch's.
    The arguments `bias`, `rng`, `init` and `init_scale` are `Linear`'s. Raises what `Linear` does, ValueError
    for a kernel of another number of sizes, too.

    >>> Conv1d(1, 4, kernel=3, rng=0)(Tensor(np.ones((2, 1, 8)))).shape
    (2, 4, 6)
    """

    axes = 1
    function = F.conv1d


class Conv2d(_Conv):
    """Weighted sums over square windows of an image (LeCun et al. 1989): x: [batch, in, H, W] -> [batch, out, H', W'].

    H' = (H + 2 padding - kernel) // stride + 1; weight [out, in, kernel, kernel] and bias [out] as PyTorch's.
    kernel, stride and padding may be (for H, for W).
    The arguments `bias`, `rng`, `init` and `init_scale` are `Linear`'s. Raises what `Linear` does, ValueError
    for a kernel of another number of sizes, too.

    >>> Conv2d(1, 4, kernel=3, padding=1, rng=0)(Tensor(np.ones((2, 1, 8, 8)))).shape
    (2, 4, 8, 8)
    """

    axes = 2
    function = F.conv2d


class _Pool(Module):
    """One number for each window of a channel; the function is the subclass's to say."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, kernel: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        self.kernel = kernel
        self.stride = stride
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        return type(self).function(x, self.kernel, self.stride, self.padding)


class MaxPool1d(_Pool):
    """The largest entry of each window: x: [batch, channels, length] -> [batch, channels, positions].

    stride: how far windows are apart; `kernel` where it is not given

    >>> MaxPool1d(2)(Tensor([[[1.0, 5.0, 2.0, 3.0]]])).numpy()
    array([[[5., 3.]]])
    """

    function = F.max_pool1d


class MaxPool2d(_Pool):
    """The largest entry of each square window: x: [batch, channels, H, W] -> [batch, channels, H', W'].

    stride: how far windows are apart; `kernel` where it is not given

    >>> MaxPool2d(2)(Tensor([[[[1.0, 5.0], [2.0, 3.0]]]])).item()
    5.0
    """

    function = F.max_pool2d


class AvgPool1d(_Pool):
    """The mean of each window: x: [batch, channels, length] -> [batch, channels, positions].

    stride: how far windows are apart; `kernel` where it is not given

    >>> AvgPool1d(2)(Tensor([[[1.0, 5.0, 2.0, 3.0]]])).numpy()
    array([[[3. , 2.5]]])
    """

    function = F.avg_pool1d


class AvgPool2d(_Pool):
    """The mean of each square window: x: [batch, channels, H, W] -> [batch, channels, H', W'].

    stride: how far windows are apart; `kernel` where it is not given

    >>> AvgPool2d(2)(Tensor([[[[1.0, 5.0], [2.0, 4.0]]]])).item()
    3.0
    """

    function = F.avg_pool2d
