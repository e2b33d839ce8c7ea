"""What can be typed next on the command line: commands, options, run directories, files, keys and their values."""

from __future__ import annotations

import argparse
import ast
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from minitrain.commands.command_line import COMMANDS, TRAIN, CommandParser
from minitrain.commands.help import DEFAULT_CHOICES, SWEEP_ENTRIES, choices
from minitrain.config.extensions import extension_names
from minitrain.config.schema import GROUPS, RunConfig
from minitrain.errors import ConfigError
from minitrain.options import Option, options
from minitrain.registry import REGISTRIES

MOST_RUNS = 200  # the newest ones are listed
GROUP_MEANINGS = {
    "data": "dataset",
    "network": "network",
    "optimizer": "optimizer",
    "schedule": "learning-rate schedule",
    "experiments": "study",
}


@dataclass(frozen=True)
class Candidate:
    """A completion of the word at the cursor.

    Attributes:
        text: The whole word.
        description: What it means; zsh and fish show it.
        is_complete: Whether a space follows it.
    """

    text: str
    description: str = ""
    is_complete: bool = True


# The protocol of the shell scripts


def print_candidates(arguments: Sequence[str]) -> int:
    """Print the candidates for `SHELL WORD ...`, one a line; the last word is at the cursor.

    bash splits words at `=`, and replaces what follows it. A space at the end of a line closes a word. In lines for
    zsh and fish, a tab and a description follow.
    """
    shell, words = arguments[0], list(arguments[1:]) or [""]
    words = [_unquote(word) for word in (_join_at_equals(words) if shell == "bash" else words)]
    for candidate in complete(words):
        print(_format(candidate, shell, words[-1]))
    return 0


def _format(candidate: Candidate, shell: str, prefix: str) -> str:
    if shell == "fish":  # it adds the space itself
        return f"{candidate.text}\t{candidate.description}"
    space = " " if candidate.is_complete else ""
    if shell == "zsh":
        return f"{candidate.text}{space}\t{candidate.description}"
    text = candidate.text[prefix.rfind("=") + 1 :]
    return re.sub(r"([\s\\'\"()\[\]{}$&;|<>*?!#`])", r"\\\1", text) + space


def _join_at_equals(words: Sequence[str]) -> list[str]:
    """Words of bash, which splits `lr=0.1` into three, as they were typed.

    >>> _join_at_equals(["-m", "lr", "=", "0.1,0.3", "loss", "="])
    ['-m', 'lr=0.1,0.3', 'loss=']
    """
    joined: list[str] = []
    follows_equals = False
    for word in words:
        if joined and (word.startswith("=") or follows_equals):
            joined[-1] += word
        else:
            joined.append(word)
        follows_equals = word.endswith("=")
    return joined


def _unquote(word: str) -> str:
    r"""A word without quotes and backslashes; it may end within a quote.

    >>> _unquote(r"'a b"), _unquote(r"a\ b")
    ('a b', 'a b')
    """
    return re.sub(r"\\(.)|['\"]", lambda match: match[1] or "", word)


# The completion engine


def complete(words: Sequence[str]) -> list[Candidate]:
    """The candidates for the last word.

    Args:
        words: The words after the name of the program, up to the cursor; the last one may be empty.
    """
    *previous, prefix = words
    if previous and previous[0] in COMMANDS:
        candidates = _command_candidates(previous[0], previous[1:], prefix)
    else:
        candidates = _run_candidates(previous, prefix, TRAIN.parser())
        if not previous and "=" not in prefix:
            commands = [Candidate(name, command.summary) for name, command in COMMANDS.items()]
            candidates = [*commands, *candidates]
    return [candidate for candidate in candidates if candidate.text.startswith(prefix)]


def _command_candidates(name: str, previous: Sequence[str], prefix: str) -> Iterable[Candidate]:
    parser = COMMANDS[name].parser()
    if name == "help":
        commands = [] if previous else [Candidate(other, command.summary) for other, command in COMMANDS.items()]
        return [*commands, *_override_candidates(previous, prefix)]
    if name == "graph":
        return _run_candidates(previous, prefix, parser)
    if (values := _option_values(parser, previous, prefix)) is not None:
        return values
    if prefix.startswith("-"):
        return _options(parser)
    if prefix.startswith("extensions="):
        return []
    action = _positional(parser, previous)
    return _values_of(action, prefix) if action is not None else []


