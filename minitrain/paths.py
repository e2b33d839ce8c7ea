"""The directories of the shipped configs and studies, files that a config names, and how the program was invoked."""

from __future__ import annotations

import sys
from pathlib import Path

STUDIES = "experiments"  # the config group of the studies, and the name of their directory
PACKAGE = Path(__file__).parent


def conf_directory() -> Path:
    """The directory of the shipped configs: inside the package if it was installed from a wheel, else beside it."""
    return PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"


def studies_directory() -> Path:
    """The directory of the studies and their data: among the configs in a wheel, beside them in a checkout."""
    configs = conf_directory()
    return configs / STUDIES if (configs / STUDIES).is_dir() else configs.parent / STUDIES


def group_names(group: str) -> set[str]:
    """The names of the config files that a group ships."""
    directory = studies_directory() if group == STUDIES else conf_directory() / group
    return {path.stem for path in directory.glob("*.yaml")}


def find_file(path: str) -> Path:
    """A file by its path from the current directory or, if there is none, from the shipped studies.

    This lets a study name a file beside it, such as `experiments/mazur.npz`, wherever it is run.
    """
    requested = Path(path)
    if not requested.exists():  # a file may be called ~x
        requested = requested.expanduser()
    if requested.parts[:1] != (STUDIES,) or requested.exists():
        return requested
    shipped = studies_directory().parent / requested
    return shipped if shipped.is_file() else requested


def invocation() -> str:
    """The program as the user invoked it, for the commands that messages suggest.

    It is `minitrain` if the script is found by its name, the path of the script if it was started by a path, and
    `INTERPRETER -m minitrain` if it was started as a module.
    """
    import shlex  # a run whose messages suggest no command does not need them
    import shutil

    program = Path(sys.argv[0])
    if program.name == "__main__.py" and program.parent == PACKAGE:
        return f"{shlex.quote(sys.orig_argv[0])} -m minitrain"
    if program.stem != "minitrain" or shutil.which("minitrain") == str(program):
        return "minitrain"
    return shlex.quote(str(program))
