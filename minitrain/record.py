"""A run's directory on disk: claimed by one run, written so that a kill at any moment loses nothing.

    .hydra/{config,hydra,overrides}.yaml   minitrain.log
    metrics.csv        step, lr, train_loss, and at evaluations val_loss, val_accuracy, what `metrics` asks for
    summary.json       status, final and best metrics, seconds, versions
    loss.png loss.svg  diagnostics.png diagnostics.svg
    checkpoints/last.npz best.npz

Every file but metrics.csv is written beside its place and renamed; metrics.csv only grows, and a resumed run
cuts it back to its checkpoint. A directory may be a stranger's: whatever is read is held against what it should be
before it is used, and RecordError tells in a line what is wrong.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import numpy as np
import yaml

from minitrain.autograd.primitives import Array

LONGEST_CONFIG = 2**18  # bytes: a longer file is no run's config
LONGEST_SUMMARY = 2**24
MOST_KEYS = 10_000  # of a config
LARGEST = 2**63  # of a whole number that is told
YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LONGEST_NAME = 150  # characters of a directory's name; file systems take 255 bytes


class RecordError(Exception):
    """A file of a run that cannot be read as what it should be; its message is one line."""


def claim_directory(parent: Path, label: str = "", now: datetime | None = None) -> Path:
    """Make `parent/DATE/TIME-label`, which nobody else has: a taken name gives way to the next microsecond.

    >>> import tempfile
    >>> moment = datetime(2026, 1, 2, 3, 4, 5, 6)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [claim_directory(Path(folder), "lr=0.3", moment).name for _ in range(2)]
    ['03-04-05-000006-lr=0.3', '03-04-05-000007-lr=0.3']
    """
    moment = now or datetime.now()
    safe = "".join(c if c.isalnum() or c in "=,._+-" else "_" for c in label.replace("/", ""))
    while True:
        name = f"{moment:%H-%M-%S-%f}" + (f"-{safe}" if safe else "")
        while len(name.encode()) > LONGEST_NAME:
            name = name[:-1]
        directory = parent / f"{moment:%Y-%m-%d}" / name
        directory.parent.mkdir(parents=True, exist_ok=True)
        try:
            directory.mkdir()
            return directory
        except FileExistsError:
            moment += timedelta(microseconds=1)


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside its place, flush it to the disk, and rename it: it is whole or not there.

    Raises OSError that names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_atomically` for text, in UTF-8; what has no such form, as half a surrogate pair, becomes a ?."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8", "replace")))


def read_text(path: Path, longest: float = math.inf) -> str:
    """The text of a file of so many bytes at most. Raises OSError and ValueError.

    A pipe or a device, which a stranger's directory may hold, is none: it could go on for ever.
    """
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")
    if path.stat().st_size > longest:
        raise ValueError(f"longer than {longest:,} bytes")
    return path.read_text(encoding="utf-8")


def refuse_strange(directory: Path) -> None:
    """Raise RecordError for what no run leaves in a directory, which is to be written to: links, pipes, devices.

    What a link leads to is outside, and another's. The directory itself may be one.
    """
    for path in directory.rglob("*"):
        if path.is_symlink():
            raise RecordError(f"{path}: is a link; a run's files are its own: put what it leads to in its place")
        if not (path.is_file() or path.is_dir()):
            raise RecordError(f"{path}: is neither a file nor a folder; no run leaves such; take it away")


def format_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows by column name as CSV, with a header; a cell that a row lacks is empty.

    >>> format_csv(["run", "note"], [{"run": 0, "note": "a, b"}, {"run": 1}])
    'run,note\\n0,"a, b"\\n1,\\n'
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_folder(path: Path, texts: Mapping[str, str]) -> None:
    """Write a folder of small files beside its place, and rename it: it is whole or not there.

    Raises FileExistsError where there is one already.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.mkdir(parents=True, exist_ok=True)
    try:
        for name, text in texts.items():
            write_text(beside / name, text)
        beside.rename(path)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        raise FileExistsError(f"{path} is there already") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


