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


class FlatTensors:
    """Tensors by name, made views of one `vector`, in the order given; there may be none.

    dtype: the type that all of them take; their own where it is not given
    Raises ValueError for mixed types without `dtype`.

    >>> mean, var = Tensor([0.0, 0.0]), Tensor([1.0, 1.0])
    >>> flat = FlatTensors({"mean": mean, "var": var})
    >>> flat.assign(np.arange(4.0))
    >>> var.numpy()
    array([2., 3.])
    """

    vector: Array

    def __init__(self, named: Mapping[str, Tensor], dtype: str | None = None) -> None:
        self.tensors = dict(named)
        types = {t.dtype.name for t in named.values()}
        if dtype is None and len(types) > 1:
            raise ValueError(f"parameters of types {' and '.join(sorted(types))}; give all of them one type")
        parts = [t.numpy().ravel() for t in self.tensors.values()] or [np.empty(0)]
        self.vector = np.concatenate(parts).astype(dtype or parts[0].dtype)
        for t, view in zip(self.tensors.values(), self.split(self.vector).values(), strict=True):
            t.rehome(view)

    def split(self, vector: Array) -> dict[str, Array]:
        """Name -> view of a vector of this layout, in the tensor's shape; of a shorter one, the first of them."""
        views, start = {}, 0
        for name, t in self.tensors.items():
            if start + t.size > len(vector):
                break
            views[name] = vector[start : start + t.size].reshape(t.shape)
            start += t.size
        return views

    def assign(self, vector: Array) -> None:
        """Give all tensors in `vector` new values."""
        self.vector[...] = vector
        for t in self.tensors.values():
            t.touch()


class FlatParameters(FlatTensors):
    """Parameters by name, made views of one vector, ordered weights | biases (names that end in `bias`) | frozen.

    `vector` is the part that is trained; `whole` has the frozen ones (`requires_grad` False) behind it.

    dtype: the type that all of them take; their own where it is not given
    Raises ValueError for nothing to train, for a parameter given twice, and for mixed types without `dtype`.

    >>> w, b = Parameter([[1.0, 2.0]]), Parameter([3.0])
    >>> flat = FlatParameters({"bias": b, "weight": w})
    >>> flat.vector, flat.weights
    (array([1., 2., 3.]), 2)
    >>> flat.assign(np.zeros(3))
    >>> w.numpy()
    array([[0., 0.]])
    """

    def __init__(self, named: Mapping[str, Parameter], dtype: str | None = None) -> None:
        names = sorted(named, key=lambda name: (not named[name].requires_grad, _is_bias(name)))
        self.parameters = {name: named[name] for name in names if named[name].requires_grad}
        if not self.parameters:
            frozen = f": all {len(named)} are frozen" if named else ""
            raise ValueError(f"no parameters given{frozen}: there is nothing to train")
        if len({id(p) for p in named.values()}) < len(named):
            raise ValueError(f"the same parameter given twice, among {', '.join(names)}; give each once")
        super().__init__({name: named[name] for name in names}, dtype)
        self.whole = self.vector
        self.vector = self.whole[: sum(p.size for p in self.parameters.values())]

    @property
    def weights(self) -> int:
        """How many entries of the vector belong to weights: those come first."""
        return sum(p.size for name, p in self.parameters.items() if not _is_bias(name))

    def gradient(self, loss: Tensor) -> Tensor:
        """The gradient of a scalar loss as one vector, without a graph of its own."""
        with no_grad():
            parts = gradients(loss, list(self.parameters.values()))
            return concatenate([g.reshape(-1) for g in parts])


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2].endswith("bias")
