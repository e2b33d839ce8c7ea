"""Activations: the table that `activation=` chooses from, and each as a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from minitrain.autograd import functional as F
from minitrain.autograd.tensor import Tensor
from minitrain.config import TABLES, register
from minitrain.nn.module import Module


def activation_layer(name: str) -> Callable[[], Module]:
    """What makes a layer of a named activation, which may be registered as a Module or as a plain function.

    >>> activation_layer("tanh")()(Tensor(0.0)).item()
    0.0
    """
    entry = TABLES["activation"][name]
    return entry if isinstance(entry, type) else lambda: _Function(entry)


class _Function(Module):
    """A plain function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Activation(Module):
    """An elementwise function as a layer: x: [...] -> [...]."""

    function: ClassVar[Callable[[Tensor], Tensor]]

    def forward(self, x: Tensor) -> Tensor:
        return type(self).function(x)


@register("activation", "identity")
class Identity(Activation):
    """x itself."""

    function = F.identity


@register("activation", "relu")
class ReLU(Activation):
    """max(0, x).

    >>> ReLU()(Tensor([-1.0, 2.0])).numpy()
    array([0., 2.])
    """

    function = F.relu


@register("activation", "sigmoid")
class Sigmoid(Activation):
    """1 / (1 + e^-x)."""

    function = F.sigmoid


@register("activation", "silu")
class SiLU(Activation):
    """x sigmoid(x) (Elfwing, Uchibe, Doya 2018, eq. 1)."""

    function = F.silu


@register("activation", "tanh")
class Tanh(Activation):
    """The hyperbolic tangent."""

    function = F.tanh
