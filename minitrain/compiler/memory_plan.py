"""Memory plan: the order of a tape's instructions and the array of every value, determined before the first run.

A result is written directly to its destination where it has one: a part of a concatenated vector, or the input that
it replaces. Memory is reused as soon as no instruction reads it any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.compiler.tape import Instruction, Tape
from minitrain.compiler.types import type_of
from minitrain.typing import Array, Shape

ALIGNMENT = 64  # bytes: a cache line


class Arena:
    """An allocator of offsets in one block of memory.

    Attributes:
        nbytes: The size of the block in bytes.

    >>> arena = Arena()
    >>> first, second = arena.allocate(100), arena.allocate(64)
    >>> arena.free(first, 100)
    >>> first, second, arena.allocate(80), arena.nbytes
    (0, 128, 0, 192)
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self._free_blocks: list[tuple[int, int]] = []  # (bytes, offset)

    def allocate(self, nbytes: int) -> int:
        """The offset of the smallest free block that is large enough, or of new memory at the end."""
        size = _rounded_up(nbytes)
        for block_size, offset in sorted(self._free_blocks):
            if block_size >= size:
                self._free_blocks.remove((block_size, offset))
                if block_size > size:
                    self._free_blocks.append((block_size - size, offset + size))
                return offset
        self.nbytes += size
        return self.nbytes - size

    def free(self, offset: int, nbytes: int) -> None:
        """Make the memory of an earlier `allocate` available again."""
        self._free_blocks.append((_rounded_up(nbytes), offset))


