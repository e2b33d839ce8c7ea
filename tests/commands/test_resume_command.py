"""`minitrain resume`: interrupted, complete and damaged runs."""

import shlex
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from command_runs import FAST, is_picture, only, start, wait_for

from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import read_summary


def test_a_run_of_a_sweep_resumes(command):
    command("-m", "lr=0.03,0.1", "hydra.sweep.dir=swept", *FAST)
    status, out, _ = command("resume", "swept")
    assert status == 0
    assert "nothing left to do" in out
    status, out, _ = command("resume", "swept/1", "steps=50")
    assert status == 0
    assert "completed 50 steps" in out


def test_a_completed_run_is_reported_and_more_steps_extend_it(command):
    command(*FAST)
    directory = only("outputs/*/*")
    before = (directory / "metrics.csv").read_bytes()
    status, out, _ = command("resume", str(directory))
    assert status == 0
    assert "nothing left to do" in out
    assert (directory / "metrics.csv").read_bytes() == before
    status, out, _ = command("resume", str(directory), "steps=60")
    assert status == 0
    assert "completed 60 steps" in out
    assert "steps: 60" in (directory / ".hydra" / "config.yaml").read_text()
    status, _, err = command("resume", str(directory), "lr=3")
    assert status == 2
    assert "only steps, patience, min_delta can change" in err
    status, _, err = command("resume", str(directory), "steps=50")
    assert status == 2
    assert "at step 60 already" in err


def test_a_run_that_stopped_early_has_nothing_left_to_do(command):
    status, out, _ = command("lr=0", "patience=2", *FAST)
    assert status == 0
    assert "stopped early at step 20 of 40" in out
    directory = only("outputs/*/*")
    before = (directory / "metrics.csv").read_bytes()
    status, out, _ = command("resume", str(directory))
    assert status == 0
    assert "nothing left to do: the run stopped early at step 20" in out
    assert (directory / "metrics.csv").read_bytes() == before


def test_a_damaged_run_is_reported_and_left_unchanged(command):
    command(*FAST)
    directory = only("outputs/*/*")
    checkpoint = directory / "checkpoints" / "last.npz"
    good = checkpoint.read_bytes()
    before = (directory / "metrics.csv").read_bytes()
    checkpoint.write_bytes(b"junk")
    status, out, err = command("resume", str(directory), "steps=60")
    assert status == 2
    assert "not a usable checkpoint" in err
    checkpoint.write_bytes(good)
    config = directory / ".hydra" / "config.yaml"
    text = config.read_text()
    config.write_text("}{")
    status, out, err = command("resume", str(directory), "steps=60")
    assert (status, out) == (2, "")
    assert "the config cannot be read" in err
    config.write_text(text)
    assert (directory / "metrics.csv").read_bytes() == before
    assert command("resume", str(directory), "steps=60")[0] == 0


