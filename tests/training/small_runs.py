"""Small runs that several test files train, compare and interrupt."""

import os
import signal
from dataclasses import replace

from minitrain.components.networks import MLPConfig
from minitrain.config.schema import RunConfig
from minitrain.data import Moons
from minitrain.optim import SGDRule
from minitrain.optim.schedules import Constant
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.experiment import build_experiment
from minitrain.training.loop import train

SMALL = RunConfig(
    Moons(samples=100),
    MLPConfig([8]),
    SGDRule(),
    Constant(),
    lr=0.1,
    steps=60,
    batch_size=16,
    eval_every=20,
    log_every=5,
    checkpoint_every=25,
)


def train_run(config, directory, **options):
    directory.mkdir(exist_ok=True)
    return train(build_experiment(config), directory, bar=False, **options)


def recorded_state(directory):
    """The bytes of metrics.csv, and every array and value of the checkpoints except the time."""
    state = [(directory / "metrics.csv").read_bytes()]
    for name in ("last", "best"):
        arrays, progress = load_checkpoint(directory / "checkpoints" / f"{name}.npz")
        state += [key.encode() + a.dtype.str.encode() + a.tobytes() for key, a in sorted(arrays.items())]
        state.append(replace(progress, seconds=0.0, wall_seconds=0.0))
    return state


def signal_at_step(monkeypatch, step, signal_number=signal.SIGINT):
    """Send the process a signal during the update of a step."""
    update = CompiledEngine.update

    def interrupted(self, k):
        if k == step:
            os.kill(os.getpid(), signal_number)
        update(self, k)

    monkeypatch.setattr(CompiledEngine, "update", interrupted)
