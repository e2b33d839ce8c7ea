"""What the walk over a graph needs of a value, and what a tracer offers: the seams between graph, tensor and tracing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

from minitrain.autograd.primitives import Primitive
from minitrain.typing import Array


class Node(Protocol):
    """A value in a graph: the primitive that computed it, and the values that it was computed from."""

    @property
    def name(self) -> str | None: ...

    @property
    def ndim(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def requires_grad(self) -> bool: ...

    @property
    def primitive(self) -> Primitive | None: ...

    @property
    def inputs(self) -> tuple[Self, ...]: ...

    @property
    def options(self) -> dict[str, Any]: ...

    @property
    def input_versions(self) -> tuple[int, ...]: ...

    def version(self) -> int: ...

    def label(self) -> str: ...

    def numpy(self) -> Array: ...


class Recorder(Protocol):
    """Writes down the primitives that are applied, while a function is traced."""

    def alias(self, tensor: Any, value: Any) -> None: ...

    def record(self, primitive: Primitive, inputs: Sequence[Any], options: dict[str, Any], result: Any) -> None: ...

    def refuse(self, tensor: Any, what: str) -> None: ...

    def is_changing(self, tensor: Any) -> bool: ...
