"""What the user probably meant by a word that is neither a command nor key=value."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from minitrain.commands.command_line import COMMANDS, CommandParser
from minitrain.config.schema import GROUPS, RunConfig
from minitrain.errors import ConfigError, abbreviate
from minitrain.options import options
from minitrain.paths import group_names, invocation
from minitrain.registry import REGISTRIES
from minitrain.suggestions import SYNONYMS, closest

# Words for training, for a sweep, and for what a command or an option does. {minitrain}: the command as it was started.
TRAIN_WORDS = ("train", "run", "fit", "start", "learn", "training")
SWEEP_WORDS = ("sweep", "multirun", "grid", "search", "tune")
SAME_AS = {"continue": "resume", "restart": "resume", "infer": "predict", "inference": "predict", "convert": "export"}
EVALUATION = (
    "a run evaluates on its validation data every eval_every steps, metrics.csv and summary.json have the results; "
    "{minitrain} evaluate RUN scores it on test examples, which data.test=0.1 holds back, or on those of a FILE"
)
FIGURES = (
    "every run draws loss.png, and plots=[...] and diagnostics=[...] request more figures; {minitrain} compare DIR ... "
    "draws runs and sweeps, {minitrain} graph the network"
)
CONFIGS = "{minitrain} --cfg job KEY=VALUE ... prints the config"
LISTS = "{minitrain} compare outputs/*/* lists runs; {minitrain} --help lists groups, choices and keys"
EXPLANATIONS = {
    **dict.fromkeys(("test", "eval", "validate", "score", "accuracy"), EVALUATION),
    **dict.fromkeys(("plot", "plots", "draw", "figure", "figures", "show", "visualize"), FIGURES),
    **dict.fromkeys(("config", "cfg", "print", "info"), CONFIGS),
    **dict.fromkeys(("list", "ls"), LISTS),
    "save": "every run writes its checkpoints; {minitrain} export RUN FILE.safetensors writes the weights",
    "load": "{minitrain} resume RUN resumes a run, network.init_file=FILE starts from the weights of another",
    "version": "{minitrain} --version prints the version",
    "dry-run": "{minitrain} --dry-run KEY=VALUE ... checks a config and trains nothing",
}


def refuse_unknown_words(words: Sequence[str], arguments: Sequence[str], command: str = "") -> None:
    """Raise ConfigError for the first word that is not key=value.

    Args:
        words: The positional arguments, which should be overrides.
        arguments: All arguments of the command line.
        command: The command that the words are for; empty for the bare command.
    """
    for position, word in enumerate(words):
        if "=" not in word and not word.startswith("~"):
            following = words[position + 1 : position + 3]
            prefix = f"{command}: " if command else ""
            raise ConfigError(f"{prefix}{abbreviate(word)}: {_explain(word, following, arguments)}")


def explain_unknown_command(word: str) -> str:
    """The end of the message about a word where a command is expected.

    >>> explain_unknown_command("resmue").partition("? ")[0]
    'unknown command; did you mean resume'
    """
    suggestion = SAME_AS.get(word.lower()) or closest(word.lower(), COMMANDS)
    hint = f"did you mean {suggestion}? " if suggestion else ""
    return f"unknown command; {hint}commands: {', '.join(COMMANDS)}"


def explain_unknown_argument(unknown: Sequence[str], parser: CommandParser) -> str:
    """The message about options or words that a command does not have."""
    message = f"unrecognized arguments: {' '.join(unknown)}"
    if not unknown[0].startswith("-"):
        return message
    flag, equals, value = unknown[0].partition("=")
    name = flag.lstrip("-").replace("-", "_")
    if not parser.command and name in COMMANDS:
        return f"{message}; a command has no dashes: {invocation()} {name}"
    if not parser.command and name in [*GROUPS, *options(RunConfig)]:
        return f"{message}; a key has no dashes: {name}={value if equals else 'VALUE'}"
    if not parser.command and name in SYNONYMS:
        return f"{message}; set {SYNONYMS[name]}"
    flags = [name for action in parser.arguments() for name in action.option_strings]
    suggestion = closest(flag, flags)
    return f"{message}; did you mean {suggestion}?" if suggestion else message


def _explain(word: str, following: Sequence[str], arguments: Sequence[str]) -> str:
    lower = word.lower().lstrip("-")
    if (explanation := _explain_path(word)) is not None:
        return explanation
    if word in COMMANDS:
        others = sorted((text for text in arguments if text != word), key=lambda text: "=" in text)
        return f"a command comes first: {invocation()} {word} {shlex.join(others)}".rstrip()
    if len(parts := word.split()) > 1:  # quoted as one word
        word, following = parts[0], parts[1:]
    if lower in TRAIN_WORDS or lower in SWEEP_WORDS:
        return _explain_bare_command(word, arguments)
    if lower in EXPLANATIONS:
        return f"no such command; {EXPLANATIONS[lower].format(minitrain=invocation())}"
    return (
        _explain_choice(word)
        or _explain_key(word, following)
        or f"{explain_unknown_command(word)}; {invocation()} trains a run by KEY=VALUE ..., such as lr=0.1"
    )


def _explain_bare_command(word: str, arguments: Sequence[str]) -> str:
    """Training and sweeps have no command of their own: what to type."""
    others = [text for text in arguments if text != word]
    flag = ["-m"] if word.lower() in SWEEP_WORDS and "-m" not in others else []
    line = shlex.join([*flag, *others])
    if word.lower() in SWEEP_WORDS:
        return f"a sweep has no command; -m starts it: {invocation()} {line if others else '-m lr=0.1,0.3'}"
    return f"training needs no command: {invocation()} {line}".rstrip()


def _explain_key(word: str, following: Sequence[str]) -> str | None:
    keys = [*GROUPS, "experiments", *options(RunConfig)]
    group, _, name = word.partition(".")
    is_option = bool(name) and any(name in options(component) for component in REGISTRIES.get(group, {}).values())
    if word in keys or is_option:
        value = next((text for text in following if text not in ("=",) and not text.startswith("-")), "VALUE")
        return f"expected key=value, without spaces: {word}={value.removeprefix('=')}"
    if word in SYNONYMS:
        return f"no such key; set {SYNONYMS[word]}"
    suggestion = closest(word, [*keys, *COMMANDS])
    return f"expected key=value; did you mean {suggestion}=...?" if suggestion in keys else None


def _explain_choice(word: str) -> str | None:
    """A name without the key that it is a value of."""
    tables: dict[str, Sequence[str]] = {group: sorted(REGISTRIES[group]) for group in GROUPS}
    tables |= {"activation": sorted(REGISTRIES["activation"]), "loss": sorted(REGISTRIES["loss"])}
    tables["-m experiments"] = sorted(group_names("experiments"))
    keys = [f"{key}={word}" for key, names in tables.items() if word in names]
    return f"expected key=value; did you mean {' or '.join(keys)}?" if keys else None


def _explain_path(word: str) -> str | None:
    path = Path(word)
    if (path / "multirun.yaml").exists():
        return f"a sweep's directory; a command comes first: {invocation()} resume DIR or {invocation()} compare DIR"
    if (path / ".hydra").is_dir():
        return f"a run's directory; a command comes first: {invocation()} resume, compare, predict, evaluate or export"
    if path.suffix in (".csv", ".npz"):
        return f"expected key=value; data={path.suffix[1:]} data.path={shlex.quote(word)} trains on a file"
    if path.suffix in (".yaml", ".yml"):
        return "expected key=value; a config file is a choice of a group in a directory that --config-dir names"
    return None
