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
    """State of a layer that training moves and no gradient does, such as BatchNorm's running statistics.

    >>> Buffer(np.zeros(2)).requires_grad
    False
    """

    __slots__ = ()


class Module:
    """A function of Tensors that has parameters: assign Parameters, Modules or lists of Modules as attributes.

    training: whether it is in training mode, as it starts, or in evaluation mode (`train`, `eval`)
    rng: what a layer that is random in training draws from; None in every other layer
    observer: who is told each output, while `record_outputs` watches

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
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, x): write one that gives the output")

    def __call__(self, x: Any) -> Tensor:
        output = self.forward(to_tensor(x))
        if self.observer is not None:
            self.observer(output)
        return output

    def __repr__(self) -> str:
        own = [f"{name} {list(t.shape)}" for name, t in self.children().items() if isinstance(t, (Parameter, Buffer))]
        inner = [f"{name}: {m!r}" for name, m in self.children().items() if isinstance(m, Module)]
        lines = [f"  {line}" for part in inner for line in part.splitlines()]
        head = f"{type(self).__name__}({', '.join(own)}"
        return "\n".join([head, *lines, ")"]) if lines else f"{head})"

    # What it has

    def children(self) -> dict[str, Any]:
        """Name -> attribute, in the order they were assigned: where parameters are looked for."""
        return vars(self)

    def named_modules(self) -> dict[str, Module]:
        """Name -> module, this one first under the name ''; each once."""
        return _named(self, Module)

    def named_parameters(self) -> dict[str, Parameter]:
        """Name -> parameter in the order they were assigned, as PyTorch names them: `0.weight`.

        A parameter used in several places is listed once, under its first name.
        """
        return _named(self, Parameter)

    def named_buffers(self) -> dict[str, Buffer]:
        """Name -> buffer in the order they were assigned, as PyTorch names them: `1.running_mean`."""
        return _named(self, Buffer)

    def parameters(self) -> list[Parameter]:
        """The parameters in order, each once."""
        return list(self.named_parameters().values())

    # Its mode

    def train(self, seed: int | None = None, step: int = 0) -> Self:
        """Go to training mode: Dropout drops, BatchNorm uses the batch's statistics.

        With a seed, each random layer's numbers are from now on a function of (seed, its name, step) alone, so that
        a step gives the same bits whatever was drawn before; call it before every step. Without, they go on.

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
        """Name -> module, of those that draw random numbers in training."""
        return {name: module for name, module in self.named_modules().items() if module.rng is not None}

    def eval(self) -> Self:
        """Go to evaluation mode: Dropout passes everything, BatchNorm uses its running statistics."""
        for module in self.named_modules().values():
            module.training = False
        return self

    def freeze(self, patterns: Sequence[str]) -> Self:
        """Let no gradient flow to the parameters whose names match: they are not trained from now on.

        patterns: names, in which `*` is any text: `0.*`, `*.bias`
        Raises ValueError for a pattern that no parameter matches.

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

    # Its state as arrays

    def astype(self, dtype: str) -> Self:
        """Let all parameters and buffers be of another type, float32 or float64; do so before making an optimizer.

        >>> from minitrain.nn import Linear
        >>> Linear(1, 1, rng=0).astype("float32").weight.dtype.name
        'float32'
        """
        for t in self._state().values():
            t.rebind(t.numpy().astype(dtype))
        return self

    def state_dict(self) -> dict[str, Array]:
        """Name -> value of every parameter and buffer, in PyTorch's names and layouts.

        PyTorch's `num_batches_tracked` is not among them: nothing here depends on it, and PyTorch loads without it.

        >>> from minitrain.nn import Linear
        >>> {name: value.shape for name, value in Linear(2, 3, rng=0).state_dict().items()}
        {'weight': (3, 2), 'bias': (3,)}
        """
        return {name: t.numpy() for name, t in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> Self:
        """Take the values of `state_dict`, or of a PyTorch module's with the same layers; types stay this module's.

        Raises ValueError, and changes nothing, where names are missing or unexpected, a shape is another, or values
        are no real numbers.

        >>> from minitrain.nn import Linear
        >>> Linear(1, 1, rng=0).load_state_dict({"weight": [[2.0]], "bias": [1.0]})(Tensor([[3.0]])).item()
        7.0
        """
        own = self._state()
        given = {k: np.asarray(v) for k, v in state.items() if k.rpartition(".")[2] != "num_batches_tracked"}
        wrong = describe_mismatch({name: t._data for name, t in own.items()}, given)
        for name in own:
            if not wrong and given[name].dtype.kind not in "biuf":
                wrong = f"{name} of type {given[name].dtype}, expected numbers"
        if wrong:
            raise ValueError(f"load_state_dict: {wrong}; give the state of a network of the same layers")
        values = {name: given[name].astype(t._data.dtype) for name, t in own.items()}
        for name, t in own.items():
            t.data = values[name]
        return self

    def _state(self) -> dict[str, Parameter | Buffer]:
        return {**self.named_parameters(), **self.named_buffers()}


def describe_mismatch(own: Mapping[str, Array], given: Mapping[str, Array], longest: int = 4) -> str:
    """In which names and shapes two sets of arrays part: the first few, in words; empty where they do not.

    >>> describe_mismatch({"weight": np.zeros((2, 3)), "bias": np.zeros(2)}, {"weight": np.zeros((2, 4))})
    'missing bias; weight of shape [2, 4], expected [2, 3]'
    """
    wrong = [f"missing {name}" for name in own if name not in given]
    wrong += [f"unexpected {name}" for name in given if name not in own]
    wrong += [
        f"{name} of shape {list(given[name].shape)}, expected {list(array.shape)}"
        for name, array in own.items()
        if name in given and given[name].shape != array.shape
    ]
    return "; ".join(wrong[:longest] + [f"and {len(wrong) - longest} more"] * (len(wrong) > longest))


@contextmanager
def record_outputs(modules: Mapping[str, Module]) -> Iterator[dict[str, Tensor]]:
    """Watch modules by name: name -> what each gave last inside, as soon as it was called.

    A module may have several names: its output is found under each.

    >>> from minitrain.nn import ReLU, Sequential, Tanh
    >>> net = Sequential(ReLU(), Tanh())
    >>> with record_outputs(net.named_modules()) as outputs:
    ...     last = net(Tensor([-1.0, 0.0]))
    >>> {name: t.numpy().tolist() for name, t in outputs.items()}
    {'0': [0.0, 0.0], '1': [0.0, 0.0], '': [0.0, 0.0]}
    """
    found: dict[str, Tensor] = {}
    names: dict[int, list[str]] = {}
    for name, module in modules.items():
        names.setdefault(id(module), []).append(name)

    def note(names: list[str], output: Tensor) -> None:
        found.update(dict.fromkeys(names, output))

    for module in modules.values():
        module.observer = partial(note, names[id(module)])
    try:
        yield found
    finally:
        for module in modules.values():
            vars(module).pop("observer", None)


def _named(root: Module, kind: type[Kind]) -> dict[str, Kind]:
    """Name -> everything of a kind that a module holds, each once, under its first name."""
    found: dict[str, Kind] = {}
    seen: set[int] = set()
    for name, value in _walk(root, ""):
        if isinstance(value, kind) and id(value) not in seen:
            seen.add(id(value))
            found[name] = value
    return found


def _walk(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (Parameter, Buffer)):
        yield name, value
    elif isinstance(value, Module):
        yield name, value
        for key, part in value.children().items():
            yield from _walk(part, f"{name}.{key}" if name else key)
    elif isinstance(value, (list, tuple)):
        for i, part in enumerate(value):
            yield from _walk(part, f"{name}.{i}" if name else str(i))
