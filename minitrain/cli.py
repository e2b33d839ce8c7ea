"""The command line: `python -m minitrain`, and `minitrain` where it is installed."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path
from typing import NoReturn

import minitrain
from minitrain.config.schema import RunConfig
from minitrain.errors import ConfigError, RecordError, first_line
from minitrain.options import REQUIRED, options
from minitrain.paths import group_names
from minitrain.registry import REGISTRIES

USAGE = """\
minitrain: train small networks, and whole sweeps of them.

  minitrain [key=value ...]                train one run
  minitrain -m key=a,b,c [key=value ...]   train a run for every combination of values
  minitrain -m experiments=NAME            run a study
  minitrain --dry-run [-m] [key=value ...] check all, list runs, memory and time; train nothing
  minitrain resume DIR [steps=N]           go on with a run that was stopped
  minitrain resume SWEEP_DIR               go on with every run of a sweep that is not complete
  minitrain compare DIR [DIR ...]          set runs and sweeps side by side: table, figures; compare --help
  minitrain predict RUN FILE               predict the examples of a csv, npy or npz file by a run's best network;
      [--output FILE] [--checkpoint last]  writes RUN/predictions.csv, or FILE
  minitrain export RUN FILE.safetensors    write a run's weights for PyTorch and others, by PyTorch's names
  minitrain graph [key=value ...]          print the compiled step with its cost and draw the network, train nothing
  minitrain --cfg job [key=value ...]      print the config, train nothing
  minitrain --shell-completion install=bash   complete keys and names; eval its output in ~/.bashrc

Examples
  minitrain activation=silu lr=0.3
  minitrain network.widths=[128,64] optimizer=adam steps=2000
  minitrain -m lr=0.03,0.1,0.3 activation=relu,silu 'seed=range(3)'

Keys of a sweep, with -m
  repeats=5                     each run with 5 seeds: seed, seed+1, ...
  zip=[lr,network.widths]       these keys move together: their first values, their second ones, ...
  samples=20 [sample_seed=0]    20 runs drawn at random: lr=0.1,0.3 'lr=interval(0.1,1)' 'lr=tag(log,interval(1e-4,1))'
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; gives the exit status: 0 done, 1 failed, 2 a mistake in what was given, 130 stopped."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        return _command(given)
    except (ConfigError, RecordError) as error:
        print(f"minitrain: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(f"minitrain: the network or the data do not fit into memory: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # who reads, less or head, has seen enough; Python would write what is left at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"minitrain: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("hydra", "omegaconf", "yaml"):
            raise
        print(f"minitrain: {first_line(error)}", file=sys.stderr)  # of what only they can tell: hydra.run.dir='${nope}'
        return 2


def _command(given: list[str]) -> int:
    if given[:1] == ["compare"]:
        from minitrain.commands import compare
        from minitrain.commands.log import set_up_logging

        set_up_logging()
        return compare.run_compare(given[1:])
    if "--help" in given or "-h" in given:
        print(help_text())
        return 0
    if "--version" in given:
        print(f"minitrain {minitrain.__version__}")
        return 0

    from minitrain.commands import run
    from minitrain.commands.log import set_up_logging
    from minitrain.config import composition
    from minitrain.config.extensions import load_extensions
    from minitrain.config.hydra_compat import argument_parser
    from minitrain.config.loading import to_run_config

    set_up_logging()
    extensions = load_extensions(given)
    if given[:1] == ["resume"]:
        if len(given) < 2 or given[1].startswith("-"):
            raise ConfigError("resume: no directory given; expected the directory of a run, outputs/DATE/TIME-...")
        directory = Path(given[1])
        from minitrain.commands import resume

        if (directory / "multirun.yaml").exists():
            return resume.resume_sweep(directory, given[2:], extensions)
        return resume.resume(directory, given[2:])
    if given[:1] == ["predict"]:
        from minitrain.commands import predict

        return predict.main(given[1:])
    if given[:1] == ["export"]:
        from minitrain.commands import export

        return export.main(given[1:])
    is_graph = given[:1] == ["graph"]
    parser = argument_parser()
    parser.prog = "minitrain"
    parser.error = _refuse  # type: ignore[method-assign]  # in one line, as every other mistake
    parser.add_argument("--dry-run", action="store_true")
    flags = parser.parse_intermixed_args(given[is_graph:])
    if flags.config_name or flags.config_path:
        raise ConfigError("--config-name, --config-path: not used here; give a folder of your own with --config-dir")
    if flags.experimental_rerun:
        raise ConfigError("--experimental-rerun: not used here; go on with a run by minitrain resume DIR")
    configs = composition.Composer(flags.config_dir)
    if flags.cfg:
        to_run_config(composition.task_config(configs.compose(flags.overrides)))
        configs.hydra.show_cfg(composition.CONFIG, flags.overrides, flags.cfg, flags.package, flags.resolve)
        return 0
    if flags.hydra_help:
        configs.hydra.hydra_help(composition.CONFIG, parser, flags)
        return 0
    if flags.info:
        configs.hydra.show_info(flags.info, composition.CONFIG, flags.overrides)
        return 0
    if flags.shell_completion:
        try:
            configs.hydra.shell_completion(composition.CONFIG, flags.overrides)
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            raise ConfigError("--shell-completion: expected install=bash, uninstall=bash, or fish or zsh") from error
        return 0
    if flags.package or flags.resolve:
        raise ConfigError("--package, --resolve: are about --cfg job; add it, or leave them out")
    if is_graph:
        from minitrain.commands import graph

        if flags.multirun:
            raise ConfigError("graph -m: shows the step of one run; leave out -m, and give one value for each key")
        if flags.dry_run:
            raise ConfigError("graph --dry-run: trains nothing anyway; leave out --dry-run")
        return graph.show_graph(configs, flags.overrides)
    if flags.multirun:
        from minitrain.commands.sweep import start_sweep

        return start_sweep(configs, flags.overrides, extensions, flags.dry_run)
    return run.start_run(configs, flags.overrides, flags.dry_run)


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}; minitrain --help shows what there is")


def help_text() -> str:
    """Usage, examples, groups with their choices, and the top-level keys with what they may be."""

    def entry(name: str, width: int, text: str) -> str:
        return textwrap.fill(text, 110, initial_indent=f"  {name:<{width}} ", subsequent_indent=" " * (width + 3))

    lines = [USAGE, "Groups (each choice's options: conf/GROUP/NAME.yaml, or --cfg job)"]
    for group in ("data", "network", "optimizer", "schedule", "experiments"):
        names = group_names(group) | REGISTRIES.get(group, {}).keys()
        lines.append(entry(group, 22, ", ".join(sorted(names))))
    lines.append("\nKeys")
    for key, option in options(RunConfig).items():
        shown = "null" if option.default is None else "..." if option.default is REQUIRED else option.default
        lines.append(entry(f"{key}={shown}", 22, f"{option.range.help}; {option.expected}"))
    lines.append("\nExit status: 0 done, 1 failed, 2 a mistake in what was given, 130 stopped.")
    return "\n".join(lines)
