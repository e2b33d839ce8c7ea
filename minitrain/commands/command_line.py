"""The commands, and what each accepts: options with defaults and meaning, examples, exit status.

Only `argparse` and `option_types` are imported here, so that `--help`, usage errors and completion load nothing that a
command needs.
"""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from minitrain.commands.option_types import font_size, size, smoothing
from minitrain.errors import ConfigError
from minitrain.paths import invocation

WIDEST = 100  # columns of a help text
EXIT_STATUS = {
    0: "success",
    1: "the run failed, or a file could not be written",
    2: "invalid arguments, config or files; nothing was started",
    130: "interrupted; everything that resuming requires was written",
}
RUN_OVERRIDES = "keys of the config, such as lr=0.1 or network=cnn; minitrain --help lists them"
SHELLS = ("bash", "zsh", "fish")
CHECKPOINTS = ("best", "last")


class CommandParser(argparse.ArgumentParser):
    """A parser that raises one-line errors, and whose help has examples and the exit status.

    Words `extensions=[...]` are collected in the attribute `extensions` of what it returns, if `takes_extensions`, and
    words `data.KEY=FILE` in the attribute `data_files`, if `takes_data_files`.

    Args:
        command: The name of the command; empty for the bare command.
        usage: The usage line, without `minitrain` and the name of the command.
        description: What the command does.
        examples: Command line without `minitrain` -> what it does.
        status: The exit statuses that the command can have.
        takes_extensions: Whether the command imports components of the user.
        takes_data_files: Whether the user can state where the data of a trained network are.
    """

    def __init__(
        self,
        command: str,
        usage: str,
        description: str,
        examples: dict[str, str],
        status: Sequence[int] = (0, 1, 2, 130),
        takes_extensions: bool = False,
        takes_data_files: bool = False,
    ) -> None:
        self.command, self.takes_extensions, self.takes_data_files = command, takes_extensions, takes_data_files
        program = f"minitrain {command}".rstrip()
        super().__init__(
            program,
            f"{program} {usage}".replace("%", "%%"),
            description,
            formatter_class=_HelpFormatter,
            add_help=False,
            allow_abbrev=False,
        )
        self._positionals.title, self._optionals.title = "Arguments", "Options"
        self.examples = {f"minitrain {line}".rstrip(): meaning for line, meaning in examples.items()}
        self.status = {str(number): EXIT_STATUS[number] for number in status}
        self.add_argument("-h", "--help", action="store_true", help="show this help and exit")

    def parse_known(self, arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """Parse arguments; options may stand before, between and after the other words.

        Returns:
            The arguments, also as they were typed (`words`), and those that are unknown.

        Raises:
            ConfigError: A value is invalid, or an argument is missing.
        """
        extensions = [text for text in arguments if self.takes_extensions and text.startswith("extensions=")]
        files = [text for text in arguments if self.takes_data_files and text.startswith("data.") and "=" in text]
        namespace, unknown = self.parse_known_intermixed_args(
            [text for text in arguments if text not in extensions and text not in files]
        )
        namespace.extensions = extensions
        namespace.data_files = dict(text.removeprefix("data.").partition("=")[::2] for text in files)
        namespace.words = list(arguments)
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError."""
        prefix, command = (f"{self.command}: ", f" {self.command}") if self.command else ("", "")
        raise ConfigError(f"{prefix}{message}; {invocation()}{command} --help shows the options")

    def format_help(self) -> str:
        """The help: usage, description, options, examples, exit status."""
        text = super().format_help()
        lines = format_entries(self.examples, help_width())
        status = format_entries(self.status, help_width())
        return f"{text}\nExamples:\n{lines}\n\nExit status:\n{status}\n"

    def arguments(self) -> list[argparse.Action]:
        """The options and positional arguments that the help shows."""
        return [action for action in self._actions if action.help != argparse.SUPPRESS]


class _HelpFormatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=help_width())

    def add_usage(self, usage, actions, groups, prefix=None):  # type: ignore[no-untyped-def]  # as in argparse
        super().add_usage(usage, actions, groups, "Usage: " if prefix is None else prefix)


def help_width() -> int:
    """The number of columns of a help text."""
    return max(60, min(WIDEST, shutil.get_terminal_size().columns - 2))


def format_entries(entries: dict[str, str], width: int, column: int = 0) -> str:
    """Names and their meanings in two columns; a long name has its meaning below it.

    Args:
        entries: Name -> meaning.
        width: The number of columns of a line.
        column: The width of the first column; 0 for that of the longest name.

    >>> print(format_entries({"lr": "learning rate", "steps": "number of updates"}, 60))
      lr     learning rate
      steps  number of updates
    """
    if not column:
        column = max(len(name) for name in entries)
        if column > width // 2:  # one below the other
            column = 2
    indent = " " * (column + 4)
    lines = []
    for name, meaning in entries.items():
        wrapped = textwrap.wrap(meaning, width - len(indent), break_long_words=False, break_on_hyphens=False)
        if len(name) > column:
            lines.append(f"  {name}")
            lines += [indent + line for line in wrapped]
        else:
            lines.append(f"  {name:<{column}}  {wrapped[0] if wrapped else ''}".rstrip())
            lines += [indent + line for line in wrapped[1:]]
    return "\n".join(lines)


def train_parser() -> CommandParser:
    """The bare command, which trains a run or, with -m, a sweep."""
    parser = CommandParser(
        "",
        "[-m] [--dry-run] [KEY=VALUE ...]",
        "Train a run, or with -m a run for every combination of values.",
        {
            "activation=silu lr=0.3": "train one run",
            "-m lr=0.03,0.1,0.3 activation=relu,silu 'seed=range(3)'": "train 18 runs, and compare them",
        },
    )
    add = parser.add_argument
    add("overrides", nargs="*", metavar="KEY=VALUE", help=RUN_OVERRIDES)
    add("-m", "--multirun", action="store_true", help="train a run for every combination of values: a sweep")
    add("--dry-run", action="store_true", help="check the config, print runs, memory and time; train nothing")
    add("--config-dir", "-cd", metavar="FOLDER", help="a directory with config files of your own")
    add("--cfg", "-c", choices=("job", "hydra", "all"), help="print the config, train nothing: job is the run's")
    add("--resolve", action="store_true", help="with --cfg: replace interpolations, such as ${optimizer.default_lr}")
    add("--package", "-p", metavar="KEY", help="with --cfg: print this part of the config only")
    add(
        "--info",
        "-i",
        nargs="?",
        const="all",
        choices=("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
        help="print how Hydra composes the config, train nothing",
    )
    add("--hydra-help", action="store_true", help="print the help of Hydra, which composes configs")
    add("--version", action="store_true", help="print the version")
    # Flags of Hydra that have no meaning here; an error names what replaces them.
    add("--config-name", "-cn", "--config-path", "-cp", dest="config_name", help=argparse.SUPPRESS)
    add("--experimental-rerun", nargs="?", const="", help=argparse.SUPPRESS)
    add("--shell-completion", "-sc", action="store_true", help=argparse.SUPPRESS)
    add("--run", "-r", action="store_true", help=argparse.SUPPRESS)
    return parser


def resume_parser() -> CommandParser:
    """`minitrain resume`."""
    parser = CommandParser(
        "resume",
        "DIR [steps=N] [patience=N] [data.path=FILE] [extensions=[...]]",
        "Resume a run at its last checkpoint, or every run of a sweep that is not complete. The result is, byte for "
        "byte, that of a run which was never interrupted.",
        {
            "resume outputs/2026-11-23/21-06-00-123456": "resume a run after Ctrl-C or a crash",
            "resume outputs/2026-11-23/21-06-00-123456 steps=5000": "train beyond the planned number of steps",
            "resume outputs/2026-11-23/21-06-00-123456 patience=20": "continue a run that stopped early",
            "resume outputs/sweeps/2026-11-24/21-06-00-123456": "resume the runs of a sweep",
        },
        takes_extensions=True,
    )
    parser.add_argument("directory", nargs="?", metavar="DIR", help="the directory of a run or of a sweep")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="steps=N, patience=N, min_delta=N: new values of these keys; data.path=FILE: where the same data are now",
    )
    return parser


def compare_parser() -> CommandParser:
    """`minitrain compare`."""
    parser = CommandParser(
        "compare",
        "DIR [DIR ...] [options]",
        "Compare runs, read from their directories: a table, figures and an HTML page. Runs that are still training "
        "or were killed are included.",
        {
            "compare outputs/sweeps/2026-11-24/21-06-00-123456": "compare the runs of a sweep again",
            "compare outputs/2026-11-24/* --metric val_loss --best min": "rank runs by their least validation loss",
            "compare DIR --filter 'lr<0.3' --group-by activation --csv -": "print the table of some runs as CSV",
        },
        (0, 1, 2),
    )
    add = parser.add_argument
    add("directories", nargs="+", metavar="DIR", help="directories of runs and sweeps")
    add("--metric", help="the metric that ranks the runs (default: val_accuracy if all runs have it, else a loss)")
    add("--best", choices=("last", "min", "max"), default="last", help="the value of a run that counts (default: last)")
    add(
        "--group-by",
        metavar="KEY,KEY",
        help="the keys that form groups (default: all that differ, except seed, data.fold)",
    )
    add("--filter", action="append", default=[], metavar="KEY<VALUE", help="only runs that fulfill this; repeatable")
    add("--x", choices=("step", "epoch"), default="step", help="the horizontal axis of curves (default: step)")
    add("--log", action="store_true", help="a logarithmic axis for the metric (default: if it spans decades)")
    add(
        "--smooth",
        type=smoothing,
        default=("exponential", 0),
        metavar="[median:]N",
        help="smooth by N points on each side: exponentially weighted mean, or median (default: 0)",
    )
    add("--allow-diverged", action="store_true", help="rank a group with diverged runs by its other runs")
    add(
        "--output",
        metavar="FOLDER",
        help="the directory of the figures (default: outputs/comparisons/..., or the sweep if it is the only argument)",
    )
    add("--title", metavar="TEXT", help="the title of the figures (default: what is compared)")
    add("--size", type=size, metavar="WxH", help="width and height of each figure in inches: 6x4 (default: as needed)")
    add("--font-size", type=font_size, metavar="POINTS", help="size of the texts in points (default: 10)")
    add(
        "--format",
        action="append",
        choices=("png", "svg", "pdf"),
        help="format of the figures beside PNG, repeatable (default: svg)",
    )
    add("--csv", metavar="FILE", help="write the table of groups as CSV; - prints it, and nothing else")
    add("--json", metavar="FILE", help="write the table of groups as JSON; - prints it, and nothing else")
    return parser


def predict_parser() -> CommandParser:
    """`minitrain predict`."""
    parser = CommandParser(
        "predict",
        "RUN FILE [--output FILE] [--checkpoint best|last] [data.path=FILE] [extensions=[...]]",
        "Predict the examples of a csv, npy, npz or idx file by the network of a run. The file has the inputs of the "
        "training data; a target is ignored. For a run on images, FILE may be an image or a folder of images, and the "
        "output names the file of each. For classes, the output has the probability of each. Only a run of version "
        "0.1.0 needs its data; data.path=FILE states where they are now.",
        {
            "predict outputs/2026-11-23/21-06-00-123456 new.csv": "write predictions.csv into the run's directory",
            "predict RUN photos": "predict every image in the folder photos",
            "predict RUN new.npy --output p.csv --checkpoint last": "predict by the last checkpoint, not the best",
        },
        (0, 1, 2),
        takes_extensions=True,
        takes_data_files=True,
    )
    parser.add_argument("run", metavar="RUN", help="the directory of a run")
    parser.add_argument(
        "file", metavar="FILE", help="a csv, npy, npz or idx file of examples, an image, or a folder of images"
    )
    parser.add_argument("--output", metavar="FILE", help="the file to write (default: RUN/predictions.csv)")
    _add_checkpoint(parser)
    return parser


def evaluate_parser() -> CommandParser:
    """`minitrain evaluate`."""
    parser = CommandParser(
        "evaluate",
        "RUN [FILE] [--checkpoint best|last] [--json] [data.path=FILE] [extensions=[...]]",
        "Score the network of a run on its test examples, which data.test=0.1 holds back, or on the examples of a csv "
        "or npz file, which has the inputs and the target of the training data, of an idx file with its labels beside "
        "it, or of a folder with a folder of images for each class. For classes: loss, accuracy, balanced "
        "accuracy, F1 score, for two of them the area under the ROC curve, and the scores of each class; for numbers: "
        "loss, and rmse, mae and r2 in the units of the target. data.path=FILE states where the data of the run are "
        "now.",
        {
            "evaluate outputs/2026-11-23/21-06-00-123456": "the test examples of a run with data.test=0.1",
            "evaluate RUN new.csv --checkpoint last --json": "a file, by the last checkpoint; print JSON",
        },
        (0, 1, 2),
        takes_extensions=True,
        takes_data_files=True,
    )
    parser.add_argument("run", metavar="RUN", help="the directory of a run")
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="a csv, npz or idx file of examples with their targets, or a folder (default: test examples)",
    )
    _add_checkpoint(parser)
    parser.add_argument("--json", action="store_true", help="print the scores as JSON, and nothing else")
    return parser


def export_parser() -> CommandParser:
    """`minitrain export`."""
    parser = CommandParser(
        "export",
        "RUN FILE.safetensors [--checkpoint best|last] [data.path=FILE] [extensions=[...]]",
        "Write the weights of a run as a safetensors file, with PyTorch's names and layouts. PyTorch reads them by "
        "module.load_state_dict(safetensors.torch.load_file(FILE)), minitrain by network.init_file=FILE. Only a run of "
        "version 0.1.0 needs its data; data.path=FILE states where they are now.",
        {"export outputs/2026-11-23/21-06-00-123456 model.safetensors": "write the weights of the best checkpoint"},
        (0, 1, 2),
        takes_extensions=True,
        takes_data_files=True,
    )
    parser.add_argument("run", metavar="RUN", help="the directory of a run")
    parser.add_argument("file", metavar="FILE.safetensors", help="the file to write")
    _add_checkpoint(parser)
    return parser


def graph_parser() -> CommandParser:
    """`minitrain graph`."""
    parser = CommandParser(
        "graph",
        "[KEY=VALUE ...]",
        "Print the compiled training step of a run with the cost of each instruction, and draw its network. The "
        "listing and the drawing are written to outputs/graphs; nothing is trained.",
        {
            "graph": "the training step of the default run",
            "graph network=cnn optimizer=adam": "that of another network and optimizer",
        },
        (0, 1, 2),
    )
    add = parser.add_argument
    add("overrides", nargs="*", metavar="KEY=VALUE", help=RUN_OVERRIDES)
    add("--config-dir", "-cd", metavar="FOLDER", help="a directory with config files of your own")
    add("-m", "--multirun", action="store_true", help=argparse.SUPPRESS)  # an error explains them
    add("--dry-run", action="store_true", help=argparse.SUPPRESS)
    return parser


def completion_parser() -> CommandParser:
    """`minitrain completion`."""
    parser = CommandParser(
        "completion",
        "bash|zsh|fish",
        "Print a script that completes minitrain's commands, options, run directories, keys and values in a shell.",
        {
            "completion bash": 'in ~/.bashrc: eval "$(minitrain completion bash)"',
            "completion zsh": 'in ~/.zshrc: eval "$(minitrain completion zsh)"',
            "completion fish": "in ~/.config/fish/config.fish: minitrain completion fish | source",
        },
        (0, 2),
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
    return parser


def help_parser() -> CommandParser:
    """`minitrain help`."""
    parser = CommandParser(
        "help",
        "[COMMAND] [KEY=VALUE ...]",
        "Show the help of a command, or the main help: commands, and all keys of a run with default and meaning.",
        {
            "help predict": "the same as minitrain predict --help",
            "help network=cnn optimizer=adam": "the main help with the keys of this network and this optimizer",
        },
        (0, 2),
    )
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="one of the commands")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="choices of groups, such as network=cnn")
    return parser


def _add_checkpoint(parser: CommandParser) -> None:
    parser.add_argument(
        "--checkpoint", choices=CHECKPOINTS, default="best", help="the checkpoint to read (default: best)"
    )


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes:
        summary: What it does, in a line of the main help.
        module: The module with its `main(arguments: argparse.Namespace) -> int`, imported when the command runs.
        parser: Makes its parser.
    """

    summary: str
    module: str
    parser: Callable[[], CommandParser]


TRAIN = Command("train a run, or with -m a sweep", "minitrain.commands.train", train_parser)
COMMANDS = {
    "resume": Command("resume a run, or the incomplete runs of a sweep", "minitrain.commands.resume", resume_parser),
    "compare": Command("compare runs and sweeps: table, figures, page", "minitrain.commands.compare", compare_parser),
    "predict": Command("predict the examples of a file by a run", "minitrain.commands.predict", predict_parser),
    "evaluate": Command("score a run on test examples or a file", "minitrain.commands.evaluate", evaluate_parser),
    "export": Command("write the weights of a run for PyTorch", "minitrain.commands.export", export_parser),
    "graph": Command("print the compiled training step, draw the network", "minitrain.commands.graph", graph_parser),
    "completion": Command(
        "print the script that completes in a shell", "minitrain.commands.completion", completion_parser
    ),
    "help": Command("show this help, or that of a command", "minitrain.commands.help", help_parser),
}
