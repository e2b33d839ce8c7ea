"""Networks written as a list of layers: the entries that such a list has, `sequential`, and `cnn`.

An entry is a component of the group `layer`: its name (`flatten`), its name with its first option (`{linear: 32}`),
or with several (`{conv: {channels: 8, padding: 1}}`). The sizes that go in are inferred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any, Protocol

import numpy as np

from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Tensor
from minitrain.components.networks import ActivationLayer, Network
from minitrain.errors import ConfigError
from minitrain.nn import convolution as C
from minitrain.nn.activation import ACTIVATIONS, activation_layer
from minitrain.nn.layers import Dropout, Flatten, Linear, Reshape, Residual
from minitrain.nn.layers import Sequential as SequentialModule
from minitrain.nn.module import Module
from minitrain.nn.normalization import BatchNorm1d, BatchNorm2d, LayerNorm
from minitrain.options import REQUIRED, option, options, validate_options
from minitrain.registry import Registry, implements, register
from minitrain.rng import generator


@dataclass(frozen=True)
class Place:
    """Where a layer stands: the key of its entry, the shape of one example that goes in; the rest is common to all."""

    key: str
    shape: tuple[int, ...]
    outputs: int
    activation: ActivationLayer
    seed: int
    init: dict[str, Any]

    @property
    def rng(self) -> np.random.Generator:
        return generator(self.seed, f"init {self.key}")

    def axes(self, what: str, names: Mapping[int, str]) -> int:
        """How many axes an example has. Raises ValueError where it is none of those that the layer takes."""
        if len(self.shape) not in names:
            expected = " or ".join(f"[{names[n]}]" for n in names)
            raise ValueError(
                f"{what} of an example of shape {list(self.shape)}: expected {expected}; put flatten or reshape first"
            )
        return len(self.shape)


class LayerConfig(Protocol):
    """What a component of the group `layer` has."""

    def build(self, place: Place) -> Module: ...


LAYERS: Registry[type[LayerConfig]] = Registry("layer", implements(LayerConfig))


def sequence(entries: Sequence[Any], place: Place) -> tuple[SequentialModule, tuple[int, ...]]:
    """The layers of a list of entries, and the shape of one example that comes out.

    Raises ConfigError that names the entry.
    """
    layers, shape = [], place.shape
    for i, entry in enumerate(entries):
        here = replace(place, key=f"{place.key}[{i}]", shape=shape)
        layer = _read(entry, here.key)
        try:
            module = layer() if callable(layer) else layer.build(here)
            with no_grad():
                shape = module.eval()(Tensor(np.zeros((1, *shape)))).shape[1:]
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"{here.key}={_show(entry)}: {error}") from error
        layers.append(module)
    return SequentialModule(*layers), shape


def _read(entry: Any, key: str) -> LayerConfig | ActivationLayer:
    """The component that an entry names, or what makes a layer of the activation."""
    name, given = next(iter(entry.items())) if isinstance(entry, Mapping) and len(entry) == 1 else (entry, {})
    if isinstance(name, str) and name in ACTIVATIONS and given == {}:
        return activation_layer(name)
    if not isinstance(name, str) or name not in LAYERS:
        names = ", ".join(sorted(LAYERS))
        raise ConfigError(
            f"{key}={_show(entry)}: expected a name, or {{name: options}}, of {names}; or relu, tanh, ..."
        )
    cls = LAYERS[name]
    if not isinstance(given, Mapping):
        first = next(iter(options(cls)), None)
        if first is None:
            raise ConfigError(f"{key}={_show(entry)}: {name} has no options; write {name} alone")
        given = {first: given}
    return cls(**validate_options(cls, given, f"{key}.{name}."))


def _show(entry: Any) -> str:
    """An entry as one writes it in YAML."""
    if isinstance(entry, Mapping):
        return "{" + ", ".join(f"{key}: {_show(value)}" for key, value in entry.items()) + "}"
    return f"[{', '.join(map(_show, entry))}]" if isinstance(entry, list) else str(entry)


# The entries


@register("layer", "linear")
@dataclass(frozen=True)
class LinearEntry:
    """A linear layer."""

    units: int | None = option(None, "units; null, or nothing, for the data's outputs", at_least=1)
    bias: bool = option(True, "whether it has a bias")

    def build(self, place: Place) -> Module:
        place.axes("linear", {1: "features"})
        return Linear(place.shape[0], self.units or place.outputs, self.bias, rng=place.rng, **place.init)


@register("layer", "conv")
@dataclass(frozen=True)
class ConvEntry:
    """A convolution, over as many axes as the example has beside its channels."""

    channels: int = option(REQUIRED, "channels that come out", at_least=1)
    kernel: int = option(3, "size of the window", at_least=1)
    stride: int = option(1, "how far windows are apart", at_least=1)
    padding: int = option(0, "zeros around the input", at_least=0)
    bias: bool = option(True, "whether it has a bias")

    def build(self, place: Place) -> Module:
        axes = place.axes("conv", {2: "channels, length", 3: "channels, height, width"})
        cls = C.Conv1d if axes == 2 else C.Conv2d
        sizes = (place.shape[0], self.channels, self.kernel, self.stride, self.padding, self.bias)
        return cls(*sizes, rng=place.rng, **place.init)


@dataclass(frozen=True)
class _PoolEntry:
    kernel: int = option(2, "size of the window", at_least=1)
    stride: int | None = option(None, "how far windows are apart; null: their size", at_least=1)

    def pick(self, place: Place, over_length: type[Module], over_image: type[Module]) -> Module:
        axes = place.axes("pooling", {2: "channels, length", 3: "channels, height, width"})
        cls: Any = over_length if axes == 2 else over_image
        return cls(self.kernel, self.stride)


@register("layer", "max_pool")
@dataclass(frozen=True)
class MaxPoolEntry(_PoolEntry):
    """The largest entry of each window."""

    def build(self, place: Place) -> Module:
        return self.pick(place, C.MaxPool1d, C.MaxPool2d)


@register("layer", "avg_pool")
@dataclass(frozen=True)
class AvgPoolEntry(_PoolEntry):
    """The mean of each window."""

    def build(self, place: Place) -> Module:
        return self.pick(place, C.AvgPool1d, C.AvgPool2d)


@register("layer", "batch_norm")
@dataclass(frozen=True)
class BatchNormEntry:
    """Normalisation over the batch."""

    def build(self, place: Place) -> Module:
        axes = place.axes("batch_norm", {1: "features", 2: "channels, length", 3: "channels, height, width"})
        return BatchNorm2d(place.shape[0]) if axes == 3 else BatchNorm1d(place.shape[0])


@register("layer", "layer_norm")
@dataclass(frozen=True)
class LayerNormEntry:
    """Normalisation over all of an example."""

    def build(self, place: Place) -> Module:
        return LayerNorm(place.shape)


@register("layer", "dropout")
@dataclass(frozen=True)
class DropoutEntry:
    """Dropout in training."""

    rate: float = option(REQUIRED, "share of entries dropped", at_least=0, below=1)

    def build(self, place: Place) -> Module:
        return Dropout(self.rate, rng=place.rng)


@register("layer", "flatten")
@dataclass(frozen=True)
class FlattenEntry:
    """All axes as one."""

    def build(self, place: Place) -> Module:
        return Flatten()


@register("layer", "reshape")
@dataclass(frozen=True)
class ReshapeEntry:
    """The entries in another shape: [channels, height, width]."""

    shape: list[int] = option(REQUIRED, "sizes of the axes", at_least=1)

    def build(self, place: Place) -> Module:
        return Reshape(*self.shape)


@register("layer", "activation")
@dataclass(frozen=True)
class ActivationEntry:
    """The run's `activation`."""

    def build(self, place: Place) -> Module:
        return place.activation()


