"""Creating the directories of runs and sweeps, each for exactly one process."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

LONGEST_NAME = 150  # characters of a directory's name: file systems allow 255, and tools append suffixes
SPECIAL = re.compile(r"[^A-Za-z0-9._+-]")  # Hydra's grammar accepts the others bare, so a path can be a value


def claim_directory(parent: Path, label: str = "", now: datetime | None = None) -> Path:
    """Create `parent/DATE/TIME-label`, which no other process has created.

    If the name is taken, the time is increased by a microsecond until a name is free.

    Args:
        parent: The directory of all runs, such as `outputs`.
        label: Added to the name, with `-` for `=`; quotes are left out, and other special characters become `_`.
        now: The time in the name; by default the current local time.

    >>> import tempfile
    >>> moment = datetime(2026, 1, 2, 3, 4, 5, 6)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [claim_directory(Path(folder), "lr=0.3", moment).name for _ in range(2)]
    ['03-04-05-000006-lr-0.3', '03-04-05-000007-lr-0.3']
    """
    moment = now or datetime.now()
    safe_label = SPECIAL.sub("_", re.sub("[/\"']", "", label).replace("=", "-"))
    while True:
        name = f"{moment:%H-%M-%S-%f}" + (f"-{safe_label}" if safe_label else "")
        directory = parent / f"{moment:%Y-%m-%d}" / name[:LONGEST_NAME]
        directory.parent.mkdir(parents=True, exist_ok=True)
        try:
            directory.mkdir()  # atomic: it fails in all processes but one
            return directory
        except FileExistsError:
            moment += timedelta(microseconds=1)
