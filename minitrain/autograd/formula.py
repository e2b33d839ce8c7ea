"""Print a value as the expression that it was computed from: `[a * b + c] * d`.

The expression is built from the graph when it is printed; computing values costs nothing extra.
"""

from __future__ import annotations

from string import Formatter

from minitrain.autograd.node import Node

LONGEST = 1000  # characters; an expression with shared parts can be exponentially long

Part = tuple[Node | str, bool]  # a value or text, and whether an expression needs brackets


def formula(node: Node) -> str:
    """The expression of a value, cut off with an ellipsis after `LONGEST` characters.

    >>> from minitrain import Parameter
    >>> a, b, c = Parameter(3.0, "a"), Parameter(2.0, "b"), Parameter(5.0, "c")
    >>> formula((a * b + c).sigmoid() - a / (b * c))
    '[σ([a * b + c]) - [a / [b * c]]]'
    """
    pending: list[Part] = [(node, False)]
    text, length = [], 0
    while pending and length <= LONGEST:
        item, needs_brackets = pending.pop()
        piece = item if isinstance(item, str) else _leaf(item)
        if piece is not None:
            text.append(piece)
            length += len(piece)
        elif not isinstance(item, str):
            parts = _parts(item)
            if needs_brackets and not _is_closed(item):
                parts = [("[", False), *parts, ("]", False)]
            pending.extend(reversed(parts))
    return "".join(text) if not pending else "".join(text)[:LONGEST] + "…"


def number(value: object) -> str:
    """A scalar as Python prints it: 3.0 rather than np.float64(3.0)."""
    return str(value)


def _leaf(node: Node) -> str | None:
    """The text of a leaf or of a named value; None for a result without a name."""
    if node.name is not None:
        return node.name
    if node.primitive is not None:
        return None
    return f"array{list(node.shape)}" if node.shape else number(node.numpy())


def _parts(node: Node) -> list[Part]:
    """The formula of a result as pieces of text and inputs."""
    parts: list[Part] = []
    for text, field, spec, _ in Formatter().parse(_template(node)):
        parts.append((text, False))
        if field is None:
            continue
        if field == "all":
            for i, operand in enumerate(node.inputs):
                parts += [(", ", False), (operand, False)] if i else [(operand, False)]
        elif field.isdigit():
            parts.append((node.inputs[int(field)], spec == "tight"))
        else:
            parts.append((_format_option(node.options[field], spec or ""), False))
    return parts


def _template(node: Node) -> str:
    """The formula of the primitive that computed a value; empty for a leaf."""
    return "" if node.primitive is None else node.primitive.formula


def _format_option(value: object, spec: str) -> str:
    if isinstance(value, tuple):
        return ", ".join(_format_option(entry, spec) for entry in value)
    if isinstance(value, slice):
        bounds = ("" if bound is None else str(bound) for bound in (value.start, value.stop))
        return ":".join(bounds) + (f":{value.step}" if value.step not in (None, 1) else "")
    return format(value, spec)


def _is_closed(node: Node) -> bool:
    """Whether an expression can be an operand without brackets: `[a + b]`, `exp(a)`."""
    template = _template(node)
    if template == "{0}":  # prints as its input does
        inner = node.inputs[0]
        return _leaf(inner) is not None or _is_closed(inner)
    return template[-1] in ")]|ᵀ"
