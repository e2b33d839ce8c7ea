"""`minitrain resume`: resume a run, or the incomplete runs of a sweep."""

from __future__ import annotations

import argparse
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from minitrain.commands.run import draw_requested_diagnostics, draw_requested_plots, train_in_directory
from minitrain.config.extensions import load_extensions
from minitrain.config.loading import (
    from_start_folder,
    load_stored_config,
    parse_steps,
    read_run_config,
    validate_stored_config,
)
from minitrain.config.schema import RunConfig
from minitrain.errors import ConfigError
from minitrain.paths import invocation
from minitrain.plotting.run_curves import draw_run
from minitrain.storage.files import reject_special_files, write_text
from minitrain.storage.lock import locked
from minitrain.storage.stored_config import read_overrides
from minitrain.storage.summary import Summary, exit_status, read_summary
from minitrain.storage.sweep_directory import (
    expected_run_count,
    read_sweep_overrides,
    read_sweep_title,
    run_directories,
)
from minitrain.sweep.execution import finish_sweep, train_incomplete
from minitrain.sweep.state import Job
from minitrain.training.experiment import build_experiment, without_initial_weights
from minitrain.training.recorder import RunRecorder

log = logging.getLogger("minitrain")


def main(arguments: argparse.Namespace) -> int:
    """Resume a run or a sweep; returns the exit status."""
    if arguments.directory is None:
        raise ConfigError("resume: no directory given; expected the directory of a run, outputs/DATE/TIME-...")
    extensions = load_extensions(arguments.overrides)
    directory = Path(arguments.directory)
    if (directory / "multirun.yaml").exists():
        return resume_sweep(directory, arguments.overrides, extensions)
    return resume(directory, arguments.overrides)


# A run


def resume(directory: Path, overrides: Sequence[str]) -> int:
    """Resume a run at its last checkpoint.

    Args:
        directory: The directory of the run.
        overrides: `steps=N` for another number of steps; `extensions=[...]`, which are imported already.

    Returns:
        The exit status.

    Raises:
        ConfigError: The overrides or the stored config are invalid; nothing was changed.
        RecordError: A file of the run is damaged, or another process trains it; nothing was changed.
    """
    stored, config = load_stored_config(directory)
    reject_special_files(directory)
    _apply_overrides(config, overrides)
    run_config = from_start_folder(validate_stored_config(config), directory)
    if (directory / "checkpoints" / "last.npz").exists():
        run_config = without_initial_weights(run_config)
    summary = read_summary(directory) if (directory / "summary.json").exists() else None
    original_overrides = read_overrides(directory)
    if summary is not None and (reason := _why_complete(summary, run_config)):
        log.info("nothing left to do: %s", reason)
        _draw_missing_figures(run_config, directory, original_overrides)
        return 0
    _warn_without_record(directory)
    experiment = build_experiment(run_config)
    with locked(directory):
        if overrides:
            RunRecorder(experiment, directory, original_overrides).restore()  # if it raises, nothing was changed
            write_text(stored, OmegaConf.to_yaml(config))
        summary = train_in_directory(experiment, directory, [*original_overrides, *overrides], resume=True)
    return exit_status([summary], run_config.on_divergence == "fail")


def _warn_without_record(run: Path) -> None:
    """Warn that a run of version 0.1.0 cannot be compared with the data that it was started with."""
    if not (run / "data.json").exists() and (run / "checkpoints" / "last.npz").exists():
        log.warning("%s: a run of version 0.1.0, which did not record its data: changed data are not noticed", run)


def _apply_overrides(config: DictConfig, overrides: Sequence[str]) -> None:
    """Set a new number of steps in a stored config; other overrides are rejected."""
    for text in overrides:
        key, _, _ = text.partition("=")
        if key == "steps":
            OmegaConf.update(config, "steps", parse_steps(text))
        elif key != "extensions":
            raise ConfigError(
                f"{text}: a resumed run keeps its config; only steps can change: start a new run to change other keys"
            )


def _why_complete(summary: Summary, config: RunConfig) -> str | None:
    """Why there is nothing to resume; None if there is.

    Raises:
        ConfigError: The run has more steps already than its config requests.
    """
    if summary.step > config.steps:
        raise ConfigError(f"steps={config.steps}: the run is at step {summary.step} already; expected more")
    if summary.stopped_early:
        return f"the run stopped early at step {summary.step:,}"
    if summary.step == config.steps and summary.status.is_final:
        return f"the run has completed its {config.steps:,} steps; give steps=N for more"
    return None


def _draw_missing_figures(config: RunConfig, directory: Path, overrides: Sequence[str]) -> None:
    """Draw the figures that a complete run lacks because it was killed while it drew them."""
    if not (directory / "loss.svg").exists():
        headings = ", ".join(overrides), build_experiment(config).describe_briefly()
        draw_run(directory, *headings)
        draw_requested_diagnostics(config, directory, *headings)
    draw_requested_plots(config, directory, missing=True)


# A sweep


def resume_sweep(directory: Path, overrides: Sequence[str], extensions: Sequence[str]) -> int:
    """Resume all runs of a sweep that are not complete.

    Args:
        directory: The directory of the sweep.
        overrides: `extensions=[...]` only, which are imported already.
        extensions: The modules that these name.

    Returns:
        The exit status.

    Raises:
        ConfigError: The overrides or a stored config are invalid; nothing was changed.
        RecordError: A file of the sweep is damaged, or another process trains its runs; nothing was changed.
    """
    for text in overrides:
        if not text.startswith("extensions="):
            raise ConfigError(f"{text}: a resumed sweep keeps its config; resume one of its runs for more steps")
    reject_special_files(directory)
    jobs = {
        number: Job(number, read_run_config(run), run, read_overrides(run))
        for number, run in enumerate(run_directories(directory))
    }
    if not jobs:
        raise ConfigError(f"resume {directory}: no run has begun; repeat the command of the sweep")
    _warn_without_record(jobs[0].directory)
    configs = [job.config for job in jobs.values()]
    with locked(directory):
        interrupted = not train_incomplete(jobs, directory, extensions)
        status = finish_sweep(directory, read_sweep_title(directory), configs, interrupted)
    return _report_missing_runs(directory, len(jobs)) or status


def _report_missing_runs(directory: Path, begun: int) -> int:
    """Log how to begin the runs of a sweep that have no directory yet; returns 1 if there are any, or 0."""
    total = expected_run_count(directory)
    if begun >= total:
        return 0
    command = shlex.join([*read_sweep_overrides(directory), f"hydra.sweep.dir={directory}"])
    log.info("%d of %d runs had not begun; begin them with  %s -m %s", total - begun, total, invocation(), command)
    return 1
