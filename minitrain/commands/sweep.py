"""`minitrain -m`: train a run for every job of a sweep; every config is checked before anything is written."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from minitrain.commands.run import train_in_directory
from minitrain.config.composition import CONFIG, Composer, requested_overrides
from minitrain.config.hydra_compat import error_of
from minitrain.config.hydra_section import create_callbacks
from minitrain.config.job_directory import claim_job_directory, current_job, has_directory_override
from minitrain.config.loading import to_run_config
from minitrain.config.quoting import quote
from minitrain.errors import ConfigError, plural
from minitrain.paths import invocation
from minitrain.storage.files import reject_special_files, write_text
from minitrain.storage.lock import locked
from minitrain.storage.sweep_directory import read_sweep_title
from minitrain.sweep.execution import (
    check_can_be_trained,
    draw_missing_plots,
    finish_sweep,
    group_incomplete,
    select_incomplete,
    train_incomplete,
)
from minitrain.sweep.launching import GROUPED_LAUNCHER, objective, objective_value
from minitrain.sweep.placement import Placement, make_jobs, place_sweep
from minitrain.sweep.planning import ExpandedSweep, PlacedRun, SweepPlan, place_runs, plan_sweep
from minitrain.sweep.progress import format_dry_run
from minitrain.sweep.state import Job
from minitrain.training.experiment import available_cores, build_experiment

log = logging.getLogger("minitrain")


@dataclass(frozen=True)
class RunTask:
    """The task function of a sweep: Hydra's launchers call it for each run, in the run's directory.

    It can be pickled: some launchers call it in other processes.

    Attributes:
        extensions: Modules with the user's components, which such a process has to import first.
    """

    extensions: tuple[str, ...]

    def __call__(self, config: DictConfig) -> float:
        """Train a run from its checkpoint, if it has one, and return its value for a sweeper that searches."""
        for name in self.extensions:
            importlib.import_module(name)
        directory, overrides = current_job()
        name = f"#{HydraConfig.get().job.num} {' '.join(overrides)}: "
        run_config = to_run_config(config)
        experiment = build_experiment(run_config)
        return objective_value(train_in_directory(experiment, directory, overrides, name=name, resume=True), run_config)


def start_sweep(
    composer: Composer, overrides: Sequence[str], extensions: Sequence[str] = (), dry_run: bool = False
) -> int:
    """Train a run for every job of a sweep, and compare the runs.

    Args:
        composer: Composes the configs.
        overrides: The overrides that the user typed.
        extensions: Modules with the user's components.
        dry_run: Whether to check and print the plan only.

    Returns:
        The exit status.

    Raises:
        ConfigError: The sweep is invalid; nothing was written.
    """
    plan = plan_sweep(composer, overrides, available_cores())
    if plan.halving is not None and not _is_grouped(plan.sweep.config):
        raise ConfigError("halving: only minitrain's own launcher prunes runs; leave out hydra/launcher")
    if dry_run:
        _log_dry_run(plan)
        return 0
    directory = _claim_directory(plan.sweep)
    task = RunTask(tuple(extensions))
    with locked(directory):
        return (_train_grid if plan.sweep.is_grid else _search)(composer, plan, directory, task)


def _log_dry_run(plan: SweepPlan) -> None:
    """Log what a sweep would train, and in an existing directory also what is complete there."""
    groups, jobs = plan.groups, _numbered_jobs(plan)
    directory = _existing_directory(plan.sweep)
    if directory is not None:
        placement = place_sweep(directory, plan.specs, plan.configs, plan.sweep.config)
        incomplete = select_incomplete(make_jobs(placement.runs, plan.configs))
        if not incomplete:
            return
        groups = group_incomplete(incomplete)
    note = None if plan.halving is None else plan.halving.describe(jobs)
    log.info("%s", format_dry_run(plan.sweep.jobs, groups, available_cores(), note))
    if not plan.sweep.is_grid:
        log.info("this is the first run: the sweeper chooses the others during the sweep")


def _numbered_jobs(plan: SweepPlan) -> list[Job]:
    """The jobs of a sweep before they have directories."""
    pairs = zip(plan.sweep.jobs, plan.configs, strict=True)
    return [Job(number, config, Path(), overrides) for number, (overrides, config) in enumerate(pairs)]


def _claim_directory(sweep: ExpandedSweep) -> Path:
    """The directory of the sweep: a new one, or that of earlier grids, whose runs this grid may have."""
    existing = _existing_directory(sweep)
    if existing is None:
        return claim_job_directory(sweep.config, "sweep", Path("outputs", "sweeps"), "")
    reject_special_files(existing)
    return existing


def _existing_directory(sweep: ExpandedSweep) -> Path | None:
    """The directory that the user chose for a grid, if it has runs of earlier grids."""
    if not (sweep.is_grid and has_directory_override(sweep.config, "sweep")):
        return None
    directory = Path(str(OmegaConf.select(sweep.config, "hydra.sweep.dir")))
    return directory if (directory / "multirun.yaml").exists() else None


def _is_grouped(config: DictConfig) -> bool:
    """Whether the sweep's config names minitrain's own launcher."""
    return bool(config.hydra.launcher._target_ == GROUPED_LAUNCHER)


# A grid, whose runs are known


def _train_grid(composer: Composer, plan: SweepPlan, directory: Path, task: RunTask) -> int:
    """Train the runs of a grid that its directory does not have already, and resume those that are incomplete.

    Raises:
        ConfigError: A run cannot have the directory that `hydra.sweep.subdir` names; nothing was written.
        RecordError: The data of a run have changed, or a file of it is damaged; nothing was written.
    """
    sweep_config = composer.compose(_overrides_in(plan, directory), RunMode.MULTIRUN)
    placement = place_sweep(directory, plan.specs, plan.configs, sweep_config)
    if not _is_grouped(sweep_config):
        _check_directories(placement.runs, sweep_config)
    if plan.halving is not None and placement.others:
        raise ConfigError(
            f"hydra.sweep.dir={directory}: has {plural(len(placement.others), 'other run')}, and halving ranks "
            "the runs of one sweep; choose a new directory"
        )
    jobs = make_jobs(placement.runs, plan.configs)
    check_can_be_trained(jobs.values())
    log.info("%s in %s%s", plural(len(jobs), "run"), directory, _describe_others(placement, directory))
    _write_multirun_yaml(directory, sweep_config, plan, placement)
    for run in placement.runs:
        run.write_files()
    interrupted = False
    try:
        if _is_grouped(sweep_config):
            interrupted = not train_incomplete(jobs, directory, task.extensions, plan.halving)
        else:
            incomplete = select_incomplete(jobs)
            draw_missing_plots(job for number, job in jobs.items() if number not in incomplete)
            _launch(composer, [placement.runs[job] for job in incomplete], sweep_config, task)
    except KeyboardInterrupt:
        interrupted = True
    trained = [run.directory for run in placement.runs]
    return finish_sweep(directory, read_sweep_title(directory), plan.configs, interrupted, trained)


def _overrides_in(plan: SweepPlan, directory: Path) -> list[str]:
    """The overrides that Hydra composes, with the directory of the sweep."""
    return [*plan.sweep.request.hydra, f"hydra.sweep.dir={quote(str(directory))}"]


def _check_directories(runs: Sequence[PlacedRun], sweep_config: DictConfig) -> None:
    """Raise ConfigError if another launcher than minitrain's own would resume a run in another directory."""
    existing = [run for run in runs if run.hydra_yaml is None]
    for run in existing:
        (expected,) = place_runs([run.spec], sweep_config, [run.number])
        if os.path.normpath(expected.directory) != os.path.normpath(run.directory):
            raise ConfigError(
                f"hydra.sweep.subdir: the run in {run.directory} has this config already, and would be resumed in "
                f"{expected.directory}; name directories as before, or leave out hydra/launcher"
            )


