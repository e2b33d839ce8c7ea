"""Hydra glue: compose configs, check them all before anything is written, and start runs and sweeps."""

from __future__ import annotations

import importlib
import logging
import math
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import hydra
from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from hydra.plugins.launcher import Launcher as HydraLauncher
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from minitrain.compiled import Compiled
from minitrain.config import COMPONENTS, REQUIRED, TABLES, ConfigError, RunConfig, conf_directory, options
from minitrain.grid import KEYS, expand
from minitrain.job import checked, exit_status, one_line, perform
from minitrain.multirun import Draft, Section, write_files
from minitrain.problem import cores
from minitrain.record import claim_directory, read_summary
from minitrain.resume import check_configs, conclude, train_left
from minitrain.sweep import Job, stacks
from minitrain.sweep_report import format_dry_run
from minitrain.train import build

log = logging.getLogger("minitrain")
CONFIG = "config"
STACKED = "minitrain.launcher.StackedLauncher"
MANY = 10_000  # runs from which on checking them is worth a word


def load_extensions(arguments: Sequence[str]) -> list[str]:
    """Import a person's own modules, and give their names.

    They are those that pyproject.toml in this folder names, and `extensions=[...]`. Only these two are asked, never a
    config file: a config may be a stranger's, and importing runs code.
    Raises ConfigError where a module cannot be imported.
    """
    names: list[str] = []
    pyproject = Path("pyproject.toml")
    if pyproject.is_file() and "[tool.minitrain]" in pyproject.read_text(encoding="utf-8"):
        import tomllib

        names += tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["minitrain"].get("extensions", [])
    for text in arguments:
        if text.startswith("extensions="):
            names += text.partition("=")[2].strip("[]'\" ").split(",")
    sys.path.insert(0, os.getcwd())
    names = [name for name in (name.strip("'\" ") for name in names) if name]
    for name in names:
        if name.endswith(".py"):
            raise ConfigError(f"extensions={name}: expected a module's name, without .py: extensions=[{name[:-3]}]")
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a person's module raises while it is imported
            raise ConfigError(f"extensions={name}: {type(error).__name__}: {one_line(error)}") from error
    return names


def _offer_components() -> None:
    """Give Hydra the components that have no file in conf/: a person's own, with their defaults."""
    store = ConfigStore.instance()
    for group in (path.name for path in conf_directory().iterdir() if path.name in COMPONENTS):
        files = {path.stem for path in (conf_directory() / group).glob("*.yaml")}
        known = files | {name.removesuffix(".yaml") for name in store.repo.get(group, {})}
        for name in TABLES[group].keys() - known:
            values = {key: default for key, (_, default, _) in options(TABLES[group][name]).items()}
            node = {"name": name, **{key: None if value is REQUIRED else value for key, value in values.items()}}
            store.store(group=group, name=name, node=node)


def _admit_launcher() -> None:
    """Let Hydra use our launcher: 1.3 wants every plugin in a package of its own, later releases do not."""
    Plugins.instance().register(StackedLauncher)
    known = getattr(Plugins, "is_in_toplevel_plugins_module", None)
    if known is not None and not known(STACKED):
        Plugins.is_in_toplevel_plugins_module = staticmethod(  # type: ignore[assignment, method-assign]
            lambda name: name == STACKED or known(name)
        )


def _first_value(override: Override) -> str:
    """An override as a single run would have it: the first of a sweep's values."""
    if override.is_sweep_override() and override.is_discrete_sweep():
        return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"
    return override.input_line or ""


