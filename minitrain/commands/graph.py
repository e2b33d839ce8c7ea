"""`minitrain graph`: the compiled step of a config, its cost and a drawing of the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from minitrain.compiler.listing import listing
from minitrain.compiler.numpy_executor import Replay
from minitrain.config.composition import Composer, given_in, task_config
from minitrain.config.loading import checked
from minitrain.errors import ConfigError
from minitrain.plotting.graph_drawing import draw_network
from minitrain.storage.directories import claim_directory
from minitrain.storage.files import write_text
from minitrain.training.compiled_engine import Compiled
from minitrain.training.experiment import Problem, build


def show_graph(composer: Composer, overrides: Sequence[str]) -> int:
    """Show the compiled step and the network of one run, and train nothing; gives the exit status."""
    config = composer.compose(overrides)
    if of_hydra := given_in(config, "hydra"):
        raise ConfigError(f"{of_hydra[0]}: graph starts no run of Hydra's; leave it out, files go to outputs/graphs")
    problem = build(checked(task_config(config)))
    if not isinstance(problem.engine, Compiled):
        raise ConfigError("engine=eager: has no compiled step to show; set engine=replay, the bits are the same")
    directory = claim_directory(Path("outputs", "graphs"), ",".join(overrides))
    print(write_graph(problem, problem.engine.training, directory))
    print(f"\nlisting  {directory / 'tape.txt'}\ngraph    {directory / 'graph.png'}", flush=True)
    return 0


def write_graph(problem: Problem, step: Replay, directory: Path) -> str:
    """Write tape.txt, graph.png and graph.svg, and give the text of tape.txt: two lines about the run, and the listing.

    step: the run's compiled training step
    """
    text = f"{problem.describe()}\n\n{listing(step)}"
    write_text(directory / "tape.txt", f"{text}\n")
    examples = problem.step.batch(0)
    draw_network(problem.model, examples.x, problem.loss, examples.y, directory / "graph")
    return text
