"""Runs and sweeps that are interrupted or fail at critical moments keep a state from which they resume."""

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


def recorded_state(directory):
    arrays, progress = load_checkpoint(directory / "checkpoints" / "last.npz")
    weights = {name: array.tobytes() for name, array in arrays.items()}
    return (directory / "metrics.csv").read_bytes(), weights, progress.step, progress.best


def call_after_update(monkeypatch, k, action):
    from minitrain.training.compiled_engine import CompiledEngine

    update = CompiledEngine.update

    def update_and_act(self, step):
        update(self, step)
        if step == k:
            action()

    monkeypatch.setattr(CompiledEngine, "update", update_and_act)


def test_a_stop_request_during_the_last_step_lets_the_run_complete(command, monkeypatch):
    command("hydra.run.dir=uninterrupted", *FAST)
    with monkeypatch.context() as patch:
        call_after_update(patch, 39, lambda: os.kill(os.getpid(), signal.SIGINT))
        assert command("hydra.run.dir=stopped", *FAST)[0] == 0
    assert read_summary(Path("stopped")).status == "completed"
    assert recorded_state(Path("stopped")) == recorded_state(Path("uninterrupted"))


def test_a_run_resumes_after_a_full_disk_at_the_last_step(command, monkeypatch):
    from minitrain.training import recorder

    command("hydra.run.dir=uninterrupted", *FAST)
    save = recorder.save_checkpoint

    def fail_on_full_disk(path, *args):
        if path.name == "last.npz":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(path, *args)

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "save_checkpoint", fail_on_full_disk)
        assert command("hydra.run.dir=full", *FAST)[0] == 1
    assert (read_summary(Path("full")).status, read_summary(Path("full")).step) == ("failed", 40)
    assert command("resume", "full")[0] == 0
    assert recorded_state(Path("full")) == recorded_state(Path("uninterrupted"))


def test_a_full_disk_between_checkpoints_is_reported(command, monkeypatch):
    from minitrain.storage.metrics_file import MetricsWriter
    from minitrain.training import loop

    def fail_on_full_disk(self):
        raise OSError(errno.ENOSPC, "No space left on device", "metrics.csv")

    monkeypatch.setattr(MetricsWriter, "flush", fail_on_full_disk)
    times = iter(range(0, 10_000, 2))
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(times))  # each step takes two seconds
    status, out, _ = command("hydra.run.dir=run", *FAST)
    assert status == 1
    assert "No space left on device" in out
    assert "free space on the disk, then resume with  minitrain resume run" in out


