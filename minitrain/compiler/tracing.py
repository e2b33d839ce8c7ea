"""Trace: run a function of Tensors once, and keep what it computed as a Tape.

While it runs, every value is there, so shapes and types are known; only what depends on an input must not
be looked at from Python, because another run would see something else.
"""

from __future__ import annotations

import inspect
import pickle
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from minitrain.autograd.graph import recording
from minitrain.autograd.primitives.table import Primitive
from minitrain.autograd.tensor import Tensor
from minitrain.compiler.symbols import Options
from minitrain.compiler.tape import Draw, Tape, describe, renumbered
from minitrain.compiler.types import type_of
from minitrain.errors import TracingError

PACKAGE = Path(__file__).parents[1]


ADVICE = (
    "keep what a layer remembers in a Buffer and what an optimizer does in its state, draw random numbers from a "
    "layer's `rng`, or set engine=eager"
)


class Tracer:
    """Writes down on a tape what is computed while it is the thread's tracer."""

    def __init__(self) -> None:
        self.tape = Tape()
        self.places: dict[int, str] = {}  # constant -> where it was used first
        self._values: dict[int, int] = {}  # id of a Tensor -> its value
        self._alive: list[Tensor] = []  # so that no id is used twice
        self._changing: set[int] = set()  # values that depend on an input

    def input(self, name: str, tensor: Tensor) -> Tensor:
        """Let a Tensor be an input of the tape."""
        value = self.tape.add_input(name, type_of(tensor))
        self._changing.add(value)
        self._know(tensor, value)
        return tensor

    def alias(self, tensor: Tensor, value: Tensor) -> None:
        """Let a Tensor stand for the value of another from now on: a Parameter for a part of an input."""
        self._know(tensor, self.value(value))

    def record(self, primitive: Primitive, inputs: Sequence[Tensor], options: Options, result: Tensor) -> None:
        values = [self.value(t) for t in inputs]
        value = self.tape.add(primitive, values, options)
        if not self._changing.isdisjoint(values):
            self._changing.add(value)
        self._know(result, value)

    def value(self, tensor: Tensor) -> int:
        """The number of a Tensor's value; one not seen yet is a constant."""
        known = self._values.get(id(tensor))
        if known is None:
            known = self.tape.add_constant(tensor._data.copy())
            self.places[known] = _place()
            self._know(tensor, known)
        return known

    def is_changing(self, tensor: Tensor) -> bool:
        return self._values.get(id(tensor)) in self._changing

    def refuse(self, tensor: Tensor, what: str) -> None:
        """Raise TracingError where a Tensor's value may not be looked at."""
        if self.is_changing(tensor):
            _refuse(what)

    def generator(self, owner: str, rng: np.random.Generator) -> Draws:
        return Draws(self, owner, rng)

    def _know(self, tensor: Tensor, value: int) -> None:
        self._values[id(tensor)] = value
        self._alive.append(tensor)


def _refuse(what: str) -> NoReturn:
    raise TracingError(
        f"{what} at {_place()}: a compiled step is written down once and cannot depend on a value that changes; "
        "choose between values with where(condition, a, b), keep to functions of Tensors, or set engine=eager"
    )


@cache
def is_user_code(file: str) -> bool:
    """Whether a file is a person's own: neither of this package nor of NumPy."""
    return not any(Path(file).is_relative_to(package) for package in (PACKAGE, Path(np.__file__).parent))


