"""Train the runs of a sweep that are not complete, and report how the sweep ends."""

from __future__ import annotations

import logging
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from pathlib import Path

from minitrain.compare.comparison import Comparison, compare
from minitrain.compare.figures import write_comparison
from minitrain.compare.results import load_runs
from minitrain.compare.table import format_table
from minitrain.config.schema import RunConfig
from minitrain.data.record import check_unchanged
from minitrain.errors import NewerVersionError, RecordError, first_line, plural
from minitrain.paths import invocation
from minitrain.plotting.prediction_plots import draw_plots
from minitrain.storage.checkpoint import lost_checkpoint
from minitrain.storage.lock import locked
from minitrain.storage.summary import Status, exit_status, read_summary
from minitrain.storage.sweep_directory import run_directories
from minitrain.sweep.grouping import RunGroup, group_runs, shared_data
from minitrain.sweep.halving import Halving, has_reached, prune
from minitrain.sweep.progress import SweepReport, format_plan
from minitrain.sweep.results_file import ResultsFile
from minitrain.sweep.state import Job, append_log
from minitrain.sweep.workers import SweepTrainer
from minitrain.training.experiment import available_cores

log = logging.getLogger("minitrain")


def train_incomplete(
    jobs: Mapping[int, Job], directory: Path, extensions: Sequence[str], halving: Halving | None = None
) -> bool:
    """Train the runs that are not complete in groups, from their checkpoints.

    Args:
        jobs: The jobs by number; `check_can_be_trained` has checked them.
        directory: The directory of the sweep.
        extensions: Modules that a worker process imports first.
        halving: How runs are pruned; None trains all of them to their ends.

    Returns:
        Whether all runs ended without a request to stop.
    """
    incomplete = select_incomplete(jobs)
    draw_missing_plots(job for number, job in jobs.items() if number not in incomplete)
    for job in incomplete.values():
        if message := lost_checkpoint(job.directory):
            log.warning("%s", message)
    with (
        SweepReport(incomplete, directory) as report,
        SweepTrainer(max(jobs) + 1, available_cores(), extensions, report) as trainer,
    ):
        if halving is not None:
            return _train_halved(jobs, halving, trainer, report)
        return _train(incomplete, trainer)


def _train(jobs: Mapping[int, Job], trainer: SweepTrainer, until: int | None = None) -> bool:
    """Train jobs in groups; returns whether there was no request to stop."""
    if not jobs:
        return True
    groups = group_incomplete(jobs)
    log.info("%s", format_plan(groups, available_cores()))
    return trainer.train(jobs, groups, until)


def _train_halved(jobs: Mapping[int, Job], halving: Halving, trainer: SweepTrainer, report: SweepReport) -> bool:
    """Train the jobs of a sweep from rung to rung; returns whether there was no request to stop.

    What was decided before an interruption is decided again, by the same metrics.
    """
    active = [job for _, job in sorted(jobs.items())]
    log.info("%s", halving.describe(active))
    for rung in halving.rungs:
        behind = {job.number: job for job in active if not is_complete(job) and not has_reached(job, rung)}
        if not _train(behind, trainer, until=rung):
            return False
        continuing = halving.survivors(active, rung)
        pruned = [job for job in active if job not in continuing]
        for job in pruned:
            prune(job, rung)
        report.add_pruned(pruned)
        log.info("step %s: %s of %s continue", f"{rung:,}", f"{len(continuing):,}", plural(len(active), "run"))
        active = [job for job in continuing if not _has_failed(job, behind)]
    return _train({job.number: job for job in active if not is_complete(job)}, trainer)


def _has_failed(job: Job, trained: Container[int]) -> bool:
    """Whether a run failed just now: it is not retried before the sweep is resumed."""
    return job.number in trained and read_summary(job.directory).status is Status.FAILED