def _run_candidates(previous: Sequence[str], prefix: str, parser: CommandParser) -> Iterable[Candidate]:
    """Candidates where a config is expected."""
    if (values := _option_values(parser, previous, prefix)) is not None:
        return values
    return _options(parser) if prefix.startswith("-") else _override_candidates(previous, prefix)


# Options and positional arguments, from the parser of the command


def _options(parser: CommandParser) -> list[Candidate]:
    """The options of a command by their long names, then the short ones."""
    names = [(name, action.help or "") for action in parser.arguments() for name in action.option_strings]
    return [Candidate(*name) for name in sorted(names, key=lambda name: not name[0].startswith("--"))]


def _option_values(parser: CommandParser, previous: Sequence[str], prefix: str) -> Iterable[Candidate] | None:
    """The values of the option before the cursor; None if there is none that requires a value."""
    for action in parser.arguments():
        if previous and previous[-1] in action.option_strings and action.nargs is None:
            return _values_of(action, prefix)
    return None


def _positional(parser: CommandParser, previous: Sequence[str]) -> argparse.Action | None:
    """The positional argument at the cursor."""
    with_value = {name for action in parser.arguments() if action.nargs is None for name in action.option_strings}
    count = sum(
        not word.startswith(("-", "extensions=")) and (i == 0 or previous[i - 1] not in with_value)
        for i, word in enumerate(previous)
    )
    positionals = [action for action in parser.arguments() if not action.option_strings]
    if count < len(positionals):
        return positionals[count]
    return positionals[-1] if positionals[-1].nargs in ("*", "+") else None


def _values_of(action: argparse.Action, prefix: str) -> Iterable[Candidate]:
    if action.choices is not None:
        return [Candidate(str(choice)) for choice in action.choices]
    if action.metavar == "KEY=VALUE":
        changes = {"steps=": "another number of steps", "patience=": "continue runs that stopped early"}
        return [Candidate(text, meaning, is_complete=False) for text, meaning in changes.items()]
    complete_value = _COMPLETERS.get(str(action.metavar))
    return complete_value(prefix) if complete_value else []


# Paths


def _runs(prefix: str) -> list[Candidate]:
    """Directories of runs and sweeps: the newest of outputs/ first, then any directory."""
    runs = [Candidate(path, kind) for path in _newest_runs(prefix) if (kind := _kind(path))]
    listed = {candidate.text for candidate in runs} | ({"outputs"} if runs else set())
    others = [path for path in _entries(prefix) if os.path.isdir(path) and path not in listed]
    return [*runs, *map(_as_directory, others)]


def _as_directory(path: str) -> Candidate:
    """A directory, which can be entered if it is not that of a run or a sweep."""
    kind = _kind(path)
    return Candidate(path, kind) if kind else Candidate(f"{path}/", is_complete=False)


def _newest_runs(prefix: str) -> list[str]:
    """The runs and sweeps below outputs/; the runs of a sweep only after its directory was typed."""
    patterns = ["outputs/2*/*", "outputs/sweeps/*/*", *(["outputs/sweeps/*/*/[0-9]*"] if prefix.count("/") > 3 else [])]
    paths = [path for pattern in patterns for path in _glob(pattern) if path.startswith(prefix)]
    return sorted(paths, key=_time_of, reverse=True)[:MOST_RUNS]


def _glob(pattern: str) -> Iterator[str]:
    return (str(path) for path in Path().glob(pattern))


def _time_of(path: str) -> str:
    """The date and the time in a path below outputs/, which sort as text."""
    return "/".join(path.removeprefix("outputs/").removeprefix("sweeps/").split("/")[:2])


def _kind(path: str) -> str:
    if os.path.exists(os.path.join(path, "multirun.yaml")):
        return "sweep"
    return "run" if os.path.isdir(os.path.join(path, ".hydra")) else ""


def _files(prefix: str, directories_only: bool = False) -> list[Candidate]:
    return [
        Candidate(f"{path}/", is_complete=False) if os.path.isdir(path) else Candidate(path)
        for path in _entries(prefix)
        if not directories_only or os.path.isdir(path)
    ]


def _directories(prefix: str) -> list[Candidate]:
    return _files(prefix, directories_only=True)