class Launcher:
    """Hydra, opened on minitrain's configs and on a person's own (`--config-dir`).

    current: the one that was opened last, for Hydra makes its launchers by itself
    """

    current: ClassVar[Launcher | None] = None

    def __init__(self, own_configs: str | None = None, extensions: Sequence[str] = ()) -> None:
        self.extensions = extensions
        Launcher.current = self
        if hydra.__version__.startswith("1.3."):
            version.setbase("1.3")  # later releases have one behaviour, and warn when asked for this one
        search_path = create_config_search_path(str(conf_directory()))
        if own_configs is not None:
            folder = Path(own_configs).absolute()
            if not folder.is_dir():
                raise ConfigError(f"--config-dir {own_configs}: no such folder")
            search_path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
        _offer_components()
        GlobalHydra.instance().clear()
        _admit_launcher()
        self.hydra = Hydra.create_main_hydra2("minitrain", search_path)
        self.parser = OverridesParser.create(config_loader=self.hydra.config_loader)

    # Composing and checking

    def compose(self, overrides: Sequence[str], mode: RunMode = RunMode.RUN) -> DictConfig:
        """A config with its hydra section. Raises ConfigError, one line, for whatever does not compose."""
        parsed = self.parse(overrides)
        for override in parsed:
            if override.key_or_group in KEYS:
                raise ConfigError(f"{override.input_line}: a key of a sweep, not of a run; add -m")
            if mode == RunMode.RUN and override.is_sweep_override():
                raise ConfigError(
                    f"{override.input_line}: several values; add -m to train a run for each, or write a list: [a,b]"
                )
            self._check_choice(override)
        try:
            return self.hydra.compose_config(CONFIG, list(overrides), run_mode=mode)
        except ConfigCompositionException as error:
            raise ConfigError(self._explain(error, parsed)) from error

    def parse(self, overrides: Sequence[str]) -> list[Override]:
        parsed: list[Override] = []
        for text in overrides:
            try:
                if text.startswith("="):
                    raise OverrideParseException(text, "no key")
                parsed += self.parser.parse_overrides([text])
            except OverrideParseException as error:
                raise ConfigError(f"{text}: cannot be read; expected key=value, quoted where it has spaces") from error
        return parsed

    def _check_choice(self, override: Override) -> None:
        """Refuse a group's name that does not exist: Hydra says so in four lines."""
        group = override.key_or_group
        names = self.hydra.config_loader.get_group_options(group)
        if not names or override.is_delete():
            return
        values = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
        for value in values:
            if value not in names:
                raise ConfigError(f"{group}={'null' if value is None else value}: expected one of {', '.join(names)}")

    def _explain(self, error: Exception, parsed: list[Override]) -> str:
        """An unknown key with the keys that there are beside it, found by composing without it."""
        for override in parsed:
            key = override.key_or_group
            if f"'{key}'" not in str(error):
                continue
            others = [_first_value(o) for o in parsed if o is not override]
            parent = key.rpartition(".")[0]
            try:
                beside = OmegaConf.select(self.hydra.compose_config(CONFIG, others, run_mode=RunMode.RUN), parent or "")
            except (HydraException, OmegaConfBaseException):
                break
            if isinstance(beside, DictConfig):
                prefix = f"{parent}." if parent else ""
                names = [f"{prefix}{name}" for name in map(str, beside) if name not in ("hydra", "name")]
                there = ", ".join(names) or "none"
                return f"{override.input_line}: unknown key; there is {there}"
            return f"{override.input_line}: unknown key; {parent} has no keys of its own"
        return one_line(error)

    def drafts(self, jobs: Sequence[Sequence[str]], master: DictConfig) -> list[Draft]:
        """The config of each job of a sweep, composing once for each choice of groups."""

        @cache
        def template(overrides: tuple[str, ...]) -> tuple[DictConfig, DictConfig]:
            self.compose(overrides)  # tells mistakes in a line
            composed = self.hydra.config_loader.load_sweep_config(master, list(overrides))
            return composed, task_config(composed)

        drafts = []
        for job in jobs:
            parsed = self.parse(job)
            values = [self._is_value(override) for override in parsed]
            choices = tuple(text for text, is_value in zip(job, values, strict=True) if not is_value)
            whole, task = template(choices)
            config = task.copy()
            for text, override, is_value in zip(job, parsed, values, strict=True):
                if is_value:
                    try:
                        OmegaConf.update(config, override.key_or_group, override.value())
                    except OmegaConfBaseException:
                        self.compose([*choices, text])  # raises with the keys that there are
                        raise
            drafts.append(Draft(list(job), parsed, whole, config))
        return drafts

    def _is_value(self, override: Override) -> bool:
        """Whether an override only sets a key of the task's config, and no group is chosen by it."""
        key = override.key_or_group
        changes_keys = override.is_add() or override.is_force_add() or override.is_delete()
        return not (changes_keys or key.startswith("hydra") or self._is_group(key))

    @cache  # noqa: B019  # one Launcher lives as long as the program
    def _is_group(self, key: str) -> bool:
        return bool(self.hydra.config_loader.get_group_options(key))

    # Runs and sweeps

    def run(self, overrides: Sequence[str], dry: bool = False) -> int:
        """Train one run; gives the exit status. dry: only check it, and tell what it would be."""
        config = self.compose(overrides)
        run_config = checked(task_config(config))
        if dry:
            log.info("%s", format_dry_run([overrides], stacks({0: run_config}, 1), 1))
            return 0
        problem = build(run_config)
        if run_config.plots:
            from minitrain.model_plots import check_plots

            check_plots(problem)
        label = ",".join(config.hydra.overrides.task)
        with read_write(config), open_dict(config):
            config.hydra.run.dir = str(_directory(config, "run", Path("outputs"), label))
            config.hydra.mode = RunMode.RUN
        callbacks = Callbacks(config)
        callbacks.on_run_start(config=config, config_name=CONFIG)
        result = run_job(
            task_function=lambda _: perform(problem, *_place()),
            config=config,
            job_dir_key="hydra.run.dir",
            job_subdir_key=None,
            hydra_context=HydraContext(config_loader=self.hydra.config_loader, callbacks=callbacks),
            configure_logging=False,
        )
        callbacks.on_run_end(config=config, config_name=CONFIG, job_return=result)
        return exit_status([result.return_value], config.on_divergence == "fail")

    def graph(self, overrides: Sequence[str]) -> int:
        """Show the compiled step and the network of one run, and train nothing; gives the exit status."""
        from minitrain.listing import write_graph

        config = self.compose(overrides)
        if config.hydra.overrides.hydra:
            given = config.hydra.overrides.hydra[0]
            raise ConfigError(f"{given}: graph starts no run of Hydra's; leave it out, files go to outputs/graphs")
        problem = build(checked(task_config(config)))
        if not isinstance(problem.engine, Compiled):
            raise ConfigError("engine=eager: has no compiled step to show; set engine=replay, the bits are the same")
        directory = claim_directory(Path("outputs", "graphs"), ",".join(overrides))
        print(write_graph(problem, problem.engine.training, directory))
        print(f"\nlisting  {directory / 'tape.txt'}\ngraph    {directory / 'graph.png'}", flush=True)
        return 0

    def sweep(self, overrides: Sequence[str], dry: bool = False) -> int:
        """Train a run for every job; gives the exit status. dry: only check them, and tell what they would be."""
        own = [text for text in overrides if text.partition("=")[0] in KEYS]
        given = [text for text in overrides if text not in own]
        config = self.compose(given, RunMode.MULTIRUN)
        is_grid = config.hydra.sweeper._target_.endswith(".BasicSweeper")
        jobs = self._jobs(config, own) if is_grid else self._common(config, own)
        if not jobs:
            raise ConfigError(f"{' '.join(overrides)}: no values to train a run for; give at least one for each key")
        if len(jobs) >= MANY:
            log.info("%s runs are checked first: a minute or more", f"{len(jobs):,}")
        drafts = self.drafts(jobs, config)
        configs = [checked(draft.task) for draft in drafts]
        _refuse_equal(jobs, configs)
        found = stacks(dict(enumerate(configs)), cores())
        if dry:
            log.info("%s", format_dry_run(jobs, found, cores()))
            if not is_grid:
                log.info("this is the first: the sweeper draws the others while it goes on")
            return 0
        stacked = config.hydra.launcher._target_ == STACKED
        asked = Path(str(OmegaConf.select(config, "hydra.sweep.dir")))
        if stacked and is_grid and _is_given(config, "sweep") and (asked / "multirun.yaml").exists():
            check_configs(asked, {run: OmegaConf.to_yaml(draft.task) for run, draft, _ in self._places(drafts, config)})
            directory = asked
        else:
            directory = _directory(config, "sweep", Path("outputs", "sweeps"), "")
        log.info("%s in %s", f"{len(jobs)} runs" if is_grid else "runs", directory)
        quoted = str(directory).replace("\\", "\\\\").replace("'", "\\'")
        placed = [*given, f"hydra.sweep.dir='{quoted}'"]
        interrupted = False
        try:
            if is_grid:
                self._train_grid(drafts, configs, self.compose(placed, RunMode.MULTIRUN), own)
            else:
                self.hydra.multirun(CONFIG, job, [*placed, *_direction(config, configs[0])])
        except KeyboardInterrupt:
            interrupted = True
        return conclude(directory, " ".join(config.hydra.overrides.task), configs, interrupted)

    def _train_grid(
        self,
        drafts: Sequence[Draft],
        configs: Sequence[RunConfig],
        master: DictConfig,
        own: Sequence[str],
    ) -> None:
        """Train all jobs by the launcher that the config names; multirun.yaml tells what was asked for."""
        asked = master.copy()
        with read_write(asked), open_dict(asked):
            asked.hydra.overrides.task += own
        OmegaConf.save(asked, Path(str(master.hydra.sweep.dir), "multirun.yaml"))
        if master.hydra.launcher._target_ == STACKED:
            self.train_stacked(drafts, configs, master)
            return
        context = HydraContext(config_loader=self.hydra.config_loader, callbacks=Callbacks(master))
        launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=job, config=master)
        launcher.launch([draft.overrides for draft in drafts], initial_job_idx=0)

    def train_stacked(
        self,
        drafts: Sequence[Draft],
        configs: Sequence[RunConfig],
        master: DictConfig,
        first: int = 0,
    ) -> list[Job]:
        """Train the runs of a sweep that are not complete as stacks, each in its directory.

        first: the number of the first of them in its sweep
        Raises KeyboardInterrupt after Ctrl-C, when everything is written.
        """
        jobs = {}
        places = self._places(drafts, master, first)
        for number, ((directory, draft, text), config) in enumerate(zip(places, configs, strict=True)):
            write_files(directory, draft, text)
            jobs[number] = Job(number, config, directory, draft.overrides)
        if not train_left(jobs, Path(str(master.hydra.sweep.dir)), self.extensions):
            raise KeyboardInterrupt
        return list(jobs.values())

    def _places(self, drafts: Sequence[Draft], master: DictConfig, first: int = 0) -> Iterator[tuple[Path, Draft, str]]:
        """Each job's directory, the job, and its hydra.yaml."""
        templates = {id(draft.template): draft.template for draft in drafts}
        sections = {key: Section(template, master) for key, template in templates.items()}
        for number, draft in enumerate(drafts, first):
            directory, text = sections[id(draft.template)].of(draft, number)
            yield directory, draft, text

    def _jobs(self, config: DictConfig, own: Sequence[str]) -> list[list[str]]:
        """The overrides of each job of a grid: of a study, and of the command line, whose values come first."""
        params = config.hydra.sweeper.get("params") or {}
        given = [*(f"{key!s}={value}" for key, value in params.items()), *config.hydra.overrides.task, *own]
        return expand(self.parse(given), config.seed)

    def _common(self, config: DictConfig, own: Sequence[str]) -> list[list[str]]:
        """What all jobs of another sweeper have in common, as one job."""
        if own:
            raise ConfigError(f"{own[0]}: is for the grid; the sweeper that was chosen has options of its own")
        parsed = self.parse(config.hydra.overrides.task)
        return [[o.input_line for o in parsed if o.input_line is not None and not o.is_sweep_override()]]


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


