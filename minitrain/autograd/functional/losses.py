"""Losses, and accuracy.

A loss computes a number per entry or per row; `reduction` is "mean", "sum" or "none", and another value raises
ValueError. The target is converted to the dtype of the prediction, so a float32 loss stays float32. Operands are not
broadcast: shapes that differ raise ValueError.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from minitrain.autograd.composed import largest
from minitrain.autograd.functional.activations import softplus
from minitrain.autograd.functional.reductions import log_softmax
from minitrain.autograd.tensor import Tensor, TensorLike, inspectable, to_float, to_tensor
from minitrain.typing import Shape

# Classes


def cross_entropy(
    logits: TensorLike,
    target: TensorLike,
    label_smoothing: float | None = None,
    reduction: str = "mean",
    weight: TensorLike | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """The cross-entropy between the target and softmax(logits): logits [batch, classes, ...] -> [] or [batch, ...].

    It is -Σ q log softmax(logits), without overflow for any logits. Where q is 0, a logit of -inf contributes nothing
    (in PyTorch, the result is nan if q is given as probabilities).

    Args:
        logits: [batch, classes, ...], or [classes] for a single example.
        target: Integers [batch, ...], for which q is 1 at the class and 0 elsewhere; or floats of the shape of the
            logits, used as q.
        label_smoothing: ε: q is replaced by (1 - ε) q + ε / classes.
        reduction: "mean", "sum" or "none".
        weight: The weight w of each class: [classes]. The loss is -Σ w q log softmax(logits), and the mean over classes
            is divided by the sum of the weights of the target classes instead of their number.
        ignore_index: A target class that contributes no loss, and does not count in the mean (-100 in PyTorch, where
            it is ignored unless another one is given).

    Raises:
        ValueError: The target or the weight has another shape or dtype, a class does not exist, or the smoothing is
            outside 0 to 1.

    References:
        Szegedy et al. 2016, section 7 (label smoothing).

    >>> cross_entropy([[1000.0, 0.0]], [1]).item()
    1000.0
    >>> round(cross_entropy([[0.0, 0.0]], [[0.5, 0.5]]).item(), 6)
    0.693147
    """
    if label_smoothing is not None and not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing={label_smoothing}: expected 0 to 1")
    logits, target, shape = _rows_of_classes("cross_entropy", to_float(logits), to_tensor(target))
    q, counted = _target_probabilities(logits, target, ignore_index)
    w = None if weight is None else _class_weight("cross_entropy", logits, weight)
    row_weights = _row_weights(q, w, counted)
    if label_smoothing is not None:
        q = q.astype(logits.dtype) * (1 - label_smoothing) + label_smoothing / logits.shape[-1]
    if q.dtype == bool and w is None:
        # The same without a logarithm per class: log Σ exp(logits) - the logit of the target.
        shifted = logits - largest(logits, -1)
        rows = shifted.exp().sum(-1).log() - q._masks(shifted).sum(-1)
    else:
        terms = _weighted(q, log_softmax(logits))
        rows = -(terms if w is None else terms * w).sum(-1)
    return _reduce_rows("cross_entropy", rows, row_weights, counted, shape, reduction)


def nll_loss(
    log_probs: TensorLike,
    target: TensorLike,
    reduction: str = "mean",
    weight: TensorLike | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """The negative log-likelihood of the target's class: log_probs [batch, classes, ...] -> [] or [batch, ...].

    It is -log_probs[target]: the cross-entropy of a network that ends in log_softmax.

    Args:
        log_probs: [batch, classes, ...], or [classes] for a single example.
        target: Integers [batch, ...].
        reduction: "mean", "sum" or "none".
        weight: As in `cross_entropy`.
        ignore_index: As in `cross_entropy`.

    Raises:
        ValueError: The target is not one integer class per row, or a class does not exist.

    >>> nll_loss([[-1.0, -3.0]], [1]).item()
    3.0
    """
    log_probs, target, shape = _rows_of_classes("nll_loss", to_float(log_probs), to_tensor(target))
    is_target, counted = _one_hot("nll_loss", log_probs, target, ignore_index)
    w = None if weight is None else _class_weight("nll_loss", log_probs, weight)
    rows = -_weighted(is_target, log_probs if w is None else log_probs * w).sum(-1)
    return _reduce_rows("nll_loss", rows, _row_weights(is_target, w, counted), counted, shape, reduction)


def multi_margin_loss(scores: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """The hinge loss of several classes with margin 1: scores [batch, classes], integers [batch] -> [] or [batch].

    It is Σ over j ≠ y of max(0, 1 - scores[y] + scores[j]), divided by the number of classes as in PyTorch. Its
    derivative at a kink is 0.

    Raises:
        ValueError: The target is not one integer class per row, or a class does not exist.

    References:
        Weston, Watkins 1999.

    >>> multi_margin_loss([[2.0, 1.5]], [0]).item()
    0.25
    """
    scores = to_float(scores)
    is_target, _ = _one_hot("multi_margin_loss", scores, to_tensor(target))
    target_score = is_target.where(scores, 0.0).sum(-1, keepdims=True)
    excess = is_target.where(0.0, (1.0 - target_score + scores).relu())
    return _reduce("multi_margin_loss", excess.sum(-1) / scores.shape[-1], reduction)


# Two classes, one score


def binary_cross_entropy_with_logits(logits: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """The cross-entropy between a probability and sigmoid(logit), per entry: two of shape [...] -> [] or [...].

    It is -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)) = log(1 + e^x) - t x, without overflow for any x, and with a
    small relative error for a small loss, too.

    Raises:
        ValueError: The shapes differ, or a target is outside 0 to 1.

    >>> binary_cross_entropy_with_logits([1000.0, -1000.0], [0.0, 1.0], reduction="none").numpy()
    array([1000., 1000.])
    """
    x, t = _same_shape("binary_cross_entropy_with_logits", "logits", logits, target)
    values = inspectable(t)
    if values is not None and not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"binary_cross_entropy_with_logits: target from {values.min():g} to {values.max():g}: expected "
            "probabilities, 0 to 1"
        )
    # softplus(-x) + (1 - t) x if x > 0, else softplus(x) - t x: no digits are lost where t is 0 or 1. |x| would have no
    # second derivative at 0.
    positive = (x > 0.0).astype(x.dtype)
    entries = softplus(x * (1.0 - positive * 2.0)) + x * (positive - t)
    return _reduce("binary_cross_entropy_with_logits", entries, reduction)


def hinge_loss(scores: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """The hinge loss of labels -1 and 1, per entry: two of shape [...] -> [] or [...].

    It is max(0, 1 - y score). Its derivative at the kink is 0.

    Raises:
        ValueError: The shapes differ, or a label is neither -1 nor 1.

    References:
        Cortes, Vapnik 1995.

    >>> hinge_loss([0.5, 3.0], [1, 1], reduction="none").numpy()
    array([0.5, 0. ])
    """
    scores, y = _same_shape("hinge_loss", "scores", scores, target)
    labels = inspectable(y)
    if labels is not None and not (np.abs(labels) == 1).all():
        raise ValueError("hinge_loss: expected labels -1 and 1; convert classes 0 and 1 with 2 * classes - 1")
    return _reduce("hinge_loss", (1.0 - y * scores).relu(), reduction)


# Regression


def mse_loss(prediction: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """The squared error (p - t)² per entry: two of shape [...] -> [] or [...].

    Raises:
        ValueError: The shapes differ: a target [batch] and a prediction [batch, 1] would broadcast to [batch, batch].

    >>> mse_loss([1.0, 3.0], [0.0, 0.0]).item()
    5.0
    """
    prediction, target = _same_shape("mse_loss", "prediction", prediction, target)
    return _reduce("mse_loss", (prediction - target) ** 2, reduction)


def l1_loss(prediction: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """The absolute error |p - t| per entry: two of shape [...] -> [] or [...]; its derivative at 0 is 0.

    Raises:
        ValueError: The shapes differ.

    >>> l1_loss([1.0, -3.0], [0.0, 0.0]).item()
    2.0
    """
    prediction, target = _same_shape("l1_loss", "prediction", prediction, target)
    return _reduce("l1_loss", (prediction - target).abs(), reduction)


def huber_loss(prediction: TensorLike, target: TensorLike, delta: float = 1.0, reduction: str = "mean") -> Tensor:
    """Half the squared error up to an error of delta, linear beyond it: two of shape [...] -> [] or [...].

    With e = p - t, it is e² / 2 where |e| <= delta, else delta (|e| - delta / 2), whose derivative is ± delta for an
    infinite error, too.

    Raises:
        ValueError: The shapes differ, or delta is not positive.

    References:
        Huber 1964.

    >>> huber_loss([0.5, 3.0], [0.0, 0.0], reduction="none").numpy()
    array([0.125, 2.5  ])
    """
    prediction, target = _same_shape("huber_loss", "prediction", prediction, target)
    if not delta > 0:
        raise ValueError(f"huber_loss: delta={delta}: expected a number above 0")
    error = prediction - target
    size = error.abs()
    is_small = size <= delta
    small = is_small._masks(error)  # the square of an infinite error has the derivative nan, in the other branch too
    entries = is_small.where(small**2 * 0.5, (size - delta / 2) * delta)
    return _reduce("huber_loss", entries, reduction)


# Distributions


def kl_div(log_input: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """The Kullback-Leibler divergence from exp(log_input) to the target, per entry: two of shape [...] -> [] or [...].

    It is t (log t - log_input) for probabilities t, and 0 where t is 0 (in PyTorch, nan if log_input is -inf there).

    Args:
        log_input: Logarithms of probabilities.
        target: Probabilities.
        reduction: "mean" over all entries as in PyTorch, "sum", "none", or "batchmean": the sum divided by the number
            of rows, which is the mean divergence.

    Raises:
        ValueError: The shapes differ, or a target is negative.

    >>> round(kl_div([[-1.0, -2.0]], [[1.0, 0.0]], reduction="batchmean").item(), 6)
    1.0
    """
    log_input, t = _same_shape("kl_div", "log_input", log_input, target)
    values = inspectable(t)
    if values is not None and (values < 0).any():
        raise ValueError(
            "kl_div: a negative target: expected probabilities; logarithms are the first argument, log_input"
        )
    log_t = (t == 0.0).where(1.0, t).log()
    entries = t * log_t - _weighted(t, log_input)
    if reduction == "batchmean":
        return entries.sum() / t.shape[0]
    return _reduce("kl_div", entries, reduction, "mean, sum, none, batchmean")


def accuracy(logits: TensorLike, target: Any) -> Tensor:
    """The fraction of rows whose predicted class is the target: [batch, classes], integers [batch] -> [], 0 to 1.

    The predicted class is that of the largest logit; for a single logit [batch, 1], it is 1 where that is positive.

    Several labels are truth values [batch, labels]: the result is the fraction of entries in which a label is present
    where its logit is positive, and absent where it is not.

    Raises:
        ValueError: The target is neither one class per row nor a truth value per logit.

    >>> accuracy([[2.0, 1.0], [0.0, 3.0]], [0, 0]).item()
    0.5
    >>> accuracy([[2.0], [-1.0]], [1, 0]).item()
    1.0
    >>> accuracy([[2.0, -1.0]], [[True, True]]).item()
    0.5
    """
    logits, target = to_tensor(logits), to_tensor(target)
    if logits.ndim == 2 and target.dtype == bool and target.shape == logits.shape:
        return ((logits > 0) == target).astype("float64").mean()
    if logits.ndim != 2 or target.shape != logits.shape[:1]:
        raise ValueError(
            f"accuracy: logits {list(logits.shape)}, target {list(target.shape)}: expected logits [batch, classes] and "
            "one class per row, or a truth value per logit"
        )
    predicted = logits[:, 0] > 0 if logits.shape[-1] == 1 else logits.argmax()
    return (predicted == target).astype("float64").mean()


def _rows_of_classes(what: str, scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Shape]:
    """Scores [batch, classes, ...] as rows [n, classes], the target likewise, and the shape of the losses."""
    if scores.ndim == 2:
        return scores, target, scores.shape[:1]
    if scores.ndim == 0:
        raise ValueError(f"{what}: a scalar given, expected one score per class: [batch, classes]")
    axis = 0 if scores.ndim == 1 else 1
    order = [i for i in range(scores.ndim) if i != axis] + [axis]
    shape, classes = tuple(scores.shape[i] for i in order[:-1]), scores.shape[axis]
    if target.dtype.kind in "iu":
        if target.shape != shape:
            raise ValueError(
                f"{what}: scores {list(scores.shape)}, target {target.dtype} {list(target.shape)}: expected one "
                f"integer class per row of scores, {list(shape)}"
            )
        target = target.reshape(-1)
    elif target.shape == scores.shape:
        target = target.transpose(order).reshape(prod(shape), classes)
    return scores.transpose(order).reshape(prod(shape), classes), target, shape


def _target_probabilities(logits: Tensor, target: Tensor, ignore_index: int | None) -> tuple[Tensor, Tensor | None]:
    """The target of `cross_entropy`, [batch, classes]: booleans for integer classes, else the dtype of the logits.

    And the rows that count; None for all.
    """
    if target.dtype.kind in "iu":
        return _one_hot("cross_entropy", logits, target, ignore_index)
    if ignore_index is not None and target.dtype.kind == "f":
        raise ValueError(f"cross_entropy: ignore_index={ignore_index} with probabilities: expected integer classes")
    if target.shape != logits.shape or target.dtype.kind != "f":
        raise ValueError(
            f"cross_entropy: logits {list(logits.shape)}, target {target.dtype} {list(target.shape)}: expected logits "
            "[batch, classes] and one integer class per row, or a probability per logit"
        )
    return target.astype(logits.dtype), None


def _class_weight(what: str, logits: Tensor, weight: TensorLike) -> Tensor:
    w = to_float(weight).astype(logits.dtype)
    if w.shape != logits.shape[-1:]:
        raise ValueError(f"{what}: weight {list(w.shape)}: expected one of each class, {list(logits.shape[-1:])}")
    return w


def _row_weights(q: Tensor, w: Tensor | None, counted: Tensor | None) -> Tensor | None:
    """The weight of each row in the mean, if the target is classes; None for equal ones."""
    if w is None or q.dtype != bool:
        return None if counted is None else counted.astype("float64")
    weights = q.where(w, 0.0).sum(-1)
    return weights if counted is None else counted._masks(weights)


def _one_hot(
    what: str, scores: Tensor, target: Tensor, ignore_index: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Integer classes [batch] as booleans [batch, classes], and the rows that count; None for all."""
    if scores.ndim != 2 or target.shape != scores.shape[:1] or target.dtype.kind not in "iu":
        raise ValueError(
            f"{what}: scores {list(scores.shape)}, target {target.dtype} {list(target.shape)}: expected scores "
            "[batch, classes] and one integer class per row"
        )
    classes = scores.shape[-1]
    counted = None if ignore_index is None else target != ignore_index
    values = inspectable(target)
    if values is not None and ignore_index is not None:
        values = values[values != ignore_index]
    if values is not None and values.size and not (values.min() >= 0 and values.max() < classes):
        raise ValueError(
            f"{what}: classes from {values.min()} to {values.max()}, and {classes} scores per row: expected classes 0 "
            f"to {classes - 1}; pass one score per class, and number classes from 0"
        )
    return target[:, None] == np.arange(classes), counted