@register("layer", "residual")
@dataclass(frozen=True)
class ResidualEntry:
    """A list of layers whose input is added to its result."""

    layers: list[Any] = option(REQUIRED, "the layers")

    def build(self, place: Place) -> Module:
        return Residual(sequence(self.layers, replace(place, key=f"{place.key}.residual"))[0])


# The networks


@register("network", "sequential")
@dataclass(frozen=True)
class SequentialConfig(Network):
    """Layers one after another, written as a list.

    >>> from minitrain.nn import ReLU
    >>> net = SequentialConfig([{"linear": 8}, "activation", "linear"]).build(2, 3, ReLU, seed=0)
    >>> [p.shape for p in net.parameters()]
    [(8, 2), (8,), (3, 8), (3,)]
    """

    layers: list[Any] = option([{"linear": 64}, "activation", {"dropout": 0.1}, "linear"], "the layers")

    def assemble(self, inputs: int, outputs: int, activation: ActivationLayer, seed: int) -> Module:
        init = {"init": self.init, "init_scale": self.init_scale}
        model, shape = sequence(self.layers, Place("network.layers", (inputs,), outputs, activation, seed, init))
        if shape != (outputs,):
            raise ConfigError(
                f"network.layers={_show(self.layers)}: gives examples of shape {list(shape)}, the data needs "
                f"[{outputs}]; end the list with flatten, linear"
            )
        return model

    def describe(self, inputs: int, outputs: int, activation: str) -> str:
        return f"sequential of {len(self.layers)} layers, {activation}"


@register("network", "cnn")
@dataclass(frozen=True)
class CNNConfig(Network):
    """A convolutional network on square images (LeCun et al. 1998, section II, in outline): (convolution, activation,
    max pooling) for each of `channels`, then a linear layer. Convolutions keep an image's size where `kernel` is odd.

    >>> from minitrain.nn import ReLU
    >>> net = CNNConfig(channels=[4]).build(64, 10, ReLU, seed=0)
    >>> [p.shape for p in net.parameters()]
    [(4, 1, 3, 3), (4,), (10, 64), (10,)]
    """

    channels: list[int] = option([16, 32], "channels of each convolution", at_least=1)
    kernel: int = option(3, "height and width of a convolution's window", at_least=1)
    pool: int = option(2, "height and width of a pooling window", at_least=1)

    def assemble(self, inputs: int, outputs: int, activation: ActivationLayer, seed: int) -> Module:
        side = isqrt(inputs)
        if side * side != inputs:
            raise ConfigError(f"network=cnn: takes square images, the data has {inputs} inputs; set data=digits")
        if self.kernel > side:
            raise ConfigError(f"network.kernel={self.kernel}: expected at most {side}, the side of the images")
        if self.pool ** len(self.channels) > side:
            raise ConfigError(
                f"network.pool={self.pool}, network.channels={self.channels}: images of side {side} are too small to "
                f"be pooled {len(self.channels)} times; take fewer channels, or a smaller pool"
            )
        layers: list[Any] = [{"reshape": [1, side, side]}]
        for channels in self.channels:
            conv = {"channels": channels, "kernel": self.kernel, "padding": self.kernel // 2}
            layers += [{"conv": conv}, "activation", {"max_pool": self.pool}]
        shared = {name: getattr(self, name) for name in ("init", "init_scale")}
        return SequentialConfig([*layers, "flatten", "linear"], **shared).assemble(inputs, outputs, activation, seed)

    def describe(self, inputs: int, outputs: int, activation: str) -> str:
        return f"cnn {'-'.join(map(str, [inputs, *self.channels, outputs]))}, {activation}"
