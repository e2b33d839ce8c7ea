"""Networks that `network=` chooses from, and how their options become a Module for a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from pathlib import Path
from typing import Protocol

import numpy as np

from minitrain.autograd.tensor import Parameter, Tensor
from minitrain.data.reading import reporting_errors, require_file, validate_array
from minitrain.errors import ConfigError
from minitrain.nn.layers import Dropout, Linear, Residual, ScaledLinear, Sequential
from minitrain.nn.module import Module
from minitrain.nn.normalization import BatchNorm1d, LayerNorm
from minitrain.options import option
from minitrain.registry import Registry, implements, register
from minitrain.rng import generator
from minitrain.typing import Array

ActivationLayer = Callable[[], Module]


class NetworkConfig(Protocol):
    """A component of the group `network`: options, and how a network for a dataset is built from them."""

    def build(self, inputs: int, outputs: int, activation: ActivationLayer, seed: int) -> Module:
        """The network [batch, inputs] -> [batch, outputs] with its initial weights."""
        ...

    def describe(self, inputs: int, outputs: int, activation: str) -> str:
        """The network in a few words."""
        ...


NETWORKS: Registry[type[NetworkConfig]] = Registry("network", implements(NetworkConfig))


@dataclass(frozen=True, kw_only=True)
class LayerNetworkConfig:
    """Options that all networks of layers share: initial weights, and frozen parameters.

    Attributes:
        image: The channels, the height and the width of an example, if the data state that it is an image.
    """

    init: str = option("pytorch", "initializer of the weights; biases start at 0, except with pytorch", choices="init")
    init_scale: float = option(1.0, "factor on the initial weights", at_least=0)
    init_file: str | None = option(
        None, "initial parameters by name: an npz or safetensors file, or a checkpoint", is_path=True
    )
    frozen: list[str] = option([], "names of parameters that are not trained; * matches any characters")
    image: tuple[int, int, int] | None = None

    def build(self, inputs: int, outputs: int, activation: ActivationLayer, seed: int) -> Module:
        """The network for a dataset.

        Raises:
            ConfigError: The options contradict each other, or the file of parameters does not fit.
        """
        model = self.assemble(inputs, outputs, activation, seed)
        if self.init_file is not None:
            state = _read_state(self.init_file)
            try:
                model.load_state_dict(state)
            except ValueError as error:
                raise ConfigError(f"network.init_file={self.init_file}: {error}") from error
        try:
            model.freeze(self.frozen)
        except ValueError as error:
            raise ConfigError(f"network.{error}") from error
        if not any(p.requires_grad for p in model.parameters()):
            raise ConfigError(f"network.frozen={self.frozen}: no parameter remains to be trained; freeze fewer")
        return model

    def assemble(self, inputs: int, outputs: int, activation: ActivationLayer, seed: int) -> Module:
        """The network before parameters are loaded or frozen; subclasses implement it."""
        raise NotImplementedError(f"{type(self).__name__} has no assemble(self, inputs, outputs, activation, seed)")


def _read_state(file: str) -> dict[str, Array]:
    """The arrays of an npz or safetensors file by name; of a checkpoint, those of the network.

    Raises:
        ConfigError: The file cannot be read.
    """
    path = require_file("network.init_file", file, "an npz or safetensors file")
    with reporting_errors(
        "network.init_file", path, "parameters by name, as npz and safetensors files and checkpoints have"
    ):
        return _read_safetensors(path) if path.suffix == ".safetensors" else _read_npz(path)


def _read_npz(path: Path) -> dict[str, Array]:
    with path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise ValueError("one array, without a name")
        network_arrays = [name for name in archive if name.startswith(("parameters/", "buffers/"))]
        if network_arrays:
            return {name.partition("/")[2]: validate_array(archive[name], name) for name in network_arrays}
        return {name: validate_array(archive[name], name) for name in archive}


def _read_safetensors(path: Path) -> dict[str, Array]:
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise ConfigError(
            f'network.init_file={path}: needs the library safetensors; pip install "minitrain[interchange]"'
        ) from error
    state: dict[str, Array] = load_file(path)
    return {name: array for name, array in state.items() if not name.endswith("num_batches_tracked")}


PARAMETRIZATIONS = ("standard", "mup_sgd", "mup_adam")


@register("network", "mlp")
@dataclass(frozen=True)
class MLPConfig(LayerNetworkConfig):
    """A multilayer perceptron: linear layers with the activation between them.

    A hidden layer is linear, norm, activation, dropout; with `residual`, its input is added to the result.

    `mup_sgd` and `mup_adam` are the maximal update parametrization (Yang et al. 2022, "Tensor Programs V", table 3) for
    gradient descent with or without momentum, and for Adam and its variants. In a wider network the initial weights of
    the last layer and the steps of some layers are smaller, so that the best learning rate is the one at `base_width`.

    >>> from minitrain.nn import ReLU
    >>> list(MLPConfig(widths=[8]).build(2, 1, ReLU, seed=0).named_parameters())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    widths: list[int] = option([64, 32], "units of each hidden layer", at_least=1)
    depth: int | None = option(
        None, "number of hidden layers, all of the width in widths; null: as many as widths", at_least=1
    )
    bias: bool = option(True, "whether the linear layers have biases")
    norm: str | None = option(None, "normalization before each activation", choices=("batch", "layer"))
    dropout: float | None = option(None, "probability of a hidden unit to be dropped", at_least=0, below=1)
    residual: bool = option(False, "residual connections around hidden layers that are as wide as their input")
    parametrization: str = option(
        "standard", "how the width scales initial weights and steps", choices=PARAMETRIZATIONS
    )
    base_width: int = option(64, "width at which mup equals the standard parametrization", at_least=1)

    def assemble(self, inputs: int, outputs: int, activation: ActivationLayer, seed: int) -> Module:
        """Create the network with its initial weights."""
        if self.depth is not None and len(self.widths) != 1:
            raise ConfigError(
                f"network.depth={self.depth}: needs one width for all layers, network.widths={self.widths} has "
                f"{len(self.widths)}; set e.g. network.widths=[64]"
            )
        sizes = [inputs, *self.hidden]
        if self.parametrization != "standard" and self.norm is not None:
            raise ConfigError(
                f"network.norm={self.norm}: not defined for mup; set network.norm=null, or "
                "network.parametrization=standard"
            )
        if self.residual and all(size != before for before, size in pairwise(sizes)):
            raise ConfigError(
                f"network.residual=true: none of the widths {self.hidden} is equal to the one before, or to the "
                f"{inputs} inputs; set e.g. network.widths=[64,64]"
            )
        layers: list[Module] = []
        for i, (before, size) in enumerate(pairwise(sizes)):
            hidden = [self._linear(before, size, seed, i), *self._norm(size), activation(), *self._dropout(seed, i)]
            layers += [Residual(Sequential(*hidden))] if self.residual and size == before else hidden
        return Sequential(*layers, self._linear(sizes[-1], outputs, seed, len(self.hidden)))

    @property
    def hidden(self) -> list[int]:
        """The number of units of each hidden layer."""
        return self.widths * (self.depth or 1)

    def _linear(self, fan_in: int, fan_out: int, seed: int, i: int) -> Module:
        rng, is_last = generator(seed, "init", i), i == len(self.hidden)
        if self.parametrization == "standard":
            return Linear(fan_in, fan_out, self.bias, rng=rng, init=self.init, init_scale=self.init_scale)
        # `before` and `after`: the widths of the adjacent layers, divided by the base width. In table 3 the learning
        # rate of a weight scales with after / before (SGD) or 1 / before (Adam), that of a bias with after or 1, and
        # the initial weights of the last layer with 1 / √before.
        before = 1.0 if i == 0 else fan_in / self.base_width
        after = 1.0 if is_last else fan_out / self.base_width
        m, k = (sqrt(after / before), sqrt(after)) if self.parametrization == "mup_sgd" else (1 / before, 1.0)
        scale = self.init_scale / m / (sqrt(before) if is_last else 1.0)
        return ScaledLinear(
            fan_in, fan_out, self.bias, rng=rng, init=self.init, init_scale=scale, multiplier=m, bias_multiplier=k
        )

    def _norm(self, size: int) -> list[Module]:
        if self.norm is None:
            return []
        return [LayerNorm(size) if self.norm == "layer" else BatchNorm1d(size)]

    def _dropout(self, seed: int, i: int) -> list[Module]:
        return [] if self.dropout is None else [Dropout(self.dropout, rng=generator(seed, "dropout", i))]

    def describe(self, inputs: int, outputs: int, activation: str) -> str:
        """Describe the network on one line."""
        hidden = self.widths if self.depth is None else [f"{self.depth}x{self.widths[0]}"]
        parts = ["mlp " + "-".join(map(str, [inputs, *hidden, outputs])), activation]
        parts += [] if self.norm is None else [f"{self.norm} norm"]
        parts += [] if self.dropout is None else [f"dropout {self.dropout:g}"]
        parts += ["residual"] if self.residual else []
        return ", ".join(parts if self.parametrization == "standard" else [*parts, self.parametrization])


