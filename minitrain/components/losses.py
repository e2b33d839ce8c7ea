"""Losses, which `loss=` selects by name, and the number of outputs that each requires of a network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from minitrain.autograd import functional as F
from minitrain.autograd.tensor import Tensor
from minitrain.data.preprocessing import Preprocessing
from minitrain.data.targets import TargetKind
from minitrain.errors import ConfigError, abbreviate, plural
from minitrain.registry import Registry, accepts, register


class LossFunction(Protocol):
    """A component of the group `loss`: a function, or a `Loss`, which also states the outputs that it requires."""

    def __call__(self, output: Tensor, target: Tensor | None, /) -> Tensor:
        """Compute a scalar: output [batch, outputs], target [batch, ...] or None -> []."""


@dataclass(frozen=True)
class Loss:
    """The training objective: output [batch, outputs], target [batch, ...] or None -> scalar.

    Attributes:
        function: (output, target, reduction="mean" or "sum") -> scalar.
        outputs: Returns the number of outputs of a network for data; raises ConfigError for unsuitable data.
        probabilities: Output [batch, outputs] -> probabilities of classes [batch, classes], or of several labels
            [batch, labels]; None if the loss has none.
        target: What a target is taken for if it can be classes, labels or numbers; None: classes if it can be.

    >>> from minitrain.data import Moons
    >>> LOSSES["hinge"].outputs(Moons().load().preprocessing)
    1
    """

    function: Callable[..., Tensor]
    outputs: Callable[[Preprocessing], int]
    probabilities: Callable[[Tensor], Tensor] | None = None
    target: TargetKind | None = None

    def __call__(self, output: Tensor, target: Tensor | None) -> Tensor:
        """Compute the loss: output [batch, outputs], target [batch, ...] or None -> []."""
        return self.function(output, target)


LOSSES: Registry[Loss | LossFunction] = Registry("loss", accepts("output", "target"))


def expected_target(name: str) -> TargetKind | None:
    """What the loss of a name requires as its target; None if it does not say."""
    loss = LOSSES[name]
    return loss.target if isinstance(loss, Loss) else None


def build_loss(name: str, *, loss_scale: float | None = None, **options: Any) -> Loss:
    """Create a loss with its options.

    Args:
        name: The name of a registered loss. The loss of a registered function has one output per class or per target
            column.
        loss_scale: A factor of the loss.
        **options: Keyword arguments of the loss's function, such as `label_smoothing`; those with None or with the
            default reduction are left out.

    Raises:
        ConfigError: The loss does not have the option.

    >>> build_loss("huber", huber_delta=2.0, loss_scale=10.0)(Tensor([[3.0]]), Tensor([0.0])).item()
    40.0
    """
    loss = LOSSES[name]
    if not isinstance(loss, Loss):
        loss = Loss(loss, partial(_as_in_data, name))
    selected = {key: value for key, value in options.items() if value is not None and value != _NEUTRAL.get(key)}
    for key, value in selected.items():
        if key not in _options(loss):
            raise ConfigError(f"{key}={_format(value)}: loss={name} has none; {_advice(key)}")
    if selected:
        loss = replace(loss, function=partial(loss.function, **selected))
    if loss_scale is not None:
        loss = replace(loss, function=partial(_scaled, loss.function, loss_scale))
    return loss


_NEUTRAL = {"reduction": "mean"}  # option -> the value that every loss has; null for all others


def class_weights(weight: str | Sequence[float], labels: Sequence[str], counts: Sequence[int]) -> tuple[float, ...]:
    """The weight of each class.

    Args:
        weight: The weights, or "balanced": each class has the same total weight, which is examples / (number of classes
            * examples of the class). A class without an example has the weight 1 and is not counted.
        labels: The names of the classes.
        counts: The number of training examples of each class.

    Raises:
        ConfigError: The number of weights is not that of the classes.

    References:
        King and Zeng 2001, "Logistic regression in rare events data".

    >>> class_weights("balanced", ["a", "b", "c"], [3, 1, 0])
    (0.6666666666666666, 2.0, 1.0)
    """
    if weight == "balanced":
        balanced = sum(counts) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return tuple(np.where(np.greater(counts, 0), balanced, 1.0).tolist())
    if len(weight) != len(labels):
        raise ConfigError(
            f"class_weight={abbreviate(weight)}: expected {plural(len(labels), 'number')}, one for each class: "
            f"{abbreviate(', '.join(labels))}"
        )
    return tuple(map(float, weight))


def _options(loss: LossFunction) -> Collection[str]:
    """The names of the options of a loss, which are parameters of its function."""
    function = loss.function if isinstance(loss, Loss) else loss
    return inspect.signature(function).parameters.keys() - {"output", "target"}


def _advice(option: str) -> str:
    suitable = [name for name, loss in LOSSES.items() if option in _options(loss)]
    return f"set loss={' or '.join(suitable)}, or {option}={_NEUTRAL.get(option, 'null')}"


def _format(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else abbreviate(value)


def _scaled(function: Callable[..., Tensor], scale: float, output: Tensor, target: Tensor | None) -> Tensor:
    return function(output, target) * scale


# Number of outputs: (name of the loss, data) -> outputs

Function = Callable[..., Tensor]


def _as_in_data(name: str, data: Preprocessing) -> int:
    if not data.has_target:
        raise ConfigError(f"loss={name}: requires a target, and the data has none; set loss=output")
    return data.outputs


def _per_class(name: str, data: Preprocessing) -> int:
    outputs = _as_in_data(name, data)
    if data.multilabel:
        raise ConfigError(
            f"loss={name}: requires one class per example, and the data has several labels; set "
            "loss=binary_cross_entropy"
        )
    if data.classes is None:
        raise ConfigError(f"loss={name}: requires classes, and the targets are numbers; set loss=mse")
    return outputs


def _per_class_or_binary(name: str, data: Preprocessing) -> int:
    classes = _per_class(name, data)
    return 1 if classes == 2 else classes


def _binary(name: str, data: Preprocessing) -> int:
    if data.multilabel:
        return len(data.multilabel)
    classes = _per_class(name, data)
    if classes != 2:
        raise ConfigError(f"loss={name}: is for 2 classes, and the data has {classes}; set loss=cross_entropy")
    return 1


_TARGETS: dict[Callable[[str, Preprocessing], int], TargetKind] = {
    _as_in_data: "numbers",
    _per_class: "classes",
    _per_class_or_binary: "classes",
    _binary: "labels",
}


def _loss(
    name: str, outputs: Callable[[str, Preprocessing], int], probabilities: Callable[[Tensor], Tensor] | None = None
) -> Callable[[Function], Function]:
    """Register the decorated function."""

    def add(function: Function) -> Function:
        register("loss", name)(Loss(function, partial(outputs, name), probabilities, _TARGETS.get(outputs)))
        return function

    return add


# Classification: target integers [batch]. With weights of the classes, the mean is Σ w[target] loss / Σ w[target].

Weights = Sequence[float]  # [classes]


@_loss("cross_entropy", _per_class, F.softmax)
def cross_entropy(
    output: Tensor,
    target: Tensor,
    reduction: str = "mean",
    label_smoothing: float | None = None,
    class_weight: Weights | None = None,
) -> Tensor:
    """The negative log-likelihood of target classes [batch], or of target probabilities [batch, classes].

    >>> cross_entropy(Tensor([[1000.0, 0.0]]), Tensor([1])).item()
    1000.0
    """
    return F.cross_entropy(output, target, label_smoothing, reduction, class_weight)


def _binary_probabilities(logit: Tensor) -> Tensor:
    """The probabilities of the classes 0 and 1 from the logit of class 1: [batch, 1] -> [batch, 2].

    Several logits are those of labels: [batch, labels] -> [batch, labels].
    """
    if logit.shape[-1] > 1:
        return F.sigmoid(logit)
    return F.concatenate([F.sigmoid(-logit), F.sigmoid(logit)], axis=-1)


@_loss("binary_cross_entropy", _binary, _binary_probabilities)
def binary_cross_entropy(
    output: Tensor, target: Tensor, reduction: str = "mean", class_weight: Weights | None = None
) -> Tensor:
    """The negative log-likelihood of the target class, 0 or 1; the output is the logit of class 1.

    Of several labels [batch, labels], each has a logit, and the loss is the mean or the sum over labels and examples.

    >>> binary_cross_entropy(Tensor([[1000.0]]), Tensor([0])).item()
    1000.0
    >>> binary_cross_entropy(Tensor([[1000.0, 0.0]]), Tensor([[False, True]]), "sum").item()
    1000.6931471805599
    """
    if target.ndim == 2:
        return F.binary_cross_entropy_with_logits(output, target, reduction)
    if class_weight is not None:
        return _weighted(
            F.binary_cross_entropy_with_logits(output[:, 0], target, "none"), target, class_weight, reduction
        )
    return F.binary_cross_entropy_with_logits(output, target[:, None], reduction)


@_loss("hinge", _per_class_or_binary)
def hinge(output: Tensor, target: Tensor, reduction: str = "mean", class_weight: Weights | None = None) -> Tensor:
    """The hinge loss: binary for one output, multi-class for one output per class.

    >>> hinge(Tensor([[0.25]]), Tensor([0])).item()
    1.25
    >>> hinge(Tensor([[2.0, 1.5, 0.0, 0.0]]), Tensor([0])).item()
    0.125
    """
    of_rows = reduction if class_weight is None else "none"
    if output.shape[-1] == 1:
        loss = F.hinge_loss(output[:, 0], 2 * target - 1, of_rows)
    else:
        loss = F.multi_margin_loss(output, target, of_rows)
    return loss if class_weight is None else _weighted(loss, target, class_weight, reduction)


def _weighted(rows: Tensor, target: Tensor, class_weight: Weights, reduction: str) -> Tensor:
    """The weighted sum or mean of the losses of examples: [batch], classes [batch] -> []."""
    weights = Tensor(np.asarray(class_weight, rows.dtype)).take(target)
    total = (rows * weights).sum()
    return total if reduction == "sum" else total / weights.sum()


# Regression: target floats [batch] or [batch, outputs]; classes are one-hot encoded


@_loss("mse", _as_in_data)
def mse(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared error; classes are one-hot encoded.

    >>> mse(Tensor([[0.0, 1.0]]), Tensor([1])).item()
    0.0
    """
    return F.mse_loss(output, _rows(output, target), reduction)


