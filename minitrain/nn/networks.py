"""Networks that `network=` chooses from: how a config becomes a Module for a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from minitrain.autograd.tensor import Parameter, Tensor
from minitrain.config import ConfigError, option, register
from minitrain.nn.layers import Linear, Sequential
from minitrain.nn.module import Module
from minitrain.streams import stream

ActivationLayer = Callable[[], Module]


@register("network", "mlp")
@dataclass(frozen=True)
class MLPConfig:
    """A multilayer perceptron: linear layers with the activation between them.

    >>> from minitrain.nn import ReLU
    >>> list(MLPConfig(widths=[8]).build(2, 1, ReLU, seed=0).named_parameters())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    widths: list[int] = option([64, 32], "units of each hidden layer", at_least=1)

    def build(self, inputs: int, outputs: int, activation: ActivationLayer, seed: int) -> Module:
        sizes = [inputs, *self.widths, outputs]
        layers: list[Module] = []
        for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            if i:
                layers.append(activation())
            layers.append(Linear(fan_in, fan_out, rng=stream(seed, "init", i)))
        return Sequential(*layers)

    def describe(self, inputs: int, outputs: int, activation: str) -> str:
        return "mlp " + "-".join(map(str, [inputs, *self.widths, outputs])) + f", {activation}"


@register("network", "linear")
@dataclass(frozen=True)
class LinearConfig:
    """One linear layer: softmax regression, or least squares."""

    def build(self, inputs: int, outputs: int, activation: ActivationLayer, seed: int) -> Module:
        return Linear(inputs, outputs, rng=stream(seed, "init"))

    def describe(self, inputs: int, outputs: int, activation: str) -> str:
        return f"linear {inputs}-{outputs}"


class Lab2(Module):
    """The notebook's chain of two neurons with one shared bias: a(w2 a(w1 x + b) + b), x: [batch, 1] -> [batch, 1]."""

    def __init__(self, w1: float, w2: float, bias: float, activation: ActivationLayer) -> None:
        self.w1 = Parameter(w1, "w1")
        self.w2 = Parameter(w2, "w2")
        self.bias = Parameter(bias, "b")
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.activation(self.w1 * x + self.bias)
        return self.activation(self.w2 * hidden + self.bias)


@register("network", "lab2")
@dataclass(frozen=True)
class Lab2Config:
    """The notebook's chain of two neurons with one shared bias, from given weights.

    >>> from minitrain.nn import ReLU
    >>> Lab2Config().build(1, 1, ReLU, seed=0)(Tensor([[3.0]])).item()
    9.0
    """

    w1: float = option(1.0, "first weight")
    w2: float = option(2.0, "second weight")
    bias: float = option(1.0, "the bias of both neurons")

    def build(self, inputs: int, outputs: int, activation: ActivationLayer, seed: int) -> Module:
        if (inputs, outputs) != (1, 1):
            raise ConfigError(
                f"network=lab2: takes 1 input and gives 1 output, the data has {inputs} and {outputs}; set data=point"
            )
        return Lab2(self.w1, self.w2, self.bias, activation)

    def describe(self, inputs: int, outputs: int, activation: str) -> str:
        return f"lab2, {activation}"