def _place() -> str:
    """File and line of the first caller in a person's own file."""
    frame = inspect.currentframe()
    while frame is not None and not is_user_code(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return "a place inside minitrain"
    return f"{Path(frame.f_code.co_filename).name} line {frame.f_lineno}"


class Draws:
    """Stands in for a layer's generator while tracing: what it draws is an input, drawn anew at each step."""

    def __init__(self, tracer: Tracer, owner: str, rng: np.random.Generator) -> None:
        self._tracer = tracer
        self._owner = owner
        self._rng = rng

    def __getattr__(self, method: str) -> Callable[..., Tensor]:
        def draw(*arguments: Any, **options: Any) -> Tensor:
            drawn = getattr(self._rng, method)(*arguments, **options)
            if not isinstance(drawn, np.ndarray):
                raise TracingError(
                    f"rng.{method} at {_place()} gives a {type(drawn).__name__}, and a compiled step draws arrays: "
                    "give it a size, e.g. rng.random(x.shape), or set engine=eager"
                )
            name = f"random.{len(self._tracer.tape.draws)}"
            self._tracer.tape.draws.append(Draw(name, self._owner, method, arguments, options))
            return self._tracer.input(name, Tensor(drawn))

        return draw


@contextmanager
def tracing() -> Iterator[Tracer]:
    """Keep what is computed in this thread."""
    outer, tracer = recording.tracer, Tracer()
    recording.tracer = tracer
    try:
        yield tracer
    finally:
        recording.tracer = outer


def trace(fn: Callable[..., Any], *example_inputs: Any) -> Tape:
    """The Tape of a function of Tensors: what it computes for inputs of these shapes and types.

    fn: gives a Tensor, or several by name or in order; it is run twice, to see that it does the same again
    example_inputs: Tensors, arrays or numbers; everything else that fn uses becomes a constant of the tape
    Raises TracingError where fn looks at a value that depends on an input (bool, float, item, numpy, an `if`), and
    where a constant of the second run is another: a random number, or an array that has changed.

    >>> print(trace(lambda x: (x * 2.0).tanh().sum(), np.ones(3)))
    %0: f64[3] = input x
    %1: f64[] = constant 2.0
    %2: f64[3] = multiply %0 %1
    %3: f64[3] = tanh %2
    %4: f64[1,3] = reshape %3 shape=(1,3)
    %5: f64[] = sum %4 axes=(-2,-1)
    output 0 = %5
    """
    inputs = dict(zip(_names(fn, len(example_inputs)), example_inputs, strict=True))

    def once(tracer: Tracer) -> Mapping[str, Tensor]:
        tensors = [tracer.input(k, x if isinstance(x, Tensor) else Tensor(x)) for k, x in inputs.items()]
        given = fn(*tensors)
        if isinstance(given, Tensor):
            given = [given]
        found = given if isinstance(given, Mapping) else {str(i): t for i, t in enumerate(given)}
        for name, t in found.items():
            if not isinstance(t, Tensor):
                raise TypeError(f"trace: output {name} is a {type(t).__name__}, expected a Tensor")
        return found

    return trace_twice(once, once)


def _names(fn: Callable[..., Any], count: int) -> list[str]:
    try:
        known = [p.name for p in inspect.signature(fn).parameters.values() if p.kind is not p.VAR_POSITIONAL]
    except (TypeError, ValueError):
        known = []
    return [known[i] if i < len(known) else f"input{i}" for i in range(count)]


Traced = Callable[[Tracer], Mapping[str, Tensor]]


def trace_once(fn: Traced) -> Tape:
    """The tape of what `fn` computes of the inputs that it gives the tracer."""
    return renumbered(_traced(fn)[0])


def trace_twice(first: Traced, second: Traced) -> Tape:
    """The tape of `first`, held against that of `second`, which does the same for other values of the inputs."""
    before = _common_generators()
    tape, places = _traced(first)
    again, _ = _traced(second)
    if _common_generators() != before:
        raise TracingError(f"what is computed depends on the numbers of `random` or `np.random`; {ADVICE}")
    _compare(tape, again, places)
    return renumbered(tape)


def _traced(fn: Traced) -> tuple[Tape, dict[int, str]]:
    """A tape, and where each of its constants was used first."""
    with tracing() as tracer, np.errstate(all="ignore"):
        outputs = fn(tracer)
        tracer.tape.outputs = {name: tracer.value(t) for name, t in outputs.items()}
    return tracer.tape, tracer.places


def _common_generators() -> tuple[Any, ...]:
    """The states of the generators that all of a program draws from."""
    return random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002  # a person may draw from it


def _compare(tape: Tape, again: Tape, places: dict[int, str]) -> None:
    for value, other in zip(tape.constants, again.constants, strict=False):
        a, b = tape.constants[value], again.constants[other]
        if value == other and type_of(a) == type_of(b) and a.tobytes() != b.tobytes():
            raise TracingError(
                f"a value used at {places[value]} changes from step to step ({type_of(a)}), and a compiled step would "
                f"keep the first; {ADVICE}"
            )
    for i, j in zip(tape.instructions, again.instructions, strict=False):
        if describe(i) != describe(j):
            raise TracingError(f"the operations change from step to step: {describe(i)}, then {describe(j)}; {ADVICE}")
    if tape.key != again.key:
        raise TracingError(f"the number of operations changes from step to step; {ADVICE}")