@_loss("half_mse", _as_in_data)
def half_mse(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Half the squared error, whose derivative is the error; classes are one-hot encoded.

    >>> half_mse(Tensor([[3.0], [1.0]]), Tensor([1.0, 1.0])).item()
    1.0
    """
    return mse(output, target, reduction) * 0.5


@_loss("mae", _as_in_data)
def mae(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The absolute error; classes are one-hot encoded.

    >>> mae(Tensor([[3.0], [1.0]]), Tensor([1.0, 1.0])).item()
    1.0
    """
    return F.l1_loss(output, _rows(output, target), reduction)


@_loss("huber", _as_in_data)
def huber(output: Tensor, target: Tensor, reduction: str = "mean", huber_delta: float = 1.0) -> Tensor:
    """Half the squared error up to an error of huber_delta, linear beyond; classes are one-hot encoded.

    >>> huber(Tensor([[3.0], [1.0]]), Tensor([0.0, 1.0])).item()
    1.25
    """
    return F.huber_loss(output, _rows(output, target), huber_delta, reduction)


def _rows(output: Tensor, target: Tensor) -> Tensor:
    """The target as [batch, outputs], one-hot for classes."""
    if target.dtype.kind in "iu":
        return target[:, None] == np.arange(output.shape[-1])
    return target[:, None] if target.ndim == 1 else target


# Without target


def _without_target(name: str, data: Preprocessing) -> int:
    if data.has_target:
        suitable = "cross_entropy" if data.classes is not None else "binary_cross_entropy" if data.multilabel else "mse"
        raise ConfigError(f"loss={name}: is for data without a target, and this data has one; set loss={suitable}")
    return data.outputs


@_loss("output", _without_target)
def output(output: Tensor, target: Tensor | None, reduction: str = "mean") -> Tensor:
    """The output itself, for a network that computes its own loss; the target is not used.

    >>> output(Tensor([[9.0]]), None).item()
    9.0
    """
    return output.sum() if reduction == "sum" else output.mean()
