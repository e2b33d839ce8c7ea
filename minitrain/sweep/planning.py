"""Plan a sweep before anything is written: expand its jobs, validate their configs, and group them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from minitrain.config.composition import Composer, requested_overrides
from minitrain.config.hydra_compat import has_grid_sweeper
from minitrain.config.hydra_files import SUBDIR_BY_NUMBER, HydraSection, JobSpec, write_hydra_files
from minitrain.config.loading import to_run_config
from minitrain.config.schema import RunConfig
from minitrain.config.sweep_grid import SWEEP_KEYS, differing_overrides, expand_grid, sweep_keys
from minitrain.errors import ConfigError, naming_run, plural
from minitrain.sweep.grouping import RunGroup, group_runs
from minitrain.sweep.halving import Halving, parse_halving

log = logging.getLogger("minitrain")

MANY_JOBS = 10_000  # whose validation takes long enough to warn about


@dataclass(frozen=True)
class SweepRequest:
    """The overrides of a sweep, as the user typed them.

    Attributes:
        hydra: The overrides that Hydra composes: keys of the runs, with one or several values, and of Hydra itself.
        grid: The overrides with keys of the sweep itself (`zip`, `samples`, ...), which no run's config has.
    """

    hydra: list[str]
    grid: list[str]

    @classmethod
    def parse(cls, overrides: Sequence[str]) -> SweepRequest:
        """Separate the sweep's own keys from what Hydra composes."""
        grid = [text for text in overrides if text.partition("=")[0] in SWEEP_KEYS]
        return cls([text for text in overrides if text not in grid], grid)


@dataclass(frozen=True)
class ExpandedSweep:
    """The jobs of a sweep.

    Attributes:
        request: The overrides that the user typed.
        config: The config of the sweep, composed in multirun mode.
        jobs: The overrides of each job. If another sweeper than the grid chooses the jobs, one job with the overrides
            that all of them share.
        is_grid: Whether the jobs are those of a grid, which are known before the first one starts.
        keys: The values of the sweep's own keys.
    """

    request: SweepRequest
    config: DictConfig
    jobs: list[list[str]]
    is_grid: bool
    keys: Mapping[str, object]


@dataclass(frozen=True)
class SweepPlan:
    """A valid sweep.

    Attributes:
        sweep: The expanded sweep.
        specs: The composed config of each job.
        configs: The typed config of each job.
        groups: The runs that are computed together.
        halving: How runs are pruned; None if all are trained to their ends.
    """

    sweep: ExpandedSweep
    specs: list[JobSpec]
    configs: list[RunConfig]
    groups: list[RunGroup]
    halving: Halving | None


def plan_sweep(composer: Composer, overrides: Sequence[str], cores: int) -> SweepPlan:
    """Expand, validate and group the jobs of a sweep. Nothing is written.

    Args:
        composer: Composes the configs.
        overrides: The overrides that the user typed.
        cores: The number of processes that train groups at the same time.

    Raises:
        ConfigError: A config is invalid, two jobs are the same, or two runs would share a directory.
    """
    sweep = expand(composer, SweepRequest.parse(overrides))
    specs, configs = validate(composer, sweep)
    names = dict(enumerate(differing_overrides(sweep.jobs)))
    groups = group_runs(dict(enumerate(configs)), cores, names)
    return SweepPlan(sweep, specs, configs, groups, parse_halving(sweep.keys, sweep.jobs, configs))


def expand(composer: Composer, request: SweepRequest) -> ExpandedSweep:
    """Compose the sweep's config, and expand its jobs.

    Raises:
        ConfigError: The config is invalid, or there is no job.
    """
    config = composer.compose(request.hydra, RunMode.MULTIRUN)
    is_grid = has_grid_sweeper(config)
    keys: Mapping[str, object] = {}
    if is_grid:
        overrides = _grid_overrides(composer, config, request)
        jobs, keys = expand_grid(overrides, config.seed), sweep_keys(overrides)
    else:
        jobs = [_shared_overrides(composer, config, request)]
    if not jobs:
        texts = " ".join([*request.hydra, *request.grid])
        raise ConfigError(f"{texts}: there are no values to train a run for; give each key at least one value")
    return ExpandedSweep(request, config, jobs, is_grid, keys)


def _grid_overrides(composer: Composer, config: DictConfig, request: SweepRequest) -> list[Override]:
    """The overrides of a grid; a study's keys come first, and the command line overrides them."""
    study = config.hydra.sweeper.get("params") or {}
    overrides = [*(f"{key!s}={value}" for key, value in study.items()), *requested_overrides(config), *request.grid]
    return composer.parse(overrides)


