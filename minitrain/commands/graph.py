"""`minitrain graph`: print the compiled training step of a config and its cost, and draw the network."""

from __future__ import annotations

import argparse
from pathlib import Path

from minitrain.commands.unknown_words import refuse_unknown_words
from minitrain.compiler.listing import format_listing
from minitrain.compiler.numpy_executor import NumpyExecutor
from minitrain.config.composition import Composer, requested_overrides, task_config
from minitrain.config.extensions import load_extensions
from minitrain.config.loading import to_run_config
from minitrain.errors import ConfigError
from minitrain.plotting.graph_drawing import draw_network
from minitrain.storage.directories import claim_directory
from minitrain.storage.files import write_text
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.experiment import Experiment, build_experiment


def main(arguments: argparse.Namespace) -> int:
    """Print the compiled training step of a run and draw its network, without training; returns the exit status."""
    if arguments.multirun:
        raise ConfigError("graph -m: shows the step of one run; leave out -m, and give one value for each key")
    if arguments.dry_run:
        raise ConfigError("graph --dry-run: trains nothing anyway; leave out --dry-run")
    refuse_unknown_words(arguments.overrides, arguments.words, "graph")
    load_extensions(arguments.overrides)
    composer = Composer(arguments.config_dir)
    overrides = composer.read(arguments.overrides)
    config = composer.compose(overrides)
    if hydra_overrides := requested_overrides(config, "hydra"):
        raise ConfigError(
            f"{hydra_overrides[0]}: graph starts no run; leave it out, files are written to outputs/graphs"
        )
    experiment = build_experiment(to_run_config(task_config(config)))
    if not isinstance(experiment.engine, CompiledEngine):
        raise ConfigError("engine=eager: has no compiled step to show; set engine=numpy, the bits are the same")
    directory = claim_directory(Path("outputs", "graphs"), ",".join(overrides))
    print(write_graph(experiment, experiment.engine.training, directory))
    print(f"\nlisting  {directory / 'tape.txt'}\ngraph    {directory / 'graph.png'}", flush=True)
    return 0


def write_graph(experiment: Experiment, step: NumpyExecutor, directory: Path) -> str:
    """Write tape.txt, graph.png and graph.svg.

    Args:
        experiment: The run.
        step: Its compiled training step.
        directory: An existing directory.

    Returns:
        The text of tape.txt: two lines that describe the run, and the listing.
    """
    text = f"{experiment.describe()}\n\n{format_listing(step)}"
    write_text(directory / "tape.txt", f"{text}\n")
    examples = experiment.step.batch(0)
    draw_network(experiment.model, examples.x, experiment.loss, examples.y, directory / "graph")
    return text
