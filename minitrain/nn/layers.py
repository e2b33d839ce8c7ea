"""Linear, embedding and dropout layers, layers that reshape, and containers."""

from __future__ import annotations

from typing import Any

import numpy as np

from minitrain.autograd import functional as F
from minitrain.autograd.tensor import Parameter, Tensor
from minitrain.nn.init import initial
from minitrain.nn.module import Module


class Linear(Module):
    """An affine map x Wᵀ + b: x: [batch, in] -> [batch, out], with weight [out, in] and bias [out] as in PyTorch.

    Args:
        in_features: The number of inputs.
        out_features: The number of outputs.
        bias: Whether there is a bias; the attribute `bias` is None if not.
        rng: A random generator or a seed; use distinct seeds for distinct layers.
        init: The name of an initializer (see `minitrain.nn.init`).
        init_scale: A factor on the initial weight.

    Raises:
        ValueError: A size is below 1, or the initializer is unknown.
        MemoryError: The weight is larger than the memory of the machine.

    >>> layer = Linear(2, 3, rng=0)
    >>> layer(Tensor(np.ones((4, 2)))).shape, layer.weight.shape
    ((4, 3), (3, 2))
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | int,
        init: str = "pytorch",
        init_scale: float = 1.0,
    ) -> None:
        if in_features < 1 or out_features < 1:
            raise ValueError(
                f"Linear: in_features={in_features}, out_features={out_features}: expected at least 1 each"
            )
        self.weight, self.bias = initial((out_features, in_features), bias, rng, init, init_scale)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output."""
        return F.linear(x, self.weight, self.bias)


class ScaledLinear(Linear):
    """An affine map m x Wᵀ + k b, whose parameters are multiplied by constants: x: [batch, in] -> [batch, out].

    A step with learning rate lr changes the effective weight m W as a step with m² lr does under gradient descent, and
    with m lr under Adam, which divides by the size of the gradient. Layers that share lr thus have effective learning
    rates of their own (Yang and Hu 2021, "Tensor Programs IV", abc-parametrizations).

    Args:
        in_features, out_features, bias, rng, init, init_scale: Those of `Linear`.
        multiplier: The factor m.
        bias_multiplier: The factor k.

    >>> layer = ScaledLinear(2, 3, rng=0, multiplier=0.5, bias_multiplier=2.0)
    >>> x = np.array([[1.0, -1.0]])
    >>> bool(np.allclose(layer(x).numpy(), 0.5 * x @ layer.weight.numpy().T + 2.0 * layer.bias.numpy()))
    True
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | int,
        init: str = "pytorch",
        init_scale: float = 1.0,
        multiplier: float = 1.0,
        bias_multiplier: float = 1.0,
    ) -> None:
        super().__init__(in_features, out_features, bias, rng=rng, init=init, init_scale=init_scale)
        self.multiplier, self.bias_multiplier = multiplier, bias_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output."""
        result = F.linear(x, self.weight) * self.multiplier
        return result if self.bias is None else result + self.bias * self.bias_multiplier


class Embedding(Module):
    """A table of vectors: ids: integers [...] -> [..., embedding_dim], with weight [num_embeddings, embedding_dim].

    Weights start normal with standard deviation 1, as in PyTorch.

    Args:
        num_embeddings: The number of rows of the table.
        embedding_dim: The size of each vector.
        rng: A random generator or a seed.

    Raises:
        ValueError: A size is below 1.
        TypeError: When called, the ids are not integers.
        IndexError: When called, an id is out of range.

    >>> layer = Embedding(10, 3, rng=0)
    >>> layer(Tensor([[1, 2], [1, 1]])).shape
    (2, 2, 3)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, *, rng: np.random.Generator | int) -> None:
        if num_embeddings < 1 or embedding_dim < 1:
            raise ValueError(
                f"Embedding: num_embeddings={num_embeddings}, embedding_dim={embedding_dim}: expected at least 1 each"
            )
        values = np.random.default_rng(rng).normal(size=(num_embeddings, embedding_dim))
        self.weight = Parameter(values, "weight")

    def forward(self, ids: Any) -> Tensor:
        """Compute the output."""
        return F.embedding(ids, self.weight)


class Dropout(Module):
    """Dropout: x: [...] -> [...] (Srivastava et al. 2014, section 10).

    In training mode, each entry is 0 with probability p, otherwise x / (1 - p). In evaluation mode, the result is x.

    Args:
        p: The probability of an entry to be dropped.
        rng: A random generator or a seed, for hand-written loops; `train(seed, step)` sets one for each step.

    Raises:
        ValueError: p is not in [0, 1).

    >>> layer = Dropout(0.5, rng=0)
    >>> sorted(set(layer(Tensor(np.ones(100))).numpy().tolist())), layer.eval()(Tensor([3.0])).item()
    ([0.0, 2.0], 3.0)
    """

    rng: np.random.Generator

    def __init__(self, p: float, *, rng: np.random.Generator | int) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p={p}: expected at least 0 and below 1")
        self.p = p
        self.rng = np.random.default_rng(rng)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output."""
        return F.dropout(x, self.p, self.rng) if self.training else x


class Flatten(Module):
    """Joins all axes but the first: x: [batch, ...] -> [batch, n].

    >>> Flatten()(Tensor(np.ones((2, 3, 4)))).shape
    (2, 12)
    """

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output."""
        return x.reshape(x.shape[0], -1)


class Reshape(Module):
    """Reshapes each example: x: [batch, ...] -> [batch, *shape].

    >>> Reshape(1, 8, 8)(Tensor(np.ones((2, 64)))).shape
    (2, 1, 8, 8)
    """

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output."""
        return x.reshape(x.shape[0], *self.shape)


class Sequential(Module):
    """Applies layers one after another; parameters are named by the number of their layer: `0.weight`.

    >>> from minitrain.nn import ReLU
    >>> net = Sequential(Linear(2, 3, rng=0), ReLU(), Linear(3, 1, rng=1))
    >>> list(net.named_parameters())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *layers: Module) -> None:
        self.layers = layers

    def children(self) -> dict[str, Any]:
        """The layers by their numbers."""
        return {str(i): layer for i, layer in enumerate(self.layers)}

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output."""
        for layer in self.layers:
            x = layer(x)
        return x


class Residual(Module):
    """A residual connection x + inner(x): x: [...] -> [...] (He et al. 2016, eq. 1).

    Raises:
        ValueError: When called, `inner` returns a shape that differs from its input's.

    >>> Residual(Flatten())(Tensor([[1.0, 2.0]])).numpy()
    array([[2., 4.]])
    """

    def __init__(self, inner: Module) -> None:
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output."""
        result = self.inner(x)
        if result.shape != x.shape:
            raise ValueError(
                f"Residual: the input has shape {list(x.shape)}, the inner result {list(result.shape)}: expected equal "
                "shapes, to be added"
            )
        return x + result
