"""Small sweeps, and what their runs leave, for the tests of this folder."""

import os
import subprocess
import sys
import time

from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.summary import read_summary

SMALL = ["data=moons", "data.samples=100", "network.widths=[8]", "batch_size=20", "steps=60", "eval_every=20"]
SMALL += ["log_every=5", "checkpoint_every=25"]


def contents(run):
    """What must be equal for equal runs: the metrics, the config, and every array of the checkpoints."""
    parts = {name: (run / name).read_bytes() for name in ("metrics.csv", ".hydra/config.yaml")}
    for name in ("last", "best"):
        arrays, progress = load_checkpoint(run / "checkpoints" / f"{name}.npz")
        parts |= {f"{name}/{key}": array.tobytes() for key, array in arrays.items()}
        parts[f"{name}/step"] = progress.step
    return parts


def all_contents(directory):
    return {run.name: contents(run) for run in directory.iterdir() if run.is_dir()}


def statuses(directory):
    runs = sorted((run for run in directory.iterdir() if run.is_dir()), key=lambda run: int(run.name))
    return [read_summary(run).status for run in runs]


def start_command(folder, arguments):
    """Start a command line that always uses worker processes, in its own process group, as a terminal does."""
    code = "import sys; from minitrain import __main__; from minitrain.sweep import workers\n"
    code += "workers.SECONDS_WORTH_WORKERS = 0; sys.exit(__main__.main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=folder, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def wait_for(condition, process):
    for _ in range(600):
        if condition():
            return
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    raise AssertionError("the condition was not met within 30 s")
