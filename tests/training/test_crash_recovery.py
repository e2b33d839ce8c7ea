"""Runs that are stopped, killed or out of disk space at random moments resume bitwise equal to uninterrupted ones."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from minitrain.cli import main
from minitrain.errors import RecordError
from minitrain.optim.schedules import Cosine, Plateau
from minitrain.registry import register
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import read_summary

pytestmark = pytest.mark.slow

WARMUP = 5
# Everything that a step can depend on: shuffled batches, dropout, running statistics, an optimizer with state and a
# step count, a schedule, and a count of evaluations without improvement.
RUN = [
    "data=moons", "data.samples=200", "batch_size=16", "network.widths=[12,12]", "network.dropout=0.2",
    "network.norm=batch", "optimizer=adam", "lr=0.03", "schedule=stoppable", f"warmup={WARMUP}", "l2=1e-4",
    "max_grad_norm=1", "steps=400", "eval_every=10", "log_every=3", "checkpoint_every=20", "patience=12",
    "hydra.run.dir=run",
]  # fmt: skip

STOP: dict[str, int] = {}  # set in a forked child: the step at which it sends itself a signal


@pytest.fixture(autouse=True)
def stoppable(own_components, tmp_path, monkeypatch):
    """A temporary directory, and two schedules that send the process a signal at the step in `STOP`."""
    monkeypatch.chdir(tmp_path)

    def stop_if_due(step):
        if step == STOP.get("step"):
            os.kill(os.getpid(), STOP["signal"])

    @register("schedule", "stoppable")
    @dataclass(frozen=True)
    class Stoppable(Cosine):
        def factor(self, step, steps):
            stop_if_due(step)
            return super().factor(step, steps)

    @register("schedule", "stoppable_plateau")
    @dataclass(frozen=True)
    class StoppablePlateau(Plateau):
        def for_run(self, lr):
            return StoppableState(super().for_run(lr))

    class StoppableState:
        def __init__(self, state):
            self.array, self.observe, self.plain_factor = state.array, state.observe, state.factor

        def factor(self, step, steps):
            stop_if_due(step)
            return self.plain_factor(step, steps)


def fork(arguments, before=lambda: None):
    """Run a command line in a forked child process; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        with open("out.txt", "a") as out:  # the files of pytest must not be closed here
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        sys.stdout = sys.stderr = os.fdopen(1, "w", closefd=False)
        before()
        status = main(arguments)
        sys.stdout.flush()
    finally:
        os._exit(status)


def run(arguments, before=lambda: None):
    return os.waitstatus_to_exitcode(os.waitpid(fork(arguments, before), 0)[1])


def recorded_state(directory=Path("run")):
    """The bytes of metrics.csv, and every array and value of the checkpoints except the time."""
    state = {"metrics": (directory / "metrics.csv").read_bytes()}
    for name in ("last", "best"):
        arrays, progress = load_checkpoint(directory / "checkpoints" / f"{name}.npz")
        state |= {f"{name}/{key}": array.tobytes() for key, array in arrays.items()}
        state[name] = progress.step, progress.best.step
    return state


@pytest.fixture
def uninterrupted(stoppable):
    """The recorded state of an uninterrupted run, its number of steps, and its duration in seconds."""
    run(RUN)  # the first run imports modules lazily
    shutil.rmtree("run")
    started = time.monotonic()
    assert run(RUN) == 0, Path("out.txt").read_text()
    seconds = time.monotonic() - started
    state = recorded_state()
    assert read_summary(Path("run")).stopped_early
    shutil.rmtree("run")
    steps, _ = state["last"]
    return state, steps, seconds


def resume():
    """Resume the run, or start it if it had not begun."""
    if not Path("run", ".hydra", "config.yaml").exists():
        shutil.rmtree("run", ignore_errors=True)
        return run(RUN)
    return run(["resume", "run"])


def test_50_stops_at_random_steps(uninterrupted):
    expected, steps, _ = uninterrupted
    rng = random.Random(0)
    for number in [signal.SIGINT, signal.SIGTERM, signal.SIGKILL] * 17:
        # The schedule's steps 0 and 1 are traced before the run begins, and count from the end of the warmup.
        step = rng.randrange(2, steps - WARMUP)
        status = run(RUN, lambda step=step, number=number: STOP.update(step=step, signal=number))
        assert status == (-signal.SIGKILL if number == signal.SIGKILL else 130), (number, step)
        assert resume() == 0, Path("out.txt").read_text()
        assert recorded_state() == expected, (number, step)
        shutil.rmtree("run")


def test_stops_at_every_step_of_a_plateau_schedule():
    """The schedule has a state of its own: the rate, the best value, and a count of evaluations."""
    replaced = ("schedule=", "steps=", "eval_every=", "checkpoint_every=", "patience=")
    plateau = ["schedule=stoppable_plateau", "schedule.patience=1", "schedule.factor=0.5", "steps=40", "eval_every=3"]
    arguments = [*(text for text in RUN if not text.startswith(replaced)), *plateau, "checkpoint_every=7"]
    assert run(arguments) == 0, Path("out.txt").read_text()
    expected = recorded_state()
    assert len(set(read_metrics(Path("run"))["lr"][2:].tolist())) > 3  # several reductions after the warm-up
    shutil.rmtree("run")
    # A request to stop after the last step is not needed: only its row is missing.
    for step in range(2, 39 - WARMUP):
        number = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[step % 3]
        status = run(arguments, lambda step=step, number=number: STOP.update(step=step, signal=number))
        assert status == (-signal.SIGKILL if number == signal.SIGKILL else 130), (number, step)
        assert run(["resume", "run"]) == 0, Path("out.txt").read_text()
        assert recorded_state() == expected, (number, step)
        shutil.rmtree("run")