LONG = ("steps=100000", "log_every=1", "checkpoint_every=50", "data=moons", "network.widths=[8]", "batch_size=16")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_is_readable_and_resumes_to_the_uninterrupted_bytes(tmp_path, number):
    process = start(tmp_path, *LONG)
    checkpoints = "outputs/*/*/checkpoints/last.npz"
    wait_for(lambda: list(tmp_path.glob(checkpoints)), process)
    process.send_signal(number)
    out = process.communicate(timeout=60)[0]
    (directory,) = (tmp_path / "outputs").glob("*/*")
    reached = load_checkpoint(directory / "checkpoints" / "last.npz")[1].step
    read_metrics(directory)
    if number == signal.SIGINT:
        assert process.returncode == 130
        path = shlex.quote(f"outputs/{directory.parent.name}/{directory.name}")
        assert f"resume with  {sys.executable} -m minitrain resume {path}" in out
        assert is_picture(directory / "loss.png")
        assert read_summary(directory).status == "interrupted"
    else:
        assert read_summary(directory).status == "running"
    config = directory / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("steps: 100000", f"steps: {reached + 30}"))
    resumed = start(tmp_path, "resume", str(directory))
    assert resumed.wait(60) == 0, resumed.stdout.read()
    whole = start(tmp_path, *LONG[1:], f"steps={reached + 30}", "hydra.run.dir=whole")
    assert whole.wait(60) == 0, whole.stdout.read()
    resumed.stdout.close()
    whole.stdout.close()
    assert (directory / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()


# Changes of a resumed run

PATIENT = ["data=moons", "network.widths=[8]", "batch_size=16", "eval_every=5", "lr=0.001", "steps=200"]


def content(directory):
    arrays, _ = load_checkpoint(Path(directory, "checkpoints", "last.npz"))
    return Path(directory, "metrics.csv").read_text(), {name: array.tobytes() for name, array in arrays.items()}


def test_a_run_that_stopped_early_continues_with_other_patience(command):
    assert command(*PATIENT, "patience=2", "hydra.run.dir=run")[0] == 0
    stopped = read_summary(Path("run"))
    assert stopped.stopped_early
    before = content("run")
    status, _, err = command("resume", "run", "steps=300")
    assert status == 2
    assert f"steps=300: the run stopped early at step {stopped.step}, by patience=2; set patience=N as well" in err
    status, out, _ = command("resume", "run")
    assert status == 0
    assert "nothing left to do: the run stopped early" in out
    assert content("run") == before
    assert command("resume", "run", "patience=30")[0] == 0
    assert command(*PATIENT, "patience=30", "hydra.run.dir=whole")[0] == 0
    assert read_summary(Path("run")).step > stopped.step
    assert content("run") == content("whole")
    assert command("resume", "run", "patience=null", "steps=210")[0] == 0
    assert read_summary(Path("run")).step == 210


def test_an_extended_schedule_is_reported(command):
    run = ["data=moons", "steps=40", "lr=0.2"]
    assert command(*run, "schedule=cosine", "hydra.run.dir=cosine")[0] == 0
    status, out, err = command("resume", "cosine", "steps=80")
    assert status == 0
    message = "planned for 40 steps and is planned for 80 from now on: the learning rate at step 40 is 0.1 instead of 0"
    assert message in out + err
    assert command(*run, "hydra.run.dir=constant")[0] == 0
    status, out, err = command("resume", "constant", "steps=80")
    assert "planned" not in out + err


def test_more_steps_for_a_sweep(command):
    sweep = ["-m", "data=moons", "lr=0.1,0.3", "eval_every=10", "batch_size=16"]
    assert command(*sweep, "steps=40", "hydra.sweep.dir=swept")[0] == 0
    status, out, err = command("resume", "swept", "steps=60")
    assert status == 0, out + err
    assert command(*sweep, "steps=60", "hydra.sweep.dir=whole")[0] == 0
    for number in "01":
        assert content(f"swept/{number}") == content(f"whole/{number}")
    status, _, err = command("resume", "swept", "steps=50")
    assert status == 2
    assert "steps=50: the run is at step 60 already; expected more" in err
    status, _, err = command("resume", "swept", "lr=1")
    assert status == 2
    assert "only steps, patience, min_delta can change" in err


def test_patience_of_a_sweep(command):
    assert command("-m", *PATIENT, "seed=0,1", "patience=2", "hydra.sweep.dir=swept")[0] == 0
    count = sum(read_summary(Path("swept", number)).stopped_early for number in "01")
    assert count > 0
    status, out, _ = command("resume", "swept", "steps=210")
    assert status == 0
    assert "stopped early; set patience=N, or patience=null, to continue them" in out
    assert command("resume", "swept", "patience=null")[0] == 0
    assert [read_summary(Path("swept", number)).step for number in "01"] == [210, 210]


def test_data_that_were_moved(command):
    x = np.random.default_rng(0).normal(size=(40, 2))
    np.savez("a.npz", x=x, y=(x[:, 0] > 0).astype(int))
    assert command("data=npz", "data.path=a.npz", "batch_size=16", "steps=20", "hydra.run.dir=run")[0] == 0
    Path("a.npz").rename("b.npz")
    status, _, err = command("resume", "run", "steps=30")
    assert status == 2
    assert "a.npz: no such file" in err
    np.savez("c.npz", x=2 * x, y=(x[:, 0] > 0).astype(int))
    status, _, err = command("resume", "run", "steps=30", "data.path=c.npz")
    assert status == 2
    assert "the data have changed since the run started" in err
    assert command("resume", "run", "steps=30", "data.path=b.npz")[0] == 0
    assert command("resume", "run", "steps=40")[0] == 0
