"""The graph behind a value: whether one is recorded, and how gradients flow back through it.

The walk is iterative, so that any depth of graph survives it, and its order is that of the
expressions, never of a dictionary.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Iterator, Sequence
from contextlib import ContextDecorator
from typing import Any, TypeVar

from minitrain.autograd.formula import formula
from minitrain.autograd.node import Node, Recorder

N = TypeVar("N", bound=Node)


class _Recording(threading.local):
    """Whether a graph is recorded in this thread, and whether it was outside each mode entered; who traces."""

    def __init__(self) -> None:
        self.on = True
        self.outer: list[bool] = []
        self.tracer: Recorder | None = None


recording = _Recording()


class _Mode(ContextDecorator):
    """Compute with recording on or off, and as before afterwards."""

    on: bool

    def __enter__(self) -> None:
        recording.outer.append(recording.on)
        recording.on = self.on

    def __exit__(self, *exception: object) -> None:
        recording.on = recording.outer.pop()


class no_grad(_Mode):
    """Compute without recording a graph: values made inside carry no gradient.

    `grad` and its like record what they need themselves, and work inside; what they give carries no gradient then.

    >>> from minitrain import Parameter, grad, no_grad
    >>> w = Parameter(2.0, "w")
    >>> with no_grad():
    ...     (w * w).requires_grad, grad(lambda x: x * x)(3.0).item()
    (False, 6.0)
    """

    on = False


class enable_grad(_Mode):
    """Record a graph, inside no_grad() too."""

    on = True


def topological_order(output: N) -> list[N]:
    """All values with a gradient that `output` was computed from, each after everything that uses it."""
    order: list[N] = []
    seen = {id(output)}
    path: list[tuple[N, Iterator[N]]] = [(output, iter(output.inputs))]
    while path:
        node, inputs = path[-1]
        for t in inputs:
            if t.requires_grad and id(t) not in seen:
                seen.add(id(t))
                path.append((t, iter(t.inputs)))
                break
        else:
            order.append(node)
            path.pop()
    return order[::-1]


def flow_back(order: Sequence[N], seed: N, wanted: Container[int] | None = None) -> Iterator[tuple[N, N]]:
    """Yield each value of a topological order with its gradient, the output, whose gradient is given, first.

    That is the chain rule. wanted: the ids of the values to go on to; all, where it is not given
    """
    pending: dict[int, Any] = {id(order[0]): seed}
    for node in order:
        g = pending.pop(id(node), None)
        if g is None:
            continue
        yield node, g
        if node.primitive is None:
            continue
        _check_versions(node)
        for i, t in enumerate(node.inputs):
            if not t.requires_grad or (wanted is not None and id(t) not in wanted):
                continue
            if node.primitive.variadic:
                part = node.primitive.derivatives[0](g, node, *node.inputs, **node.options, index=i)
            else:
                part = node.primitive.derivatives[i](g, node, *node.inputs, **node.options)
            seen = pending.get(id(t))
            pending[id(t)] = part if seen is None else seen + part


def _check_versions(node: Node) -> None:
    for t, version in zip(node.inputs, node.input_versions, strict=True):
        if t.primitive is None and t.version() != version:
            raise RuntimeError(
                f"backward: {t.label()} was overwritten after it was used in {formula(node)}, and the derivative needs "
                "the value it had; call backward before changing it, or compute the result again"
            )