def _directory(config: DictConfig, mode: str, parent: Path, label: str) -> Path:
    """A directory of its own: the one a person gave with hydra.MODE.dir, if it is free, else a new one."""
    key = f"hydra.{mode}.dir"
    if not _is_given(config, mode):
        return claim_directory(parent, label)
    given = Path(OmegaConf.select(config, key))
    claim = given / ".hydra" if mode == "run" else given
    try:
        claim.mkdir(parents=True)
    except OSError as error:
        if not isinstance(error, FileExistsError):
            raise ConfigError(f"{key}={given}: cannot be made ({error.strerror}); choose another directory") from error
        raise ConfigError(f"{key}={given}: is taken already; resume the run in it, or choose a new directory") from None
    return given


def _is_given(config: DictConfig, mode: str) -> bool:
    return any(override.startswith(f"hydra.{mode}.dir=") for override in config.hydra.overrides.hydra)


class StackedLauncher(HydraLauncher):
    """What Hydra's sweepers start runs with: all of a batch at once."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.master = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        program = Launcher.current
        assert program is not None
        drafts = program.drafts(job_overrides, self.master)
        configs = [checked(draft.task) for draft in drafts]
        jobs = program.train_stacked(drafts, configs, self.master, initial_job_idx)
        return [_returned(job, draft) for job, draft in zip(jobs, drafts, strict=True)]


def task_config(config: DictConfig) -> DictConfig:
    """The config without Hydra's own section."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def _direction(config: DictConfig, run: RunConfig) -> list[str]:
    """A sweeper that searches makes a value small if nobody says otherwise: accuracy is to be made large."""
    key = "hydra.sweeper.direction"
    given = any(text.startswith(f"{key}=") for text in config.hydra.overrides.hydra)
    searches = OmegaConf.select(config, key) is not None
    return [f"{key}=maximize"] if searches and not given and build(run).metric == "val_accuracy" else []


def _returned(job: Job, draft: Draft) -> JobReturn:
    result = JobReturn(overrides=draft.overrides, cfg=draft.task, status=JobStatus.COMPLETED)
    result.return_value = _best(read_summary(job.directory), job.config)
    return result


def _best(summary: dict[str, Any], config: RunConfig) -> float:
    """What a sweeper is told of a run: the best value of the metric that it is judged by; without one, the worst."""
    if summary["best"]:
        return float(summary["best"]["value"])
    return 0.0 if build(config).metric == "val_accuracy" else math.inf


def job(config: DictConfig) -> float:
    """What Hydra runs in the directory of each run of a sweep; gives its best value."""
    directory, overrides = _place()
    name = f"#{HydraConfig.get().job.num} {' '.join(overrides)}: "
    run = checked(config)
    return _best(perform(build(run), directory, overrides, name=name), run)


def _place() -> tuple[Path, list[str]]:
    """The directory of the run that Hydra is at, and what was asked for."""
    section = HydraConfig.get()
    return Path(section.runtime.output_dir), list(section.overrides.task)
