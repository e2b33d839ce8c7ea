"""The graph of a value: whether it is recorded, and how gradients flow back through it.

The traversal is iterative, so the depth of a graph is not limited by Python's stack, and its order is that of the
expressions, so it is deterministic.
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
    """The state of a thread: whether a graph is recorded, the same outside each mode entered, and the tracer."""

    def __init__(self) -> None:
        self.on = True
        self.outer: list[bool] = []
        self.tracer: Recorder | None = None


recording = _Recording()


class _Mode(ContextDecorator):
    """Switch recording on or off, and restore it at the end."""

    on: bool

    def __enter__(self) -> None:
        recording.outer.append(recording.on)
        recording.on = self.on

    def __exit__(self, *exception: object) -> None:
        recording.on = recording.outer.pop()


class no_grad(_Mode):
    """Compute without recording a graph: values computed inside carry no gradient.

    It is a context manager and a decorator. `grad` and the other functions that return derivatives record what they
    need themselves, so they work inside; their results then carry no gradient.

    >>> from minitrain import Parameter, grad, no_grad
    >>> w = Parameter(2.0, "w")
    >>> with no_grad():
    ...     (w * w).requires_grad, grad(lambda x: x * x)(3.0).item()
    (False, 6.0)
    """

    on = False


class enable_grad(_Mode):
    """Record a graph, also inside no_grad()."""

    on = True


def topological_order(output: N) -> list[N]:
    """All values with a gradient that `output` was computed from; each follows everything that uses it."""
    order: list[N] = []
    visited = {id(output)}
    path: list[tuple[N, Iterator[N]]] = [(output, iter(output.inputs))]
    while path:
        node, inputs = path[-1]
        for t in inputs:
            if t.requires_grad and id(t) not in visited:
                visited.add(id(t))
                path.append((t, iter(t.inputs)))
                break
        else:
            order.append(node)
            path.pop()
    return order[::-1]


def flow_back(order: Sequence[N], seed: N, wanted: Container[int] | None = None) -> Iterator[tuple[N, N]]:
    """Apply the chain rule: yield every value of a topological order with its gradient, the output first.

    Args:
        order: The values, from the output to the leaves.
        seed: The gradient of the output.
        wanted: The ids of the values to propagate gradients to; all values by default.

    Raises:
        RuntimeError: A value that a derivative needs was overwritten.
    """
    pending: dict[int, Any] = {id(order[0]): seed}  # derivatives return values of the kind they are applied to
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
            total = pending.get(id(t))
            pending[id(t)] = part if total is None else total + part


def _check_versions(node: Node) -> None:
    for t, version in zip(node.inputs, node.input_versions, strict=True):
        if t.primitive is None and t.version() != version:
            raise RuntimeError(
                f"backward: {t.label()} was overwritten after it was used in {formula(node)}, and the derivative needs "
                "the old value; call backward before changing it, or compute the result again"
            )
