"""Networks that are written as a list of layers: `sequential`, and `cnn`."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any

from minitrain.components.layers import LayerContext, build_layers, format_entry
from minitrain.components.networks import ActivationLayer, LayerNetworkConfig
from minitrain.errors import ConfigError
from minitrain.nn.module import Module
from minitrain.options import option
from minitrain.registry import register


@register("network", "sequential")
@dataclass(frozen=True)
class SequentialConfig(LayerNetworkConfig):
    """Layers one after another, written as a list.

    >>> from minitrain.nn import ReLU
    >>> net = SequentialConfig([{"linear": 8}, "activation", "linear"]).build(2, 3, ReLU, seed=0)
    >>> [p.shape for p in net.parameters()]
    [(8, 2), (8,), (3, 8), (3,)]
    """

    layers: list[Any] = option(
        [{"linear": 64}, "activation", {"dropout": 0.1}, "linear"], "layers, from input to output"
    )

    def assemble(self, inputs: int, outputs: int, activation: ActivationLayer, seed: int) -> Module:
        """Create the network with its initial weights."""
        init = {"init": self.init, "init_scale": self.init_scale}
        model, shape = build_layers(
            self.layers, LayerContext("network.layers", (inputs,), outputs, activation, seed, init)
        )
        if shape != (outputs,):
            raise ConfigError(
                f"network.layers={format_entry(self.layers)}: the result for an example has shape {list(shape)}; "
                f"the data needs [{outputs}]; end the list with flatten, linear"
            )
        return model

    def describe(self, inputs: int, outputs: int, activation: str) -> str:
        """Describe the network on one line."""
        return f"sequential of {len(self.layers)} layers, {activation}"


@register("network", "cnn")
@dataclass(frozen=True)
class CNNConfig(LayerNetworkConfig):
    """A convolutional network for images; data that do not state the size of an image have square gray ones.

    (convolution, activation, max pooling) for each entry of `channels`, then a linear layer (LeCun et al. 1998, section
    II, in outline). Convolutions keep the size of an image if `kernel_size` is odd.

    >>> from minitrain.nn import ReLU
    >>> net = CNNConfig(channels=[4]).build(64, 10, ReLU, seed=0)
    >>> [p.shape for p in net.parameters()]
    [(4, 1, 3, 3), (4,), (10, 64), (10,)]
    """

    channels: list[int] = option([16, 32], "channels of each convolution", at_least=1)
    kernel_size: int = option(3, "height and width of the windows of the convolutions", at_least=1)
    pool: int = option(2, "height and width of the pooling windows", at_least=1)

    def assemble(self, inputs: int, outputs: int, activation: ActivationLayer, seed: int) -> Module:
        """Create the network with its initial weights."""
        shape = self._image_shape(inputs)
        side, of_images = min(shape[1:]), "the side of the images" if shape[1] == shape[2] else "the shorter side"
        if self.kernel_size > side:
            raise ConfigError(f"network.kernel_size={self.kernel_size}: expected at most {side}, {of_images}")
        if self.pool ** len(self.channels) > side:
            raise ConfigError(
                f"network.pool={self.pool}, network.channels={self.channels}: images of side {side} are too small to "
                f"be pooled {len(self.channels)} times; take fewer channels, or a smaller pool"
            )
        layers: list[Any] = [{"reshape": list(shape)}]
        for channels in self.channels:
            conv = {"channels": channels, "kernel_size": self.kernel_size, "padding": self.kernel_size // 2}
            layers += [{"conv": conv}, "activation", {"max_pool": self.pool}]
        shared = {name: getattr(self, name) for name in ("init", "init_scale")}
        return SequentialConfig([*layers, "flatten", "linear"], **shared).assemble(inputs, outputs, activation, seed)

    def _image_shape(self, inputs: int) -> tuple[int, int, int]:
        """Channels, height and width of an example."""
        if self.image is not None:
            return self.image
        side = isqrt(inputs)
        if side * side != inputs:
            raise ConfigError(
                f"network=cnn: takes images; the data does not state their size, and its {inputs} inputs are not a "
                "square; set data=digits, or for images in npz and npy files data.axes=hw"
            )
        return 1, side, side

    def describe(self, inputs: int, outputs: int, activation: str) -> str:
        """Describe the network on one line."""
        size = inputs if self.image is None else "x".join(map(str, self.image))
        return f"cnn {'-'.join(map(str, [size, *self.channels, outputs]))}, {activation}"
