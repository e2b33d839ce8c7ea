"""The layers that a list `network.layers` may have, and how such a list becomes a network.

An entry is the name of a layer (`flatten`), its name with its first option (`{linear: 32}`), or with several
(`{conv: {channels: 8, padding: 1}}`). The sizes of inputs are inferred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Tensor
from minitrain.components.networks import ActivationLayer
from minitrain.errors import ConfigError, abbreviate
from minitrain.nn.activation import ACTIVATIONS, activation_layer
from minitrain.nn.convolution import AvgPool1d, AvgPool2d, Conv1d, Conv2d, MaxPool1d, MaxPool2d
from minitrain.nn.layers import Dropout, Flatten, Linear, Reshape, Residual, Sequential
from minitrain.nn.module import Module
from minitrain.nn.normalization import BatchNorm1d, BatchNorm2d, LayerNorm
from minitrain.options import REQUIRED, option, options, validate_options
from minitrain.registry import Registry, implements, register
from minitrain.rng import generator
from minitrain.storage.legacy import RENAMED_LAYER_OPTIONS


@dataclass(frozen=True)
class LayerContext:
    """What the entry of a layer knows when it builds the layer.

    Attributes:
        key: The key of the entry, such as `network.layers[0]`.
        shape: The shape of one example that enters the layer.
        outputs: The number of outputs that the network needs.
        activation: The constructor of the run's activation.
        seed: The seed of the run.
        init: The keyword arguments `init` and `init_scale` of layers with weights.
    """

    key: str
    shape: tuple[int, ...]
    outputs: int
    activation: ActivationLayer
    seed: int
    init: dict[str, Any]

    @property
    def rng(self) -> np.random.Generator:
        """A random generator for this layer."""
        return generator(self.seed, f"init {self.key}")

    def axes(self, layer: str, names: Mapping[int, str]) -> int:
        """The number of axes of an example.

        Args:
            layer: The name of the layer, for the message.
            names: Number of axes that the layer accepts -> their names.

        Raises:
            ValueError: The layer does not accept examples with so many axes.
        """
        if len(self.shape) not in names:
            expected = " or ".join(f"[{names[n]}]" for n in names)
            raise ValueError(
                f"{layer} of an example of shape {list(self.shape)}: expected {expected}; put flatten or reshape first"
            )
        return len(self.shape)


class LayerConfig(Protocol):
    """A component of the group `layer`: options, and how the layer is built from them."""

    def build(self, context: LayerContext) -> Module:
        """The layer for examples of the shape in `context`."""
        ...


LAYERS: Registry[type[LayerConfig]] = Registry("layer", implements(LayerConfig))


def build_layers(entries: Sequence[Any], context: LayerContext) -> tuple[Sequential, tuple[int, ...]]:
    """The layers of a list of entries, and the shape of one example after them.

    Raises:
        ConfigError: An entry is invalid, or its layer does not accept its input; the message names the entry.
    """
    layers, shape = [], context.shape
    for i, entry in enumerate(entries):
        inner = replace(context, key=f"{context.key}[{i}]", shape=shape)
        config = _parse_entry(entry, inner.key)
        try:
            module = config() if callable(config) else config.build(inner)
            with no_grad():
                shape = module.eval()(Tensor(np.zeros((1, *shape)))).shape[1:]
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"{inner.key}={format_entry(entry)}: {error}") from error
        layers.append(module)
    return Sequential(*layers), shape


def _parse_entry(entry: Any, key: str) -> LayerConfig | ActivationLayer:
    """The component that an entry names, or the constructor of the activation that it names."""
    name, values = next(iter(entry.items())) if isinstance(entry, Mapping) and len(entry) == 1 else (entry, {})
    if isinstance(name, str) and name in ACTIVATIONS and values == {}:
        return activation_layer(name)
    if not isinstance(name, str) or name not in LAYERS:
        names = ", ".join(sorted(LAYERS))
        raise ConfigError(
            f"{key}={format_entry(entry)}: expected a name, or {{name: options}}, of {names}; or relu, tanh, ..."
        )
    component = LAYERS[name]
    if not isinstance(values, Mapping):
        first = next(iter(options(component)), None)
        if first is None:
            raise ConfigError(f"{key}={format_entry(entry)}: {name} has no options; write {name} alone")
        values = {first: values}
    old, new = RENAMED_LAYER_OPTIONS.get(name, ("", ""))
    if old in values:
        raise ConfigError(f"{key}.{name}.{old}={abbreviate(values[old])}: renamed; use {new}")
    return component(**validate_options(component, values, f"{key}.{name}."))


def format_entry(entry: Any) -> str:
    """An entry, or a list of entries, as YAML on one line."""
    if isinstance(entry, Mapping):
        return "{" + ", ".join(f"{key}: {format_entry(value)}" for key, value in entry.items()) + "}"
    return f"[{', '.join(map(format_entry, entry))}]" if isinstance(entry, list) else str(entry)


@register("layer", "linear")
@dataclass(frozen=True)
class LinearEntry:
    """A linear layer."""

    units: int | None = option(None, "number of units; null, or no value, for the outputs of the network", at_least=1)
    bias: bool = option(True, "whether there is a bias")

    def build(self, context: LayerContext) -> Module:
        """Build the layer."""
        context.axes("linear", {1: "features"})
        units = self.units or context.outputs
        return Linear(context.shape[0], units, self.bias, rng=context.rng, **context.init)


@register("layer", "conv")
@dataclass(frozen=True)
class ConvEntry:
    """A convolution, over the axes that an example has beside its channels."""

    channels: int = option(REQUIRED, "number of output channels", at_least=1)
    kernel_size: int = option(3, "size of the window", at_least=1)
    stride: int = option(1, "distance between windows", at_least=1)
    padding: int = option(0, "zeros around the input", at_least=0)
    bias: bool = option(True, "whether there is a bias")

    def build(self, context: LayerContext) -> Module:
        """Build the layer."""
        axes = context.axes("conv", {2: "channels, length", 3: "channels, height, width"})
        layer = Conv1d if axes == 2 else Conv2d
        sizes = (context.shape[0], self.channels, self.kernel_size, self.stride, self.padding, self.bias)
        return layer(*sizes, rng=context.rng, **context.init)


@dataclass(frozen=True)
class _PoolEntry:
    kernel_size: int = option(2, "size of the window", at_least=1)
    stride: int | None = option(None, "distance between windows; null: kernel_size", at_least=1)

    def _is_sequence(self, context: LayerContext) -> bool:
        return context.axes("pooling", {2: "channels, length", 3: "channels, height, width"}) == 2


@register("layer", "max_pool")
@dataclass(frozen=True)
class MaxPoolEntry(_PoolEntry):
    """The maximum of each window."""

    def build(self, context: LayerContext) -> Module:
        """Build the layer."""
        layer = MaxPool1d if self._is_sequence(context) else MaxPool2d
        return layer(self.kernel_size, self.stride)


@register("layer", "avg_pool")
@dataclass(frozen=True)
class AvgPoolEntry(_PoolEntry):
    """The mean of each window."""

    def build(self, context: LayerContext) -> Module:
        """Build the layer."""
        layer = AvgPool1d if self._is_sequence(context) else AvgPool2d
        return layer(self.kernel_size, self.stride)


@register("layer", "batch_norm")
@dataclass(frozen=True)
class BatchNormEntry:
    """Batch normalization."""

    def build(self, context: LayerContext) -> Module:
        """Build the layer."""
        axes = context.axes("batch_norm", {1: "features", 2: "channels, length", 3: "channels, height, width"})
        return BatchNorm2d(context.shape[0]) if axes == 3 else BatchNorm1d(context.shape[0])


@register("layer", "layer_norm")
@dataclass(frozen=True)
class LayerNormEntry:
    """Layer normalization over all axes of an example."""

    def build(self, context: LayerContext) -> Module:
        """Build the layer."""
        return LayerNorm(context.shape)


@register("layer", "dropout")
@dataclass(frozen=True)
class DropoutEntry:
    """Dropout."""

    p: float = option(REQUIRED, "probability of an entry to be dropped", at_least=0, below=1)

    def build(self, context: LayerContext) -> Module:
        """Build the layer."""
        return Dropout(self.p, rng=context.rng)


@register("layer", "flatten")
@dataclass(frozen=True)
class FlattenEntry:
    """Joins all axes of an example."""

    def build(self, context: LayerContext) -> Module:
        """Build the layer."""
        return Flatten()


@register("layer", "reshape")
@dataclass(frozen=True)
class ReshapeEntry:
    """Reshapes an example, for instance to [channels, height, width]."""

    shape: list[int] = option(REQUIRED, "sizes of the axes", at_least=1)

    def build(self, context: LayerContext) -> Module:
        """Build the layer."""
        return Reshape(*self.shape)


@register("layer", "activation")
@dataclass(frozen=True)
class ActivationEntry:
    """The activation of the run."""

    def build(self, context: LayerContext) -> Module:
        """Build the layer."""
        return context.activation()


@register("layer", "residual")
@dataclass(frozen=True)
class ResidualEntry:
    """A list of layers with a residual connection around it."""

    layers: list[Any] = option(REQUIRED, "the layers")

    def build(self, context: LayerContext) -> Module:
        """Build the layer."""
        return Residual(build_layers(self.layers, replace(context, key=f"{context.key}.residual"))[0])
