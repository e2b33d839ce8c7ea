"""Module: a function with named parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minitrain.autograd.tensor import Parameter, Tensor


class Module:
    """A function of Tensors that has parameters: assign Parameters, Modules or lists of Modules as attributes.

    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = Parameter(2.0)
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> scale = Scale()
    >>> scale(Tensor(3.0)).item(), list(scale.named_parameters())
    (6.0, ['factor'])
    """

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, x): write one that gives the output")

    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(x)

    def children(self) -> dict[str, Any]:
        """Name -> attribute, in the order they were assigned: where parameters are looked for."""
        return vars(self)

    def named_parameters(self) -> dict[str, Parameter]:
        """Name -> parameter in the order they were assigned, as PyTorch names them: `0.weight`.

        A parameter used in several places is listed once, under its first name.
        """
        found: dict[str, Parameter] = {}
        seen: set[int] = set()
        for name, value in _walk(self, ""):
            if id(value) not in seen:
                seen.add(id(value))
                found[name] = value
        return found

    def parameters(self) -> list[Parameter]:
        """The parameters in order, each once."""
        return list(self.named_parameters().values())


def _walk(value: Any, name: str) -> Iterator[tuple[str, Parameter]]:
    if isinstance(value, Parameter):
        yield name, value
    elif isinstance(value, Module):
        for key, part in value.children().items():
            yield from _walk(part, f"{name}.{key}" if name else key)
    elif isinstance(value, (list, tuple)):
        for i, part in enumerate(value):
            yield from _walk(part, f"{name}.{i}" if name else str(i))
