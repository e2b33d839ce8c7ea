"""data.json in the directory of a run: the preprocessing, the fingerprint of the data, and the folder of the start."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from minitrain.data.dataset import Dataset
from minitrain.data.fingerprint import Fingerprint
from minitrain.data.preprocessing import Preprocessing, parse_preprocessing, preprocessing_as_json
from minitrain.errors import RecordError
from minitrain.storage.files import read_text, write_text

LONGEST_RECORD = 2**26  # bytes: a million inputs, each with a mean, a deviation and a name


@dataclass(frozen=True)
class DataRecord:
    """What a run knows about its data.

    Attributes:
        preprocessing: How raw examples are encoded.
        fingerprint: Identifies the data.
        is_generated: Whether the data are a function of the config alone.
        folder: The current directory of the start; relative paths in the config begin there.
        class_counts: The number of training examples of each class; empty if the target is not a class, or the run is
            older than this record.
    """

    preprocessing: Preprocessing
    fingerprint: Fingerprint
    is_generated: bool
    folder: Path
    class_counts: tuple[int, ...] = ()

    @classmethod
    def of(cls, data: Dataset, folder: Path) -> DataRecord:
        """The record of a run that starts in a folder."""
        return cls(data.preprocessing, data.fingerprint, data.is_generated, folder, data.class_counts)


def write_data_record(directory: Path, record: DataRecord) -> None:
    """Write data.json of a run's directory."""
    values = {
        "preprocessing": preprocessing_as_json(record.preprocessing),
        "fingerprint": asdict(record.fingerprint),
        "is_generated": record.is_generated,
        "folder": str(record.folder),
        "class_counts": list(record.class_counts),
    }
    write_text(directory / "data.json", json.dumps(values, indent=2) + "\n")


def read_data_record(directory: Path) -> DataRecord | None:
    """Read data.json of a run's directory, which may be untrusted; None if a run of version 0.1.0 has none.

    Raises:
        RecordError: The file is damaged.
    """
    path = directory / "data.json"
    if not path.exists():
        return None
    try:
        values = json.loads(read_text(path, LONGEST_RECORD))
        fingerprint, folder, is_generated = values["fingerprint"], values["folder"], values["is_generated"]
        examples, inputs, sha256 = (fingerprint[name] for name in ("examples", "inputs", "sha256"))
        types = (type(examples), type(inputs), type(sha256), type(folder), type(is_generated))
        if types != (int, int, str, str, bool):
            raise ValueError("a value has the wrong type")
        preprocessing = parse_preprocessing(values["preprocessing"])
        counts = _parse_counts(values.get("class_counts", []), preprocessing)
        return DataRecord(preprocessing, Fingerprint(examples, inputs, sha256), is_generated, Path(folder), counts)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecordError(f"{path}: not a valid record of the data ({error})") from error


def _parse_counts(values: object, preprocessing: Preprocessing) -> tuple[int, ...]:
    if not isinstance(values, list) or len(values) not in (0, preprocessing.classes):
        raise ValueError("class_counts: expected a number for each class")
    if not all(type(value) is int and 0 <= value < 2**53 for value in values):
        raise ValueError("class_counts: expected counts")
    return tuple(values)


def was_started_without_record(directory: Path) -> bool:
    """Whether version 0.1.0, which did not record the data, started a run; one that has not begun has no record yet."""
    return not (directory / "data.json").exists() and (directory / "checkpoints" / "last.npz").exists()


def check_unchanged(data: Dataset, directory: Path) -> None:
    """Check that the data are those that a run was started with.

    Args:
        data: The data that the run's config describes now.
        directory: The directory of the run.

    Raises:
        RecordError: The data have changed.
    """
    record = read_data_record(directory)
    if record is None or (record.is_generated and data.is_generated):
        return
    if record.fingerprint != data.fingerprint:
        raise RecordError(
            f"{directory}: the data have changed since the run started: "
            f"{record.fingerprint.describe_change(data.fingerprint)}; restore the data, or start a new run"
        )
