"""Losses that `loss=` chooses from, and how many outputs each wants from a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from minitrain.autograd import functional as F
from minitrain.autograd.tensor import Tensor
from minitrain.data import Dataset
from minitrain.errors import ConfigError
from minitrain.registry import Registry, is_callable, register


@dataclass(frozen=True)
class Loss:
    """What training makes small: Tensors output [batch, outputs], target [batch, ...] or None -> a scalar.

    function: (output, target, reduction="mean" or "sum") -> a scalar
    outputs: how many outputs a network for a dataset has; raises ConfigError for data that the loss does not fit
    probabilities: output [batch, outputs] -> probabilities of the classes [batch, classes], if the loss is about such

    >>> from minitrain.data import Moons
    >>> LOSSES["hinge"].outputs(Moons().load())
    1
    """

    function: Callable[..., Tensor]
    outputs: Callable[[Dataset], int]
    probabilities: Callable[[Tensor], Tensor] | None = None

    def __call__(self, output: Tensor, target: Tensor | None) -> Tensor:
        return self.function(output, target)


LOSSES: Registry[Loss | Callable[..., Tensor]] = Registry("loss", is_callable)


def build_loss(name: str, reduction: str = "mean", label_smoothing: float | None = None) -> Loss:
    """The loss of a name, with its options. Raises ConfigError for an option that this loss does not have.

    A plain function (output, target) of a person's own has as many outputs as the data, and no options.
    """
    loss = LOSSES[name]
    if not isinstance(loss, Loss):
        if reduction != "mean" or label_smoothing is not None:
            raise ConfigError(f"loss={name}: a plain function, has no reduction or label_smoothing; leave them out")
        return Loss(loss, partial(_as_the_data_has, name))
    options: dict[str, str | float] = {"reduction": reduction}
    if label_smoothing is not None:
        if loss.function is not cross_entropy:
            raise ConfigError(
                f"label_smoothing={label_smoothing:g}: loss={name} has none; set loss=cross_entropy, "
                "or label_smoothing=null"
            )
        options["label_smoothing"] = label_smoothing
    return replace(loss, function=partial(loss.function, **options))


# How many outputs: (name of the loss, data) -> outputs

Function = Callable[..., Tensor]


def _as_the_data_has(name: str, data: Dataset) -> int:
    if data.y_train is None:
        raise ConfigError(f"loss={name}: compares with a target, and the data has none; set loss=output")
    return data.outputs


def _one_per_class(name: str, data: Dataset) -> int:
    outputs = _as_the_data_has(name, data)
    if data.classes is None:
        raise ConfigError(f"loss={name}: needs classes, and the data has numbers as targets; set loss=mse")
    return outputs


def _one_per_class_or_one_for_two(name: str, data: Dataset) -> int:
    classes = _one_per_class(name, data)
    return 1 if classes == 2 else classes


def _one_for_two(name: str, data: Dataset) -> int:
    classes = _one_per_class(name, data)
    if classes != 2:
        raise ConfigError(f"loss={name}: is for 2 classes, and the data has {classes}; set loss=cross_entropy")
    return 1


def _loss(
    name: str, outputs: Callable[[str, Dataset], int], probabilities: Callable[[Tensor], Tensor] | None = None
) -> Callable[[Function], Function]:
    """Enter the decorated function into the table."""

    def enter(function: Function) -> Function:
        register("loss", name)(Loss(function, partial(outputs, name), probabilities))
        return function

    return enter


# For classes: target integers [batch]


@_loss("cross_entropy", _one_per_class, F.softmax)
def cross_entropy(
    output: Tensor, target: Tensor, reduction: str = "mean", label_smoothing: float | None = None
) -> Tensor:
    """The negative log-likelihood of the target class, or of probability rows [batch, classes].

    >>> cross_entropy(Tensor([[1000.0, 0.0]]), Tensor([1])).item()
    1000.0
    """
    return F.cross_entropy(output, target, label_smoothing, reduction)


def _of_two(logit: Tensor) -> Tensor:
    """The probabilities of class 0 and 1 from the logit of class 1: [batch, 1] -> [batch, 2]."""
    return F.concatenate([F.sigmoid(-logit), F.sigmoid(logit)], axis=-1)


@_loss("binary_cross_entropy", _one_for_two, _of_two)
def binary_cross_entropy(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The negative log-likelihood of the target class, 0 or 1, from one output: the logit of class 1.

    >>> binary_cross_entropy(Tensor([[1000.0]]), Tensor([0])).item()
    1000.0
    """
    return F.binary_cross_entropy_with_logits(output, target[:, None], reduction)


@_loss("hinge", _one_per_class_or_one_for_two)
def hinge(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The hinge loss: from one output for class 1 against class 0, else from one per class.

    >>> hinge(Tensor([[0.25]]), Tensor([0])).item()
    1.25
    >>> hinge(Tensor([[2.0, 1.5, 0.0, 0.0]]), Tensor([0])).item()
    0.125
    """
    if output.shape[-1] == 1:
        return F.hinge_loss(output, 2 * target[:, None] - 1, reduction)
    return F.multi_margin_loss(output, target, reduction)


# For numbers: target floats [batch] or [batch, outputs]; a class counts as a row with 1 at its place and 0 elsewhere


@_loss("mse", _as_the_data_has)
def mse(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared error; a class counts as a row with 1 at its place and 0 elsewhere.

    >>> mse(Tensor([[0.0, 1.0]]), Tensor([1])).item()
    0.0
    """
    return F.mse_loss(output, _rows(output, target), reduction)


@_loss("mae", _as_the_data_has)
def mae(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The absolute error; a class counts as a row with 1 at its place and 0 elsewhere.

    >>> mae(Tensor([[3.0], [1.0]]), Tensor([1.0, 1.0])).item()
    1.0
    """
    return F.l1_loss(output, _rows(output, target), reduction)


@_loss("huber", _as_the_data_has)
def huber(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Half the squared error up to an error of 1, linear beyond; a class counts as a row with 1 at its place.

    >>> huber(Tensor([[3.0], [1.0]]), Tensor([0.0, 1.0])).item()
    1.25
    """
    return F.huber_loss(output, _rows(output, target), reduction=reduction)


def _rows(output: Tensor, target: Tensor) -> Tensor:
    """The target as [batch, outputs]."""
    if target.dtype.kind in "iu":
        return target[:, None] == np.arange(output.shape[-1])
    return target[:, None] if target.ndim == 1 else target


# Without a target


def _without_target(name: str, data: Dataset) -> int:
    if data.y_train is not None:
        fits = "mse" if data.classes is None else "cross_entropy"
        raise ConfigError(f"loss={name}: is for data without a target, and this has one; set loss={fits}")
    return data.outputs


@_loss("output", _without_target)
def output(output: Tensor, target: Tensor | None, reduction: str = "mean") -> Tensor:
    """The output itself, for a network that ends in its own loss; the target is not used.

    >>> output(Tensor([[9.0]]), None).item()
    9.0
    """
    return output.sum() if reduction == "sum" else output.mean()