class Metrics:
    """metrics.csv while a run writes it: rows are buffered, and on disk within a second.

    Numbers are written in full (the shortest text that gives them back), so that equal runs give equal bytes.
    """

    def __init__(self, path: Path, columns: list[str], from_step: int) -> None:
        """Keep the rows of the steps before `from_step`, and go on from there."""
        self.columns = columns
        header = ",".join(columns) + "\n"
        lines = read_text(path).splitlines(keepends=True)[1:] if from_step and path.exists() else []
        kept = [line for line in lines if line.endswith("\n") and float(line.split(",", 1)[0]) < from_step]
        write_text(path, "".join([header, *kept]))
        self._file = path.open("a", encoding="utf-8", newline="")
        self._flushed = time.monotonic()

    def write(self, row: Mapping[str, Any]) -> None:
        self._file.write(",".join(str(row.get(column, "")) for column in self.columns) + "\n")

    def flush(self, at_most_every: float = 0.0) -> None:
        """Put the rows on disk, unless that was done less than so many seconds ago."""
        now = time.monotonic()
        if now - self._flushed >= at_most_every:
            self._file.flush()
            self._flushed = now

    def close(self) -> None:
        self._file.close()


def read_metrics(directory: Path) -> dict[str, Array]:
    """The columns of metrics.csv by name, nan where a cell is empty; a row cut off by a kill is left out.

    Raises RecordError where the file is missing or is no table of numbers.
    """
    path = directory / "metrics.csv"
    try:
        header, _, body = read_text(path).partition("\n")
        columns = header.split(",")
        lines = body.split("\n")[:-1]
        if any(line.count(",") != len(columns) - 1 for line in lines):
            raise ValueError("rows of other lengths than the header's")
        values = [float(cell or "nan") for cell in ",".join(lines).split(",")] if lines else []
        table = np.array(values, np.float64).reshape(len(lines), len(columns))
        if columns[0] != "step" or len(set(columns)) < len(columns):
            raise ValueError("its first column is not step, or a name is there twice")
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: not a table of metrics ({error})") from error
    return {name: table[:, i] for i, name in enumerate(columns)}