@register("network", "linear")
@dataclass(frozen=True)
class LinearConfig(LayerNetworkConfig):
    """One linear layer: softmax regression, or least squares."""

    bias: bool = option(True, "whether there is a bias")

    def assemble(self, inputs: int, outputs: int, activation: ActivationLayer, seed: int) -> Module:
        """Create the network with its initial weights."""
        rng = generator(seed, "init")
        return Linear(inputs, outputs, self.bias, rng=rng, init=self.init, init_scale=self.init_scale)

    def describe(self, inputs: int, outputs: int, activation: str) -> str:
        """Describe the network on one line."""
        return f"linear {inputs}-{outputs}"


class Lab2(Module):
    """A chain of two neurons with one shared bias: a(w2 a(w1 x + b) + b), x: [batch, 1] -> [batch, 1]."""

    def __init__(self, w1: float, w2: float, bias: float, activation: ActivationLayer) -> None:
        self.w1 = Parameter(w1, "w1")
        self.w2 = Parameter(w2, "w2")
        self.bias = Parameter(bias, "b")
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output."""
        hidden = self.activation(self.w1 * x + self.bias)
        return self.activation(self.w2 * hidden + self.bias)


@register("network", "lab2")
@dataclass(frozen=True)
class Lab2Config:
    """The chain of two neurons with one shared bias of the lab notebook.

    >>> from minitrain.nn import ReLU
    >>> Lab2Config().build(1, 1, ReLU, seed=0)(Tensor([[3.0]])).item()
    9.0
    """

    w1: float = option(1.0, "first weight")
    w2: float = option(2.0, "second weight")
    bias: float = option(1.0, "bias of both neurons")

    def build(self, inputs: int, outputs: int, activation: ActivationLayer, seed: int) -> Module:
        """Build the network for a dataset."""
        if (inputs, outputs) != (1, 1):
            raise ConfigError(
                f"network=lab2: has 1 input and 1 output, the data has {inputs} and {outputs}; "
                "set data=point loss=output batch_size=null"
            )
        return Lab2(self.w1, self.w2, self.bias, activation)

    def describe(self, inputs: int, outputs: int, activation: str) -> str:
        """Describe the network on one line."""
        return f"lab2, {activation}"
