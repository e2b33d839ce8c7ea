"""`minitrain resume`: continue a run, or the incomplete runs of a sweep."""

from __future__ import annotations

import argparse
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from minitrain.commands.run import draw_requested_diagnostics, draw_requested_plots, train_in_directory
from minitrain.config.extensions import load_extensions
from minitrain.config.loading import load_stored_config, parse_steps, read_run_config, validate_stored_config
from minitrain.errors import ConfigError
from minitrain.paths import invocation
from minitrain.plotting.run_curves import draw_run
from minitrain.storage.files import reject_special_files, write_text
from minitrain.storage.stored_config import read_overrides
from minitrain.storage.summary import exit_status, read_summary
from minitrain.storage.sweep_directory import (
    expected_run_count,
    read_sweep_overrides,
    read_sweep_title,
    run_directories,
)
from minitrain.sweep.resume import finish_sweep, train_incomplete
from minitrain.sweep.state import Job
from minitrain.training.experiment import build_experiment
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


def resume(directory: Path, overrides: Sequence[str]) -> int:
    """Continue a run where it stopped; `steps=N` gives it a new end. Gives the exit status.

    Raises ConfigError or RecordError, and changes nothing, where it cannot go on.
    """
    stored, config = load_stored_config(directory)
    reject_special_files(directory)
    for text in overrides:
        key, _, _ = text.partition("=")
        if key == "extensions":
            continue  # they are imported by now
        if key != "steps":
            raise ConfigError(
                f"{text}: a resumed run goes on as it was; only steps can change, start a new run for the rest"
            )
        OmegaConf.update(config, "steps", parse_steps(text))
    run_config = validate_stored_config(config)
    summary = read_summary(directory) if (directory / "summary.json").exists() else None
    step = summary.step if summary else 0
    if step > run_config.steps:
        raise ConfigError(f"steps={run_config.steps}: the run is at step {step} already; expected more")
    done = ""
    if summary and summary.stopped_early:
        done = f"the run stopped early at step {step:,}"
    elif summary and step == run_config.steps and summary.status.is_final:
        done = f"the run has completed its {run_config.steps:,} steps; give steps=N for more"
    task = read_overrides(directory)
    if done:
        log.info("nothing left to do: %s", done)
        if not (directory / "loss.svg").exists():  # it may have been killed while it drew them
            headings = ", ".join(task), build_experiment(run_config).describe_briefly()
            draw_run(directory, *headings)
            draw_requested_diagnostics(run_config, directory, *headings)
        draw_requested_plots(run_config, directory, missing=True)
        return 0
    experiment = build_experiment(run_config)
    if overrides:
        RunRecorder(experiment, directory, task).restore()  # raises where it cannot go on: its config stays what it is
        write_text(stored, OmegaConf.to_yaml(config))
    summary = train_in_directory(experiment, directory, [*task, *overrides], resume=True)
    return exit_status([summary], run_config.on_divergence == "fail")


def resume_sweep(directory: Path, overrides: Sequence[str], extensions: Sequence[str]) -> int:
    """Go on with every run of a sweep that is not complete; gives the exit status."""
    for text in overrides:
        if not text.startswith("extensions="):
            raise ConfigError(f"{text}: a resumed sweep goes on as it was; resume one of its runs for more steps")
    reject_special_files(directory)
    jobs = {}
    for number, run in enumerate(run_directories(directory)):
        jobs[number] = Job(number, read_run_config(run), run, read_overrides(run))
    if not jobs:
        raise ConfigError(f"resume {directory}: no run was begun; give the sweep's command again")
    stopped = not train_incomplete(jobs, directory, extensions)
    status = finish_sweep(directory, read_sweep_title(directory), [job.config for job in jobs.values()], stopped)
    if len(jobs) < (total := expected_run_count(directory)):
        command = shlex.join([*read_sweep_overrides(directory), f"hydra.sweep.dir={directory}"])
        missing = total - len(jobs)
        log.info("%d of %d runs had not begun; begin them with  %s -m %s", missing, total, invocation(), command)
        return status or 1
    return status
