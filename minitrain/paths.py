"""Where the shipped configs are, how a path in a config is found, and how the program was invoked."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent
IS_INSTALLED = (PACKAGE / "conf").is_dir()  # a wheel has the configs inside the package, a checkout beside it


def conf_directory() -> Path:
    """The directory of the shipped configs."""
    return PACKAGE / "conf" if IS_INSTALLED else PACKAGE.parent / "conf"


def config_roots() -> list[Path]:
    """The directories below which config groups are found.

    In a checkout the group `experiments` is a directory beside `conf`, not in it.
    """
    return [conf_directory()] if IS_INSTALLED else [conf_directory(), PACKAGE.parent]


def group_names(group: str) -> set[str]:
    """The names of the config files that a group ships."""
    return {path.stem for root in config_roots() for path in (root / group).glob("*.yaml")}


def find_file(path: str) -> Path:
    """A file by its path from the current directory or, if there is none, from the shipped studies.

    This lets a study name a file beside it, such as `experiments/mazur.npz`, wherever it is run.
    """
    given = Path(path).expanduser()
    if given.parts[:1] != ("experiments",) or given.exists():
        return given
    return next((root / given for root in config_roots() if (root / given).is_file()), given)


def invocation() -> str:
    """The program as the user invoked it, for the commands that messages suggest.

    It is `minitrain` if the script is found by its name, the path of the script if it was started by a path, and
    `INTERPRETER -m minitrain` if it was started as a module.
    """
    program = Path(sys.argv[0])
    if program.name == "__main__.py" and program.parent == PACKAGE:
        return f"{shlex.quote(sys.orig_argv[0])} -m minitrain"
    if program.stem != "minitrain" or shutil.which("minitrain") == str(program):
        return "minitrain"
    return shlex.quote(str(program))