def _same_shape(what: str, name: str, prediction: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
    """Both operands as Tensors of the dtype of the first one."""
    prediction, target = to_float(prediction), to_tensor(target)
    if prediction.shape != target.shape:
        raise ValueError(
            f"{what}: {name} {list(prediction.shape)}, target {list(target.shape)}: expected equal shapes; "
            "reshape one of them"
        )
    return prediction, target.astype(prediction.dtype)


def _weighted(q: Tensor, logs: Tensor) -> Tensor:
    """The product q · logs, and 0 where q is 0 even if the logarithm is -inf; q may be boolean."""
    if q.dtype == bool:
        return q._masks(logs)
    return q * (q != 0.0)._masks(logs)


def _reduce_rows(
    what: str, rows: Tensor, weights: Tensor | None, counted: Tensor | None, shape: Shape, reduction: str
) -> Tensor:
    """Reduce the losses of rows, of which the mean may be weighted and some may not count."""
    if counted is not None:
        rows = counted._masks(rows)
    if weights is not None and reduction == "mean":
        return rows.sum() / weights.sum().astype(rows.dtype)
    return _reduce(what, rows.reshape(shape), reduction)


def _reduce(what: str, entries: Tensor, reduction: str, known: str = "mean, sum, none") -> Tensor:
    if reduction == "mean":
        return entries.mean()
    if reduction == "sum":
        return entries.sum()
    if reduction == "none":
        return entries
    raise ValueError(f"{what}: reduction={reduction!r}: expected one of {known}")
