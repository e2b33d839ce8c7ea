"""Tape: a computation as a flat list of instructions on typed values, which can be printed and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import numpy as np

from minitrain.autograd.primitives.table import Options
from minitrain.compiler.symbols import Operation, result_type
from minitrain.compiler.types import Type, type_of
from minitrain.typing import Array


@dataclass(frozen=True)
class Instruction:
    """One line of a tape: value = operation(inputs, options).

    Attributes:
        value: The number of the result.
        operation: A primitive or a NumPy function.
        inputs: The numbers of the operands.
        options: Keyword arguments of the operation.
    """

    value: int
    operation: Operation
    inputs: tuple[int, ...]
    options: Options

    @property
    def name(self) -> str:
        """The name of the operation."""
        return self.operation.__name__ if isinstance(self.operation, np.ufunc) else self.operation.name


@dataclass(frozen=True)
class RandomInput:
    """An input that is filled with random numbers before each step.

    The numbers are `method(*arguments, **options)` of the generator of `owner`.

    Attributes:
        input: The name of the input.
        owner: The name of the layer whose generator is used.
        method: A method of `numpy.random.Generator`.
        arguments: Its positional arguments.
        options: Its keyword arguments.
    """

    input: str
    owner: str
    method: str
    arguments: tuple[Any, ...]
    options: Options


@dataclass
class Tape:
    """A computation: inputs and constants, instructions in order, and the values that are its outputs.

    Attributes:
        types: Value -> its type.
        inputs: Name -> value.
        constants: Value -> array; of a `varying` constant, one array per run: [runs, ...].
        instructions: In the order in which they are computed.
        outputs: Name -> value.
        varying: The constants that differ between the runs of a stack.
        random_inputs: The inputs that are random numbers.
    """

    types: dict[int, Type] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    constants: dict[int, Array] = field(default_factory=dict)
    instructions: list[Instruction] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)
    varying: frozenset[int] = frozenset()
    random_inputs: list[RandomInput] = field(default_factory=list)

    # Writing

    def new(self, value_type: Type) -> int:
        """A new value of a type."""
        value = len(self.types)
        self.types[value] = value_type
        return value

    def add_input(self, name: str, value_type: Type) -> int:
        """Add an input and return its value.

        Raises:
            ValueError: An input of that name exists.
        """
        if name in self.inputs:
            raise ValueError(f"tape: input {name} already exists; give each input another name")
        self.inputs[name] = self.new(value_type)
        return self.inputs[name]

    def add_constant(self, array: Array) -> int:
        """Add a constant and return its value."""
        value = self.new(type_of(array))
        self.constants[value] = array
        return value

    def add(self, operation: Operation, inputs: Sequence[int], options: Options) -> int:
        """Append an instruction and return its value."""
        value = self.new(result_type(operation, [self.types[v] for v in inputs], options))
        self.instructions.append(Instruction(value, operation, tuple(inputs), options))
        return value

    # Reading

    def __str__(self) -> str:
        """One line for each input, constant, instruction and output."""
        return self._format(self.definitions())

    @property
    def key(self) -> str:
        """The text without the values of constants: tapes of equal keys can be stacked."""
        return self._format(self.definitions() | dict.fromkeys(self.constants, "constant"))

    def definitions(self) -> dict[int, str]:
        """Value -> its definition: `input x`, `constant 2.0`, `multiply %0 %1`; in this order."""
        return (
            {value: f"input {name}" for name, value in self.inputs.items()}
            | {value: f"constant {self._format_constant(value)}" for value in self.constants}
            | {i.value: describe(i) for i in self.instructions}
        )

    def _format_constant(self, value: int) -> str:
        array = self.constants[value]
        return "of each run" if value in self.varying else f"{array}" if array.ndim == 0 else "array"

    def _format(self, definitions: Mapping[int, str]) -> str:
        lines = [f"%{value}: {self.types[value]} = {text}" for value, text in definitions.items()]
        return "\n".join(lines + [f"output {name} = %{value}" for name, value in self.outputs.items()])

    def check(self) -> None:
        """Verify that the tape is well-formed: every value is defined once before its use, and has the derived type.

        Raises:
            ValueError: The first line that is not valid.
        """
        self._check_constants()
        defined = {*self.inputs.values(), *self.constants}
        for i in self.instructions:
            self._check_instruction(i, defined)
            defined.add(i.value)
        for name, value in self.outputs.items():
            if value not in defined:
                raise ValueError(f"tape: output {name} = %{value} is not defined")

    def _check_constants(self) -> None:
        for value, array in self.constants.items():
            shape = array.shape[1:] if value in self.varying else array.shape
            if Type(shape, array.dtype) != self.types[value]:
                raise ValueError(f"tape: %{value} is declared as {self.types[value]}, its array is {type_of(array)}")

    def _check_instruction(self, i: Instruction, defined: set[int]) -> None:
        undefined = [v for v in i.inputs if v not in defined]
        if undefined:
            raise ValueError(f"tape: %{i.value} = {describe(i)}: %{undefined[0]} is not defined before this line")
        if i.value in defined:
            raise ValueError(f"tape: %{i.value} = {describe(i)}: the value is already defined")
        derived = result_type(i.operation, [self.types[v] for v in i.inputs], i.options)
        if derived != self.types[i.value]:
            raise ValueError(
                f"tape: %{i.value}: {describe(i)} is declared as {self.types[i.value]}, expected {derived}"
            )


def describe(i: Instruction) -> str:
    """The text of an instruction, values before options: `sum %4 axes=(-2,-1)`."""
    options = [f"{name}={_format_option(value)}" for name, value in i.options.items()]
    return " ".join([i.name, *[f"%{v}" for v in i.inputs], *options])


def _format_option(option: object) -> str:
    if isinstance(option, tuple):
        return f"({','.join(map(_format_option, option))})"
    if isinstance(option, slice):
        ends = ["" if end is None else str(end) for end in (option.start, option.stop)]
        return ":".join(ends if option.step in (None, 1) else [*ends, str(option.step)])
    return str(option)


def stack(tapes: Sequence[Tape]) -> Tape:
    """Combine tapes of one key into one: a constant that differs between them becomes an array with one row per run.

    Raises:
        ValueError: The keys differ.
    """
    first = tapes[0]
    expected = [*first.key.splitlines(), *first.random_inputs]
    for run, tape in enumerate(tapes):
        for line, other in zip_longest(expected, [*tape.key.splitlines(), *tape.random_inputs]):
            if line != other:
                raise ValueError(
                    f"stack: run {run} computes {other}, where run 0 computes {line}; the runs of a stack may differ "
                    "only in numbers: train these separately"
                )
    constants: dict[int, Array] = {}
    varying = []
    for value, array in first.constants.items():
        arrays = [tape.constants[value] for tape in tapes]
        if all(other.tobytes() == array.tobytes() for other in arrays):
            constants[value] = array
        else:
            constants[value] = np.stack(arrays)
            varying.append(value)
    return replace(first, constants=constants, varying=frozenset(varying))


def unstack(tape: Tape) -> tuple[Tape, dict[str, Array]]:
    """Convert the tape of a stack into one that computes a single run at a time.

    Returns:
        The tape, in which varying constants are inputs; and input name -> the values of all runs: [runs, ...].
    """
    differing = {f"constant.{v}": v for v in sorted(tape.varying)}
    constants = {v: array for v, array in tape.constants.items() if v not in tape.varying}
    single = replace(tape, inputs=tape.inputs | differing, constants=constants, varying=frozenset())
    return single, {name: tape.constants[v] for name, v in differing.items()}


def renumbered(tape: Tape) -> Tape:
    """The tape with its values numbered consecutively, in the order in which it prints them."""
    order = [*tape.inputs.values(), *tape.constants, *[i.value for i in tape.instructions]]
    numbers = {value: number for number, value in enumerate(order)}
    instructions = [
        Instruction(numbers[i.value], i.operation, tuple(numbers[v] for v in i.inputs), i.options)
        for i in tape.instructions
    ]
    return Tape(
        types={numbers[v]: tape.types[v] for v in order},
        inputs={name: numbers[v] for name, v in tape.inputs.items()},
        constants={numbers[v]: array for v, array in tape.constants.items()},
        instructions=instructions,
        outputs={name: numbers[v] for name, v in tape.outputs.items()},
        varying=frozenset(numbers[v] for v in tape.varying if v in numbers),
        random_inputs=tape.random_inputs,
    )
