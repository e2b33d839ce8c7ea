"""Print a value as the expression it came from: `[a * b + c] * d`.

The expression is built when asked for, from the graph that the value keeps; nothing is done for
it while computing.
"""

from __future__ import annotations

from string import Formatter
from typing import Any

from minitrain.autograd.node import Node

LONGEST = 1000  # characters; an expression with shared parts can be exponentially long


def formula(tensor: Node) -> str:
    """The expression of a value; an ellipsis ends one that is longer than `LONGEST`.

    >>> from minitrain import Parameter
    >>> a, b, c = Parameter(3.0, "a"), Parameter(2.0, "b"), Parameter(5.0, "c")
    >>> formula((a * b + c).sigmoid() - a / (b * c))
    '[σ([a * b + c]) - [a / [b * c]]]'
    """
    pending: list[tuple[Any, bool]] = [(tensor, False)]
    text, length = [], 0
    while pending and length <= LONGEST:
        item, tight = pending.pop()
        piece = item if isinstance(item, str) else _leaf(item)
        if piece is None:
            parts = _parts(item)
            if tight and not _closed(item):
                parts = ["[", *parts, "]"]
            pending.extend((p if isinstance(p, tuple) else (p, False)) for p in reversed(parts))
        else:
            text.append(piece)
            length += len(piece)
    return "".join(text) if not pending else "".join(text)[:LONGEST] + "…"


def number(value: Any) -> str:
    """A scalar as Python prints it: 3.0, not np.float64(3.0)."""
    return str(value)


def _leaf(tensor: Node) -> str | None:
    """The text of a value that is not taken apart, None for a result without a name of its own."""
    if tensor.name is not None:
        return tensor.name
    if tensor.primitive is not None:
        return None
    if tensor.ndim == 0:
        return number(tensor.numpy())
    return f"array{list(tensor.shape)}"


def _parts(tensor: Node) -> list[Any]:
    """The primitive's formula as pieces of text and (input, tight) pairs."""
    assert tensor.primitive is not None
    inputs, options = tensor.inputs, tensor.options
    parts: list[Any] = []
    for text, field, spec, _ in Formatter().parse(tensor.primitive.formula):
        parts.append(text)
        if field is None:
            continue
        if field == "all":
            for i, each in enumerate(inputs):
                parts += [", ", (each, False)] if i else [(each, False)]
        elif field.isdigit():
            parts.append((inputs[int(field)], spec == "tight"))
        else:
            parts.append(_option(options[field], spec or ""))
    return parts


def _option(value: Any, spec: str) -> str:
    if isinstance(value, tuple):
        return ", ".join(_option(each, spec) for each in value)
    if isinstance(value, slice):
        bounds = ("" if bound is None else str(bound) for bound in (value.start, value.stop))
        return ":".join(bounds) + (f":{value.step}" if value.step not in (None, 1) else "")
    return format(value, spec)


def _closed(tensor: Node) -> bool:
    """Whether a formula can stand as an operand without brackets: `[a + b]`, `exp(a)`."""
    assert tensor.primitive is not None
    if tensor.primitive.formula == "{0}":  # prints as its input does
        inner = tensor.inputs[0]
        return _leaf(inner) is not None or _closed(inner)
    return tensor.primitive.formula[-1] in ")]|ᵀ"
