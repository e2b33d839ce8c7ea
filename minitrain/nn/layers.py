"""Layers with parameters, and their composition."""

from __future__ import annotations

from typing import Any

import numpy as np

from minitrain.autograd import functional as F
from minitrain.autograd.tensor import Parameter, Tensor
from minitrain.nn.module import Module


class Linear(Module):
    """x Wᵀ + b: x: [batch, in] -> [batch, out], with weight [out, in] and bias [out] laid out as PyTorch's.

    Weights and biases start uniform in ±1/√in, as PyTorch's do (LeCun et al. 1998, Efficient BackProp, 4.6).

    rng: a generator or a seed; layers that shall start apart need one of their own each

    >>> layer = Linear(2, 3, rng=0)
    >>> layer(Tensor(np.ones((4, 2)))).shape, layer.weight.shape
    ((4, 3), (3, 2))
    """

    def __init__(self, in_features: int, out_features: int, *, rng: np.random.Generator | int) -> None:
        if in_features < 1 or out_features < 1:
            raise ValueError(
                f"Linear: in_features={in_features}, out_features={out_features}: expected at least 1 each"
            )
        rng = np.random.default_rng(rng)
        bound = 1 / np.sqrt(in_features)
        self.weight = Parameter(rng.uniform(-bound, bound, (out_features, in_features)), "weight")
        self.bias = Parameter(rng.uniform(-bound, bound, out_features), "bias")

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class Sequential(Module):
    """Layers one after another; its parameters are named by the layer's number: `0.weight`.

    >>> from minitrain.nn import ReLU
    >>> net = Sequential(Linear(2, 3, rng=0), ReLU(), Linear(3, 1, rng=1))
    >>> list(net.named_parameters())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *layers: Module) -> None:
        self.layers = layers

    def children(self) -> dict[str, Any]:
        return {str(i): layer for i, layer in enumerate(self.layers)}

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x