def finite_points(metrics: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    """Steps and values of one metric where it is finite: [points] each; none where there is no such column."""
    values = metrics.get(name, np.empty(0))
    finite = np.isfinite(values)
    return metrics["step"][: len(values)][finite], values[finite]


# What the best network is told by, and what summary.json and a checkpoint tell, each with its types
BEST: dict[str, tuple[type, ...]] = {"metric": (str,), "value": (float, int), "step": (int,)}
PROGRESS: dict[str, tuple[type, ...]] = {
    "step": (int,), "best": (dict, type(None)), "final": (dict,), "seconds": (float, int),
}  # fmt: skip
SUMMARY: dict[str, tuple[type, ...]] = {"status": (str,), "steps": (int,), "overrides": (list,), **PROGRESS}


def _check_told(told: Any, kinds: Mapping[str, tuple[type, ...]]) -> None:
    """Raise ValueError for a key that is missing, and for a value of another type."""
    if not isinstance(told, dict):
        raise ValueError("no keys and values")
    for key, types in kinds.items():
        value = told.get(key)
        if type(value) not in types or (isinstance(value, int) and abs(value) > LARGEST):
            raise ValueError(f"{key}: expected {' or '.join('null' if t is type(None) else t.__name__ for t in types)}")
    if told.get("step", 0) < 0:
        raise ValueError("step: expected at least 0")
    if told.get("best") is not None:
        _check_told(told["best"], BEST)
    for name, value in told.get("final", {}).items():
        _check_told({name: value}, {name: (float, int)})


def write_summary(directory: Path, summary: Mapping[str, Any]) -> None:
    write_text(directory / "summary.json", json.dumps(summary, indent=2) + "\n")


def read_summary(directory: Path) -> dict[str, Any]:
    """What summary.json says. Raises RecordError where it is missing or damaged."""
    path = directory / "summary.json"
    try:
        summary: dict[str, Any] = json.loads(read_text(path, LONGEST_SUMMARY))
        _check_told(summary, SUMMARY)
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not a run's summary ({error})") from error
    return summary


def read_values(path: Path) -> dict[str, Any]:
    """The keys of a run's config, dotted, and their values as they stand in the file.

    Raises RecordError for a file that is no such thing, or would not be read in a moment.
    """
    flat: dict[str, Any] = {}
    with _reading_yaml(path) as nested:
        if not isinstance(nested, dict):
            raise ValueError("no keys and values")
        _flatten(nested, "", flat, [MOST_KEYS])
        left = [MOST_KEYS]
        for key in flat:
            _follow(flat, key, left)
    return flat


REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def _follow(flat: Mapping[str, Any], key: str, left: list[int]) -> None:
    """Go through what stands for other keys. `left`: how often that may still be, lest they multiply, or go round."""
    for name in REFERENCE.findall(str(flat[key])):
        left[0] -= 1
        if left[0] < 0:
            raise ValueError(f"more than {MOST_KEYS:,} interpolations")
        for other in [name] if name in flat else [each for each in flat if each.startswith(f"{name}.")]:
            _follow(flat, other, left)


def read_overrides(directory: Path) -> list[str]:
    """What a run was asked for, as it was typed. Raises RecordError as `read_values` does."""
    with _reading_yaml(directory / ".hydra" / "overrides.yaml") as texts:
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError("no list of texts")
    return list(texts)


@contextmanager
def _reading_yaml(path: Path) -> Iterator[Any]:
    """What a YAML file holds; what is found wrong with it inside, too, is told in a line."""
    try:
        yield yaml.load(read_text(path, LONGEST_CONFIG), YAML)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecordError(f"{path}: not a config that can be read ({reason})") from error


def _flatten(value: Any, key: str, flat: dict[str, Any], left: list[int]) -> None:
    """Enter the leaves under a value; lists are leaves. `left`: values that may still be met, lest aliases multiply."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"more than {MOST_KEYS:,} values")
    if isinstance(value, dict):
        for name, inner in value.items():
            _flatten(inner, f"{key}.{name}" if key else str(name), flat, left)
        return
    for inner in value if isinstance(value, list) else ():
        _flatten(inner, key, {}, left)
    flat[key] = value


def save_checkpoint(path: Path, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Arrays by name and a few plain values, as an npz with a checksum over all of it, without pickle."""
    members = {**arrays, "meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)}
    checksum = np.frombuffer(_checksum(members), np.uint8)
    write_atomically(path, lambda file: np.savez(file, **members, checksum=checksum))  # type: ignore[arg-type]


def load_checkpoint(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and plain values of a checkpoint. Raises RecordError where it is missing, damaged or none."""
    if not path.is_file():
        raise RecordError(f"{path}: not a checkpoint that can be used (not a regular file)")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            _check_sizes(archive.zip, path.stat().st_size)
            members = {name: archive[name] for name in archive.files}
        checksum = members.pop("checksum").tobytes()
        if checksum != _checksum(members):
            raise ValueError("its checksum is wrong")
        meta = json.loads(members.pop("meta").tobytes())
    except Exception as error:  # what a damaged archive raises, down to NotImplementedError, has no end
        reason = error if "checksum" in str(error) else "damaged, or no npz file of plain arrays"
        raise RecordError(f"{path}: not a checkpoint that can be used ({reason})") from error
    try:
        _check_told(meta, PROGRESS)
    except ValueError as error:
        raise RecordError(f"{path}: not the checkpoint of a run ({error})") from error
    return members, meta


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse what would take more memory than the file has bytes: nothing in a checkpoint is compressed."""
    for info in archive.infolist():
        with archive.open(info) as member:
            header = np.lib.format
            version = header.read_magic(member)
            read = header.read_array_header_1_0 if version == (1, 0) else header.read_array_header_2_0
            shape, _, dtype = read(member)
        fits = math.prod(shape) * dtype.itemsize <= info.file_size <= size
        if info.compress_type != zipfile.ZIP_STORED or not fits:
            raise ValueError("larger inside than outside")


def _checksum(members: Mapping[str, Array]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(members):
        array = np.asarray(members[name], order="C")
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.digest()
