"""The command line: dispatches to a command, and turns exceptions into one-line errors with an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from minitrain.commands.command_line import COMMANDS, TRAIN, Command
from minitrain.errors import Interrupted, MinitrainError, first_line, printable

CONFIG_LIBRARIES = ("hydra", "omegaconf", "yaml")  # whose exceptions are about invalid configs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: The arguments after the name of the program; those of this process by default.

    Returns:
        The exit status: 0 success, 1 failure, 2 invalid arguments, config or files, 130 interrupted.
    """
    try:
        return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        return Interrupted.exit_status
    except BrokenPipeError:  # the reader, such as `less` or `head`, has exited; Python would flush into the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        status, message = _describe_error(error)
        print(f"minitrain: {printable(message)}", file=sys.stderr)
        return status


def _dispatch(arguments: list[str]) -> int:
    """Run the command that the first argument names, or the bare command."""
    name = arguments[0] if arguments else ""
    if arguments[:2] == ["completion", "--complete"]:
        from minitrain.commands.candidates import print_candidates

        return print_candidates(arguments[2:])
    if name in COMMANDS:
        return _run_command(COMMANDS[name], arguments[1:])
    return _run_command(TRAIN, arguments)


def _run_command(command: Command, words: list[str]) -> int:
    """Parse the words after a command, and run it or print its help."""
    parser = command.parser()
    if command is not TRAIN and ("--help" in words or "-h" in words):
        print(parser.format_help(), end="")
        return 0
    arguments, unknown = parser.parse_known(words)
    if unknown:
        from minitrain.commands.unknown_words import explain_unknown_argument

        parser.error(explain_unknown_argument(unknown, parser))
    from minitrain.commands.log import set_up_logging

    set_up_logging()
    status: int = import_module(command.module).main(arguments)
    return status


def _describe_error(error: Exception) -> tuple[int, str]:
    """The exit status and the message of an exception; raises it again if it is a bug."""
    if isinstance(error, MinitrainError):
        return error.exit_status, str(error)
    if isinstance(error, MemoryError):
        return 2, f"the network or the data do not fit into memory: {error}"
    if isinstance(error, OSError):
        return 1, str(error)
    if type(error).__module__.partition(".")[0] in CONFIG_LIBRARIES:  # such as hydra.run.dir='${unknown}'
        return 2, first_line(error)
    raise  # the exception that is being handled
