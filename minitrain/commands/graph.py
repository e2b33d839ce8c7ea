"""`minitrain graph`: the compiled step of a config, its cost and a drawing of the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from minitrain.compiler.listing import format_listing
from minitrain.compiler.numpy_executor import NumpyExecutor
from minitrain.config.composition import Composer, requested_overrides, task_config
from minitrain.config.loading import to_run_config
from minitrain.errors import ConfigError
from minitrain.plotting.graph_drawing import draw_network
from minitrain.storage.directories import claim_directory
from minitrain.storage.files import write_text
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.experiment import Experiment, build_experiment


def show_graph(composer: Composer, overrides: Sequence[str]) -> int:
    """Show the compiled step and the network of one run, and train nothing; gives the exit status."""
    config = composer.compose(overrides)
    if of_hydra := requested_overrides(config, "hydra"):
        raise ConfigError(f"{of_hydra[0]}: graph starts no run of Hydra's; leave it out, files go to outputs/graphs")
    experiment = build_experiment(to_run_config(task_config(config)))
    if not isinstance(experiment.engine, CompiledEngine):
        raise ConfigError("engine=eager: has no compiled step to show; set engine=numpy, the bits are the same")
    directory = claim_directory(Path("outputs", "graphs"), ",".join(overrides))
    print(write_graph(experiment, experiment.engine.training, directory))
    print(f"\nlisting  {directory / 'tape.txt'}\ngraph    {directory / 'graph.png'}", flush=True)
    return 0


def write_graph(experiment: Experiment, step: NumpyExecutor, directory: Path) -> str:
    """Write tape.txt, graph.png and graph.svg, and give the text of tape.txt: two lines about the run, and the listing.

    step: the run's compiled training step
    """
    text = f"{experiment.describe()}\n\n{format_listing(step)}"
    write_text(directory / "tape.txt", f"{text}\n")
    examples = experiment.step.batch(0)
    draw_network(experiment.model, examples.x, experiment.loss, examples.y, directory / "graph")
    return text
