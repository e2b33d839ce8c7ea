"""`minitrain resume`: interrupted, complete and damaged runs."""

import shlex
import signal
import sys

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
    assert "only steps can change" in err
    status, _, err = command("resume", str(directory), "steps=50")
    assert status == 2
    assert "at step 60 already" in err


def test_a_run_that_stopped_early_has_nothing_left_to_do(command):
    status, out, _ = command("lr=0", "patience=2", *FAST)
    assert status == 0
    assert "stopped early at step 20 of 40" in out
    directory = only("outputs/*/*")
    before = (directory / "metrics.csv").read_bytes()
    for overrides in ([], ["steps=100"]):
        status, out, _ = command("resume", str(directory), *overrides)
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
