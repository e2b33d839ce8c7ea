"""Sums of products in Einstein's notation, lowered to matrix products of two operands at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import prod

import numpy as np

from minitrain.autograd.tensor import Tensor, TensorLike, of_one_dtype

ELLIPSIS_LABELS = "0123456789"  # stand for the axes of an ellipsis, counted from the end


def einsum(equation: str, *operands: TensorLike) -> Tensor:
    """The sum of products that an equation describes, as in NumPy and PyTorch: `ij,jk->ik` is a matrix product.

    Each letter names an axis. Axes that the result does not name are summed over; an axis that an operand names twice
    is its diagonal. `...` stands for leading axes, which are broadcast. Without `->`, the result has the letters that
    occur once, in alphabetical order. Operands are multiplied from left to right, two at a time, by matrix products.

    Args:
        equation: The letters of each operand, separated by commas; then `->` and the letters of the result.
        operands: One Tensor per group of letters; they are converted to their common type.

    Raises:
        ValueError: The equation cannot be read, or an operand does not fit it.

    >>> einsum("ij,kj->ik", [[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]).numpy()
    array([[11., 17.]])
    >>> einsum("ii->", [[1.0, 2.0], [3.0, 4.0]]).item()
    5.0
    """
    tensors = of_one_dtype(operands)
    terms, result = _parse(equation, tensors)
    sizes = _sizes(equation, terms, tensors)
    if any(label not in sizes for label in result) or len(set(result)) < len(result):
        raise ValueError(f"einsum: {equation}: the result must name axes of the operands, each once")
    current, labels = _without_repeats(tensors[0], terms[0])
    for i in range(1, len(tensors)):
        other, other_labels = _without_repeats(tensors[i], terms[i])
        needed = set("".join([result, *terms[i + 1 :]]))
        current, labels = _product(current, labels, other, other_labels, needed, sizes)
    current, labels = _summed(current, labels, set(result))
    return current.transpose([labels.index(label) for label in result]) if labels != result else current


def _parse(equation: str, tensors: Sequence[Tensor]) -> tuple[list[str], str]:
    """The labels of the axes of each operand, and of the result."""
    text = equation.replace(" ", "")
    inputs, arrow, result = text.partition("->")
    parts = inputs.split(",")
    if not all(re.fullmatch(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*", part) for part in (*parts, result)):
        raise ValueError(f"einsum: {equation}: expected letters, commas, `...` and one `->`, such as ij,jk->ik")
    if len(parts) != len(tensors):
        raise ValueError(f"einsum: {equation}: {len(parts)} groups of letters, and {len(tensors)} operands")
    terms, longest = [], ""
    for part, t in zip(parts, tensors, strict=True):
        count = t.ndim - len(part.replace("...", ""))
        if count < 0 or (count and "..." not in part) or count > len(ELLIPSIS_LABELS):
            raise ValueError(f"einsum: {equation}: {part} for an operand of shape {list(t.shape)}")
        axes = ELLIPSIS_LABELS[len(ELLIPSIS_LABELS) - count :]
        longest = max(longest, axes, key=len)
        terms.append(part.replace("...", axes))
    if not arrow:
        letters = inputs.replace(",", "").replace(".", "")
        result = "..." + "".join(sorted(label for label in set(letters) if letters.count(label) == 1))
    return terms, result.replace("...", longest)


def _sizes(equation: str, terms: Sequence[str], tensors: Sequence[Tensor]) -> dict[str, int]:
    """The size of each axis; size 1 is broadcast."""
    sizes: dict[str, int] = {}
    for term, t in zip(terms, tensors, strict=True):
        for label, size in zip(term, t.shape, strict=True):
            if sizes.get(label, 1) != 1 and size not in (1, sizes[label]):
                raise ValueError(f"einsum: {equation}: axis {label} has sizes {sizes[label]} and {size}")
            sizes[label] = size if sizes.get(label, 1) == 1 else sizes[label]
    return sizes


def _without_repeats(t: Tensor, labels: str) -> tuple[Tensor, str]:
    """Replace axes of one label by their diagonal."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first, second = labels.index(label), labels.rindex(label)
            sizes = {t.shape[first], t.shape[second]} - {1}
            if len(sizes) > 1:
                raise ValueError(f"einsum: the diagonal of axes of sizes {t.shape[first]} and {t.shape[second]}")
            others = [i for i in range(t.ndim) if i not in (first, second)]
            t = t.transpose([first, second, *others])
            index = np.arange(max(sizes, default=1))
            t = t[tuple(index if n != 1 else index * 0 for n in t.shape[:2])]
            labels = label + "".join(other for i, other in enumerate(labels) if i not in (first, second))
    return t, labels


def _product(
    a: Tensor, a_labels: str, b: Tensor, b_labels: str, needed: set[str], sizes: dict[str, int]
) -> tuple[Tensor, str]:
    """Multiply two operands, and sum over the axes that are not needed any more."""
    a, a_labels = _summed(a, a_labels, needed | set(b_labels))
    b, b_labels = _summed(b, b_labels, needed | set(a_labels))
    common = [label for label in a_labels if label in b_labels]
    batch = [label for label in common if label in needed]
    inner = [label for label in common if label not in needed]
    rows = [label for label in a_labels if label not in common]
    columns = [label for label in b_labels if label not in common]
    left = _arranged(a, a_labels, (batch, rows, inner), sizes)
    right = _arranged(b, b_labels, (batch, inner, columns), sizes)
    labels = "".join([*batch, *rows, *columns])
    return (left @ right).reshape([sizes[label] for label in labels]), labels


def _arranged(t: Tensor, labels: str, groups: Iterable[Sequence[str]], sizes: dict[str, int]) -> Tensor:
    """The axes in groups, each joined to one axis; of a size that is broadcast, the full size."""
    groups = [*groups]
    order = [label for group in groups for label in group]
    t = t.transpose([labels.index(label) for label in order]) if [*labels] != order else t
    return t.broadcast_to([sizes[label] for label in order]).reshape([prod(sizes[k] for k in g) for g in groups])


def _summed(t: Tensor, labels: str, needed: set[str]) -> tuple[Tensor, str]:
    """Sum over the axes that are not needed."""
    axes = [i for i, label in enumerate(labels) if label not in needed]
    return (t.sum(axes).astype(t.dtype) if axes else t), "".join(label for label in labels if label in needed)