@pytest.mark.parametrize(
    "overrides", [["steps=20"], ["steps=[1"], ["steps=${x}"], ["steps=*x"], ["steps=0"]], ids=" ".join
)
def test_a_rejected_resume_changes_nothing(command, monkeypatch, overrides):
    call_after_update(monkeypatch, 29, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert command("hydra.run.dir=run", *FAST)[0] == 130
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    status, _, err = command("resume", "run", *overrides)
    assert (status, len(err.splitlines())) == (2, 1)
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


def test_an_unusable_checkpoint_leaves_the_config_of_an_extended_run_unchanged(command):
    command("hydra.run.dir=run", *FAST)
    config, last = Path("run/.hydra/config.yaml"), Path("run/checkpoints/last.npz")
    before = config.read_bytes()
    last.write_bytes(last.read_bytes()[:-50])
    assert command("resume", "run", "steps=80")[0] == 2
    assert config.read_bytes() == before


def test_missing_figures_of_a_complete_run_are_drawn_on_resume(command):
    command("hydra.run.dir=run", "diagnostics=[grad_norm]", *FAST)
    for name in ("loss.svg", "diagnostics.png"):
        Path("run", name).unlink()
    status, out, _ = command("resume", "run")
    assert status == 0
    assert "nothing left to do" in out
    assert Path("run/loss.svg").stat().st_size > 10_000
    assert Path("run/diagnostics.png").stat().st_size > 10_000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_stops_at_a_checkpoint_when_a_signal_arrives(command, monkeypatch, number):
    call_after_update(monkeypatch, 29, lambda: os.kill(os.getpid(), number))
    assert command("hydra.run.dir=run", *FAST)[0] == 130
    assert (read_summary(Path("run")).status, read_summary(Path("run")).step) == ("interrupted", 30)
    assert load_checkpoint(Path("run/checkpoints/last.npz"))[1].step == 30


def test_signal_that_is_ignored_stays_ignored(command, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        call_after_update(monkeypatch, 29, lambda: os.kill(os.getpid(), signal.SIGHUP))
        assert command("hydra.run.dir=run", *FAST)[0] == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_lost_checkpoint_is_reported_on_resume(command, monkeypatch):
    with monkeypatch.context() as patch:
        call_after_update(patch, 29, lambda: os.kill(os.getpid(), signal.SIGINT))
        assert command("hydra.run.dir=run", *FAST)[0] == 130
    Path("run/checkpoints/last.npz").unlink()
    status, out, _ = command("resume", "run")
    assert status == 0
    assert "run/checkpoints/last.npz: no such file, so the run starts over at step 0" in out
    assert "starts over" not in command("resume", "run", "steps=80")[1]


def test_lost_checkpoint_of_a_sweep_is_reported_on_resume(command):
    assert command("-m", "seed=0,1", "hydra.sweep.dir=swept", *FAST)[0] == 0
    summary = Path("swept/1/summary.json")
    summary.write_text(summary.read_text().replace('"completed"', '"running"'))
    Path("swept/1/checkpoints/last.npz").unlink()
    out = command("resume", "swept")[1]
    assert out.count("starts over at step 0") == 1
    assert "swept/1/checkpoints/last.npz: no such file" in out


@pytest.mark.parametrize("figure", ["run_curves.draw_run", "diagnostics.draw_diagnostics"])
def test_figure_that_cannot_be_drawn_is_reported_and_drawn_on_resume(command, monkeypatch, figure):
    def fail(*arguments, **options):
        raise RuntimeError("no fonts\nat all")

    name = {"draw_run": "loss", "draw_diagnostics": "diagnostics"}[figure.partition(".")[2]]
    with monkeypatch.context() as patch:
        patch.setattr("minitrain.commands.run.draw_run" if name == "loss" else f"minitrain.plotting.{figure}", fail)
        status, out, err = command("hydra.run.dir=run", "diagnostics=[grad_norm]", *FAST)
    assert (status, err) == (0, "")
    assert "not drawn (RuntimeError: no fonts); draw it by  minitrain resume run" in out
    assert not Path("run", f"{name}.png").exists()
    assert read_summary(Path("run")).status == "completed"
    assert command("resume", "run")[0] == 0
    assert Path("run", f"{name}.png").stat().st_size > 10_000
    assert Path("run", f"{name}.svg").exists()


def test_comparison_that_cannot_be_drawn_is_reported(command, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("no fonts")

    monkeypatch.setattr("minitrain.sweep.execution.write_comparison", fail)
    status, out, err = command("-m", "seed=0,1", "hydra.sweep.dir=swept", *FAST)
    assert (status, err) == (0, "")
    assert "comparison: not drawn (RuntimeError: no fonts); draw it by  minitrain compare swept" in out


@pytest.mark.parametrize("sweep", [False, True], ids=["run", "sweep"])
def test_directory_with_other_files_is_refused(command, sweep):
    Path("foreign").mkdir()
    Path("foreign/thesis.tex").touch()
    Path("empty").mkdir()
    Path("file").touch()
    key, flags = ("hydra.sweep.dir", ["-m", "seed=0,1"]) if sweep else ("hydra.run.dir", [])
    for directory in ("/", "foreign", ".", "file"):
        status, _, err = command(*flags, f"{key}={directory}", *FAST)
        assert status == 2
        assert f"{key}={directory}: already exists, and is not an empty directory" in err
    assert list(Path("foreign").iterdir()) == [Path("foreign/thesis.tex")]
    assert command(*flags, f"{key}=empty", *FAST)[0] == 0


@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=basic"]], ids=["stacked", "basic"])
def test_runs_of_a_sweep_that_would_share_a_directory_are_rejected(command, launcher):
    status, _, err = command("-m", "lr=0.1,0.3", "seed=0,1", "hydra.sweep.subdir=${lr}", *launcher, *FAST)
    assert status == 2
    assert "runs 0 and 1 would share 0.1" in err
    assert not Path("outputs").exists()


def test_resume_reports_runs_that_had_not_begun_and_the_sweeps_command_trains_them(command):
    sweep = ["-m", "lr=0.1,0.3", "seed=0,1", "hydra.sweep.dir=swept", *FAST]
    assert command(*sweep)[0] == 0
    for number in (2, 3):
        shutil.rmtree(f"swept/{number}")
    status, out, _ = command("resume", "swept")
    assert status == 1
    assert "2 of 4 runs had not begun; begin them with  minitrain -m lr=0.1,0.3 seed=0,1" in out
    assert command(*sweep)[0] == 0
    assert command("resume", "swept")[0] == 0


def test_a_sweep_killed_before_its_first_file_can_be_started_again(command):
    Path("swept").mkdir()
    assert command("-m", "lr=0.1,0.3", "hydra.sweep.dir=swept", *FAST)[0] == 0


def test_an_unwritable_directory_fails_only_its_run(command):
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


@pytest.mark.parametrize("path_in_sweep", ["multirun.yaml", "0/checkpoints"])
def test_a_sweep_with_a_symbolic_link_is_not_resumed(command, path_in_sweep):
    sweep = ["-m", "lr=0.1,0.3", "hydra.sweep.dir=swept", *FAST]
    assert command(*sweep)[0] == 0
    path, target = Path("swept", path_in_sweep), Path("target").absolute()
    path.rename(target)
    path.symlink_to(target)
    for arguments in (sweep, ["resume", "swept"]):
        status, _, err = command(*arguments)
        assert (status, len(err.splitlines())) == (2, 1)
        assert f"{path_in_sweep}: is a symbolic link" in err


def test_column_names_of_sweep_csv_are_distinct(command):
    assert command("-m", "monitor=val_loss,train_loss", "hydra.sweep.dir=swept", *FAST)[0] == 0
    header = Path("swept/sweep.csv").read_text().splitlines()[0].split(",")
    assert sorted(set(header)) == sorted(header)


def test_resuming_a_complete_run_does_not_read_its_data(command):
    Path("points.csv").write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40)))
    run = ["data=csv", "data.path=points.csv", "network.widths=[4]", "batch_size=8", "steps=10", "hydra.run.dir=run"]
    assert command(*run)[0] == 0
    Path("points.csv").unlink()
    status, out, _ = command("resume", "run")
    assert status == 0
    assert "nothing left to do" in out
