"""Start sweeps, by the launcher that the config names: every run is checked before anything is written."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher as HydraLauncher
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

from minitrain.commands.run import train_in_directory
from minitrain.config.composition import CONFIG, Composer, requested_overrides
from minitrain.config.hydra_compat import Callbacks, has_grid_sweeper
from minitrain.config.hydra_files import SUBDIR_BY_NUMBER, HydraSection, JobSpec, write_hydra_files
from minitrain.config.job_directory import claim_job_directory, current_job, has_directory_override
from minitrain.config.loading import to_run_config
from minitrain.config.schema import RunConfig
from minitrain.config.sweep_grid import SWEEP_KEYS, expand_grid
from minitrain.errors import ConfigError
from minitrain.storage.files import reject_special_files, write_text
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Summary, read_summary
from minitrain.sweep.grouping import group_runs
from minitrain.sweep.progress import format_dry_run
from minitrain.sweep.resume import check_stored_configs, finish_sweep, train_incomplete
from minitrain.sweep.state import Job
from minitrain.training.experiment import available_cores, build_experiment

log = logging.getLogger("minitrain")


STACKED = "minitrain.commands.sweep.StackedLauncher"


MANY = 10_000  # runs from which on checking them is worth a word


def _admit_launcher() -> None:
    """Let Hydra use our launcher: 1.3 wants every plugin in a package of its own, later releases do not."""
    Plugins.instance().register(StackedLauncher)
    known = getattr(Plugins, "is_in_toplevel_plugins_module", None)
    if known is not None and not known(STACKED):
        Plugins.is_in_toplevel_plugins_module = staticmethod(  # type: ignore[assignment, method-assign]
            lambda name: name == STACKED or known(name)
        )


class Launcher:
    """Starts sweeps.

    current: the one that was made last, for Hydra makes its launchers by itself
    """

    current: ClassVar[Launcher | None] = None

    def __init__(self, composer: Composer, extensions: Sequence[str] = ()) -> None:
        self.composer, self.extensions = composer, extensions
        self.launched: dict[int, Job] = {}  # by a sweeper that chooses some runs at a time
        Launcher.current = self
        _admit_launcher()

    def sweep(self, overrides: Sequence[str], dry: bool = False) -> int:
        """Train a run for every job; gives the exit status. dry: only check them, and tell what they would be."""
        own = [text for text in overrides if text.partition("=")[0] in SWEEP_KEYS]
        given = [text for text in overrides if text not in own]
        config = self.composer.compose(given, RunMode.MULTIRUN)
        is_grid = has_grid_sweeper(config)
        jobs = self._jobs(config, own) if is_grid else self._common(config, own)
        if not jobs:
            raise ConfigError(f"{' '.join(overrides)}: no values to train a run for; give at least one for each key")
        if len(jobs) >= MANY:
            log.info("%s runs are checked first: a minute or more", f"{len(jobs):,}")
        drafts = self.composer.job_specs(jobs, config)
        configs = [to_run_config(draft.task) for draft in drafts]
        _refuse_equal(jobs, configs)
        found = group_runs(dict(enumerate(configs)), available_cores())
        if dry:
            log.info("%s", format_dry_run(jobs, found, available_cores()))
            if not is_grid:
                log.info("this is the first: the sweeper draws the others while it goes on")
            return 0
        stacked = config.hydra.launcher._target_ == STACKED
        if OmegaConf.to_container(config.hydra.sweep)["subdir"] != SUBDIR_BY_NUMBER:  # type: ignore[index, call-overload]
            _refuse_shared([run for run, _, _ in self._places(drafts, config)])
        asked = Path(str(OmegaConf.select(config, "hydra.sweep.dir")))
        if stacked and is_grid and has_directory_override(config, "sweep") and (asked / "multirun.yaml").exists():
            reject_special_files(asked)
            check_stored_configs(
                asked, {run: OmegaConf.to_yaml(draft.task) for run, draft, _ in self._places(drafts, config)}
            )
            directory = asked
        else:
            directory = claim_job_directory(config, "sweep", Path("outputs", "sweeps"), "")
        log.info("%s in %s", f"{len(jobs)} runs" if is_grid else "runs", directory)
        quoted = str(directory).replace("\\", "\\\\").replace("'", "\\'")
        placed = [*given, f"hydra.sweep.dir='{quoted}'"]
        interrupted = False
        try:
            if is_grid:
                self._train_grid(drafts, configs, self.composer.compose(placed, RunMode.MULTIRUN), own)
            else:
                self.composer.hydra.multirun(CONFIG, job, [*placed, *_direction(config, configs[0])])
        except KeyboardInterrupt:
            interrupted = True
        return finish_sweep(directory, " ".join(requested_overrides(config)), configs, interrupted)

    def _train_grid(
        self,
        drafts: Sequence[JobSpec],
        configs: Sequence[RunConfig],
        master: DictConfig,
        own: Sequence[str],
    ) -> None:
        """Train all jobs by the launcher that the config names; multirun.yaml tells what was asked for."""
        asked: Any = OmegaConf.to_container(master)
        asked["hydra"]["overrides"]["task"] += own
        asked["hydra"]["sweep"]["runs"] = len(drafts)
        write_text(Path(str(master.hydra.sweep.dir), "multirun.yaml"), OmegaConf.to_yaml(OmegaConf.create(asked)))
        if master.hydra.launcher._target_ == STACKED:
            self.train_stacked(drafts, configs, master)
            return
        context = HydraContext(config_loader=self.composer.hydra.config_loader, callbacks=Callbacks(master))
        launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=job, config=master)
        launcher.launch([draft.overrides for draft in drafts], initial_job_idx=0)

    def train_stacked(
        self,
        drafts: Sequence[JobSpec],
        configs: Sequence[RunConfig],
        master: DictConfig,
        first: int = 0,
        earlier: Mapping[int, Job] | None = None,
    ) -> list[Job]:
        """Train the runs of a sweep that are not complete as stacks, each in its directory.

        first: the number of the first of them in its sweep
        earlier: the sweep's runs before, of a sweeper that chooses some at a time
        Raises KeyboardInterrupt after Ctrl-C, when everything is written.
        """
        jobs = {}
        places = list(self._places(drafts, master, first))
        _refuse_shared([*(job.directory for job in (earlier or {}).values()), *(run for run, _, _ in places)])
        for number, ((directory, draft, text), config) in enumerate(zip(places, configs, strict=True), first):
            if not (directory / ".hydra").exists():
                write_hydra_files(directory, draft.task, text, draft.lines)
            jobs[number] = Job(number, config, directory, draft.overrides)
        if not train_incomplete(jobs, Path(str(master.hydra.sweep.dir)), self.extensions, earlier):
            raise KeyboardInterrupt
        return list(jobs.values())

    def _places(
        self, drafts: Sequence[JobSpec], master: DictConfig, first: int = 0
    ) -> Iterator[tuple[Path, JobSpec, str]]:
        """Each job's directory, the job, and its hydra.yaml."""
        templates = {id(draft.template): draft.template for draft in drafts}
        sections = {key: HydraSection(template, master) for key, template in templates.items()}
        for number, draft in enumerate(drafts, first):
            directory, text = sections[id(draft.template)].for_job(draft, number)
            yield directory, draft, text

    def _jobs(self, config: DictConfig, own: Sequence[str]) -> list[list[str]]:
        """The overrides of each job of a grid: of a study, and of the command line, whose values come first."""
        params = config.hydra.sweeper.get("params") or {}
        given = [*(f"{key!s}={value}" for key, value in params.items()), *requested_overrides(config), *own]
        return expand_grid(self.composer.parse(given), config.seed)

    def _common(self, config: DictConfig, own: Sequence[str]) -> list[list[str]]:
        """What all jobs of another sweeper have in common, as one job."""
        if own:
            raise ConfigError(f"{own[0]}: is for the grid; the sweeper that was chosen has options of its own")
        parsed = self.composer.parse(requested_overrides(config))
        return [[o.input_line for o in parsed if o.input_line is not None and not o.is_sweep_override()]]


