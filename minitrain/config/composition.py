"""Configs composed by Hydra from conf/ and the user's config directory; errors are reported in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from minitrain.config.hydra_compat import Hydra, open_hydra
from minitrain.config.hydra_files import JobSpec
from minitrain.config.hydra_section import check_hydra_override, check_hydra_section
from minitrain.config.loading import fix_environment, to_run_config
from minitrain.config.quoting import accepted_by_hydra, advice_for_comma
from minitrain.config.schema import GROUPS, RunConfig, options_named, refuse_renamed, unknown_name
from minitrain.config.sweep_grid import SWEEP_KEYS, check_values, differing_overrides, holds_sweep
from minitrain.errors import ConfigError, abbreviate, first_line, naming_run, plural
from minitrain.options import REQUIRED, options
from minitrain.paths import STUDIES, conf_directory, group_names, studies_directory
from minitrain.registry import COMPONENTS, REGISTRIES
from minitrain.suggestions import EPOCH_KEYS, unknown_key

CONFIG = "config"
LONGEST_KEY = 200  # characters
LONGEST_OVERRIDE = 100_000
DEFAULT_LR, DEFAULT_LR_MSE = "${optimizer.default_lr}", "${optimizer.default_lr_mse}"


class Composer:
    """Hydra, opened on the shipped configs and on the user's.

    Args:
        user_configs: The user's config directory (`--config-dir`).

    Raises:
        ConfigError: There is no such directory.
    """

    def __init__(self, user_configs: str | None = None) -> None:
        self.user_configs = user_configs
        directory = None if user_configs is None else Path(user_configs).absolute()
        if directory is not None and not directory.is_dir():
            raise ConfigError(f"--config-dir {user_configs}: no such directory")
        _offer_registered_components()
        self.hydra = open_hydra(conf_directory(), studies_directory(), _adapt, directory)
        self.parser = OverridesParser.create(config_loader=self.hydra.config_loader)

    @classmethod
    def from_config_loader(cls, config_loader: ConfigLoader) -> Composer:
        """A composer on the configs that Hydra has opened already, as its launcher plugins receive them."""
        composer = cls.__new__(cls)
        composer.user_configs = None
        composer.hydra = Hydra("minitrain", config_loader)
        composer.parser = OverridesParser.create(config_loader=config_loader)
        return composer

    def compose(self, overrides: Sequence[str], mode: RunMode = RunMode.RUN) -> DictConfig:
        """The composed config with Hydra's section.

        Raises:
            ConfigError: An override cannot be parsed, or names an unknown key or choice.
        """

        def compose() -> DictConfig:
            try:
                return self.hydra.compose_config(CONFIG, list(overrides), run_mode=mode)
            except ConfigCompositionException:
                if mode == RunMode.RUN:
                    raise
                return self._compose_shared(overrides)

        config = self._compose(overrides, mode, compose)
        listed = requested_overrides(config, "hydra") + requested_overrides(config)
        if sorted(listed) != sorted(overrides):
            raise ConfigError("hydra.overrides: lists what the command line sets; a config file must not set it")
        return config

    def read(self, overrides: Sequence[str]) -> list[str]:
        """The overrides of the command line, with quotes around strings that Hydra's grammar refuses without them.

        Raises:
            ConfigError: An override is too long, nested too deeply, or not of the form key=value.
        """
        return [self._read(text) for text in overrides]

    def parse(self, overrides: Sequence[str]) -> list[Override]:
        """Parsed overrides.

        Raises:
            ConfigError: An override is too long, nested too deeply, or not of the form key=value.
        """
        return [override for text in overrides for override in self._parse(text)]

    def job_specs(self, jobs: Sequence[Sequence[str]], master: DictConfig, first: int = 0) -> list[JobSpec]:
        """The config of each job of a sweep; each choice of groups is composed once.

        Args:
            jobs: The overrides of each job.
            master: The config of the sweep.
            first: The number of the first job in the sweep.

        Raises:
            ConfigError: An override names an unknown key or choice.
        """

        @cache
        def template_of(choices: tuple[str, ...]) -> tuple[DictConfig, DictConfig]:
            load = self.hydra.config_loader.load_sweep_config
            template = self._compose(choices, RunMode.RUN, lambda: load(master, list(choices)))
            return template, task_config(template)

        def spec_of(job: Sequence[str]) -> JobSpec:
            parsed = self.parse(job)
            choices = tuple(
                text for text, override in zip(job, parsed, strict=True) if not self._sets_task_value(override)
            )
            template, task = template_of(choices)
            config = task.copy()
            for text, override in zip(job, parsed, strict=True):
                if self._sets_task_value(override):
                    self._update(config, text, override, choices)
            if {override.key_or_group for override in parsed} & {"loss", "lr"}:
                choose_default_lr(config)
            if any("oc.env" in text for text in job):
                fix_environment(config)
            return JobSpec(list(job), parsed, template, config)

        specs = []
        for number, (job, differing) in enumerate(zip(jobs, differing_overrides(jobs), strict=True), first):
            with naming_run(number, differing):
                specs.append(spec_of(job))
        return specs

    def _compose_shared(self, overrides: Sequence[str]) -> DictConfig:
        """The config of a sweep without the options of swept groups: the default choice may not have them."""
        parsed = self.parse(overrides)
        swept = tuple(f"{o.key_or_group}." for o in parsed if o.is_sweep_override() and self._is_group(o.key_or_group))
        shared = [text for text, o in zip(overrides, parsed, strict=True) if not o.key_or_group.startswith(swept)]
        config = self.hydra.compose_config(CONFIG, shared, run_mode=RunMode.MULTIRUN)
        config.hydra.overrides.task = [
            text for text, o in zip(overrides, parsed, strict=True) if not o.is_hydra_override()
        ]
        return config

    def _update(self, config: DictConfig, text: str, override: Override, choices: Sequence[str]) -> None:
        try:
            OmegaConf.update(config, override.key_or_group, override.value())
        except OmegaConfBaseException:
            self.compose([*choices, text])  # raises the error that a single run would have
            raise

    def _compose(self, overrides: Sequence[str], mode: RunMode, compose: Callable[[], DictConfig]) -> DictConfig:
        parsed = self.parse(overrides)
        for override in parsed:
            self._check_override(override, mode)
        try:
            config = compose()
        except ConfigCompositionException as error:
            raise ConfigError(self._explain(error, parsed)) from error
        except ConfigError:
            raise
        except (ValueError, TypeError, AttributeError, AssertionError) as error:  # of Hydra, about a defaults list
            raise ConfigError(f"the config cannot be composed: {first_line(error)}") from error
        except RecursionError as error:
            raise ConfigError(f"{abbreviate(' '.join(overrides))}: nested too deeply") from error
        check_hydra_section(config)
        return config

    def _read(self, text: str) -> str:
        _check_form(text)
        try:
            return accepted_by_hydra(text, lambda text: self.parser.parse_override(text).value())
        except RecursionError as error:
            raise ConfigError(f"{abbreviate(text)}: nested too deeply") from error

    def _parse(self, text: str) -> list[Override]:
        _check_form(text)
        try:
            return list(self.parser.parse_overrides([text]))
        except (HydraException, RecursionError):  # such as a value of a study
            return list(self.parser.parse_overrides([self._read(text)]))

    def _check_override(self, override: Override, mode: RunMode) -> None:
        """Refuse what Hydra would accept, or would report in several lines."""
        check_hydra_override(override)
        if override.is_delete() and not override.is_hydra_override():
            raise ConfigError(f"{override.input_line}: {_advice_for_deleted(override.key_or_group)}")
        if holds_sweep(override.value()):
            raise ConfigError(
                f"{override.input_line}: interval, range, choice and glob are values of a key, not entries of a list; "
                f"give whole values: {override.get_key_element()}=[4],[8]"
            )
        if override.key_or_group in SWEEP_KEYS:
            raise ConfigError(f"{override.input_line}: a key of a sweep, not of a run; add -m")
        if mode == RunMode.RUN and override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line}: several values; add -m to train a run for each, or write a list: [a,b]"
                f"{advice_for_comma(override)}"
            )
        group = override.key_or_group
        names = self.hydra.config_loader.get_group_options(group)
        if not names:
            return
        check_values(override)
        values = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
        for value in values:
            if value not in names:
                refuse_renamed(group, value)
                raise ConfigError(self._misnamed_preset(group, value) or unknown_name(group, value, names))

    def _misnamed_preset(self, group: str, name: object) -> str:
        """The message about a file with the extension .yml, which Hydra does not list; empty if there is none."""
        path = Path(self.user_configs or "", group, f"{name}.yml")
        if self.user_configs is None or not path.is_file():
            return ""
        return f"{group}={name}: {path}: expected the extension .yaml; rename the file"

    def _explain(self, error: Exception, parsed: list[Override]) -> str:
        """The message for a config that does not compose: the first unknown key, with the valid keys beside it."""
        settings = [override for override in parsed if self._sets_task_value(override)]
        choices = [_first_value(override) for override in parsed if override not in settings]
        try:
            config = self.hydra.compose_config(CONFIG, choices, run_mode=RunMode.RUN)
        except (HydraException, OmegaConfBaseException):
            return first_line(error)
        problems = (self._unknown_key(override, config, settings) for override in settings)
        where = "" if str(error) else f"{abbreviate(' '.join(override.input_line or '' for override in parsed))}: "
        return next(filter(None, problems), where + first_line(error))

    def _unknown_key(self, override: Override, config: DictConfig, settings: Sequence[Override]) -> str:
        """The message about an override whose key is not in a composed config; empty if the key is there."""
        parent, _, name = override.key_or_group.rpartition(".")
        siblings = OmegaConf.select(config, parent) if parent else config
        if not isinstance(siblings, DictConfig):
            return f"{override.input_line}: unknown key; {parent} has no keys"
        if name in siblings:
            return ""
        refuse_renamed(override.key_or_group, _first_value(override).partition("=")[2])
        prefix = f"{parent}." if parent else ""
        valid = [f"{prefix}{key}" for key in map(str, siblings) if key not in ("hydra", "name")]
        note = self._epoch_note(config, settings) if override.key_or_group in EPOCH_KEYS else ""
        return f"{override.input_line}: {unknown_key(override.key_or_group, valid, note)}"

    def _epoch_note(self, config: DictConfig, settings: Sequence[Override]) -> str:
        """How many steps an epoch has for the data and the batch size of a config; empty if that takes long to find."""
        task = task_config(config)
        for override in settings:
            if override.key_or_group in ("data", "batch_size") or override.key_or_group.startswith("data."):
                with suppress(OmegaConfBaseException):  # of an unknown key, which is not the one reported
                    OmegaConf.update(task, override.key_or_group, override.value())
        try:
            run = to_run_config(task)
            if hasattr(run.data, "path"):  # a file of any size
                return ""
            examples = len(run.dataset.load().x_train)
        except ConfigError:
            return ""
        return f"an epoch has {plural(max(1, examples // (run.batch_size or examples)), 'step')}"

    def _sets_task_value(self, override: Override) -> bool:
        """Whether an override only sets a value of the run's config, and chooses no group."""
        key = override.key_or_group
        changes_keys = override.is_add() or override.is_force_add() or override.is_delete()
        return not (changes_keys or key.startswith("hydra") or self._is_group(key))

    @cache  # noqa: B019  # one Composer lives as long as the program
    def _is_group(self, key: str) -> bool:
        return bool(self.hydra.config_loader.get_group_options(key))


