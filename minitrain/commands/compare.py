"""`minitrain compare`: compare runs by their directories alone, as a table, figures and a report page."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from minitrain.compare.comparison import Comparison, compare
from minitrain.compare.figures import FigureOptions, draw_comparison, write_figures
from minitrain.compare.filtering import filter_results
from minitrain.compare.lines import View
from minitrain.compare.results import Results, load_runs
from minitrain.compare.table import format_table, groups_as_csv, groups_as_json
from minitrain.errors import ConfigError, plural, printable
from minitrain.plotting.figures import FONT_SIZE
from minitrain.plotting.smoothing import Smoothing
from minitrain.storage.files import write_text
from minitrain.storage.sweep_directory import read_sweep_title

log = logging.getLogger("minitrain")

TABLE_FORMATS: dict[str, Callable[[Comparison], str]] = {"csv": groups_as_csv, "json": groups_as_json}
STANDARD_OUTPUT = "-"  # as the path of a table
MOST_REASONS = 3  # that an error message lists


def main(options: argparse.Namespace) -> int:
    """Compare the runs of several directories.

    Args:
        options: The parsed command line.

    Returns:
        The exit status.

    Raises:
        ConfigError: An option is invalid, or there is nothing to compare.
    """
    _check_paths(options)
    results = _load(options)
    keys = None if options.group_by is None else [key for key in options.group_by.split(",") if key]
    comparison = compare(results, options.metric, options.best, keys, options.allow_diverged)
    if _print_table(options, comparison):
        return 0
    _write_outputs(options, comparison)
    return 0


def _load(options: argparse.Namespace) -> Results:
    """Read the runs, report skipped directories, and apply the filters."""
    results = load_runs(*options.directories)
    if not results:
        raise ConfigError(f"compare: no runs to compare: {'; '.join(results.skipped[:MOST_REASONS])}")
    for reason in results.skipped:
        print(f"skipped  {printable(reason)}", file=sys.stderr)
    for condition in options.filter:
        results = filter_results(results, condition)
    return results


def _print_table(options: argparse.Namespace, comparison: Comparison) -> bool:
    """Print the table that is requested on standard output; whether there is one."""
    for kind, format_groups in TABLE_FORMATS.items():
        if getattr(options, kind) == STANDARD_OUTPUT:
            print(format_groups(comparison), end="")
            return True
    return False


def _write_outputs(options: argparse.Namespace, comparison: Comparison) -> None:
    """Log the table; write figures, the report page and tables, and log their paths.

    Everything is computed before the first file is written, so that an invalid option leaves none.
    """
    paths = {kind: Path(path) for kind in TABLE_FORMATS if (path := getattr(options, kind)) is not None}
    texts = {kind: TABLE_FORMATS[kind](comparison) for kind in paths}
    sweep = _single_sweep(options)
    command = read_sweep_title(sweep) if sweep else " ".join(options.directories)
    kind, reach = options.smooth
    view = View(options.x, True if options.log else None, Smoothing(reach, kind))
    formats = tuple(dict.fromkeys(["png", *(options.format or ["svg"])]))
    look = FigureOptions(options.title, options.size, options.font_size or FONT_SIZE, formats)
    figures = draw_comparison(comparison, view, look)
    log.info("%s\n\n%s\n", describe(comparison), format_table(comparison))
    written = write_figures(comparison, figures, _output_directory(options, sweep), command, look)
    for kind, path in paths.items():
        write_text(path, texts[kind])
        written[kind] = path
    for name, path in written.items():
        log.info("%-11s %s", name, os.path.relpath(path))


def _single_sweep(options: argparse.Namespace) -> Path | None:
    """The directory that is compared, if it is one and the directory of a sweep."""
    directory = Path(options.directories[0])
    return directory if len(options.directories) == 1 and (directory / "multirun.yaml").exists() else None


def _output_directory(options: argparse.Namespace, sweep: Path | None) -> Path | None:
    """Where figures are written; None for a new directory.

    Without options, the comparison of a sweep replaces the one that the sweep has written itself.
    """
    if options.output is not None:
        return Path(options.output)
    return sweep if options.words == options.directories else None


def describe(comparison: Comparison) -> str:
    """The number of runs and groups, and how many runs have each status."""
    runs = comparison.results
    statuses = Counter(run.status for run in runs)
    counts = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
    return f"{plural(len(runs), 'run')} in {plural(len(comparison.groups), 'group')}: {counts}"


# Options


def _check_paths(options: argparse.Namespace) -> None:
    """Raise ConfigError for a path that cannot be read or written, before anything is read or written."""
    for text in options.directories:
        if not os.path.isdir(text):
            problem = "not a directory" if os.path.exists(text) else "no such directory"
            raise ConfigError(f"compare: {text or repr(text)}: {problem}; pass the directory of a run or a sweep")
    for kind, other in (("csv", "json"), ("json", "csv")):
        path = getattr(options, kind)
        if path == STANDARD_OUTPUT and getattr(options, other) is not None:
            raise ConfigError(f"--{kind} -: prints only this table; omit --{other}, or pass a file")
        if path not in (None, STANDARD_OUTPUT):
            _check_file(kind, path)
    if options.output is not None:
        _check_parents("output", options.output, Path(options.output))


def _check_file(option: str, path: str) -> None:
    if os.path.isdir(path or "."):
        raise ConfigError(f"--{option} {path or repr(path)}: expected a file to write, not a directory")
    _check_parents(option, path, Path(path).parent)


def _check_parents(option: str, path: str, directory: Path) -> None:
    for ancestor in (directory, *directory.parents):
        if os.path.exists(ancestor) and not os.path.isdir(ancestor):
            raise ConfigError(f"--{option} {path}: {ancestor} is a file; expected a directory or a new name")