def test_200_kills_at_random_moments(uninterrupted):
    expected, _, seconds = uninterrupted
    rng = random.Random(1)
    for _ in range(200):
        pid = fork(RUN)
        time.sleep(rng.uniform(0, 1.1 * seconds))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for path in Path("run", "checkpoints").glob("[!.]*.npz"):
            load_checkpoint(path)
        assert resume() == 0, Path("out.txt").read_text()
        assert recorded_state() == expected
        shutil.rmtree("run")


def test_20_limits_on_the_file_size(uninterrupted):
    expected, _, _ = uninterrupted
    rng = random.Random(2)
    for _ in range(20):
        limit = rng.randrange(200, len(expected["metrics"]))
        Path("out.txt").write_text("")
        status = run(RUN, lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        assert status == 1
        assert "File too large" in Path("out.txt").read_text()
        for path in Path("run", "checkpoints").glob("[!.]*.npz"):
            load_checkpoint(path)
        assert resume() == 0, Path("out.txt").read_text()
        assert recorded_state() == expected
        shutil.rmtree("run")


def test_20_full_disks(uninterrupted, tmp_path):
    expected, _, _ = uninterrupted
    rng = random.Random(3)
    disk = tmp_path / "disk"
    disk.mkdir()
    output = Path("out.txt")
    for _ in range(20):
        size = rng.randrange(8, 120)
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)], capture_output=True
        ).returncode:
            pytest.skip("this system does not allow mounting a small disk")
        try:
            output.write_text("")
            status = run([*RUN[:-1], "hydra.run.dir=disk/run"])
            assert status == 1, output.read_text()
            assert "No space left on device" in output.read_text(), size
            for path in Path("disk/run/checkpoints").glob("[!.]*.npz"):
                load_checkpoint(path)
            if Path("disk/run").exists():
                shutil.copytree("disk/run", "run")
        finally:
            subprocess.run(["umount", str(disk)], check=True)
        assert resume() == 0, output.read_text()
        assert recorded_state() == expected
        shutil.rmtree("run")


def test_50_simultaneous_starts():
    small = ["data=moons", "data.samples=40", "network.widths=[4]", "batch_size=8", "steps=3"]
    children = [fork(small) for _ in range(50)]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 50
    runs = list(Path("outputs").glob("*/*"))
    assert len(runs) == 50
    assert len({(run / "metrics.csv").read_bytes() for run in runs}) == 1
    for directory in runs:
        assert read_summary(directory).status == "completed"
        assert load_checkpoint(directory / "checkpoints" / "last.npz")[1].step == 3


def test_one_config_has_equal_bytes_in_ten_ways():
    """In processes on one core and on all cores, forked, eager, and in sweeps on one core and on all cores."""
    base = [text for text in RUN[:-1] if text != "schedule=stoppable"] + ["schedule=cosine"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def one_core():
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    def start(arguments, before=lambda: None):
        command = [sys.executable, "-m", "minitrain", *arguments]
        subprocess.run(command, env=environment, preexec_fn=before, check=True, capture_output=True)

    for i in range(2):
        start([*base, f"hydra.run.dir=all{i}"])
        start([*base, f"hydra.run.dir=one{i}"], one_core)
        assert run([*base, f"hydra.run.dir=forked{i}"]) == 0
    assert run([*base, "engine=eager", "hydra.run.dir=eager"]) == 0
    sweep = ["-m", "lr=0.01,0.03,0.1", "seed=range(4)", *[text for text in base if not text.startswith("lr=")]]
    start([*sweep, "hydra.sweep.dir=swept"])
    start([*sweep, "hydra.sweep.dir=swept_on_one"], one_core)
    assert run([*sweep, "hydra.sweep.dir=basic", "hydra/launcher=basic"]) == 0
    alone = [Path(f"{name}{i}") for name in ("all", "one", "forked") for i in range(2)]
    directories = [*alone, Path("eager"), Path("swept/4"), Path("swept_on_one/4"), Path("basic/4")]
    states = [recorded_state(directory) for directory in directories]
    assert all(state == states[0] for state in states)


def test_resuming_from_truncated_checkpoints_is_rejected(uninterrupted):
    """`resume` reports the damaged checkpoint in one line and changes nothing."""
    assert run(RUN, lambda: STOP.update(step=55, signal=signal.SIGINT)) == 130
    path = Path("run", "checkpoints", "last.npz")
    intact = path.read_bytes()
    rng = np.random.default_rng(0)
    for cut in [0, 1, 100, *rng.integers(0, len(intact), 10).tolist()]:
        path.write_bytes(intact[:cut])
        before = Path("run", "metrics.csv").read_bytes()
        Path("out.txt").write_text("")
        assert run(["resume", "run"]) == 2
        assert "not a usable checkpoint" in Path("out.txt").read_text()
        assert Path("run", "metrics.csv").read_bytes() == before
        with pytest.raises(RecordError):
            load_checkpoint(path)
    path.write_bytes(intact)
    assert resume() == 0
    expected, _, _ = uninterrupted
    assert recorded_state() == expected
