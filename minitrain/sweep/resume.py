"""Going on with a sweep: which of its runs are complete, which are left, and how it ends."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from minitrain.compare.comparison import compare
from minitrain.compare.figures import write_comparison
from minitrain.compare.results import load_runs
from minitrain.compare.table import format_table
from minitrain.config.schema import RunConfig
from minitrain.errors import ConfigError, RecordError
from minitrain.paths import invocation
from minitrain.plotting.prediction_plots import draw_plots
from minitrain.storage.summary import Status, exit_status, read_summary
from minitrain.storage.sweep_directory import read_run_text, run_directories
from minitrain.sweep.grouping import group_runs
from minitrain.sweep.progress import SweepReport, format_plan
from minitrain.sweep.state import Job, append_log
from minitrain.sweep.workers import train_jobs
from minitrain.training.experiment import available_cores

log = logging.getLogger("minitrain")


def check_stored_configs(directory: Path, texts: Mapping[Path, str]) -> None:
    """Refuse to go on with a sweep in whose directory another's runs are; texts: a run's directory -> its config."""
    for run in run_directories(directory) if directory.is_dir() else ():
        if run not in texts or read_run_text(run / ".hydra" / "config.yaml") != texts[run]:
            raise ConfigError(
                f"hydra.sweep.dir={directory}: is taken already: the run in {run} has another config; give the command "
                "that began it, or choose a new directory"
            )


def is_complete(directory: Path) -> bool:
    """Whether a run has come to its end: completed, or diverged."""
    try:
        return read_summary(directory).status.is_final
    except RecordError:
        return False


def train_incomplete(
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
            append_log(job.directory, line)
    found = group_runs({number: job.config for number, job in left.items()}, available_cores())
    if left:
        log.info("%s", format_plan(found, available_cores()))
    with SweepReport(left, directory, {**(earlier or {}), **done}) as report:
        if not left:
            return True
        return train_jobs(left, found, available_cores(), extensions, report)


def finish_sweep(directory: Path, title: str, configs: Sequence[RunConfig], interrupted: bool) -> int:
    """Draw and tell how the runs of a sweep compare; gives the exit status."""
    runs = load_runs(directory)
    if runs:
        comparison = compare(runs)
        log.info("\n%s\n", format_table(comparison, rows=10))
        for name, path in write_comparison(comparison, directory, title).items():
            log.info("%-11s %s", name, path)
    if interrupted:
        ended = sum(run.status not in (Status.INTERRUPTED, Status.RUNNING) for run in runs)
        log.info("interrupted: %d of %d runs have ended", ended, max(len(configs), len(runs)))
        log.info("resume with  %s resume %s", invocation(), directory)
        return 130
    strict = any(config.on_divergence == "fail" for config in configs)
    try:
        return exit_status([read_summary(run) for run in run_directories(directory)], strict)
    except RecordError:
        return 1  # a run whose end could not be written
