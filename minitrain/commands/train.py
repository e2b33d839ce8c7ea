"""The bare command: train a run, or with -m a sweep; print the config."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from minitrain.commands.unknown_words import refuse_unknown_words
from minitrain.config.extensions import load_extensions
from minitrain.errors import ConfigError
from minitrain.paths import invocation
from minitrain.storage.maker import full_version

if TYPE_CHECKING:
    from minitrain.config.composition import Composer


def main(arguments: argparse.Namespace) -> int:
    """Train what the overrides describe, or print what the options request; returns the exit status."""
    if arguments.help:
        from minitrain.commands.help import main_help

        print(main_help(arguments.overrides, arguments.config_dir), end="")
        return 0
    if arguments.version:
        print(f"minitrain {full_version()}")
        return 0
    _refuse_flags_of_hydra(arguments)
    refuse_unknown_words(arguments.overrides, arguments.words)
    extensions = load_extensions(arguments.overrides)
    from minitrain.config.composition import Composer  # not before: it loads Hydra

    composer = Composer(arguments.config_dir)
    arguments.overrides = composer.read(arguments.overrides)
    if arguments.cfg or arguments.hydra_help or arguments.info:
        _print_config(composer, arguments)
        return 0
    if arguments.package or arguments.resolve:
        raise ConfigError("--package, --resolve: belong to --cfg job; add it, or leave them out")
    if arguments.multirun:
        from minitrain.commands.sweep import start_sweep

        return start_sweep(composer, arguments.overrides, extensions, arguments.dry_run)
    from minitrain.commands.run import start_run

    return start_run(composer, arguments.overrides, arguments.dry_run)


def _refuse_flags_of_hydra(arguments: argparse.Namespace) -> None:
    """Name the replacements of flags that Hydra has and minitrain does not."""
    if arguments.config_name is not None:
        raise ConfigError("--config-name, --config-path: not supported; --config-dir adds a directory of your own")
    if arguments.experimental_rerun is not None:
        raise ConfigError(f"--experimental-rerun: not supported; resume a run by {invocation()} resume DIR")
    if arguments.shell_completion:
        raise ConfigError(
            f'--shell-completion: replaced by a command: eval "$({invocation()} completion bash)" in ~/.bashrc; '
            "also zsh and fish"
        )


def _print_config(composer: Composer, arguments: argparse.Namespace) -> None:
    from minitrain.config.composition import CONFIG, task_config
    from minitrain.config.hydra_compat import argument_parser
    from minitrain.config.loading import to_run_config

    config = composer.compose(arguments.overrides)  # an invalid config is an error
    if arguments.cfg:
        to_run_config(task_config(config))
        composer.hydra.show_cfg(CONFIG, arguments.overrides, arguments.cfg, arguments.package, arguments.resolve)
    elif arguments.hydra_help:
        composer.hydra.hydra_help(CONFIG, argument_parser(), arguments)
    else:
        composer.hydra.show_info(arguments.info, CONFIG, arguments.overrides)
