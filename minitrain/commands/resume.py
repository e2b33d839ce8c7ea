"""`minitrain resume`: resume a run, or the incomplete runs of a sweep."""

from __future__ import annotations

import argparse
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

from minitrain.commands.run import draw_missing_figures, train_in_directory
from minitrain.commands.stored_run import StoredRun, extends_patience, read_stored_run, store_changes
from minitrain.config.extensions import load_extensions
from minitrain.data.record import was_started_without_record
from minitrain.errors import ConfigError, NewerVersionError, RecordError, plural
from minitrain.optim.schedules import schedule_factor, schedule_for_run
from minitrain.paths import invocation
from minitrain.storage.files import reject_special_files
from minitrain.storage.lock import locked
from minitrain.storage.summary import Status, Summary, exit_status, read_summary
from minitrain.storage.sweep_directory import (
    expected_run_count,
    read_sweep_halving,
    read_sweep_overrides,
    read_sweep_title,
    run_directories,
)
from minitrain.sweep.execution import check_can_be_trained, finish_sweep, train_incomplete
from minitrain.sweep.halving import Halving
from minitrain.sweep.state import Job
from minitrain.training.experiment import build_experiment
from minitrain.training.recorder import RunRecorder

log = logging.getLogger("minitrain")


def main(arguments: argparse.Namespace) -> int:
    """Resume a run or a sweep; returns the exit status."""
    if arguments.directory is None:
        raise ConfigError("resume: no directory given; expected the directory of a run, outputs/DATE/TIME-...")
    extensions = load_extensions(arguments.extensions)
    directory = Path(arguments.directory)
    if (directory / "multirun.yaml").exists():
        return resume_sweep(directory, arguments.overrides, extensions)
    return resume(directory, arguments.overrides)


def _warn_of_schedule(run: StoredRun) -> None:
    """Warn that a schedule, which was planned for another number of steps, changes its course."""
    before, after = run.planned, run.config
    if before.steps == after.steps or run.summary is None:
        return
    step = run.summary.step
    rates = [
        config.lr * schedule_factor(schedule_for_run(config.schedule, config.lr), config.warmup, step, config.steps)
        for config in (before, after)
    ]
    if rates[0] != rates[1]:
        log.warning(
            "the schedule was planned for %s steps and is planned for %s from now on: the learning rate at step %s is "
            "%.4g instead of %.4g; a new run of %s steps would have other results",
            *(f"{number:,}" for number in (before.steps, after.steps, step)), rates[1], rates[0], f"{after.steps:,}",
        )  # fmt: skip


def _warn_without_record(run: Path) -> None:
    """Warn that a run of version 0.1.0 cannot be compared with the data that it was started with."""
    if was_started_without_record(run):
        log.warning("%s: a run of version 0.1.0, which did not record its data: changed data are not noticed", run)


# A run


def resume(directory: Path, changes: Sequence[str]) -> int:
    """Resume a run at its last checkpoint.

    Args:
        directory: The directory of the run.
        changes: Overrides of the stored config: other numbers of steps or patience, another path of the same data.

    Returns:
        The exit status.

    Raises:
        ConfigError: A change or the stored config is invalid; nothing was changed.
        RecordError: A file of the run is damaged, or another process trains it; nothing was changed.
    """
    reject_special_files(directory)
    summary = read_summary(directory) if (directory / "summary.json").exists() else None
    run = read_stored_run(directory, changes, summary)
    if reason := _why_complete(run, changes):
        log.info("nothing left to do: %s", reason)
        draw_missing_figures(run.config, directory, run.overrides)
        return 0
    _warn_without_record(directory)
    _warn_of_schedule(run)
    experiment = build_experiment(run.config)
    with locked(directory):
        if changes:
            RunRecorder(experiment, directory, run.overrides).restore()  # if it raises, nothing was changed
            store_changes(run, changes)
        summary = train_in_directory(experiment, directory, [*run.overrides, *changes], resume=True)
    return exit_status([summary], run.config.on_divergence == "fail")


