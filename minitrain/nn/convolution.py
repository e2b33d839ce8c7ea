"""Convolution and pooling of images [batch, channels, height, width] and sequences [batch, channels, length]."""

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
    """A convolution with a weight [out, in, *kernel_size] and a bias [out], over a number of axes."""

    axes: ClassVar[int]
    function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        bias: bool = True,
        dilation: Sizes = 1,
        groups: int = 1,
        *,
        rng: np.random.Generator | int,
        init: str = "pytorch",
        init_scale: float = 1.0,
    ) -> None:
        sizes = (kernel_size,) * self.axes if isinstance(kernel_size, int) else tuple(kernel_size)
        if min(in_channels, out_channels, *sizes) < 1 or len(sizes) != self.axes:
            raise ValueError(
                f"{type(self).__name__}: in_channels={in_channels}, out_channels={out_channels}, "
                f"kernel_size={kernel_size}: expected at least 1 each, and a kernel_size of one number or {self.axes}"
            )
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{type(self).__name__}: in_channels={in_channels}, out_channels={out_channels}, groups={groups}: "
                "expected a number of groups that divides both"
            )
        self.weight, self.bias = initial((out_channels, in_channels // groups, *sizes), bias, rng, init, init_scale)
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return type(self).function(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """A convolution over a sequence: x: [batch, in, length] -> [batch, out, positions].

    positions = (length + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1; the weight [out, in / groups,
    kernel_size] and the bias [out] are laid out as in PyTorch. `bias`, `rng`, `init` and `init_scale` are those of
    `Linear`.

    Raises:
        ValueError: A size is below 1, `kernel_size` has the wrong number of sizes, `groups` does not divide the
            channels, or `init` is unknown.

    >>> Conv1d(1, 4, kernel_size=3, rng=0)(Tensor(np.ones((2, 1, 8)))).shape
    (2, 4, 6)
    """

    axes = 1
    function = F.conv1d


class Conv2d(_Conv):
    """A convolution over an image: x: [batch, in, H, W] -> [batch, out, H', W'].

    H' = (H + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1; the weight [out, in / groups, kernel_size,
    kernel_size] and the bias [out] are laid out as in PyTorch. `kernel_size`, `stride`, `padding` and `dilation` may be
    pairs (for H, for W). `bias`, `rng`, `init` and `init_scale` are those of `Linear`.

    Raises:
        ValueError: A size is below 1, `kernel_size` has the wrong number of sizes, `groups` does not divide the
            channels, or `init` is unknown.

    >>> Conv2d(1, 4, kernel_size=3, padding=1, rng=0)(Tensor(np.ones((2, 1, 8, 8)))).shape
    (2, 4, 8, 8)
    """

    axes = 2
    function = F.conv2d


class _Pool(Module):
    """A reduction of each window of a channel.

    Args:
        kernel_size: The size of a window.
        stride: The distance between windows; `kernel_size` by default.
        padding: Entries added on each side, which do not count.
    """

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        return type(self).function(x, self.kernel_size, self.stride, self.padding)


class MaxPool1d(_Pool):
    """The maximum of each window: x: [batch, channels, length] -> [batch, channels, positions].

    >>> MaxPool1d(2)(Tensor([[[1.0, 5.0, 2.0, 3.0]]])).numpy()
    array([[[5., 3.]]])
    """

    function = F.max_pool1d


class MaxPool2d(_Pool):
    """The maximum of each window: x: [batch, channels, H, W] -> [batch, channels, H', W'].

    >>> MaxPool2d(2)(Tensor([[[[1.0, 5.0], [2.0, 3.0]]]])).item()
    5.0
    """

    function = F.max_pool2d


class AvgPool1d(_Pool):
    """The mean of each window: x: [batch, channels, length] -> [batch, channels, positions].

    >>> AvgPool1d(2)(Tensor([[[1.0, 5.0, 2.0, 3.0]]])).numpy()
    array([[[3. , 2.5]]])
    """

    function = F.avg_pool1d


class AvgPool2d(_Pool):
    """The mean of each window: x: [batch, channels, H, W] -> [batch, channels, H', W'].

    >>> AvgPool2d(2)(Tensor([[[[1.0, 5.0], [2.0, 4.0]]]])).item()
    3.0
    """

    function = F.avg_pool2d