def _entries(prefix: str) -> list[str]:
    """The paths that begin with a prefix, in the directory of its last component; hidden ones only on request."""
    parent, name = os.path.split(prefix)
    entries: list[str] = []
    with suppress(OSError):
        entries = sorted(os.listdir(os.path.expanduser(parent) or "."))
    return [
        os.path.join(parent, entry)
        for entry in entries
        if entry.startswith(name) and (name.startswith(".") or not entry.startswith("."))
    ]


_COMPLETERS: dict[str, Callable[[str], list[Candidate]]] = {
    "DIR": _runs,
    "RUN": _runs,
    "FILE": _files,
    "FILE.safetensors": _files,
    "FOLDER": _directories,
}


# Keys of the config and their values


def _override_candidates(previous: Sequence[str], prefix: str) -> Iterable[Candidate]:
    key, equals, value = prefix.partition("=")
    is_sweep = bool({"-m", "--multirun"} & set(previous))
    names = _names_in_extensions([*previous, prefix])
    if not equals:
        return _key_candidates(previous, prefix, is_sweep)
    head = prefix[: len(prefix) - len(re.split(r"[,\[]", value)[-1])]
    return [
        Candidate(head + text, is_complete=not text.endswith("/") and "[" not in head)
        for text in _key_values(key, prefix[len(head) :], previous, names)
    ]


def _key_candidates(previous: Sequence[str], prefix: str, is_sweep: bool) -> Iterator[Candidate]:
    group, dot, _ = prefix.partition(".")
    if dot:
        for name, option in _group_options(group, previous).items():
            yield Candidate(f"{group}.{name}=", option.range.help, is_complete=False)
        return
    for name, meaning in GROUP_MEANINGS.items():
        yield Candidate(f"{name}=", meaning, is_complete=False)
        if prefix and name in GROUPS:
            yield Candidate(f"{name}.", f"options of the {meaning}", is_complete=False)
    for name, option in options(RunConfig).items():
        yield Candidate(f"{name}=", option.range.help, is_complete=False)
    for entry, meaning in SWEEP_ENTRIES.items() if is_sweep else ():
        yield Candidate(f"{entry.partition('=')[0]}=", meaning, is_complete=False)


def _key_values(
    key: str, prefix: str, previous: Sequence[str], extension_components: Sequence[tuple[str, str]]
) -> list[str]:
    """The values of a key, or of an entry of a list."""
    own = [name for group, name in extension_components if group == key]
    if key in GROUP_MEANINGS:
        return [*choices(key, _value_of_option("--config-dir", previous)), *own]
    if key == "zip":
        return [text.partition("=")[0] for text in previous if "=" in text]
    group, _, name = key.rpartition(".")
    option = (_group_options(group, previous) if group else options(RunConfig)).get(name)
    return [*_option_value_names(option, prefix), *own] if option is not None else []


def _option_value_names(option: Option, prefix: str) -> list[str]:
    kinds = typing.get_args(option.type) if isinstance(option.type, types.UnionType) else (option.type,)
    null = ["null"] if types.NoneType in kinds else []
    if (names := option.range.names()) is not None:
        return [*names, *null]
    if bool in kinds:
        return ["true", "false", *null]
    if str in kinds:
        return [*(candidate.text for candidate in _files(prefix)), *null]
    return null


def _group_options(group: str, previous: Sequence[str]) -> dict[str, Option]:
    """The options of the component of a group that the words before choose, or of the default one."""
    name = next((text.partition("=")[2] for text in reversed(previous) if text.startswith(f"{group}=")), None)
    name = name or DEFAULT_CHOICES.get(group, "")
    return options(REGISTRIES[group][name]) if group in GROUPS and name in REGISTRIES[group] else {}


def _value_of_option(name: str, previous: Sequence[str]) -> str | None:
    return next((previous[i + 1] for i, word in enumerate(previous[:-1]) if word == name), None)


def _names_in_extensions(words: Sequence[str]) -> list[tuple[str, str]]:
    """The (group, name) pairs that extensions register, read from their source: completion imports no user code."""
    pairs = []
    with suppress(ConfigError, OSError, SyntaxError, ValueError):
        for module in extension_names(words):
            path = Path(*module.split("."))
            source = next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)
            for node in ast.walk(ast.parse(source.read_bytes())) if source else ():
                match node:
                    case ast.Call(
                        func=ast.Name("register") | ast.Attribute(attr="register"),
                        args=[ast.Constant(str(group)), ast.Constant(str(name))],
                    ):
                        pairs.append((group, name))
    return pairs