def _why_complete(run: StoredRun, changes: Sequence[str]) -> str | None:
    """Why there is nothing to resume; None if there is.

    Raises:
        ConfigError: The run stopped early, and more steps alone do not continue it.
    """
    summary, steps = run.summary, run.config.steps
    if summary is None or not summary.is_complete(steps):
        return None
    if summary.status is Status.DIVERGED and summary.step < steps:
        return None  # from the last checkpoint
    if not summary.stopped_early:
        return f"the run has completed its {steps:,} steps; give steps=N for more"
    if extends_patience(changes):
        return None
    reason = f"the run stopped early at step {summary.step:,}, by patience={run.config.patience}"
    advice = "or patience=null, to continue it"
    if any(text.startswith("steps=") for text in changes):
        raise ConfigError(f"steps={steps}: {reason}; set patience=N as well, {advice}")
    return f"{reason}; set patience=N, {advice}"


# A sweep


def resume_sweep(directory: Path, changes: Sequence[str], extensions: Sequence[str]) -> int:
    """Resume all runs of a sweep that are not complete.

    Args:
        directory: The directory of the sweep.
        changes: Overrides of the stored configs of all runs, as of `resume`.
        extensions: Modules that a worker process imports first.

    Returns:
        The exit status.

    Raises:
        ConfigError: A change or a stored config is invalid; nothing was changed.
        RecordError: A file of the sweep is damaged, or another process trains its runs; nothing was changed.
    """
    reject_special_files(directory)
    runs = [read_stored_run(run, changes, _readable_summary(run)) for run in run_directories(directory)]
    if not runs:
        raise ConfigError(f"resume {directory}: no run has begun; repeat the command of the sweep")
    _warn_without_record(runs[0].directory)
    _warn_of_schedule(runs[0])
    jobs = {number: Job(number, run.config, run.directory, run.overrides) for number, run in enumerate(runs)}
    halving = read_sweep_halving(directory)
    if halving is not None and len(jobs) < expected_run_count(directory):
        raise ConfigError(f"resume {directory}: {_missing_runs(directory, len(jobs))}")
    with locked(directory):
        check_can_be_trained(jobs.values())
        if changes:
            _report_early_stops(runs, changes)
            for run in runs:
                store_changes(run, changes)
        interrupted = not train_incomplete(
            jobs, directory, extensions, halving=None if halving is None else Halving.from_record(halving)
        )
        configs = [run.config for run in runs]
        status = finish_sweep(directory, read_sweep_title(directory), configs, interrupted)
    return _report_missing_runs(directory, len(jobs)) or status


def _readable_summary(run: Path) -> Summary | None:
    """The summary of a run; None if it is missing or damaged, which makes this run fail alone."""
    try:
        return read_summary(run)
    except NewerVersionError:
        raise
    except RecordError:
        return None


def _report_early_stops(runs: Sequence[StoredRun], changes: Sequence[str]) -> None:
    """Log that runs which stopped early remain as they are, unless patience changes."""
    count = sum(run.summary is not None and run.summary.stopped_early for run in runs)
    if count and not extends_patience(changes):
        log.info("%s stopped early; set patience=N, or patience=null, to continue them", plural(count, "run"))


def _report_missing_runs(directory: Path, begun: int) -> int:
    """Log how to begin the runs of a sweep that have no directory yet; returns 1 if there are any, or 0."""
    if begun >= expected_run_count(directory):
        return 0
    log.info("%s", _missing_runs(directory, begun))
    return 1


def _missing_runs(directory: Path, begun: int) -> str:
    """How to begin the runs of a sweep that have no directory yet."""
    total = expected_run_count(directory)
    command = shlex.join([*read_sweep_overrides(directory), f"hydra.sweep.dir={directory}"])
    return f"{total - begun} of {total} runs had not begun; begin them with  {invocation()} -m {command}"
