"""`minitrain compare`: runs side by side, read from their directories alone, as a table, figures and a page."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections import Counter
from pathlib import Path

from minitrain.compare.comparison import compare, filtered
from minitrain.compare.curves_plot import View
from minitrain.compare.figures import draw_comparison, write_figures
from minitrain.compare.results import Results, load_runs
from minitrain.compare.table import format_table, groups_as_csv, groups_as_json
from minitrain.errors import ConfigError
from minitrain.storage.files import write_text
from minitrain.storage.sweep_directory import read_sweep_title

log = logging.getLogger("minitrain")


def main(given: argparse.Namespace) -> int:
    """Compare the runs in the directories given; gives the exit status.

    Raises ConfigError for an option that cannot be followed, and where there is nothing to compare.
    """
    _check_paths(given)
    directories = [Path(text) for text in given.directories]
    results = load_runs(*directories)
    if not results:
        raise ConfigError(f"compare: no run left to compare: {'; '.join(results.skipped[:3])}")
    for reason in results.skipped:
        print(f"skipped  {reason}", file=sys.stderr)
    for condition in given.filter:
        results = filtered(results, condition)
    keys = None if given.group_by is None else [key for key in given.group_by.split(",") if key]
    comparison = compare(results, given.metric, given.best, keys)
    tables: dict[str, tuple[Path, str]] = {}
    for kind, path, format_groups in (("csv", given.csv, groups_as_csv), ("json", given.json, groups_as_json)):
        if path == "-":
            print(format_groups(comparison), end="")
            return 0
        if path is not None:
            tables[kind] = Path(path), format_groups(comparison)
    is_sweep = len(directories) == 1 and (directories[0] / "multirun.yaml").exists()
    directory = None if given.output is None else Path(given.output)
    if is_sweep and given.words == given.directories:  # as the sweep has compared itself
        directory = directories[0]
    view = View(given.x, True if given.log else None, given.smooth)
    title = read_sweep_title(directories[0]) if is_sweep else " ".join(given.directories)
    figures = draw_comparison(comparison, title, view)
    log.info("%s\n\n%s\n", describe(results, len(comparison.groups)), format_table(comparison))
    written = write_figures(comparison, figures, directory, title)
    for kind, (path, text) in tables.items():
        write_text(path, text)
        written[kind] = path
    for caption, path in written.items():
        log.info("%-11s %s", caption, os.path.relpath(path))
    return 0


def _check_paths(given: argparse.Namespace) -> None:
    """Raises ConfigError for what cannot be read or written, before anything is."""
    for text in given.directories:
        if not os.path.isdir(text):
            wrong = "not a directory" if os.path.exists(text) else "no such directory"
            raise ConfigError(f"compare: {text or repr(text)}: {wrong}; give the directory of a run or a sweep")
    for option, other in (("csv", "json"), ("json", "csv")):
        path = getattr(given, option)
        if path == "-" and getattr(given, other) is not None:
            raise ConfigError(f"--{option} -: prints this table alone; leave out --{other}, or give a file")
        if path not in (None, "-"):
            if os.path.isdir(path or "."):
                raise ConfigError(f"--{option} {path or repr(path)}: expected a file to write, not a directory")
            _check_parents(option, path, Path(path).parent)
    if given.output is not None:
        _check_parents("output", given.output, Path(given.output))


def _check_parents(option: str, path: str, directory: Path) -> None:
    for each in (directory, *directory.parents):
        if os.path.exists(each) and not os.path.isdir(each):
            raise ConfigError(f"--{option} {path}: {each} is a file; expected a directory, or a new name")


def describe(results: Results, groups: int) -> str:
    """How many runs there are, and how they ended."""
    counts = Counter(run.status for run in results)
    ended = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    return f"{len(results)} run{'s' * (len(results) != 1)} in {groups} group{'s' * (groups != 1)}: {ended}"
