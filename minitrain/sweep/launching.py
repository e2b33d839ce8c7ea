"""Train the jobs that a Hydra sweeper chooses in groups; what Hydra's launcher plugin `grouped` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from minitrain.config.composition import Composer
from minitrain.config.hydra_files import JobSpec, write_hydra_files
from minitrain.config.schema import RunConfig
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Summary, read_summary
from minitrain.sweep.execution import check_can_be_trained, train_incomplete
from minitrain.sweep.planning import parse_jobs, place_runs, reject_shared_directories
from minitrain.sweep.state import Job
from minitrain.training.experiment import build_experiment

GROUPED_LAUNCHER = "hydra_plugins.minitrain_launcher.GroupedLauncher"  # see hydra_plugins/ and conf/hydra/launcher/


def train_in_groups(
    specs: Sequence[JobSpec],
    configs: Sequence[RunConfig],
    sweep_config: DictConfig,
    extensions: Sequence[str],
    first: int = 0,
    earlier: Mapping[int, Job] | None = None,
) -> dict[int, Job]:
    """Train the jobs of a sweep that are not complete in groups, each in its directory.

    Args:
        specs: The composed config of each job.
        configs: The typed config of each job.
        sweep_config: The config of the sweep, which determines its directory.
        extensions: Modules that a worker process imports first.
        first: The number of the first job in the sweep.
        earlier: The jobs before it, if a sweeper chooses the jobs in batches.

    Returns:
        The jobs by number.

    Raises:
        DirectoryInUseError: Another process trains one of the runs; nothing was changed.
        RecordError: The data of a run have changed since it started; nothing was changed.
        KeyboardInterrupt: The user stopped the sweep; everything that resuming it requires has been written.
    """
    runs = list(place_runs(specs, sweep_config, first))
    earlier = earlier or {}
    reject_shared_directories([*(job.directory for job in earlier.values()), *(run.directory for run in runs)])
    jobs = {
        number: Job(number, config, run.directory, run.spec.overrides)
        for number, (run, config) in enumerate(zip(runs, configs, strict=True), first)
    }
    check_can_be_trained(jobs.values())
    for run in runs:
        if not (run.directory / ".hydra").exists():
            write_hydra_files(run.directory, run.spec.task, run.hydra_yaml, run.spec.lines)
    if not train_incomplete(jobs, Path(str(sweep_config.hydra.sweep.dir)), extensions, earlier):
        raise KeyboardInterrupt
    return jobs


class BatchLauncher:
    """Trains the batches of jobs that a Hydra sweeper, such as Optuna's, chooses one after the other.

    Args:
        config_loader: Hydra's loader of the configs.
        sweep_config: The config of the sweep.
        extensions: Modules that a worker process imports first.
    """

    def __init__(self, config_loader: ConfigLoader, sweep_config: DictConfig, extensions: Sequence[str]) -> None:
        self._composer = Composer.from_config_loader(config_loader)
        self._sweep_config, self._extensions = sweep_config, extensions
        self._jobs: dict[int, Job] = {}  # of all batches so far

    def launch(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Train a batch of jobs; `first` is the number of its first job in the sweep."""
        specs = self._composer.job_specs(job_overrides, self._sweep_config, first)
        configs = parse_jobs(specs, first)
        jobs = train_in_groups(specs, configs, self._sweep_config, self._extensions, first, self._jobs)
        self._jobs |= jobs
        return [_job_return(job, spec) for job, spec in zip(jobs.values(), specs, strict=True)]


def _job_return(job: Job, spec: JobSpec) -> JobReturn:
    """The result of a run as Hydra's sweepers expect it."""
    result = JobReturn(overrides=spec.overrides, cfg=spec.task, status=JobStatus.COMPLETED)
    result.return_value = objective_value(read_summary(job.directory), job.config)
    return result


def objective_value(summary: Summary, config: RunConfig) -> float:
    """The value of a run for a sweeper that searches: its best metric, or the worst possible value if it has none."""
    if summary.best:
        return summary.best.value
    return objective(config).worst


def objective(config: RunConfig) -> Metric:
    """The metric that a sweeper optimizes: the one that is monitored."""
    return build_experiment(config).monitor
