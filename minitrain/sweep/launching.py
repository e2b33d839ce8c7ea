"""Train the jobs that a Hydra sweeper chooses in groups; what Hydra's launcher plugin `grouped` does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from minitrain.config.composition import Composer
from minitrain.config.hydra_files import JobSpec
from minitrain.config.schema import RunConfig
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Summary, read_summary
from minitrain.sweep.execution import train_incomplete
from minitrain.sweep.placement import make_jobs
from minitrain.sweep.planning import parse_jobs, place_runs, reject_shared_directories
from minitrain.sweep.state import Job
from minitrain.training.experiment import build_experiment

GROUPED_LAUNCHER = "hydra_plugins.minitrain_launcher.GroupedLauncher"  # see hydra_plugins/ and conf/hydra/launcher/


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
        self._directories: list[Path] = []  # of the runs of all batches so far

    def launch(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Train a batch of jobs; `first` is the number of its first job in the sweep.

        Raises:
            KeyboardInterrupt: The user stopped the sweep; everything that resuming it requires has been written.
        """
        specs = self._composer.job_specs(job_overrides, self._sweep_config, first)
        configs = parse_jobs(specs, first)
        runs = list(place_runs(specs, self._sweep_config, count(first)))
        self._directories += [run.directory for run in runs]
        reject_shared_directories(self._directories)
        for run in runs:
            run.write_files()
        jobs = make_jobs(runs, configs)
        if not train_incomplete(jobs, Path(str(self._sweep_config.hydra.sweep.dir)), self._extensions):
            raise KeyboardInterrupt
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