def _rounded_up(nbytes: int) -> int:
    """A multiple of the alignment, and at least one."""
    return max(1, -(-nbytes // ALIGNMENT)) * ALIGNMENT


class Location(NamedTuple):
    """The entries of another value's buffer in which a result is written, from `start` on."""

    container: int
    start: int


class Plan:
    """The order of a tape's instructions and the array of each value.

    Args:
        tape: The tape to plan.
        runs: The number of stacked runs; None for a single run, whose arrays have no axis of runs.
        stacked: The names of the inputs that differ between the stacked runs.
        in_place: Output name -> name of the input that it replaces.
        first: The names of the outputs that the first phase computes.

    Attributes:
        tape: The tape, with copies of the outputs that would otherwise be overwritten.
        order: The instructions in the order in which they run.
        boundary: The position in `order` at which the second phase begins.
        stacked: The values that differ between the stacked runs.
        views: Value -> its instruction, for results that are views of the instruction's first input.
        locations: Value -> the location in another value's buffer where it is written.
        arrays: Value -> its array; empty until `allocate`.
        nbytes: The memory of the computed values, in bytes.
    """

    def __init__(
        self, tape: Tape, runs: int | None, stacked: Collection[str], in_place: Mapping[str, str], first: Sequence[str]
    ) -> None:
        self.tape = tape = _with_overwritten_outputs_copied(tape, in_place)
        self.runs = runs
        self.order, self.boundary = _schedule(tape, first)
        self.stacked = _stacked_values(tape, stacked) if runs is not None else set()
        self.views = {i.value: i for i in self.order if _is_view(i, tape)}
        self.locations: dict[int, Location] = {}
        computed_at = {i.value: position for position, i in enumerate(self.order) if i.value not in self.views}
        self._place_over_inputs(in_place, computed_at)
        self._place_in_concatenations(computed_at)
        self._offsets, self.nbytes = self._assign_offsets()
        self.arrays: dict[int, Array] = {}

    def run_axes(self, value: int) -> int:
        """The number of leading axes of runs of a value's array: 0 or 1."""
        return int(value in self.stacked)

    def shape(self, value: int) -> Shape:
        """The shape of a value's array, with its axis of runs."""
        runs = () if self.runs is None or value not in self.stacked else (self.runs,)
        return runs + self.tape.types[value].shape

    def root(self, value: int) -> int:
        """The value whose buffer holds this one."""
        while value in self.views or value in self.locations:
            value = self.views[value].inputs[0] if value in self.views else self.locations[value].container
        return value

    def allocate(self, buffers: Mapping[str, Array]) -> None:
        """Create the array of every value.

        Args:
            buffers: Input name -> array to use as the buffer of that input.

        Raises:
            ValueError: An array has another shape or dtype than its input.
        """
        block = np.empty(self.nbytes + ALIGNMENT, np.uint8)
        block = block[-block.ctypes.data % ALIGNMENT :]
        self.arrays = dict(self.tape.constants)
        for name, value in self.tape.inputs.items():
            default = np.zeros(self.shape(value), self.tape.types[value].dtype)
            array = self.arrays[value] = buffers.get(name, default)
            if type_of(array) != type_of(default):
                raise ValueError(
                    f"executor: the array for input {name} is {type_of(array)}, expected {type_of(default)}"
                )
        for value, offset in self._offsets.items():
            array = block[offset : offset + self._nbytes(value)].view(self.tape.types[value].dtype)
            self.arrays[value] = array.reshape(self.shape(value))
        for i in self.order:
            self._array(i.value)

    def _array(self, value: int) -> Array:
        """The array of a value; it is created here if it lies in the buffer of another value."""
        if value not in self.arrays:
            location = self.locations.get(value)
            self.arrays[value] = self._view(self.views[value]) if location is None else self._part(value, location)
        return self.arrays[value]

    def _part(self, value: int, location: Location) -> Array:
        """The part of a container's array in which a value is written."""
        container, start = location
        array, value_type = self._array(container), self.tape.types[value]
        if self.tape.types[container].size != value_type.size:
            array = array[..., start : start + value_type.size]
        return array.view(value_type.dtype).reshape(self.shape(value))

    def _view(self, i: Instruction) -> Array:
        """The result of an instruction as a view of its first input."""
        function = _view_function(i)
        view = None if function is None else function(
            self._array(i.inputs[0]), **i.options, lead=self.run_axes(i.value)
        )  # fmt: skip
        if view is None:
            raise AssertionError(f"memory plan: %{i.value} was planned as a view, and is none")
        return view

    def _nbytes(self, value: int) -> int:
        return self.tape.types[value].nbytes * (self.runs or 1 if value in self.stacked else 1)

    def last_uses(self) -> dict[int, int]:
        """Root -> position of the last instruction that reads or writes its buffer; outputs are read after the end."""
        last: dict[int, int] = {}
        for position, i in enumerate(self.order):
            for v in (i.value, *i.inputs):
                last[self.root(v)] = position
        for v in self.tape.outputs.values():
            last[self.root(v)] = len(self.order)
        return last

    def _place_over_inputs(self, in_place: Mapping[str, str], computed_at: Mapping[int, int]) -> None:
        """Write results directly over the inputs that they replace, where no later instruction reads the old value."""
        last_uses = self.last_uses()
        for output, target in in_place.items():
            value, replaced = self.tape.outputs[output], self.tape.inputs[target]
            position = computed_at.get(value, -1)
            # The first phase must change no input, and an output of another type is converted by a copy.
            if position < self.boundary or value in self.locations:
                continue
            if not self._fits(value, replaced) or self.tape.types[value] != self.tape.types[replaced]:
                continue
            last_use = last_uses.get(replaced, -1)
            if last_use < position or (
                last_use == position and may_overwrite(self.order[position], replaced, self.tape)
            ):
                self.locations[value] = Location(replaced, 0)

    def _place_in_concatenations(self, computed_at: Mapping[int, int]) -> None:
        """Write results directly into the vectors that they are concatenated to.

        A concatenation that replaces an input is excluded. It is written at the end: until then the parts of the
        input are read, and the caller may abandon the step.
        """
        for i in self.order:
            if i.operation is not P.concatenate or self.tape.types[i.value].ndim != 1 or i.value in self.locations:
                continue
            start = 0
            for v in i.inputs:
                source = self._viewed(v)
                is_whole = self.tape.types[source].size == self.tape.types[v].size
                is_free = source in computed_at and source not in self.locations
                if is_whole and is_free and self._fits(source, i.value):
                    self.locations[source] = Location(i.value, start)
                start += self.tape.types[v].size

    def _viewed(self, value: int) -> int:
        """The value that a chain of views starts from."""
        while value in self.views:
            value = self.views[value].inputs[0]
        return value

    def _fits(self, value: int, container: int) -> bool:
        """Whether entries of one value can be stored in the buffer of another."""
        same_dtype = self.tape.types[value].dtype == self.tape.types[container].dtype
        return same_dtype and self.run_axes(value) == self.run_axes(container)

    def _assign_offsets(self) -> tuple[dict[int, int], int]:
        """Root -> its offset in the block, for computed values; and the size of the block."""
        arena = Arena()
        offsets: dict[int, int] = {}
        not_computed = {*self.tape.inputs.values(), *self.tape.constants}
        last_uses = self.last_uses()
        live: set[int] = set()

        def free(roots: Iterable[int]) -> None:
            for r in sorted(roots):
                arena.free(offsets[r], self._nbytes(r))

        for position, i in enumerate(self.order):
            root = self.root(i.value)
            expiring = {r for r in map(self.root, i.inputs) if r in live and last_uses[r] == position}
            # Elementwise results may take the memory of an input that expires with them; others need memory of its own.
            overwritten = {r for r in expiring if root == i.value and self._may_share(i, r)}
            free(overwritten)
            if root not in offsets and root not in not_computed:
                offsets[root] = arena.allocate(self._nbytes(root))
                live.add(root)
            free(expiring - overwritten)
            live -= expiring
        return offsets, arena.nbytes

    def _may_share(self, i: Instruction, value: int) -> bool:
        return may_overwrite(i, value, self.tape) and self.run_axes(value) == self.run_axes(i.value)


def _view_function(i: Instruction) -> Callable[..., Array | None] | None:
    kernel = i.operation.kernel if isinstance(i.operation, P.Primitive) else None
    return None if kernel is None else kernel.view


def _is_view(i: Instruction, tape: Tape) -> bool:
    function, source = _view_function(i), tape.types[i.inputs[0]]
    return function is not None and function(np.empty(source.shape, source.dtype), **i.options) is not None


def _with_overwritten_outputs_copied(tape: Tape, in_place: Mapping[str, str]) -> Tape:
    """The tape with copies of the outputs that are replaced inputs or views of them: outputs are the old values."""
    replaced = {tape.inputs[name] for name in in_place.values()}
    for i in tape.instructions:
        if i.inputs[0] in replaced and _is_view(i, tape):
            replaced.add(i.value)
    copied = replace(tape, types=dict(tape.types), instructions=[*tape.instructions], outputs=dict(tape.outputs))
    for name, value in tape.outputs.items():
        if value in replaced and value != tape.inputs.get(in_place.get(name, "")):
            copied.outputs[name] = copied.add(P.cast, [value], {"dtype": tape.types[value].dtype.name})
    return copied


def may_overwrite(i: Instruction, value: int, tape: Tape) -> bool:
    """Whether an instruction may write its result over an input: elementwise, each entry is read before it is written.

    Args:
        i: The instruction.
        value: One of its inputs.
        tape: The tape of both.
    """
    if not isinstance(i.operation, np.ufunc):
        return False
    a, b = tape.types[value], tape.types[i.value]
    return a.size == b.size and a.dtype.itemsize == b.dtype.itemsize


def _schedule(tape: Tape, first: Sequence[str]) -> tuple[list[Instruction], int]:
    """The instructions that the outputs `first` depend on, then all others; and the position of the first of those."""
    needed = {tape.outputs[name] for name in first}
    for i in reversed(tape.instructions):
        if i.value in needed:
            needed.update(i.inputs)
    early = [i for i in tape.instructions if i.value in needed]
    return early + [i for i in tape.instructions if i.value not in needed], len(early)


def _stacked_values(tape: Tape, names: Collection[str]) -> set[int]:
    """The values that differ between runs: inputs of these names, varying constants, and all that depend on them."""
    stacked = {tape.inputs[name] for name in names} | tape.varying
    for i in tape.instructions:
        if not stacked.isdisjoint(i.inputs):
            stacked.add(i.value)
    return stacked
