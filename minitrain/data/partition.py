"""Which examples are for training, validation and testing: a random share of them or of each class, or a fold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minitrain.typing import Array


class Partition(NamedTuple):
    """The indices of the examples of each part.

    Attributes:
        train, val, test: [examples] each; no example is in two of them.
    """

    train: Array
    val: Array
    test: Array = np.empty(0, np.intp)


def hold_out(order: Array, count: int, classes: Array | None = None) -> tuple[Array, Array]:
    """Divide examples into those that are held out and the others; both keep their order.

    Args:
        order: The indices of the examples, in random order.
        count: The number of examples to hold out, which leaves at least one of each class.
        classes: The class of every example, by its index; None holds out the first examples of `order`.

    >>> [part.tolist() for part in hold_out(np.arange(6), 2, np.array([0, 0, 0, 0, 1, 1]))]
    [[0, 4], [1, 2, 3, 5]]
    """
    positions = np.arange(count) if classes is None else _stratified(classes[order], count)
    return _select(order, positions)


def draw_fold(order: Array, fold: int, folds: int, classes: Array | None = None) -> tuple[Array, Array]:
    """Divide examples into those of one fold and those of the others; both keep their order.

    The folds are a partition of the examples. Neither their sizes nor their numbers of examples of a class differ by
    more than one.

    Args:
        order: The indices of the examples, in random order.
        fold: The number of the fold, from 0.
        folds: The number of folds.
        classes: The class of every example, by its index; None divides the examples regardless of their classes.
    """
    positions = np.arange(len(order)) if classes is None else np.argsort(classes[order], kind="stable")
    return _select(order, positions[fold::folds])


def _select(order: Array, positions: Array) -> tuple[Array, Array]:
    """The entries of `order` at some positions, and the others."""
    is_selected = np.zeros(len(order), bool)
    is_selected[positions] = True
    return order[is_selected], order[~is_selected]


def _stratified(classes: Array, count: int) -> Array:
    """The positions of `count` examples, of which each class has its share, rounded by the largest remainder.

    At least one example of each class is not among them. Ties are decided by which class's next example comes first.

    Args:
        classes: The class of each example, in random order.
        count: The number of examples.
    """
    if not count:
        return np.empty(0, np.intp)
    by_class, sizes = np.argsort(classes, kind="stable"), np.bincount(classes)
    starts = np.cumsum(sizes) - sizes
    divisible = np.where(sizes > 1, sizes, 0)
    counts, remainders = np.divmod(divisible * count, divisible.sum())
    while missing := count - int(counts.sum()):
        candidates = np.flatnonzero(counts < divisible - 1)
        next_examples = by_class[starts[candidates] + counts[candidates]]
        ranking = np.lexsort((next_examples, -remainders[candidates]))
        counts[candidates[ranking[:missing]]] += 1
    parts = zip(starts.tolist(), counts.tolist(), strict=True)
    return np.concatenate([by_class[start : start + size] for start, size in parts])
