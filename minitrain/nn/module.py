"""Module: a function with named parameters and buffers, and a mode: training or evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Self, TypeVar

import numpy as np

from minitrain.autograd.tensor import Parameter, Tensor, to_tensor
from minitrain.rng import generator
from minitrain.typing import Array

Kind = TypeVar("Kind", "Module", Parameter, "Buffer")


class Buffer(Tensor):
    """State of a layer that is not trained by gradients, such as the running statistics of BatchNorm.

    >>> Buffer(np.zeros(2)).requires_grad
    False
    """

    __slots__ = ()


class Module:
    """A function of Tensors with parameters: assign Parameters, Modules or lists of Modules as attributes.

    Attributes:
        training: Whether the module is in training mode (the default) or in evaluation mode; see `train` and `eval`.
        rng: The generator of a layer that is random in training; None in other layers.
        observer: Called with each output, inside `record_outputs`.

    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = Parameter(2.0)
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> scale = Scale()
    >>> scale(Tensor(3.0)).item(), list(scale.named_parameters())
    (6.0, ['factor'])
    """

    training: bool = True
    rng: np.random.Generator | None = None
    observer: Callable[[Tensor], None] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output; subclasses implement it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, x): write one that returns the output")

    def __call__(self, x: Any) -> Tensor:
        """Compute the output, and pass it to the observer if there is one."""
        output = self.forward(to_tensor(x))
        if self.observer is not None:
            self.observer(output)
        return output

    def __repr__(self) -> str:
        children = self.children().items()
        tensors = [f"{name} {list(t.shape)}" for name, t in children if isinstance(t, (Parameter, Buffer))]
        modules = [f"{name}: {module!r}" for name, module in children if isinstance(module, Module)]
        lines = [f"  {line}" for text in modules for line in text.splitlines()]
        head = f"{type(self).__name__}({', '.join(tensors)}"
        return "\n".join([head, *lines, ")"]) if lines else f"{head})"

    # Content

    def children(self) -> dict[str, Any]:
        """Name -> attribute, in order of assignment; parameters and modules are searched for in these."""
        return vars(self)

    def named_modules(self) -> dict[str, Module]:
        """Name -> module without duplicates; the first is this module, with the name ''."""
        return _named(self, Module)

    def named_parameters(self) -> dict[str, Parameter]:
        """Name -> parameter in order of assignment, with PyTorch's names: `0.weight`.

        A parameter that is used several times is listed once, with its first name.
        """
        return _named(self, Parameter)

    def named_buffers(self) -> dict[str, Buffer]:
        """Name -> buffer in order of assignment, with PyTorch's names: `1.running_mean`."""
        return _named(self, Buffer)

    def parameters(self) -> list[Parameter]:
        """The parameters in order of assignment, without duplicates."""
        return list(self.named_parameters().values())

    # Mode

    def train(self, seed: int | None = None, step: int = 0) -> Self:
        """Switch to training mode: Dropout is active, BatchNorm uses the statistics of the batch.

        Args:
            seed: If given, the random numbers of each layer are a function of (seed, name of the layer, step), so that
                a step does not depend on earlier draws; call `train` before every step. If None, the generators of the
                layers continue.
            step: The training step.

        Returns:
            The module itself.

        >>> from minitrain.nn import Dropout
        >>> layer, x = Dropout(0.5, rng=0), Tensor(np.ones(8))
        >>> first, other = layer.train(seed=0, step=7)(x).numpy(), layer(x).numpy()
        >>> again = layer.train(seed=0, step=7)(x).numpy()
        >>> bool((first == again).all()), bool((first == other).all())
        (True, False)
        """
        for module in self.named_modules().values():
            module.training = True
        if seed is not None:
            for name, layer in self.random_layers().items():
                layer.rng = generator(seed, f"layer {name}", step)
        return self

    def random_layers(self) -> dict[str, Module]:
        """Name -> module, for the layers that draw random numbers in training."""
        return {name: module for name, module in self.named_modules().items() if module.rng is not None}

    def eval(self) -> Self:
        """Switch to evaluation mode: Dropout is inactive, BatchNorm uses its running statistics."""
        for module in self.named_modules().values():
            module.training = False
        return self

    def freeze(self, patterns: Sequence[str]) -> Self:
        """Exclude parameters from training: no gradient is computed for them.

        Args:
            patterns: Names of parameters, in which `*` matches any text: `0.*`, `*.bias`.

        Returns:
            The module itself.

        Raises:
            ValueError: A pattern matches no parameter.

        >>> from minitrain.nn import Linear
        >>> Linear(1, 1, rng=0).freeze(["b*"]).bias.requires_grad
        False
        """
        named = self.named_parameters()
        for pattern in patterns:
            matched = [p for name, p in named.items() if fnmatchcase(name, pattern)]
            if not matched:
                raise ValueError(f"frozen: {pattern} matches no parameter; there is {', '.join(named)}")
            for p in matched:
                p.requires_grad = False
        return self

    # State as arrays

    def astype(self, dtype: str) -> Self:
        """Convert all parameters and buffers to float32 or float64; call it before an optimizer is created.

        >>> from minitrain.nn import Linear
        >>> Linear(1, 1, rng=0).astype("float32").weight.dtype.name
        'float32'
        """
        for t in self._state().values():
            t.rebind(t.numpy().astype(dtype))
        return self

    def state_dict(self) -> dict[str, Array]:
        """Name -> copy of every parameter and buffer, with PyTorch's names and layouts.

        PyTorch's `num_batches_tracked` is not included: it is not used here, and PyTorch loads a state without it.

        >>> from minitrain.nn import Linear
        >>> {name: value.shape for name, value in Linear(2, 3, rng=0).state_dict().items()}
        {'weight': (3, 2), 'bias': (3,)}
        """
        return {name: t.numpy() for name, t in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> Self:
        """Load a `state_dict` of this module, or of a PyTorch module with the same layers.

        Values are converted to the types of this module. If an error is raised, the module is unchanged.

        Args:
            state: Name -> array.

        Returns:
            The module itself.

        Raises:
            ValueError: A name is missing or unexpected, a shape differs, or values are not real numbers.

        >>> from minitrain.nn import Linear
        >>> Linear(1, 1, rng=0).load_state_dict({"weight": [[2.0]], "bias": [1.0]})(Tensor([[3.0]])).item()
        7.0
        """
        tensors = self._state()
        arrays = {k: np.asarray(v) for k, v in state.items() if k.rpartition(".")[2] != "num_batches_tracked"}
        problem = describe_mismatch({name: t._data for name, t in tensors.items()}, arrays)
        if not problem:
            not_numbers = [name for name in tensors if arrays[name].dtype.kind not in "biuf"]
            problem = "; ".join(f"{name} of type {arrays[name].dtype}, expected numbers" for name in not_numbers[:1])
        if problem:
            raise ValueError(f"load_state_dict: {problem}; give the state of a network of the same layers")
        values = {name: arrays[name].astype(t._data.dtype) for name, t in tensors.items()}
        for name, t in tensors.items():
            t.data = values[name]
        return self

    def _state(self) -> dict[str, Parameter | Buffer]:
        return {**self.named_parameters(), **self.named_buffers()}


def describe_mismatch(expected: Mapping[str, Array], actual: Mapping[str, Array], limit: int = 4) -> str:
    """Describe how the names and shapes of two sets of arrays differ; empty if they do not.

    Args:
        expected: Name -> array.
        actual: Name -> array.
        limit: The number of differences that are listed.

    >>> describe_mismatch({"weight": np.zeros((2, 3)), "bias": np.zeros(2)}, {"weight": np.zeros((2, 4))})
    'missing bias; weight of shape [2, 4], expected [2, 3]'
    """
    differences = [f"missing {name}" for name in expected if name not in actual]
    differences += [f"unexpected {name}" for name in actual if name not in expected]
    differences += [
        f"{name} of shape {list(actual[name].shape)}, expected {list(array.shape)}"
        for name, array in expected.items()
        if name in actual and actual[name].shape != array.shape
    ]
    listed = differences[:limit]
    if len(differences) > limit:
        listed.append(f"and {len(differences) - limit} more")
    return "; ".join(listed)


@contextmanager
def record_outputs(modules: Mapping[str, Module]) -> Iterator[dict[str, Tensor]]:
    """Context manager that records the last output of each module.

    Args:
        modules: Name -> module; a module may have several names.

    Yields:
        Name -> output, filled as the modules are called.

    >>> from minitrain.nn import ReLU, Sequential, Tanh
    >>> net = Sequential(ReLU(), Tanh())
    >>> with record_outputs(net.named_modules()) as outputs:
    ...     last = net(Tensor([-1.0, 0.0]))
    >>> {name: t.numpy().tolist() for name, t in outputs.items()}
    {'0': [0.0, 0.0], '1': [0.0, 0.0], '': [0.0, 0.0]}
    """
    outputs: dict[str, Tensor] = {}
    names: dict[int, list[str]] = {}
    for name, module in modules.items():
        names.setdefault(id(module), []).append(name)

    def record(names: list[str], output: Tensor) -> None:
        outputs.update(dict.fromkeys(names, output))

    for module in modules.values():
        module.observer = partial(record, names[id(module)])
    try:
        yield outputs
    finally:
        for module in modules.values():
            vars(module).pop("observer", None)


def _named(root: Module, kind: type[Kind]) -> dict[str, Kind]:
    """Name -> object of a kind in a module, without duplicates, with its first name."""
    named: dict[str, Kind] = {}
    visited: set[int] = set()
    for name, value in _walk(root, ""):
        if isinstance(value, kind) and id(value) not in visited:
            visited.add(id(value))
            named[name] = value
    return named


def _walk(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (Parameter, Buffer)):
        yield name, value
    elif isinstance(value, Module):
        yield name, value
        for key, child in value.children().items():
            yield from _walk(child, f"{name}.{key}" if name else key)
    elif isinstance(value, (list, tuple)):
        for i, child in enumerate(value):
            yield from _walk(child, f"{name}.{i}" if name else str(i))
