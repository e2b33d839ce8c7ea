"""All of a network's parameters as one vector, of which each Parameter is a view.

An optimizer's update is then a few operations on one array, whatever the depth of the network.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minitrain.autograd.functional.arrays import concatenate
from minitrain.autograd.grad import gradients
from minitrain.autograd.graph import no_grad
from minitrain.autograd.primitives import Array
from minitrain.autograd.tensor import Parameter, Tensor


class FlatParameters:
    """Parameters by name, made views of one `vector`, ordered weights | biases (names that end in `bias`).

    dtype: the type that all of them take; their own where it is not given
    Raises ValueError for no parameters, for one given twice, and for mixed types without `dtype`.

    >>> w, b = Parameter([[1.0, 2.0]]), Parameter([3.0])
    >>> flat = FlatParameters({"bias": b, "weight": w})
    >>> flat.vector, flat.weights
    (array([1., 2., 3.]), 2)
    >>> flat.assign(np.zeros(3))
    >>> w.numpy()
    array([[0., 0.]])
    """

    def __init__(self, named: Mapping[str, Parameter], dtype: str | None = None) -> None:
        if not named:
            raise ValueError("no parameters given: there is nothing to train")
        names = sorted(named, key=_is_bias)
        self.parameters = {name: named[name] for name in names}
        if len({id(p) for p in named.values()}) < len(named):
            raise ValueError(f"the same parameter given twice, among {', '.join(names)}; give each once")
        types = {p.dtype.name for p in named.values()}
        if dtype is None and len(types) > 1:
            raise ValueError(f"parameters of types {' and '.join(sorted(types))}; give all of them one type")
        self.vector = np.concatenate([p.numpy().ravel() for p in self.parameters.values()]).astype(dtype or types.pop())
        for p, view in zip(self.parameters.values(), self.split(self.vector).values(), strict=True):
            p.rehome(view)

    @property
    def weights(self) -> int:
        """How many entries of the vector belong to weights: those come first."""
        return sum(p.size for name, p in self.parameters.items() if not _is_bias(name))

    def split(self, vector: Array) -> dict[str, Array]:
        """Name -> view of a vector of this layout, in the parameter's shape."""
        views, start = {}, 0
        for name, p in self.parameters.items():
            views[name] = vector[start : start + p.size].reshape(p.shape)
            start += p.size
        return views

    def assign(self, vector: Array) -> None:
        """Give all parameters new values."""
        self.vector[...] = vector
        for p in self.parameters.values():
            p.touch()

    def gradient(self, loss: Tensor) -> Tensor:
        """The gradient of a scalar loss as one vector, without a graph of its own."""
        with no_grad():
            parts = gradients(loss, list(self.parameters.values()))
            return concatenate([g.reshape(-1) for g in parts])


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2].endswith("bias")
