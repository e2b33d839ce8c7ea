"""Tracing: run a function of Tensors once, and record what it computes as a Tape.

While the function runs, every value exists, so shapes and dtypes are known. Values that depend on an input must not be
read from Python, because another run would read other values.
"""

from __future__ import annotations

import inspect
import pickle
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from minitrain.autograd.graph import recording
from minitrain.autograd.node import Traceable
from minitrain.autograd.primitives.table import Options, Primitive
from minitrain.autograd.tensor import Tensor
from minitrain.compiler.tape import RandomInput, Tape, describe, renumbered
from minitrain.compiler.types import type_of
from minitrain.errors import TracingError

PACKAGE = Path(__file__).parents[1]
ADVICE = (
    "keep a layer's memory in a Buffer and an optimizer's in its state, draw random numbers from a layer's `rng`, "
    "or set engine=eager"
)


class Tracer:
    """Records on a tape the primitives that are applied while it is the tracer of the thread.

    Attributes:
        tape: The tape so far.
        first_uses: Constant -> file and line of its first use.
    """

    def __init__(self) -> None:
        self.tape = Tape()
        self.first_uses: dict[int, str] = {}
        self._values: dict[int, int] = {}  # id of a Tensor -> its value
        self._tensors: list[Traceable] = []  # keeps the Tensors alive, so that no id is reused
        self._input_dependent: set[int] = set()

    def input(self, name: str, tensor: Tensor) -> Tensor:
        """Declare a Tensor as an input of the tape, and return it."""
        value = self.tape.add_input(name, type_of(tensor))
        self._input_dependent.add(value)
        self._assign(tensor, value)
        return tensor

    def alias(self, tensor: Traceable, value: Traceable) -> None:
        """Let a Tensor stand for the value of another from now on, such as a Parameter for a part of an input."""
        self._assign(tensor, self.value(value))

    def record(self, primitive: Primitive, inputs: Sequence[Traceable], options: Options, result: Traceable) -> None:
        """Append the application of a primitive."""
        values = [self.value(t) for t in inputs]
        value = self.tape.add(primitive, values, options)
        if not self._input_dependent.isdisjoint(values):
            self._input_dependent.add(value)
        self._assign(result, value)

    def value(self, tensor: Traceable) -> int:
        """The value of a Tensor; a Tensor that was not recorded becomes a constant."""
        value = self._values.get(id(tensor))
        if value is None:
            value = self.tape.add_constant(tensor._data.copy())
            self.first_uses[value] = _user_location()
            self._assign(tensor, value)
        return value

    def depends_on_input(self, tensor: Traceable) -> bool:
        """Whether another run may have another value here."""
        return self._values.get(id(tensor)) in self._input_dependent

    def check_access(self, tensor: Traceable, access: str) -> None:
        """Check that Python may read a Tensor's value.

        Raises:
            TracingError: The value depends on an input.
        """
        if self.depends_on_input(tensor):
            raise TracingError(
                f"{access} at {_user_location()}: a compiled step is recorded once and cannot depend on a value that "
                "changes; choose between values with where(condition, a, b), keep to functions of Tensors, or set "
                "engine=eager"
            )

    def generator(self, owner: str, rng: np.random.Generator) -> TracedGenerator:
        """A generator whose random numbers become inputs of the tape."""
        return TracedGenerator(self, owner, rng)

    def _assign(self, tensor: Traceable, value: int) -> None:
        self._values[id(tensor)] = value
        self._tensors.append(tensor)


@cache
def is_user_code(file: str) -> bool:
    """Whether a file belongs to the user: neither to this package nor to NumPy."""
    return not any(Path(file).is_relative_to(package) for package in (PACKAGE, Path(np.__file__).parent))


