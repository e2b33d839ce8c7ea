"""Directories of runs and sweeps, each claimed by one process."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

LONGEST_NAME = 150  # characters of a directory's name; file systems take 255 bytes


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
