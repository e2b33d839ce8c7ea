"""Where every value of a Tape lies in memory, worked out before the first replay.

Results are written straight to where they are wanted (a part of a joined vector, the parameters that they
replace), and a place that nothing reads any more is used again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.compiler.tape import Instruction, Tape
from minitrain.compiler.types import type_of
from minitrain.typing import Array

ALIGNMENT = 64  # bytes: a cache line


class Arena:
    """Offsets in one block of memory, handed out and taken back.

    >>> arena = Arena()
    >>> first, second = arena.take(100), arena.take(64)
    >>> arena.give_back(first, 100)
    >>> first, second, arena.take(80), arena.nbytes
    (0, 128, 0, 192)
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self._free: list[tuple[int, int]] = []  # (bytes, offset)

    def take(self, nbytes: int) -> int:
        size = _rounded(nbytes)
        for block in sorted(self._free):
            if block[0] >= size:
                self._free.remove(block)
                if block[0] > size:
                    self._free.append((block[0] - size, block[1] + size))
                return block[1]
        self.nbytes += size
        return self.nbytes - size

    def give_back(self, offset: int, nbytes: int) -> None:
        self._free.append((_rounded(nbytes), offset))


def _rounded(nbytes: int) -> int:
    return max(1, -(-nbytes // ALIGNMENT)) * ALIGNMENT


class Plan:
    """The order of a tape's instructions and the array of each value.

    runs, stacked, in_place, first: see `Replay`
    boundary: the first instruction of the second phase
    arrays: value -> its array
    nbytes: how much memory the values computed take
    """

    def __init__(
        self, tape: Tape, runs: int | None, stacked: Collection[str], in_place: Mapping[str, str], first: Sequence[str]
    ) -> None:
        self.tape = tape = _with_old_values_kept(tape, in_place)
        self.runs = runs
        self.order, self.boundary = _scheduled(tape, first)
        self.stacked = _stacked(tape, stacked) if runs is not None else set()
        self.owners = {i.value: i for i in self.order if _is_view(i, tape)}
        self.homes: dict[int, tuple[int, int]] = {}
        self._find_homes(in_place)
        self._offsets, self.nbytes = self._places()
        self.arrays: dict[int, Array] = {}

    def lead(self, value: int) -> int:
        """How many axes of runs its array has, 0 or 1."""
        return int(value in self.stacked)

    def shape(self, value: int) -> tuple[int, ...]:
        runs = () if self.runs is None or value not in self.stacked else (self.runs,)
        return runs + self.tape.types[value].shape

    def root(self, value: int) -> int:
        """The value in whose memory this one lies."""
        while value in self.owners or value in self.homes:
            value = self.owners[value].inputs[0] if value in self.owners else self.homes[value][0]
        return value

    def allocate(self, given: Mapping[str, Array]) -> None:
        """Make the arrays; those given are inputs, and are used where they lie.

        Raises ValueError where one has another shape or type than its input.
        """
        block = np.empty(self.nbytes + ALIGNMENT, np.uint8)
        block = block[-block.ctypes.data % ALIGNMENT :]
        self.arrays = dict(self.tape.constants)
        for name, value in self.tape.inputs.items():
            own = np.zeros(self.shape(value), self.tape.types[value].dtype)
            array = self.arrays[value] = given.get(name, own)
            if type_of(array) != type_of(own):
                raise ValueError(f"replay: input {name} is {type_of(array)}, expected {type_of(own)}")
        for value, offset in self._offsets.items():
            nbytes = self._nbytes(value)
            array = block[offset : offset + nbytes].view(self.tape.types[value].dtype)
            self.arrays[value] = array.reshape(self.shape(value))
        for i in self.order:
            self._array(i.value)

    def _array(self, value: int) -> Array:
        """The array of a value; of one that lies in another's, which may be made later, a view."""
        if value not in self.arrays:
            self.arrays[value] = self._inside(value)
        return self.arrays[value]

    def _inside(self, value: int) -> Array:
        """The array of a value that lies in another's."""
        if value in self.homes:
            container, start = self.homes[value]
            array, own = self._array(container), self.tape.types[value]
            part = array if self.tape.types[container].size == own.size else array[..., start : start + own.size]
            return part.view(own.dtype).reshape(self.shape(value))
        i = self.owners[value]
        view = _view_of(i)
        assert view is not None
        found = view(self._array(i.inputs[0]), **i.options, lead=self.lead(value))
        assert found is not None
        return found

    def _nbytes(self, value: int) -> int:
        return self.tape.types[value].nbytes * (self.runs or 1 if value in self.stacked else 1)

    def last_reads(self) -> dict[int, int]:
        """Root -> the last instruction that reads or writes there; what is given out is read at the end."""
        last: dict[int, int] = {}
        for at, i in enumerate(self.order):
            for v in (i.value, *i.inputs):
                last[self.root(v)] = at
        for v in self.tape.outputs.values():
            last[self.root(v)] = len(self.order)
        return last

    def _find_homes(self, in_place: Mapping[str, str]) -> None:
        """Which results are written straight into a joined vector, or over the input that they replace."""
        made_at = {i.value: at for at, i in enumerate(self.order) if i.value not in self.owners}
        last = self.last_reads()
        for output, target in in_place.items():
            value, replaced = self.tape.outputs[output], self.tape.inputs[target]
            when = made_at.get(value, -1)
            if when < self.boundary or not self._are_alike(value, replaced) or value in self.homes:
                continue
            if self.tape.types[value] != self.tape.types[replaced]:
                continue  # what is copied there takes the input's type
            read = last.get(replaced, -1)
            if read < when or (read == when and overwrites(self.order[when], replaced, self.tape)):
                self.homes[value] = (replaced, 0)
        for i in self.order:
            # What replaces an input is written at the end: its parts are read, or the step may be given up, until then.
            if i.operation is not P.concatenate or self.tape.types[i.value].ndim != 1 or i.value in self.homes:
                continue
            start = 0
            for v in i.inputs:
                part = v
                while part in self.owners:
                    part = self.owners[part].inputs[0]
                whole = self.tape.types[part].size == self.tape.types[v].size
                if whole and part in made_at and part not in self.homes and self._are_alike(part, i.value):
                    self.homes[part] = (i.value, start)
                start += self.tape.types[v].size

    def _are_alike(self, a: int, b: int) -> bool:
        """Whether entries of one value can lie among those of the other."""
        return self.lead(a) == self.lead(b) and self.tape.types[a].dtype == self.tape.types[b].dtype

    def _places(self) -> tuple[dict[int, int], int]:
        """Root -> its offset in the block, for those that are no inputs or constants; and the size of the block."""
        arena = Arena()
        offsets: dict[int, int] = {}
        outside = {*self.tape.inputs.values(), *self.tape.constants}
        last = self.last_reads()
        live: set[int] = set()
        for at, i in enumerate(self.order):
            root = self.root(i.value)
            dying = {r for r in map(self.root, i.inputs) if r in live and last[r] == at}
            over = {
                r for r in dying if root == i.value and overwrites(i, r, self.tape) and self.lead(r) == self.lead(root)
            }
            for r in sorted(over):
                arena.give_back(offsets[r], self._nbytes(r))
            if root not in offsets and root not in outside:
                offsets[root] = arena.take(self._nbytes(root))
                live.add(root)
            for r in sorted(dying - over):
                arena.give_back(offsets[r], self._nbytes(r))
            live -= dying
        return offsets, arena.nbytes


def _view_of(i: Instruction) -> Callable[..., Array | None] | None:
    kernel = i.operation.kernel if isinstance(i.operation, P.Primitive) else None
    return None if kernel is None else kernel.view


def _is_view(i: Instruction, tape: Tape) -> bool:
    view, source = _view_of(i), tape.types[i.inputs[0]]
    return view is not None and view(np.empty(source.shape, source.dtype), **i.options) is not None


def _with_old_values_kept(tape: Tape, in_place: Mapping[str, str]) -> Tape:
    """The tape with copies of outputs that lie in inputs which are replaced: they are what was there before."""
    replaced = {tape.inputs[name] for name in in_place.values()}
    for i in tape.instructions:
        if i.inputs[0] in replaced and _is_view(i, tape):
            replaced.add(i.value)
    kept = replace(tape, types=dict(tape.types), instructions=[*tape.instructions], outputs=dict(tape.outputs))
    for name, value in tape.outputs.items():
        if value in replaced and value != tape.inputs.get(in_place.get(name, "")):
            kept.outputs[name] = kept.add(P.cast, [value], {"dtype": tape.types[value].dtype.name})
    return kept


def overwrites(i: Instruction, value: int, tape: Tape) -> bool:
    """Whether an instruction may write its result over an input: entry by entry, each read before it is written."""
    if not isinstance(i.operation, np.ufunc):
        return False
    a, b = tape.types[value], tape.types[i.value]
    return a.size == b.size and a.dtype.itemsize == b.dtype.itemsize


def _scheduled(tape: Tape, first: Sequence[str]) -> tuple[list[Instruction], int]:
    """What the outputs named `first` need, then the rest, and where that begins."""
    needed = {tape.outputs[name] for name in first}
    for i in reversed(tape.instructions):
        if i.value in needed:
            needed.update(i.inputs)
    early = [i for i in tape.instructions if i.value in needed]
    return early + [i for i in tape.instructions if i.value not in needed], len(early)


def _stacked(tape: Tape, names: Collection[str]) -> set[int]:
    """Values that differ between runs."""
    found = {tape.inputs[name] for name in names} | tape.varying
    for i in tape.instructions:
        if not found.isdisjoint(i.inputs):
            found.add(i.value)
    return found