def _user_location() -> str:
    """File and line of the innermost call in user code."""
    frame = inspect.currentframe()
    while frame is not None and not is_user_code(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return "a line inside minitrain"
    return f"{Path(frame.f_code.co_filename).name} line {frame.f_lineno}"


class TracedGenerator:
    """Takes the place of a layer's generator during tracing: its numbers become inputs, which each step draws again."""

    def __init__(self, tracer: Tracer, owner: str, rng: np.random.Generator) -> None:
        self._tracer = tracer
        self._owner = owner
        self._rng = rng

    def __getattr__(self, method: str) -> Callable[..., Tensor]:
        def draw(*arguments: Any, **options: Any) -> Tensor:
            numbers = getattr(self._rng, method)(*arguments, **options)
            if not isinstance(numbers, np.ndarray):
                raise TracingError(
                    f"rng.{method} at {_user_location()} returns a {type(numbers).__name__}, and a compiled step draws "
                    "arrays: pass a size, e.g. rng.random(x.shape), or set engine=eager"
                )
            random_inputs = self._tracer.tape.random_inputs
            name = f"random.{len(random_inputs)}"
            random_inputs.append(RandomInput(name, self._owner, method, arguments, options))
            return self._tracer.input(name, Tensor(numbers))

        return draw


@contextmanager
def tracing() -> Iterator[Tracer]:
    """Record what is computed in this thread."""
    outer, tracer = recording.tracer, Tracer()
    recording.tracer = tracer
    try:
        yield tracer
    finally:
        recording.tracer = outer


Result = Tensor | Sequence[Tensor] | Mapping[str, Tensor]


def trace(fn: Callable[..., Result], *example_inputs: Any) -> Tape:
    """The Tape of a function of Tensors, for inputs of these shapes and dtypes.

    Args:
        fn: Returns a Tensor, a sequence of Tensors, or Tensors by name. It is run twice, to verify that it computes
            the same each time.
        example_inputs: Tensors, arrays or numbers. Everything else that fn uses becomes a constant of the tape.

    Raises:
        TracingError: fn reads a value that depends on an input (bool, float, item, numpy, an `if`), or uses a constant
            that changes from run to run: a random number, or an array that was modified.
        TypeError: fn returns something else than Tensors.

    >>> print(trace(lambda x: (x * 2.0).tanh().sum(), np.ones(3)))
    %0: f64[3] = input x
    %1: f64[] = constant 2.0
    %2: f64[3] = multiply %0 %1
    %3: f64[3] = tanh %2
    %4: f64[1,3] = reshape %3 shape=(1,3)
    %5: f64[] = sum %4 axes=(-2,-1)
    output 0 = %5
    """
    inputs = dict(zip(_argument_names(fn, len(example_inputs)), example_inputs, strict=True))

    def run(tracer: Tracer) -> Mapping[str, Tensor]:
        tensors = [tracer.input(k, x if isinstance(x, Tensor) else Tensor(x)) for k, x in inputs.items()]
        return _named_outputs(fn(*tensors))

    return trace_twice(run, run)


def _argument_names(fn: Callable[..., object], count: int) -> list[str]:
    try:
        names = [p.name for p in inspect.signature(fn).parameters.values() if p.kind is not p.VAR_POSITIONAL]
    except (TypeError, ValueError):
        names = []
    return [names[i] if i < len(names) else f"input{i}" for i in range(count)]


def _named_outputs(result: Result) -> Mapping[str, Tensor]:
    """The outputs of a traced function by name; by position where they have none."""
    if isinstance(result, Tensor):
        result = [result]
    outputs = result if isinstance(result, Mapping) else {str(i): t for i, t in enumerate(result)}
    for name, t in outputs.items():
        if not isinstance(t, Tensor):
            raise TypeError(f"trace: output {name} is a {type(t).__name__}, expected a Tensor")
    return outputs


TracedFunction = Callable[[Tracer], Mapping[str, Tensor]]


def trace_once(fn: TracedFunction) -> Tape:
    """The tape of what `fn` computes from the inputs that it declares to the tracer."""
    return renumbered(_record(fn)[0])


def trace_twice(first: TracedFunction, second: TracedFunction) -> Tape:
    """The tape of `first`, compared with that of `second`, which computes the same from other input values.

    Raises:
        TracingError: The two tapes differ, or one of the functions used a global random generator.
    """
    before = _global_random_states()
    tape, first_uses = _record(first)
    second_tape, _ = _record(second)
    if _global_random_states() != before:
        raise TracingError(f"the computation depends on the global generators `random` or `np.random`; {ADVICE}")
    _check_equal(tape, second_tape, first_uses)
    return renumbered(tape)


def _record(fn: TracedFunction) -> tuple[Tape, dict[int, str]]:
    """The tape of a function, and constant -> file and line of its first use."""
    with tracing() as tracer, np.errstate(all="ignore"):
        outputs = fn(tracer)
        tracer.tape.outputs = {name: tracer.value(t) for name, t in outputs.items()}
    return tracer.tape, tracer.first_uses


def _global_random_states() -> tuple[object, bytes]:
    return random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002  # user code may draw from it


def _check_equal(tape: Tape, other: Tape, first_uses: Mapping[int, str]) -> None:
    """Check that two traces of one function differ in the values of inputs alone."""
    for value, other_value in zip(tape.constants, other.constants, strict=False):
        a, b = tape.constants[value], other.constants[other_value]
        if value == other_value and type_of(a) == type_of(b) and a.tobytes() != b.tobytes():
            raise TracingError(
                f"a value used at {first_uses[value]} changes from step to step ({type_of(a)}), and a compiled step "
                f"would keep the first one; {ADVICE}"
            )
    for i, j in zip(tape.instructions, other.instructions, strict=False):
        if describe(i) != describe(j):
            raise TracingError(f"the operations change from step to step: {describe(i)}, then {describe(j)}; {ADVICE}")
    if tape.key != other.key:
        raise TracingError(f"the number of operations changes from step to step; {ADVICE}")