def requested_overrides(config: DictConfig, section: str = "task") -> list[str]:
    """The overrides of a composed config, as they were typed.

    Args:
        config: A config with Hydra's section.
        section: `task`, or `hydra` for overrides of Hydra itself.
    """
    overrides: Any = OmegaConf.to_container(config.hydra.overrides)
    return list(overrides[section])


def _adapt(config: DictConfig) -> None:
    """Change a composed config: of a run, of a sweep, or of a job, whichever launcher composes it."""
    choose_default_lr(config)
    fix_environment(config)


def choose_default_lr(config: DictConfig) -> None:
    """Let a learning rate that was not set be the optimizer's default for the loss, if it has one for it."""
    if "lr" not in config or not OmegaConf.is_interpolation(config, "lr"):
        return
    values: Any = OmegaConf.to_container(OmegaConf.masked_copy(config, ["lr", "loss", "optimizer"]))
    if values["lr"] in (DEFAULT_LR, DEFAULT_LR_MSE):
        optimizer = values.get("optimizer")
        has_default = isinstance(optimizer, dict) and "default_lr_mse" in optimizer
        default = DEFAULT_LR_MSE if has_default and values.get("loss") == "mse" else DEFAULT_LR
        if values["lr"] != default:
            config.lr = default


def task_config(config: DictConfig) -> DictConfig:
    """The config without Hydra's section."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def _offer_registered_components() -> None:
    """Give Hydra the components that have no file in conf/, such as the user's, with their defaults."""
    store = ConfigStore.instance()
    for group in COMPONENTS:
        shipped = group_names(group)
        if not shipped:
            continue
        known = shipped | {name.removesuffix(".yaml") for name in store.repo.get(group, {})}
        for name in REGISTRIES[group].keys() - known:
            defaults = {key: option.default for key, option in options(REGISTRIES[group][name]).items()}
            node = {"name": name, **{key: None if value is REQUIRED else value for key, value in defaults.items()}}
            store.store(group=group, name=name, node=node)


def _advice_for_deleted(key: str) -> str:
    """What to do instead of deleting a key from the config of a run, which has all keys."""
    known = options_named(key)
    if not known and key not in (*GROUPS, STUDIES):
        return unknown_key(key, [*options(RunConfig), *GROUPS])
    value = f"; {key}=null switches it off" if any("null" in option.expected for option in known) else ""
    return f"a run has every key, and none can be deleted; leave out ~{key} for the default{value}"


def _check_form(text: str) -> None:
    key = text.partition("=")[0]
    if not key:
        raise ConfigError(f"{abbreviate(text)}: expected key=value")
    if len(key) > LONGEST_KEY or len(text) > LONGEST_OVERRIDE:
        raise ConfigError(
            f"{abbreviate(text)}: {len(text):,} characters; expected at most {LONGEST_KEY} for a key and "
            f"{LONGEST_OVERRIDE:,} with its value"
        )


def _first_value(override: Override) -> str:
    """An override with the first of its values, as a single run would have it."""
    if override.is_sweep_override() and override.is_discrete_sweep():
        return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"
    return override.input_line or ""
