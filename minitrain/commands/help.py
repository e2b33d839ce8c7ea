"""`minitrain help`: the main help, with every key of the chosen components, and the help of each command."""

from __future__ import annotations

import argparse
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from minitrain.commands.command_line import (
    COMMANDS,
    EXIT_STATUS,
    TRAIN,
    format_entries,
    help_width,
)
from minitrain.commands.unknown_words import explain_unknown_command, refuse_unknown_words
from minitrain.config.extensions import load_extensions
from minitrain.config.schema import GROUPS, RunConfig, unknown_name
from minitrain.errors import ConfigError
from minitrain.options import REQUIRED, Option, options
from minitrain.paths import group_names
from minitrain.registry import REGISTRIES

DEFAULT_CHOICES = {"data": "digits", "network": "mlp", "optimizer": "sgd", "schedule": "constant"}
WIDEST_KEY = 26  # characters of `key=default` that the meanings are aligned with

USAGE = """\
minitrain: train small networks, and whole sweeps of them.

Usage:
  minitrain [KEY=VALUE ...]                train a run
  minitrain -m KEY=A,B,C [KEY=VALUE ...]   train a run for every combination of values
  minitrain -m experiments=NAME            run a study
  minitrain COMMAND ...                    run a command; see COMMAND --help"""

EXAMPLES = """\
Examples:
  minitrain activation=silu lr=0.3
  minitrain network.widths=[128,64] optimizer=adam steps=2000
  minitrain data=csv data.path=mine.csv data.target=price loss=mse
  minitrain -m lr=0.03,0.1,0.3 activation=relu,silu 'seed=range(3)'
  minitrain --help network=cnn optimizer=adam"""

SWEEP_ENTRIES = {
    "repeats=5": "5 runs of each, with seeds seed, seed+1, ...",
    "zip=[lr,network.widths]": "these keys change together: their first values, their second values, ...",
    "samples=20": "20 runs with random values: lr=0.1,0.3 'lr=interval(0.1,1)' 'lr=tag(log,interval(1e-4,1))'",
    "sample_seed=0": "the seed of samples",
    "halving=3": "successive halving: at each rung the best third of the runs continue, the others are pruned",
    "rungs=[100,300,900]": "the steps of the rungs; rungs=3: three rungs, computed from steps",
    "halving_by=network": "the best third of the runs of each network continue, not of all runs",
}


def main(arguments: argparse.Namespace) -> int:
    """Print the help of a command, or the main help."""
    name = arguments.command
    overrides = list(arguments.overrides)
    if name is not None and name not in COMMANDS:
        if "=" not in name and not overrides:
            raise ConfigError(f"help: {name}: {explain_unknown_command(name)}")
        overrides.insert(0, name)
    print(COMMANDS[name].parser().format_help() if name in COMMANDS else main_help(overrides), end="")
    return 0


def main_help(overrides: Sequence[str] = (), config_dir: str | None = None) -> str:
    """Usage, commands, options, groups with their choices, and every key of the chosen components.

    Args:
        overrides: Choices of groups, such as `network=cnn`; `extensions=[...]` for components of the user.
        config_dir: The user's config directory, whose presets are choices, too.

    Raises:
        ConfigError: An extension cannot be imported, or a choice is unknown.
    """
    refuse_unknown_words(overrides, overrides)
    load_extensions(overrides)
    chosen = {**DEFAULT_CHOICES}
    for text in overrides:
        key, _, value = text.partition("=")
        if key in GROUPS:
            chosen[key] = value
    width = help_width()
    components = {group: _component(group, name, config_dir) for group, name in chosen.items()}
    sections = [
        USAGE,
        _section("Commands:", {name: command.summary for name, command in COMMANDS.items()}, width),
        _section("Options:", _train_options(), width, WIDEST_KEY),
        _section("Groups:", _group_entries(config_dir), width),
    ]
    optimizer, values = components["optimizer"]
    default_lr = values.get("default_lr") or getattr(options(optimizer).get("default_lr"), "default", None)
    sections.append(_section("Keys:", _key_entries(options(RunConfig), "", {"lr": default_lr}), width, WIDEST_KEY))
    for group, (component, values) in components.items():
        entries = _key_entries(options(component), f"{group}.", values)
        summary = (inspect.getdoc(component) or "").split("\n\n")[0]
        heading = textwrap.fill(f"Keys of {group}={chosen[group]}: {summary}", width, subsequent_indent="  ")
        sections.append(f"{heading}\n{format_entries(entries, width, WIDEST_KEY) if entries else '  none'}")
    sections += [_section("Keys of a sweep (with -m):", SWEEP_ENTRIES, width, WIDEST_KEY), EXAMPLES]
    sections.append(_section("Exit status:", {str(status): meaning for status, meaning in EXIT_STATUS.items()}, width))
    return "\n\n".join(sections) + "\n"


def choices(group: str, config_dir: str | None = None) -> list[str]:
    """The names that a group can have: components, shipped config files, and the user's."""
    user_files = (
        {path.stem for path in (Path(config_dir) / group).glob("*.yaml") if path.is_file()} if config_dir else set()
    )
    return sorted(group_names(group) | user_files | set(REGISTRIES.get(group, ())))


def _component(group: str, name: str, config_dir: str | None) -> tuple[type, Mapping[str, object]]:
    """A component by its name or by that of a preset, and the defaults that the preset changes."""
    if name in REGISTRIES[group]:
        return REGISTRIES[group][name], {}
    if config_dir and (preset := Path(config_dir, group, f"{name}.yaml")).is_file():
        from minitrain.config.presets import read_preset  # it loads YAML

        values = read_preset(preset, group)
        if isinstance(values, dict) and values.get("name") in REGISTRIES[group]:
            return REGISTRIES[group][values["name"]], values
    raise ConfigError(unknown_name(group, name, choices(group, config_dir)))


def _train_options() -> dict[str, str]:
    actions = [action for action in TRAIN.parser().arguments() if action.option_strings]
    return {", ".join(action.option_strings) + _values(action): action.help or "" for action in actions}


def _values(action: argparse.Action) -> str:
    if action.choices:
        return " " + "|".join(map(str, action.choices))
    return f" {action.metavar}" if action.metavar else ""


def _group_entries(config_dir: str | None) -> dict[str, str]:
    return {f"{group}=": ", ".join(choices(group, config_dir)) for group in (*GROUPS, "experiments")}


def _key_entries(known: Mapping[str, Option], prefix: str, values: Mapping[str, object]) -> dict[str, str]:
    """`key=default` -> the meaning of each option, and its allowed values.

    Args:
        known: The options by name.
        prefix: The beginning of the keys, such as `network.`.
        values: Defaults that replace those of the options.
    """
    return {
        f"{prefix}{name}={format_value(values.get(name, option.default))}": f"{option.range.help}; {option.expected}"
        for name, option in known.items()
    }


def _section(heading: str, entries: dict[str, str], width: int, column: int = 0) -> str:
    return f"{heading}\n{format_entries(entries, width, column)}"


def format_value(value: object) -> str:
    """A default as it is typed on the command line.

    >>> format_value([{"linear": 64}, None, True])
    '[{linear: 64},null,true]'
    """
    if value is REQUIRED:
        return "..."
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(format_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {format_value(entry)}" for key, entry in value.items()) + "}"
    return str(value)
