"""Tape: a computation as a flat list of operations on typed values, which prints and checks itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import numpy as np

from minitrain.compiler.symbols import Operation, Options, result_type
from minitrain.compiler.types import Type, type_of
from minitrain.typing import Array


@dataclass(frozen=True)
class Instruction:
    """value = operation(inputs, options); values are numbers."""

    value: int
    operation: Operation
    inputs: tuple[int, ...]
    options: Options

    @property
    def name(self) -> str:
        return self.operation.__name__ if isinstance(self.operation, np.ufunc) else self.operation.name


@dataclass(frozen=True)
class Draw:
    """Random numbers of each step: `method(*arguments, **options)` of the generator of `owner` fills an input."""

    input: str
    owner: str
    method: str
    arguments: tuple[Any, ...]
    options: Options


@dataclass
class Tape:
    """A computation: inputs and constants, instructions in order, and which values are its outputs.

    types: value -> its type
    constants: value -> array; of a `varying` one, an array for each run of a stack
    draws: the inputs that are random numbers
    """

    types: dict[int, Type] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    constants: dict[int, Array] = field(default_factory=dict)
    instructions: list[Instruction] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)
    varying: frozenset[int] = frozenset()
    draws: list[Draw] = field(default_factory=list)

    # Writing one

    def new(self, value_type: Type) -> int:
        value = len(self.types)
        self.types[value] = value_type
        return value

    def add_input(self, name: str, value_type: Type) -> int:
        if name in self.inputs:
            raise ValueError(f"tape: an input {name} is there already")
        self.inputs[name] = self.new(value_type)
        return self.inputs[name]

    def add_constant(self, array: Array) -> int:
        value = self.new(type_of(array))
        self.constants[value] = array
        return value

    def add(self, operation: Operation, inputs: Sequence[int], options: Options) -> int:
        """Append an instruction and give its value."""
        value = self.new(result_type(operation, [self.types[v] for v in inputs], options))
        self.instructions.append(Instruction(value, operation, tuple(inputs), options))
        return value

    # Reading one

    def __str__(self) -> str:
        """A line each for inputs, constants, instructions and outputs."""
        return self._written(self.definitions())

    @property
    def key(self) -> str:
        """The text without the constants' values: tapes with one key can be stacked."""
        return self._written(self.definitions() | dict.fromkeys(self.constants, "constant"))

    def definitions(self) -> dict[int, str]:
        """Value -> what it is, in words: `input x`, `constant 2.0`, `multiply %0 %1`; in this order."""
        return (
            {value: f"input {name}" for name, value in self.inputs.items()}
            | {value: f"constant {self._constant(value)}" for value in self.constants}
            | {i.value: describe(i) for i in self.instructions}
        )

    def _constant(self, value: int) -> str:
        array = self.constants[value]
        return "of each run" if value in self.varying else f"{array}" if array.ndim == 0 else "array"

    def _written(self, definitions: Mapping[int, str]) -> str:
        lines = [f"%{value}: {self.types[value]} = {text}" for value, text in definitions.items()]
        return "\n".join(lines + [f"output {name} = %{value}" for name, value in self.outputs.items()])

    def check(self) -> None:
        """Derive every type again. Raises ValueError for the first line that does not hold."""
        defined = {*self.inputs.values(), *self.constants}
        for value, array in self.constants.items():
            shape = array.shape[1:] if value in self.varying else array.shape
            if Type(shape, array.dtype) != self.types[value]:
                raise ValueError(f"tape: %{value} is {self.types[value]}, and its array {type_of(array)}")
        for i in self.instructions:
            missing = [v for v in i.inputs if v not in defined]
            if missing or i.value in defined:
                what = f"%{missing[0]} is not there yet" if missing else "the value is there already"
                raise ValueError(f"tape: %{i.value} = {describe(i)}: {what}")
            derived = result_type(i.operation, [self.types[v] for v in i.inputs], i.options)
            if derived != self.types[i.value]:
                raise ValueError(f"tape: %{i.value}: {self.types[i.value]} = {describe(i)} is {derived}")
            defined.add(i.value)
        for name, value in self.outputs.items():
            if value not in defined:
                raise ValueError(f"tape: output {name} = %{value} is not there")


def describe(i: Instruction) -> str:
    """`take %0 %3`, options behind the values."""
    options = [f"{name}={_show(value)}" for name, value in i.options.items()]
    return " ".join([i.name, *[f"%{v}" for v in i.inputs], *options])


def _show(option: Any) -> str:
    if isinstance(option, tuple):
        return f"({','.join(map(_show, option))})"
    if isinstance(option, slice):
        ends = ["" if end is None else str(end) for end in (option.start, option.stop)]
        return ":".join(ends if option.step in (None, 1) else [*ends, str(option.step)])
    return str(option)


def stack(tapes: Sequence[Tape]) -> Tape:
    """Tapes with one key as one: a constant that differs between them becomes an array for each run.

    Raises ValueError where the keys differ.
    """
    first = tapes[0]
    for number, tape in enumerate(tapes):
        for line, own in zip_longest([*first.key.splitlines(), *first.draws], [*tape.key.splitlines(), *tape.draws]):
            if line != own:
                raise ValueError(
                    f"stack: run {number} computes something else than run 0: {own}, where run 0 has {line}; "
                    "runs of a stack may differ in numbers alone"
                )
    constants: dict[int, Array] = {}
    varying = []
    for value, array in first.constants.items():
        arrays = [tape.constants[value] for tape in tapes]
        if all(each.tobytes() == array.tobytes() for each in arrays):
            constants[value] = array
        else:
            constants[value] = np.stack(arrays)
            varying.append(value)
    return Tape(
        first.types, first.inputs, constants, first.instructions, first.outputs, frozenset(varying), first.draws
    )


def unstack(tape: Tape) -> tuple[Tape, dict[str, Array]]:
    """A stack's tape as one for a run at a time: what differs between the runs is an input, with [runs, ...] values."""
    differing = {f"constant.{v}": v for v in sorted(tape.varying)}
    constants = {v: array for v, array in tape.constants.items() if v not in tape.varying}
    one = replace(tape, inputs=tape.inputs | differing, constants=constants, varying=frozenset())
    return one, {name: tape.constants[v] for name, v in differing.items()}


def renumbered(tape: Tape) -> Tape:
    """The tape with its values counted without gaps: what `key` and a reader see."""
    numbers: dict[int, int] = {}
    order = [*tape.inputs.values(), *tape.constants, *[i.value for i in tape.instructions]]
    for value in order:
        numbers[value] = len(numbers)
    return Tape(
        {numbers[v]: tape.types[v] for v in order},
        {name: numbers[v] for name, v in tape.inputs.items()},
        {numbers[v]: array for v, array in tape.constants.items()},
        [
            Instruction(numbers[i.value], i.operation, tuple(numbers[v] for v in i.inputs), i.options)
            for i in tape.instructions
        ],
        {name: numbers[v] for name, v in tape.outputs.items()},
        frozenset(numbers[v] for v in tape.varying if v in numbers),
        tape.draws,
    )