def _shared_overrides(composer: Composer, config: DictConfig, request: SweepRequest) -> list[str]:
    """The overrides that all jobs of another sweeper than the grid share."""
    if request.grid:
        raise ConfigError(
            f"{request.grid[0]}: is a key of the grid, and {config.hydra.sweeper._target_} chooses the runs; use its "
            "options (hydra.sweeper.*), or leave out hydra/sweeper"
        )
    parsed = composer.parse(requested_overrides(config))
    return [o.input_line for o in parsed if o.input_line is not None and not o.is_sweep_override()]


def validate(composer: Composer, sweep: ExpandedSweep) -> tuple[list[JobSpec], list[RunConfig]]:
    """Compose and check the config of each job.

    Raises:
        ConfigError: A config is invalid, two jobs are the same, or two runs would share a directory.
    """
    if len(sweep.jobs) >= MANY_JOBS:
        log.info("the configs of %s are checked first, which takes a minute or more", plural(len(sweep.jobs), "run"))
    specs = composer.job_specs(sweep.jobs, sweep.config)
    configs = parse_jobs(specs)
    _reject_duplicates(sweep.jobs, configs)
    if not _has_default_subdir(sweep.config):
        reject_shared_directories([run.directory for run in place_runs(specs, sweep.config, count())])
    return specs, configs


def parse_jobs(specs: Sequence[JobSpec], first: int = 0) -> list[RunConfig]:
    """The typed config of each job.

    Args:
        specs: The composed configs.
        first: The number of the first job in the sweep.

    Raises:
        ConfigError: A config is invalid; the message names the run.
    """
    names = differing_overrides([spec.overrides for spec in specs])
    configs = []
    for number, (spec, overrides) in enumerate(zip(specs, names, strict=True), first):
        with naming_run(number, overrides):
            configs.append(to_run_config(spec.task))
    return configs


def _has_default_subdir(config: DictConfig) -> bool:
    """Whether the runs' directories are named by number, and thus differ."""
    section = OmegaConf.to_container(config.hydra.sweep)
    return isinstance(section, dict) and section["subdir"] == SUBDIR_BY_NUMBER


def _reject_duplicates(jobs: Sequence[Sequence[str]], configs: Sequence[RunConfig]) -> None:
    """Raise ConfigError for two equal configs, whose results would be equal."""
    first_with: dict[str, int] = {}
    for number, config in enumerate(configs):
        first = first_with.setdefault(repr(config), number)
        if first != number:
            raise ConfigError(
                f"runs {first} and {number} are the same ({' '.join(jobs[number])}); give each value once, "
                "or repeats=2 for other seeds"
            )


@dataclass(frozen=True)
class PlacedRun:
    """A job with its directory.

    Attributes:
        number: The number of the run in the directory of the sweep.
        directory: The directory of the run.
        spec: The job.
        hydra_yaml: The content of its .hydra/hydra.yaml; None if the run exists already.
    """

    number: int
    directory: Path
    spec: JobSpec
    hydra_yaml: str | None

    def write_files(self) -> None:
        """Create the directory of a new run with the files of its config."""
        if self.hydra_yaml is not None:
            write_hydra_files(self.directory, self.spec.task, self.hydra_yaml, self.spec.lines)


def place_runs(specs: Sequence[JobSpec], config: DictConfig, numbers: Iterable[int]) -> Iterator[PlacedRun]:
    """The directory of each job, as that of a new run.

    Args:
        specs: The jobs.
        config: The config of the sweep, which determines its directory.
        numbers: The number of each run; more than there are jobs are not used.
    """
    templates = {id(spec.template): spec.template for spec in specs}
    sections = {key: HydraSection(template, config) for key, template in templates.items()}
    for spec, number in zip(specs, numbers, strict=False):
        directory, text = sections[id(spec.template)].for_job(spec, number)
        yield PlacedRun(number, directory, spec, text)


def reject_shared_directories(directories: Sequence[Path]) -> None:
    """Raise ConfigError if `hydra.sweep.subdir` names two runs alike."""
    first_in: dict[Path, int] = {}
    for number, directory in enumerate(directories):
        first = first_in.setdefault(Path(os.path.normpath(directory)), number)
        if first != number:
            raise ConfigError(
                f"hydra.sweep.subdir: runs {first} and {number} would share {directory.name}; name each by its values"
            )