def _refuse_shared(directories: Sequence[Path]) -> None:
    """A directory has one run, whatever hydra.sweep.subdir calls it."""
    seen: dict[Path, int] = {}
    for number, directory in enumerate(directories):
        first = seen.setdefault(Path(os.path.normpath(directory)), number)
        if first != number:
            raise ConfigError(
                f"hydra.sweep.subdir: runs {first} and {number} would share {directory.name}; name each by its values"
            )


def _refuse_equal(jobs: Sequence[Sequence[str]], configs: Sequence[RunConfig]) -> None:
    """Equal configs give equal bytes: nobody wants a run twice."""
    seen: dict[str, int] = {}
    for number, config in enumerate(configs):
        first = seen.setdefault(repr(config), number)
        if first != number:
            raise ConfigError(
                f"runs {first} and {number} are the same ({' '.join(jobs[number])}); give each value once, "
                "or repeats=2 for other seeds"
            )


class StackedLauncher(HydraLauncher):
    """What Hydra's sweepers start runs with: all of a batch at once."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.master = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        program = Launcher.current
        assert program is not None
        drafts = program.composer.job_specs(job_overrides, self.master)
        configs = [to_run_config(draft.task) for draft in drafts]
        jobs = program.train_stacked(drafts, configs, self.master, initial_job_idx, program.launched)
        program.launched |= {job.number: job for job in jobs}
        return [_returned(job, draft) for job, draft in zip(jobs, drafts, strict=True)]


def _direction(config: DictConfig, run: RunConfig) -> list[str]:
    """A sweeper that searches makes a value small if nobody says otherwise: accuracy is to be made large."""
    key = "hydra.sweeper.direction"
    given = any(text.startswith(f"{key}=") for text in requested_overrides(config, "hydra"))
    searches = OmegaConf.select(config, key) is not None
    return (
        [f"{key}=maximize"]
        if searches and not given and Metric.named(build_experiment(run).metric).higher_is_better
        else []
    )


def _returned(job: Job, draft: JobSpec) -> JobReturn:
    result = JobReturn(overrides=draft.overrides, cfg=draft.task, status=JobStatus.COMPLETED)
    result.return_value = _best(read_summary(job.directory), job.config)
    return result


def _best(summary: Summary, config: RunConfig) -> float:
    """What a sweeper is told of a run: the best value of the metric that it is judged by; without one, the worst."""
    if summary.best:
        return summary.best.value
    return Metric.named(build_experiment(config).metric).worst


def job(config: DictConfig) -> float:
    """What Hydra runs in the directory of each run of a sweep; gives its best value."""
    directory, overrides = current_job()
    name = f"#{HydraConfig.get().job.num} {' '.join(overrides)}: "
    run = to_run_config(config)
    return _best(train_in_directory(build_experiment(run), directory, overrides, name=name), run)
