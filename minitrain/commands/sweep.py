"""`minitrain -m`: train a run for every job of a sweep; every config is checked before anything is written."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
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
from minitrain.errors import plural
from minitrain.storage.files import reject_special_files, write_text
from minitrain.storage.lock import locked
from minitrain.sweep.execution import check_stored_configs, finish_sweep
from minitrain.sweep.launching import GROUPED_LAUNCHER, objective, objective_value, train_in_groups
from minitrain.sweep.planning import ExpandedSweep, SweepPlan, place_runs, plan_sweep
from minitrain.sweep.progress import format_dry_run
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
        """Train a run, and return its value for a sweeper that searches."""
        for name in self.extensions:
            importlib.import_module(name)
        directory, overrides = current_job()
        name = f"#{HydraConfig.get().job.num} {' '.join(overrides)}: "
        run_config = to_run_config(config)
        return objective_value(
            train_in_directory(build_experiment(run_config), directory, overrides, name=name), run_config
        )


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
    if dry_run:
        _log_dry_run(plan)
        return 0
    directory = _claim_directory(plan)
    interrupted = False
    with locked(directory):
        log.info("%s in %s", plural(len(plan.specs), "run") if plan.sweep.is_grid else "runs", directory)
        try:
            execute(composer, plan, directory, RunTask(tuple(extensions)))
        except KeyboardInterrupt:
            interrupted = True
        return finish_sweep(directory, " ".join(requested_overrides(plan.sweep.config)), plan.configs, interrupted)


def _log_dry_run(plan: SweepPlan) -> None:
    log.info("%s", format_dry_run(plan.sweep.jobs, plan.groups, available_cores()))
    if not plan.sweep.is_grid:
        log.info("this is the first run: the sweeper chooses the others during the sweep")


def _claim_directory(plan: SweepPlan) -> Path:
    """The directory of the sweep: a new one, or that of the same sweep, which is continued."""
    sweep = plan.sweep
    requested = Path(str(OmegaConf.select(sweep.config, "hydra.sweep.dir")))
    if (
        sweep.is_grid
        and _is_grouped(sweep.config)
        and has_directory_override(sweep.config, "sweep")
        and (requested / "multirun.yaml").exists()
    ):
        reject_special_files(requested)
        check_stored_configs(requested, list(place_runs(plan.specs, sweep.config)))
        return requested
    return claim_job_directory(sweep.config, "sweep", Path("outputs", "sweeps"), "")


def _is_grouped(config: DictConfig) -> bool:
    """Whether the sweep's config names minitrain's own launcher."""
    return bool(config.hydra.launcher._target_ == GROUPED_LAUNCHER)


def execute(composer: Composer, plan: SweepPlan, directory: Path, task: RunTask) -> None:
    """Train the runs of a sweep in its directory.

    A grid is trained by the launcher that its config names. Another sweeper chooses its jobs and starts its launcher.

    Raises:
        KeyboardInterrupt: The user stopped the sweep.
    """
    overrides = [*plan.sweep.request.hydra, f"hydra.sweep.dir={quote(str(directory))}"]
    if not plan.sweep.is_grid:
        composer.hydra.multirun(CONFIG, task, [*overrides, *_direction(plan)])
        return
    sweep_config = composer.compose(overrides, RunMode.MULTIRUN)
    _write_multirun_yaml(directory, sweep_config, plan.sweep)
    if _is_grouped(sweep_config):
        train_in_groups(plan.specs, plan.configs, sweep_config, task.extensions)
        return
    context = HydraContext(config_loader=composer.hydra.config_loader, callbacks=create_callbacks(sweep_config))
    launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=sweep_config)
    _log_failures(launcher.launch([spec.overrides for spec in plan.specs], initial_job_idx=0))


def _log_failures(results: Sequence[JobReturn]) -> None:
    """Log the errors of jobs that Hydra could not run; a run that fails while it trains logs its error itself."""
    for number, result in enumerate(results):
        if result.status is JobStatus.FAILED:
            error = error_of(result)
            log.error("#%d %s: failed: %s: %s", number, " ".join(result.overrides or ()), type(error).__name__, error)


def _direction(plan: SweepPlan) -> list[str]:
    """The direction of a sweeper that searches, unless the user chose it: minimizing is the default of sweepers."""
    key = "hydra.sweeper.direction"
    config = plan.sweep.config
    is_chosen = any(text.startswith(f"{key}=") for text in requested_overrides(config, "hydra"))
    if is_chosen or OmegaConf.select(config, key) is None:
        return []
    return [f"{key}=maximize"] if objective(plan.configs[0]).higher_is_better else []


def _write_multirun_yaml(directory: Path, sweep_config: DictConfig, sweep: ExpandedSweep) -> None:
    """Write the config of a grid, with all overrides that the user typed and the number of runs."""
    stored = OmegaConf.create(OmegaConf.to_container(sweep_config))  # Hydra's structured config takes no further keys
    stored.hydra.overrides.task += sweep.request.grid
    stored.hydra.sweep.runs = len(sweep.jobs)
    write_text(directory / "multirun.yaml", OmegaConf.to_yaml(stored))