def _describe_others(placement: Placement, directory: Path) -> str:
    """The other runs in the directory of a sweep, in a message."""
    if not placement.others:
        return ""
    incomplete = placement.count_incomplete_others()
    advice = f", {incomplete} of them incomplete: {invocation()} resume {directory}" if incomplete else ""
    return f", beside {plural(len(placement.others), 'other run')}{advice}"


def _launch(composer: Composer, runs: Sequence[PlacedRun], sweep_config: DictConfig, task: RunTask) -> None:
    """Train runs by the launcher that the config of their sweep names, which numbers those of one call in turn."""
    context = HydraContext(config_loader=composer.hydra.config_loader, callbacks=create_callbacks(sweep_config))
    launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=sweep_config)
    for _, block in groupby(enumerate(runs), lambda entry: entry[1].number - entry[0]):
        members = [run for _, run in block]
        results = launcher.launch([run.spec.overrides for run in members], initial_job_idx=members[0].number)
        _log_failures(results, members[0].number)


def _log_failures(results: Sequence[JobReturn], first: int) -> None:
    """Log the errors of jobs that Hydra could not run; a run that fails while it trains logs its error itself."""
    for number, result in enumerate(results, first):
        if result.status is JobStatus.FAILED:
            error = error_of(result)
            log.error("#%d %s: failed: %s: %s", number, " ".join(result.overrides or ()), type(error).__name__, error)


def _write_multirun_yaml(
    directory: Path, sweep_config: DictConfig, plan: SweepPlan, placement: Placement | None = None
) -> None:
    """Write the config of a sweep, with all overrides that the user typed; of a grid the number of its runs, too."""
    stored = OmegaConf.create(OmegaConf.to_container(sweep_config))  # Hydra's structured config takes no further keys
    stored.hydra.overrides.task += plan.sweep.request.grid
    if plan.halving is not None:
        stored.hydra.sweep.halving = plan.halving.to_record()
    if placement is not None:
        stored.hydra.sweep.runs = len(placement.runs) + len(placement.others)
        if placement.others:
            stored.hydra.sweep.other_runs = len(placement.others)
    write_text(directory / "multirun.yaml", OmegaConf.to_yaml(stored))


# The search of another sweeper, which chooses the runs while they are trained


def _search(composer: Composer, plan: SweepPlan, directory: Path, task: RunTask) -> int:
    """Let a sweeper choose and train the runs, by the launcher that it starts itself."""
    log.info("runs in %s", directory)
    overrides = [*_overrides_in(plan, directory), *_direction(plan)]
    _write_multirun_yaml(directory, composer.compose(overrides, RunMode.MULTIRUN), plan)
    interrupted = False
    try:
        composer.hydra.multirun(CONFIG, task, overrides)
    except KeyboardInterrupt:
        interrupted = True
    return finish_sweep(directory, read_sweep_title(directory), plan.configs, interrupted)


def _direction(plan: SweepPlan) -> list[str]:
    """The direction of a sweeper that searches, unless the user chose it: minimizing is the default of sweepers."""
    key = "hydra.sweeper.direction"
    config = plan.sweep.config
    is_chosen = any(text.startswith(f"{key}=") for text in requested_overrides(config, "hydra"))
    if is_chosen or OmegaConf.select(config, key) is None:
        return []
    return [f"{key}=maximize"] if objective(plan.configs[0]).higher_is_better else []
