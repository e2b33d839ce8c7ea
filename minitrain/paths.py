"""Where the shipped configs are, and how a path in a config is found."""

from __future__ import annotations

from pathlib import Path


def conf_directory() -> Path:
    """Where the configs are: inside the package where it was installed, beside it in a checkout."""
    package = Path(__file__).parent
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def find_file(path: str) -> Path:
    """A file by its path from the current directory or, where there is none, from the folder of the configs.

    So a study names what lies beside it, `experiments/mazur.npz`, from wherever it is run.
    """
    given = Path(path).expanduser()
    shipped = conf_directory() / given
    return shipped if shipped.is_file() and not given.exists() else given
