"""All parameters of a network as one flat vector, of which each Parameter is a view.

The update of an optimizer is then a few operations on one array, regardless of the depth of the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from minitrain.autograd.functional.arrays import concatenate
from minitrain.autograd.grad import gradients
from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Parameter, Tensor
from minitrain.typing import Array

Values = TypeVar("Values", Array, Tensor)


class FlatTensors:
    """Tensors that become views of one vector, in the given order.

    Args:
        named: Name -> tensor; may be empty.
        dtype: The dtype that all of them are converted to; None to keep theirs.

    Attributes:
        vector: The values of all tensors: [n].
        tensors: Name -> tensor.

    Raises:
        ValueError: The tensors have several dtypes, and `dtype` is None.

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
            raise ValueError(f"parameters of types {' and '.join(sorted(types))}; convert all of them to one type")
        parts = [t.numpy().ravel() for t in self.tensors.values()] or [np.empty(0)]
        self.move_to(np.concatenate(parts).astype(dtype or parts[0].dtype))

    def move_to(self, vector: Array) -> None:
        """Use another vector from now on, which already holds the values."""
        self.vector = vector
        for name, view in self.split(vector).items():
            self.tensors[name].rebind(view)

    def split(self, vector: Values) -> dict[str, Values]:
        """Split a vector of this layout: name -> part in the shape of the tensor; a view if the vector is an array."""
        parts, start = {}, 0
        for name, t in self.tensors.items():
            parts[name] = vector[start : start + t.size].reshape(t.shape)
            start += t.size
        return parts

    def assign(self, vector: Array) -> None:
        """Copy the values of another vector into `vector`."""
        self.vector[...] = vector
        for t in self.tensors.values():
            t.mark_changed()


class FlatParameters(FlatTensors):
    """Parameters that become views of one vector: first weights, then biases (names that end in `bias`).

    Args:
        named: Name -> parameter.
        dtype: The dtype that all of them are converted to; None to keep theirs.

    Attributes:
        vector: The values of the trained parameters: [n].
        frozen: The other parameters (`requires_grad` False), in a separate vector.

    Raises:
        ValueError: There is nothing to train, a parameter is given twice, or dtypes differ and `dtype` is None.

    >>> w, b = Parameter([[1.0, 2.0]]), Parameter([3.0])
    >>> flat = FlatParameters({"bias": b, "weight": w})
    >>> flat.vector, flat.weights
    (array([1., 2., 3.]), 2)
    >>> flat.assign(np.zeros(3))
    >>> w.numpy()
    array([[0., 0.]])
    """

    def __init__(self, named: Mapping[str, Parameter], dtype: str | None = None) -> None:
        ordered = {name: named[name] for name in sorted(named, key=is_bias)}
        trained = {name: p for name, p in ordered.items() if p.requires_grad}
        if not trained:
            frozen = f": all {len(named)} are frozen" if named else ""
            raise ValueError(
                f"no parameters given{frozen}: there is nothing to train; pass net.parameters(), or [w, b]"
            )
        if len({id(p) for p in named.values()}) < len(named):
            raise ValueError(f"the same parameter given twice, among {', '.join(ordered)}; pass each once")
        super().__init__(trained, dtype)
        others = {name: p for name, p in ordered.items() if not p.requires_grad}
        self.frozen = FlatTensors(others, dtype or self.vector.dtype.name)

    @property
    def weights(self) -> int:
        """The number of entries of the vector that belong to weights, which come first."""
        return sum(t.size for name, t in self.tensors.items() if not is_bias(name))

    def gradient(self, loss: Tensor) -> Tensor:
        """The gradient of a scalar loss as one vector, without a graph."""
        with no_grad():
            parts = gradients(loss, list(self.tensors.values()))
            return concatenate([g.reshape(-1) for g in parts])


def is_bias(name: str) -> bool:
    """Whether a parameter's name is that of a bias: its last part ends in `bias`."""
    return name.rpartition(".")[2].endswith("bias")
