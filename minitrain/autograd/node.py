"""Protocols between graph, tensor and tracing, which let each of them be imported without the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

from minitrain.autograd.primitives.table import Options, Primitive
from minitrain.typing import Array, Shape, Typed


class Node(Protocol):
    """A value in a graph: what `graph` and `formula` need of a Tensor."""

    @property
    def name(self) -> str | None:
        """The name of a leaf; None for a result without a name."""

    @property
    def shape(self) -> Shape:
        """The size of every axis."""

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to it."""

    @property
    def primitive(self) -> Primitive | None:
        """The primitive that computed it; None for a leaf."""

    @property
    def inputs(self) -> tuple[Self, ...]:
        """The values that it was computed from."""

    @property
    def options(self) -> Options:
        """The keyword arguments of the primitive."""

    @property
    def input_versions(self) -> tuple[int, ...]:
        """The versions of the inputs when it was computed."""

    def version(self) -> int:
        """The number of times that its array has changed."""

    def label(self) -> str:
        """Its class and name, for messages."""

    def numpy(self) -> Array:
        """A copy of its array."""


class Traceable(Typed, Protocol):
    """A value that a tracer records: what it needs of a Tensor."""

    _data: Array


class Recorder(Protocol):
    """A tracer: records the primitives that are applied while a function is traced."""

    def alias(self, tensor: Traceable, value: Traceable) -> None:
        """Let a Tensor stand for the value of another from now on."""

    def record(self, primitive: Primitive, inputs: Sequence[Traceable], options: Options, result: Traceable) -> None:
        """Record the application of a primitive."""

    def check_access(self, tensor: Traceable, access: str) -> None:
        """Raise TracingError if Python may not read the value; `access` describes the attempt."""

    def depends_on_input(self, tensor: Traceable) -> bool:
        """Whether the value depends on an input of the traced function."""