def select_incomplete(jobs: Mapping[int, Job]) -> dict[int, Job]:
    """The jobs that are not complete; the number of those that are is logged."""
    incomplete = {number: job for number, job in jobs.items() if not is_complete(job)}
    if len(incomplete) < len(jobs):
        suffix = "" if incomplete else ": nothing left to do"
        log.info("%d of %d runs are complete%s", len(jobs) - len(incomplete), len(jobs), suffix)
    return incomplete


def group_incomplete(jobs: Mapping[int, Job]) -> list[RunGroup]:
    """The groups in which incomplete jobs are trained on the cores of this machine."""
    configs = {number: job.config for number, job in jobs.items()}
    return group_runs(configs, available_cores(), {number: job.overrides for number, job in jobs.items()})


def is_complete(job: Job) -> bool:
    """Whether a run has ended with a result, and has no more steps to take."""
    try:
        return read_summary(job.directory).is_complete(job.config.steps)
    except NewerVersionError:  # a run that is not to be trained again by this version
        raise
    except RecordError:
        return False


def check_can_be_trained(jobs: Collection[Job]) -> None:
    """Check that the incomplete jobs of a sweep can be trained.

    Raises:
        DirectoryInUseError: Another process trains one of the runs.
        RecordError: The data of a run have changed since it started.
    """
    incomplete = [job for job in jobs if not is_complete(job)]
    _require_unlocked(incomplete)
    if incomplete:
        _require_unchanged_data(jobs)


def _require_unlocked(jobs: Collection[Job]) -> None:
    """Raise DirectoryInUseError for a run that another process trains, such as `minitrain resume RUN`."""
    for job in jobs:
        if (job.directory / "summary.json").exists():  # it has begun
            with locked(job.directory):
                pass


def _require_unchanged_data(jobs: Collection[Job]) -> None:
    """Raise RecordError if a run was trained on other data than its config describes now."""
    begun = [job for job in jobs if (job.directory / "data.json").exists()]
    for job in sorted(begun, key=lambda job: repr(job.config.dataset)):  # so that each dataset is loaded once
        check_unchanged(shared_data(job.config), job.directory)


def draw_missing_plots(jobs: Iterable[Job]) -> None:
    """Draw the plots that complete runs lack, such as runs that were killed while they drew them."""
    for job in jobs:
        for line in draw_plots(job.config, job.directory, missing=True):
            append_log(job.directory, line)


def _write_comparison(comparison: Comparison, directory: Path, command: str) -> None:
    """Write and log the figures and the report; an error in a figure does not make the sweep fail."""
    try:
        for name, path in write_comparison(comparison, directory, command).items():
            log.info("%-11s %s", name, path)
    except OSError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        log.warning("comparison: not drawn (%s); draw it by  %s compare %s", reason, invocation(), directory)


def finish_sweep(
    directory: Path,
    command: str,
    configs: Sequence[RunConfig],
    interrupted: bool,
    trained: Sequence[Path] | None = None,
) -> int:
    """Compare all runs in the directory of a sweep, draw and log the comparison, and determine the exit status.

    Args:
        directory: The directory of the sweep.
        command: The overrides of the sweep, which the report page states.
        configs: The config of each run.
        interrupted: Whether the user stopped the sweep.
        trained: The directories of the runs that determine the exit status; None for all.
    """
    ResultsFile(directory).write()
    runs = load_runs(directory)
    if runs:
        comparison = compare(runs)
        log.info("\n%s\n", format_table(comparison, rows=10))
        _write_comparison(comparison, directory, command)
    if interrupted:
        ended = sum(run.status not in (Status.INTERRUPTED, Status.RUNNING) for run in runs)
        log.info("interrupted: %d of %d runs have ended", ended, max(len(configs), len(runs)))
        log.info("resume with  %s resume %s", invocation(), directory)
        return 130
    fails_on_divergence = any(config.on_divergence == "fail" for config in configs)
    try:
        summaries = [read_summary(run) for run in (run_directories(directory) if trained is None else trained)]
        return exit_status(summaries, fails_on_divergence)
    except RecordError:
        return 1  # the summary of a run could not be written
