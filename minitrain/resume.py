"""Going on with a sweep: which of its runs are complete, which are left, and how it ends."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from minitrain.compare.command import read_asked, read_title, write_comparison
from minitrain.compare.comparison import compare
from minitrain.compare.results import load_runs
from minitrain.compare.table import format_table
from minitrain.config import ConfigError, RunConfig
from minitrain.job import exit_status, read_config
from minitrain.model_plots import draw_plots
from minitrain.problem import cores
from minitrain.record import LONGEST_CONFIG, RecordError, read_overrides, read_summary, read_text, refuse_strange
from minitrain.sweep.board import Job, note
from minitrain.sweep.progress import SweepReport, format_plan
from minitrain.sweep.stacks import stacks
from minitrain.sweep.training import train_jobs

log = logging.getLogger("minitrain")


def runs_in(directory: Path) -> list[Path]:
    """The runs' directories of a sweep, in its order."""

    def number(run: Path) -> int:
        found = re.search(r"^    num: (\d{1,9})$", _text_of(run / ".hydra" / "hydra.yaml"), re.MULTILINE)
        return int(found[1]) if found else 0

    return sorted((path.parent.parent for path in directory.glob("**/.hydra/config.yaml")), key=number)


def _text_of(path: Path) -> str:
    try:
        return read_text(path, LONGEST_CONFIG)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read ({error})") from error


def check_configs(directory: Path, texts: Mapping[Path, str]) -> None:
    """Refuse to go on with a sweep in whose directory another's runs are; texts: a run's directory -> its config."""
    for run in runs_in(directory) if directory.is_dir() else ():
        if run not in texts or _text_of(run / ".hydra" / "config.yaml") != texts[run]:
            raise ConfigError(
                f"hydra.sweep.dir={directory}: is taken already: the run in {run} has another config; give the command "
                "that began it, or choose a new directory"
            )


def is_complete(directory: Path) -> bool:
    """Whether a run has come to its end: completed, or diverged."""
    try:
        return read_summary(directory).get("status") in ("completed", "diverged")
    except RecordError:
        return False


def train_left(
    jobs: Mapping[int, Job], directory: Path, extensions: Sequence[str], earlier: Mapping[int, Job] | None = None
) -> bool:
    """Train the runs that are not complete, from their checkpoints; whether they came to their ends unstopped.

    earlier: runs of the sweep that have ended, and are not tried again
    """
    done = {number: job for number, job in jobs.items() if is_complete(job.directory)}
    left = {number: job for number, job in jobs.items() if number not in done}
    if done:
        log.info("%d of %d runs are complete%s", len(done), len(jobs), "" if left else ": nothing left to do")
    for job in done.values():
        for line in draw_plots(job.config, job.directory, missing=True):
            note(job.directory, line)
    found = stacks({number: job.config for number, job in left.items()}, cores())
    if left:
        log.info("%s", format_plan(found, cores()))
    with SweepReport(left, directory, {**(earlier or {}), **done}) as report:
        if not left:
            return True
        return train_jobs(left, found, cores(), extensions, report)


def conclude(directory: Path, title: str, configs: Sequence[RunConfig], interrupted: bool) -> int:
    """Draw and tell how the runs of a sweep compare; gives the exit status."""
    runs = load_runs(directory)
    if runs:
        comparison = compare(runs)
        log.info("\n%s\n", format_table(comparison, rows=10))
        for name, path in write_comparison(comparison, directory, title).items():
            log.info("%-11s %s", name, path)
    if interrupted:
        ended = sum(run.status not in ("interrupted", "running") for run in runs)
        log.info("interrupted: %d of %d runs have ended", ended, max(len(configs), len(runs)))
        log.info("go on with  python -m minitrain resume %s", directory)
        return 130
    strict = any(config.on_divergence == "fail" for config in configs)
    try:
        return exit_status([read_summary(run) for run in runs_in(directory)], strict)
    except RecordError:
        return 1  # a run whose end could not be written


def _runs_asked_for(directory: Path) -> int:
    """How many runs a sweep has to have; 0 where its multirun.yaml does not tell."""
    try:
        found = re.search(r"^    runs: (\d{1,9})$", _text_of(directory / "multirun.yaml"), re.MULTILINE)
    except RecordError:
        return 0
    return int(found[1]) if found else 0


def resume_sweep(directory: Path, overrides: Sequence[str], extensions: Sequence[str]) -> int:
    """Go on with every run of a sweep that is not complete; gives the exit status."""
    for text in overrides:
        if not text.startswith("extensions="):
            raise ConfigError(f"{text}: a resumed sweep goes on as it was; resume one of its runs for more steps")
    refuse_strange(directory)
    jobs = {}
    for number, run in enumerate(runs_in(directory)):
        jobs[number] = Job(number, read_config(run), run, read_overrides(run))
    if not jobs:
        raise ConfigError(f"resume {directory}: no run was begun; give the sweep's command again")
    stopped = not train_left(jobs, directory, extensions)
    status = conclude(directory, read_title(directory), [job.config for job in jobs.values()], stopped)
    if len(jobs) < (total := _runs_asked_for(directory)):
        log.info(
            "%d of %d runs had not begun; begin them with  python -m minitrain -m %s",
            total - len(jobs), total, shlex.join([*read_asked(directory), f"hydra.sweep.dir={directory}"]),
        )  # fmt: skip
        return status or 1
    return status
