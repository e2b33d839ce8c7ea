"""Configs composed by Hydra from conf/ and a person's own folder, with every mistake told in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import hydra
from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from minitrain.config.hydra_files import JobSpec
from minitrain.config.sweep_grid import SWEEP_KEYS
from minitrain.errors import ConfigError, abbreviate, first_line
from minitrain.options import REQUIRED, options
from minitrain.paths import conf_directory
from minitrain.registry import COMPONENTS, REGISTRIES

CONFIG = "config"


LONGEST_KEY = 200  # characters


LONGEST_OVERRIDE = 100_000


def _offer_components() -> None:
    """Give Hydra the components that have no file in conf/: a person's own, with their defaults."""
    store = ConfigStore.instance()
    for group in (path.name for path in conf_directory().iterdir() if path.name in COMPONENTS):
        files = {path.stem for path in (conf_directory() / group).glob("*.yaml")}
        known = files | {name.removesuffix(".yaml") for name in store.repo.get(group, {})}
        for name in REGISTRIES[group].keys() - known:
            values = {key: default for key, (_, default, _) in options(REGISTRIES[group][name]).items()}
            node = {"name": name, **{key: None if value is REQUIRED else value for key, value in values.items()}}
            store.store(group=group, name=name, node=node)


def _first_value(override: Override) -> str:
    """An override as a single run would have it: the first of a sweep's values."""
    if override.is_sweep_override() and override.is_discrete_sweep():
        return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"
    return override.input_line or ""


class Composer:
    """Hydra, opened on minitrain's configs and on a person's own (`--config-dir`)."""

    def __init__(self, own_configs: str | None = None) -> None:
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
        self.hydra = Hydra.create_main_hydra2("minitrain", search_path)
        self.parser = OverridesParser.create(config_loader=self.hydra.config_loader)

    @classmethod
    def from_config_loader(cls, config_loader: ConfigLoader) -> Composer:
        """A composer on the configs that Hydra has opened already, as its launcher plugins receive them."""
        composer = cls.__new__(cls)
        composer.hydra = Hydra("minitrain", config_loader)
        composer.parser = OverridesParser.create(config_loader=config_loader)
        return composer

    def compose(self, overrides: Sequence[str], mode: RunMode = RunMode.RUN) -> DictConfig:
        """A config with its hydra section. Raises ConfigError, one line, for whatever does not compose."""
        return self._composed(
            overrides, mode, lambda: self.hydra.compose_config(CONFIG, list(overrides), run_mode=mode)
        )

    def _composed(self, overrides: Sequence[str], mode: RunMode, compose: Callable[[], DictConfig]) -> DictConfig:
        """What Hydra composes of overrides, with its mistakes told in a line."""
        parsed = self.parse(overrides)
        for override in parsed:
            if override.key_or_group in SWEEP_KEYS:
                raise ConfigError(f"{override.input_line}: a key of a sweep, not of a run; add -m")
            if mode == RunMode.RUN and override.is_sweep_override():
                raise ConfigError(
                    f"{override.input_line}: several values; add -m to train a run for each, or write a list: [a,b]"
                )
            self._check_choice(override)
        try:
            return compose()
        except ConfigCompositionException as error:
            raise ConfigError(self._explain(error, parsed)) from error
        except RecursionError as error:
            raise ConfigError(f"{abbreviate(' '.join(overrides))}: is nested too deeply") from error

    def parse(self, overrides: Sequence[str]) -> list[Override]:
        parsed: list[Override] = []
        for text in overrides:
            key = text.partition("=")[0]
            if len(key) > LONGEST_KEY or len(text) > LONGEST_OVERRIDE:
                raise ConfigError(
                    f"{abbreviate(text)}: {len(text):,} characters; expected at most {LONGEST_KEY} for a key and "
                    f"{LONGEST_OVERRIDE:,} with its value"
                )
            try:
                if not key:
                    raise OverrideParseException(text, "no key")
                parsed += self.parser.parse_overrides([text])
            except OverrideParseException as error:
                commands = "" if "=" in text else ", or a command first: resume, compare, predict, export, graph"
                raise ConfigError(
                    f"{abbreviate(text)}: cannot be read; expected key=value, quoted where it has spaces{commands}"
                ) from error
            except RecursionError as error:
                raise ConfigError(f"{abbreviate(text)}: is nested too deeply") from error
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
                raise ConfigError(f"{group}={abbreviate(value)}: expected one of {', '.join(names)}")

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
        return first_line(error)

    def drafts(self, jobs: Sequence[Sequence[str]], master: DictConfig) -> list[JobSpec]:
        """The config of each job of a sweep, composing once for each choice of groups."""

        @cache
        def template(overrides: tuple[str, ...]) -> tuple[DictConfig, DictConfig]:
            load = self.hydra.config_loader.load_sweep_config
            composed = self._composed(overrides, RunMode.RUN, lambda: load(master, list(overrides)))
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
            drafts.append(JobSpec(list(job), parsed, whole, config))
        return drafts

    def _is_value(self, override: Override) -> bool:
        """Whether an override only sets a key of the task's config, and no group is chosen by it."""
        key = override.key_or_group
        changes_keys = override.is_add() or override.is_force_add() or override.is_delete()
        return not (changes_keys or key.startswith("hydra") or self._is_group(key))

    @cache  # noqa: B019  # one Composer lives as long as the program
    def _is_group(self, key: str) -> bool:
        return bool(self.hydra.config_loader.get_group_options(key))


def requested_overrides(config: DictConfig, section: str = "task") -> list[str]:
    """What was asked for: task, or hydra; an interpolation as it was typed."""
    given: Any = OmegaConf.to_container(config.hydra.overrides)
    return list(given[section])


def task_config(config: DictConfig) -> DictConfig:
    """The config without Hydra's own section."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
