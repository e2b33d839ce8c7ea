"""Runs and sweeps that are stopped, fail or are refused at the wrong moment, and lose nothing by it."""

import errno
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.summary import read_summary

FAST = ("data=moons", "data.samples=100", "network.widths=[8]", "batch_size=16", "steps=40", "eval_every=10")


def contents(directory):
    arrays, meta = load_checkpoint(directory / "checkpoints" / "last.npz")
    kept = {name: array.tobytes() for name, array in arrays.items()}
    return (directory / "metrics.csv").read_bytes(), kept, meta.step, meta.best


def stop_at_update(monkeypatch, k, act):
    from minitrain.training.compiled_engine import CompiledEngine

    update = CompiledEngine.update

    def acting(self, step):
        update(self, step)
        if step == k:
            act()

    monkeypatch.setattr(CompiledEngine, "update", acting)


def test_a_stop_at_the_last_step_loses_nothing(command, monkeypatch):
    command("hydra.run.dir=whole", *FAST)
    with monkeypatch.context() as patch:
        stop_at_update(patch, 39, lambda: os.kill(os.getpid(), signal.SIGINT))
        assert command("hydra.run.dir=stopped", *FAST)[0] == 0
    assert read_summary(Path("stopped")).status == "completed"
    assert contents(Path("stopped")) == contents(Path("whole"))


def test_a_disk_that_is_full_at_the_last_step_is_not_the_end(command, monkeypatch):
    from minitrain.training import recorder as run

    command("hydra.run.dir=whole", *FAST)
    save = run.save_checkpoint

    def full(path, *given):
        if path.name == "last.npz":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(path, *given)

    with monkeypatch.context() as patch:
        patch.setattr(run, "save_checkpoint", full)
        assert command("hydra.run.dir=full", *FAST)[0] == 1
    assert (read_summary(Path("full")).status, read_summary(Path("full")).step) == ("failed", 40)
    assert command("resume", "full")[0] == 0
    assert contents(Path("full")) == contents(Path("whole"))


def test_a_disk_that_is_full_between_checkpoints_is_told(command, monkeypatch):
    from minitrain.storage.metrics_file import MetricsWriter
    from minitrain.training import loop as train

    def full(self, at_most_every=0.0):
        raise OSError(errno.ENOSPC, "No space left on device", "metrics.csv")

    monkeypatch.setattr(MetricsWriter, "flush", full)
    times = iter(range(0, 10_000, 2))
    monkeypatch.setattr(train.time, "monotonic", lambda: next(times))  # each step takes two seconds
    status, out, _ = command("hydra.run.dir=run", *FAST)
    assert status == 1
    assert "No space left on device" in out
    assert "free space on the disk, then resume with  minitrain resume run" in out


@pytest.mark.parametrize("asked", [["steps=20"], ["steps=[1"], ["steps=${x}"], ["steps=*x"], ["steps=0"]], ids=" ".join)
def test_a_refused_resume_changes_nothing(command, monkeypatch, asked):
    stop_at_update(monkeypatch, 29, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert command("hydra.run.dir=run", *FAST)[0] == 130
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    status, _, err = command("resume", "run", *asked)
    assert (status, len(err.splitlines())) == (2, 1)
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


def test_a_longer_run_whose_checkpoint_cannot_be_used_keeps_its_config(command):
    command("hydra.run.dir=run", *FAST)
    config, last = Path("run/.hydra/config.yaml"), Path("run/checkpoints/last.npz")
    before = config.read_bytes()
    last.write_bytes(last.read_bytes()[:-50])
    assert command("resume", "run", "steps=80")[0] == 2
    assert config.read_bytes() == before


def test_a_run_that_was_killed_while_it_drew_gets_its_curves(command):
    command("hydra.run.dir=run", "diagnostics=[grad_norm]", *FAST)
    for name in ("loss.svg", "diagnostics.png"):
        Path("run", name).unlink()
    status, out, _ = command("resume", "run")
    assert status == 0
    assert "nothing left to do" in out
    assert Path("run/loss.svg").stat().st_size > 10_000
    assert Path("run/diagnostics.png").stat().st_size > 10_000


@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=basic"]], ids=["stacked", "basic"])
def test_two_runs_of_a_sweep_never_share_a_directory(command, launcher):
    status, _, err = command("-m", "lr=0.1,0.3", "seed=0,1", "hydra.sweep.subdir=${lr}", *launcher, *FAST)
    assert status == 2
    assert "runs 0 and 1 would share 0.1" in err
    assert not Path("outputs").exists()


def test_runs_that_had_not_begun_are_told_and_the_sweep_s_command_begins_them(command):
    sweep = ["-m", "lr=0.1,0.3", "seed=0,1", "hydra.sweep.dir=swept", *FAST]
    assert command(*sweep)[0] == 0
    for number in (2, 3):
        shutil.rmtree(f"swept/{number}")
    status, out, _ = command("resume", "swept")
    assert status == 1
    assert "2 of 4 runs had not begun; begin them with  minitrain -m lr=0.1,0.3 seed=0,1" in out
    assert command(*sweep)[0] == 0
    assert command("resume", "swept")[0] == 0


def test_a_sweep_killed_before_its_first_file_can_be_begun_again(command):
    Path("swept").mkdir()
    assert command("-m", "lr=0.1,0.3", "hydra.sweep.dir=swept", *FAST)[0] == 0


def test_a_directory_that_cannot_be_written_fails_its_run_alone(command):
    sweep = ["-m", "lr=0.1,0.2,0.3", "hydra.sweep.dir=swept", *FAST]
    assert command(*sweep)[0] == 0
    for number in range(3):
        summary = json.loads(Path(f"swept/{number}/summary.json").read_text())
        Path(f"swept/{number}/summary.json").write_text(json.dumps({**summary, "status": "interrupted"}))
    Path("swept/0/minitrain.log").unlink()
    Path("swept/0/minitrain.log").mkdir()
    Path("swept/1/summary.json").unlink()
    Path("swept/1/summary.json").mkdir()
    assert command("resume", "swept")[0] == 1
    assert read_summary(Path("swept/2")).status == "completed"


@pytest.mark.parametrize("strange", ["multirun.yaml", "0/checkpoints"])
def test_a_sweep_with_a_link_in_it_is_not_gone_on_with(command, strange):
    sweep = ["-m", "lr=0.1,0.3", "hydra.sweep.dir=swept", *FAST]
    assert command(*sweep)[0] == 0
    path, victim = Path("swept", strange), Path("victim").absolute()
    path.rename(victim)
    path.symlink_to(victim)
    for arguments in (sweep, ["resume", "swept"]):
        status, _, err = command(*arguments)
        assert (status, len(err.splitlines())) == (2, 1)
        assert f"{strange}: is a link" in err


def test_one_column_of_sweep_csv_has_one_name(command):
    assert command("-m", "monitor=val_loss,train_loss", "hydra.sweep.dir=swept", *FAST)[0] == 0
    header = Path("swept/sweep.csv").read_text().splitlines()[0].split(",")
    assert sorted(set(header)) == sorted(header)


def test_a_run_that_is_complete_needs_no_data_to_say_so(command):
    Path("points.csv").write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40)))
    run = ["data=csv", "data.path=points.csv", "network.widths=[4]", "batch_size=8", "steps=10", "hydra.run.dir=run"]
    assert command(*run)[0] == 0
    Path("points.csv").unlink()
    status, out, _ = command("resume", "run")
    assert status == 0
    assert "nothing left to do" in out
