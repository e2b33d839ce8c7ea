"""Linear, Embedding and Dropout, and how layers are put together."""

from __future__ import annotations

from typing import Any

import numpy as np

from minitrain.autograd import functional as F
from minitrain.autograd.tensor import Parameter, Tensor
from minitrain.nn.init import initial
from minitrain.nn.module import Module


class Linear(Module):
    """x Wᵀ + b: x: [batch, in] -> [batch, out], with weight [out, in] and bias [out] laid out as PyTorch's.

    bias: whether it has one; `bias` is None where not
    rng: a generator or a seed; layers that shall start apart need one of their own each
    init, init_scale: the initial weights, by name (see `minitrain.nn.init`), and a factor on them
    Raises ValueError for sizes below 1 and an `init` that is not there, MemoryError for a weight that does not fit.

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
        return F.linear(x, self.weight, self.bias)


class ScaledLinear(Linear):
    """m x Wᵀ + k b, a Linear whose parameters count by factors: x: [batch, in] -> [batch, out].

    A step at rate lr moves what counts, m W, as a step at rate m² lr would under gradient descent, and at rate m lr
    under Adam, which divides by the gradient's size: layers of one lr go at rates of their own (Yang and Hu 2021,
    "Tensor Programs IV", abc-parametrisations).

    multiplier, bias_multiplier: m and k; the others are `Linear`'s

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
        result = F.linear(x, self.weight) * self.multiplier
        return result if self.bias is None else result + self.bias * self.bias_multiplier


class Embedding(Module):
    """A row of the weight for each number: ids: integers [...] -> [..., features], with weight [count, features].

    Weights start normal with deviation 1, as PyTorch's do. Raises ValueError for sizes below 1; called, TypeError
    for ids that are not integers and IndexError for one that is no row's.

    >>> layer = Embedding(10, 3, rng=0)
    >>> layer(Tensor([[1, 2], [1, 1]])).shape
    (2, 2, 3)
    """

    def __init__(self, count: int, features: int, *, rng: np.random.Generator | int) -> None:
        if count < 1 or features < 1:
            raise ValueError(f"Embedding: count={count}, features={features}: expected at least 1 each")
        self.weight = Parameter(np.random.default_rng(rng).normal(size=(count, features)), "weight")

    def forward(self, ids: Any) -> Tensor:
        return F.embedding(ids, self.weight)


class Dropout(Module):
    """In training, each entry is 0 with probability `rate`, else x / (1 - rate) (Srivastava et al. 2014, section 10).

    In evaluation, x itself. x: [...] -> [...]

    rng: a generator or a seed that a hand-written loop draws from; `train(seed, step)` gives another for the step
    Raises ValueError for a rate outside [0, 1).

    >>> layer = Dropout(0.5, rng=0)
    >>> sorted(set(layer(Tensor(np.ones(100))).numpy().tolist())), layer.eval()(Tensor([3.0])).item()
    ([0.0, 2.0], 3.0)
    """

    rng: np.random.Generator

    def __init__(self, rate: float, *, rng: np.random.Generator | int) -> None:
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout: rate={rate}: expected at least 0 and below 1")
        self.rate = rate
        self.rng = np.random.default_rng(rng)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.rate, self.rng) if self.training else x


class Flatten(Module):
    """All axes but the first as one: x: [batch, ...] -> [batch, n].

    >>> Flatten()(Tensor(np.ones((2, 3, 4)))).shape
    (2, 12)
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1)


class Reshape(Module):
    """The entries of each example in another shape: x: [batch, ...] -> [batch, *shape].

    >>> Reshape(1, 8, 8)(Tensor(np.ones((2, 64)))).shape
    (2, 1, 8, 8)
    """

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self.shape)


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


class Residual(Module):
    """x + inner(x) (He et al. 2016, eq. 1): x: [...] -> [...].

    Raises ValueError where `inner` gives another shape than it takes.

    >>> Residual(Flatten())(Tensor([[1.0, 2.0]])).numpy()
    array([[2., 4.]])
    """

    def __init__(self, inner: Module) -> None:
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        result = self.inner(x)
        if result.shape != x.shape:
            raise ValueError(
                f"Residual: the input has shape {list(x.shape)}, the inner result {list(result.shape)}: expected equal "
                "shapes, to be added"
            )
        return x + result
