"""Activation layers, which `activation=` chooses from."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from minitrain.autograd import functional as F
from minitrain.autograd.tensor import Tensor
from minitrain.nn.module import Module
from minitrain.registry import Registry, accepts, register


def _check_activation(component: object) -> str:
    """Check of a registered activation: a function of x, or a Module class that is created without arguments."""
    if not isinstance(component, type):
        return accepts("x")(component)
    if not issubclass(component, Module):
        return f"{component.__name__} is not a Module; register a subclass of minitrain.nn.Module, or a function"
    return accepts()(component)


ACTIVATIONS: Registry[type[Module] | Callable[[Tensor], Tensor]] = Registry("activation", _check_activation)


def activation_layer(name: str) -> Callable[[], Module]:
    """The constructor of an activation layer; the activation may be registered as a Module or as a plain function.

    >>> activation_layer("tanh")()(Tensor(0.0)).item()
    0.0
    """
    entry = ACTIVATIONS[name]
    return entry if isinstance(entry, type) else lambda: FunctionLayer(entry)


def activation_layers(model: Module) -> dict[str, Module]:
    """The activation layers of a network by name.

    >>> from minitrain.nn import Linear, Sequential
    >>> list(activation_layers(Sequential(Linear(2, 3, rng=0), ReLU(), Linear(3, 1, rng=1))))
    ['1']
    """
    kinds = (FunctionLayer, *(entry for entry in ACTIVATIONS.values() if isinstance(entry, type)))
    return {name: module for name, module in model.named_modules().items() if isinstance(module, kinds)}


class FunctionLayer(Module):
    """A plain function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output."""
        return self.function(x)


class Activation(Module):
    """An elementwise function as a layer: x: [...] -> [...]."""

    function: ClassVar[Callable[[Tensor], Tensor]]

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output."""
        return type(self).function(x)


@register("activation", "elu")
class ELU(Activation):
    """x where x > 0, else e^x - 1 (Clevert, Unterthiner, Hochreiter 2016, eq. 15 with alpha 1)."""

    function = F.elu


@register("activation", "gelu")
class GELU(Activation):
    """x Φ(x), where Φ is the normal distribution function (Hendrycks and Gimpel 2016, section 2)."""

    function = F.gelu


@register("activation", "hardswish")
class Hardswish(Activation):
    """x clip(x + 3, 0, 6) / 6 (Howard et al. 2019, section 5.2)."""

    function = F.hardswish


@register("activation", "hardtanh")
class Hardtanh(Activation):
    """x clipped to [-1, 1] (Collobert 2004)."""

    function = F.hardtanh


@register("activation", "identity")
class Identity(Activation):
    """x itself."""

    function = F.identity


@register("activation", "leaky_relu")
class LeakyReLU(Activation):
    """x where x > 0, else 0.01 x (Maas, Hannun, Ng 2013)."""

    function = F.leaky_relu


@register("activation", "logsigmoid")
class LogSigmoid(Activation):
    """log sigmoid(x)."""

    function = F.logsigmoid


@register("activation", "mish")
class Mish(Activation):
    """x tanh(softplus(x)) (Misra 2020, eq. 1)."""

    function = F.mish


@register("activation", "relu")
class ReLU(Activation):
    """max(0, x).

    >>> ReLU()(Tensor([-1.0, 2.0])).numpy()
    array([0., 2.])
    """

    function = F.relu


@register("activation", "selu")
class SELU(Activation):
    """A scaled ELU that preserves mean 0 and variance 1 (Klambauer et al. 2017, eq. 2), with `init=lecun_normal`."""

    function = F.selu


@register("activation", "sigmoid")
class Sigmoid(Activation):
    """1 / (1 + e^-x)."""

    function = F.sigmoid


@register("activation", "silu")
class SiLU(Activation):
    """x sigmoid(x) (Elfwing, Uchibe, Doya 2018, eq. 1)."""

    function = F.silu


@register("activation", "softplus")
class Softplus(Activation):
    """log(1 + e^x), a smooth relu (Dugas et al. 2001)."""

    function = F.softplus


@register("activation", "tanh")
class Tanh(Activation):
    """The hyperbolic tangent."""

    function = F.tanh
