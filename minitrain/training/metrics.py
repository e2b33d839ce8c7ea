"""Metrics of a network on the validation examples, computed from its outputs in float64 NumPy.

They equal scikit-learn's functions of these names. Whatever engine computed the outputs, equal outputs have equal
metrics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minitrain.data import row_blocks
from minitrain.data.preprocessing import Preprocessing
from minitrain.storage.summary import ClassScores
from minitrain.typing import Array


def are_predictions(outputs: Array, preprocessing: Preprocessing) -> bool:
    """Whether there is an output for each class or target, or one for two classes; a loss may require other outputs."""
    shape = outputs.shape[1:]
    return shape == (preprocessing.outputs,) or (shape == (1,) and preprocessing.classes == 2)


def predicted_classes(outputs: Array) -> Array:
    """The class of the largest output, or class 1 where a single output is positive: [examples, outputs] -> [examples].

    >>> predicted_classes(np.array([[0.5], [-0.5]])), predicted_classes(np.array([[0.1, 0.3, 0.2]]))
    (array([1, 0]), array([1]))
    """
    return (outputs[:, 0] > 0).astype(np.int64) if outputs.shape[1] == 1 else outputs.argmax(axis=1)


@dataclass(frozen=True)
class Evaluation:
    """The outputs of a network beside the targets.

    Attributes:
        outputs: [examples, outputs], which `are_predictions` of the targets.
        targets: Classes [examples], several labels as truth values [examples, labels], or scaled numbers
            [examples, targets].
        preprocessing: How the targets were encoded.
    """

    outputs: Array
    targets: Array
    preprocessing: Preprocessing

    @property
    def size(self) -> int:
        """The number of examples."""
        return len(self.targets)

    # Regression: averages over the examples for each target, in the target's own units

    @cached_property
    def mean_errors(self) -> tuple[Array, Array, Array]:
        """The mean squared error, the mean absolute error and the variance of the targets: [targets] each."""
        first = self.targets[0]  # without this shift, rounding would give constant targets a variance
        center = (
            first + sum((self.targets[block] - first).sum(axis=0) for block in row_blocks(self.targets)) / self.size
        )
        sums = np.zeros((3, self.targets.shape[1]))
        for block in row_blocks(self.targets):
            error = self.outputs[block].astype(np.float64) - self.targets[block]
            sums += [(error**2).sum(axis=0), abs(error).sum(axis=0), ((self.targets[block] - center) ** 2).sum(axis=0)]
        unit = self.preprocessing.y_scale.deviation
        squared, absolute, variance = sums / self.size
        return squared * unit**2, absolute * unit, variance * unit**2

    # Classification

    @cached_property
    def predicted(self) -> Array:
        """The class of each example that the network predicts, [examples]; or its labels, [examples, labels]."""
        return np.greater(self.outputs, 0) if self.preprocessing.multilabel else predicted_classes(self.outputs)

    @cached_property
    def counts(self) -> tuple[Array, Array, Array]:
        """How many examples a class or label has, is predicted for, and is predicted for correctly: [labels] each."""
        if self.preprocessing.multilabel:
            parts = self.targets, self.predicted, self.targets & self.predicted
            return parts[0].sum(axis=0), parts[1].sum(axis=0), parts[2].sum(axis=0)
        hits = self.targets[self.predicted == self.targets]
        classes = self.preprocessing.classes or 0
        actual, predicted, correct = (
            np.bincount(values, minlength=classes) for values in (self.targets, self.predicted, hits)
        )
        return actual, predicted, correct

    @property
    def binary_scores(self) -> Array:
        """Numbers that rise with the probability of class 1, of two classes, or of each label: [examples, labels]."""
        outputs = self.outputs.astype(np.float64)
        if self.preprocessing.multilabel or outputs.shape[1] == 1:
            return outputs
        return outputs[:, 1:] - outputs[:, :1]


def rmse(of: Evaluation) -> float:
    """The root of the mean squared error, averaged over the targets.

    >>> from minitrain.data.rows import Scale
    >>> outputs, targets = np.array([[0.5], [1.0]]), np.array([[0.0], [1.5]])
    >>> rmse(Evaluation(outputs, targets, Preprocessing(inputs=1, targets=1, y_scale=Scale(mean=7.0, deviation=10.0))))
    5.0
    """
    return float(np.sqrt(of.mean_errors[0]).mean())


def mae(of: Evaluation) -> float:
    """The mean absolute error, averaged over the targets."""
    return float(of.mean_errors[1].mean())


def r2(of: Evaluation) -> float:
    """The coefficient of determination, averaged over the targets; NaN for a single example.

    It is 0 for a constant target that is not predicted exactly.
    """
    squared, _, variance = of.mean_errors
    if of.size < 2:
        return math.nan
    constant = np.where(squared == 0, 1.0, 0.0)
    return float(np.where(variance == 0, constant, 1 - squared / np.where(variance == 0, 1.0, variance)).mean())


def balanced_accuracy(of: Evaluation) -> float:
    """The mean recall of the classes that have examples."""
    actual, _, correct = of.counts
    return float((correct[actual > 0] / actual[actual > 0]).mean())


def exact_match(of: Evaluation) -> float:
    """The fraction of the examples of which every label is predicted correctly (subset accuracy)."""
    return float((of.predicted == of.targets).all(axis=1).mean())


def f1(of: Evaluation) -> float:
    """The mean F1 score (macro) of the classes that have examples or are predicted, or of all of several labels.

    It is 0 for a label that no example has and that is never predicted.
    """
    actual, predicted, correct = of.counts
    total = actual + predicted
    if of.preprocessing.multilabel:
        total = np.maximum(total, 1)
    return float((2 * correct[total > 0] / total[total > 0]).mean())


def auc(of: Evaluation) -> float:
    """The area under the ROC curve of two classes, or the mean of those of several labels.

    It is NaN if a class has no example, if all or no examples have a label, or if a score is NaN.
    """
    columns = zip(of.binary_scores.T, of.targets.reshape(of.size, -1).T, strict=True)
    return float(np.mean([_auc(scores, target == 1) for scores, target in columns]))


def _auc(scores: Array, is_positive: Array) -> float:
    """The fraction of pairs of a positive and another example in which the positive one has the larger score.

    Ties count half (Mann and Whitney 1947).
    """
    positives = int(is_positive.sum())
    pairs = positives * (len(scores) - positives)
    if not pairs or np.isnan(scores).any():
        return math.nan
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((ranks[is_positive].sum() - positives * (positives + 1) / 2) / pairs)


def class_scores(of: Evaluation) -> list[ClassScores]:
    """Precision, recall and F1 score of each class or label; 0 where it is never predicted or has no example."""
    rows = zip(of.preprocessing.labels, *(counts.tolist() for counts in of.counts), strict=True)
    return [
        {
            "class": label,
            "precision": correct / max(predicted, 1),
            "recall": correct / max(actual, 1),
            "f1": 2 * correct / max(actual + predicted, 1),
            "examples": actual,
        }
        for label, actual, predicted, correct in rows
    ]
