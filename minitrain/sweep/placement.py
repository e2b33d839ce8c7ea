"""The directories of a sweep's runs: a run that the sweep's directory has already is recognized by its config."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from minitrain.config.hydra_compat import to_yaml
from minitrain.config.hydra_files import JobSpec
from minitrain.config.loading import read_run_config, starting_in
from minitrain.config.schema import RunConfig
from minitrain.data.targets import FileOptions
from minitrain.errors import ConfigError, RecordError
from minitrain.storage.summary import read_summary
from minitrain.storage.sweep_directory import read_run_text, run_directories, run_number
from minitrain.sweep.planning import PlacedRun, place_runs
from minitrain.sweep.state import Job

log = logging.getLogger("minitrain")


@dataclass(frozen=True)
class Placement:
    """The runs of a sweep, each with its directory.

    Attributes:
        runs: The runs, in the order of the jobs.
        others: The other runs in the directory of the sweep, which an earlier sweep has left there.
    """

    runs: list[PlacedRun]
    others: list[Path]

    def count_incomplete_others(self) -> int:
        """How many of the other runs have more steps to take."""
        complete = 0
        for run in self.others:
            with suppress(RecordError):  # it has not begun, or its summary is damaged
                summary = read_summary(run)
                complete += summary.is_complete(summary.steps)
        return len(self.others) - complete


def place_sweep(
    directory: Path, specs: Sequence[JobSpec], configs: Sequence[RunConfig], sweep_config: DictConfig
) -> Placement:
    """Find the runs of a sweep that its directory has already, and place the others beside them. Nothing is written.

    Args:
        directory: The directory of the sweep.
        specs: The composed config of each job.
        configs: The typed config of each job.
        sweep_config: The config of the sweep, which determines the names of new directories.

    Raises:
        ConfigError: `hydra.sweep.subdir` names a new run like an existing one.
        RecordError: A file of an existing run cannot be read.
    """
    existing = run_directories(directory)
    matches = _match(existing, specs, configs)
    new = place_runs([spec for job, spec in enumerate(specs) if job not in matches], sweep_config, _free(existing))
    taken = {os.path.normpath(run) for run in existing}
    runs = []
    for job, spec in enumerate(specs):
        if job in matches:
            runs.append(PlacedRun(run_number(matches[job]), matches[job], spec, None))
            continue
        run = next(new)
        if os.path.normpath(run.directory) in taken:
            raise ConfigError(
                f"hydra.sweep.subdir: {run.directory} has a run with another config already; name each run by all of "
                "its values, or leave it out"
            )
        runs.append(run)
    kept = set(matches.values())
    return Placement(runs, [run for run in existing if run not in kept])


def make_jobs(runs: Sequence[PlacedRun], configs: Sequence[RunConfig]) -> dict[int, Job]:
    """The jobs of runs by their position."""
    return {
        position: Job(position, config, run.directory, run.spec.overrides)
        for position, (run, config) in enumerate(zip(runs, configs, strict=True))
    }


def _match(existing: Sequence[Path], specs: Sequence[JobSpec], configs: Sequence[RunConfig]) -> dict[int, Path]:
    """Job -> the existing run with its config.

    Equal texts are equal configs. Other texts may be, too: of a run that another version of minitrain started, or that
    `minitrain resume` has changed. Only these are parsed, which takes longer.
    """
    if not existing:
        return {}
    jobs_by_text = {to_yaml(OmegaConf.to_container(spec.task, enum_to_str=True)): job for job, spec in enumerate(specs)}
    jobs_by_values = {repr(starting_in(config, Path.cwd())): job for job, config in enumerate(configs)}
    matches: dict[int, Path] = {}
    unknown = []
    for run in existing:
        job = jobs_by_text.get(read_run_text(run / ".hydra" / "config.yaml"))
        if job is None:
            unknown.append(run)
        else:
            matches.setdefault(job, run)
    if len(matches) < len(specs):
        for run in unknown:
            job = jobs_by_values.get(_values_of(run))
            if job is not None:
                matches.setdefault(job, run)
    return matches


def _values_of(run: Path) -> str:
    """The representation of a run's typed config with complete paths; empty if it is none of today's."""
    try:
        config = starting_in(read_run_config(run), Path.cwd())
        if isinstance(config.data, FileOptions):  # the loss decides, unless the run was started by an earlier version
            config = replace(config, data=replace(config.data, expected_target=None))
        return repr(config)
    except ConfigError:  # such as a component of the user that is not imported
        return ""
    except RecordError as error:
        log.warning("%s; the run is left as it is", error)
        return ""


def _free(existing: Sequence[Path]) -> Iterator[int]:
    """The numbers that no existing run has, nor its directory as its name, from 0 on."""
    taken = {run_number(run) for run in existing} | {int(run.name) for run in existing if run.name.isdecimal()}
    return (number for number in count() if number not in taken)
