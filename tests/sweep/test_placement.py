"""A grid in a directory that has runs already: a run is recognized by its config, and only new ones are trained."""

import csv
import os
import shutil
import signal
from pathlib import Path

import pytest
from sweep_runs import SMALL, all_contents, start_command, wait_for

from minitrain import load_runs
from minitrain.storage.sweep_directory import read_sweep_title
from minitrain.training.recorder import RunRecorder

LAUNCHERS = pytest.mark.parametrize("launcher", ["grouped", "basic"])
FIRST, BOTH = ["lr=0.1,0.3", "seed=1,2"], ["lr=0.1,0.3,1", "seed=1,2"]


@pytest.fixture
def sweep(command):
    """Runs a grid of small runs in the directory `swept`; returns its output."""

    def run(*overrides, directory="swept", status=0):
        arguments = [text for text in SMALL if text.partition("=")[0] not in {o.partition("=")[0] for o in overrides}]
        actual, out, err = command("-m", *overrides, *arguments, f"hydra.sweep.dir={directory}")
        assert actual == status, out + err
        return out + err

    return run


@pytest.fixture
def begun(monkeypatch):
    """The directory and the first step of each run that begins to train, by whichever launcher."""
    runs = {}
    begin = RunRecorder.begin

    def record(self, metrics):
        runs[self.directory.name] = self.step
        begin(self, metrics)

    monkeypatch.setattr(RunRecorder, "begin", record)
    return runs


def rows():
    with Path("swept/sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def kill(run):
    """Let a complete run look as if it had been killed after its checkpoint at step 25."""
    path = run / "summary.json"
    path.write_text(path.read_text().replace('"completed"', '"running"'))
    shutil.copy(run.parent / "step25.npz", run / "checkpoints" / "last.npz")


@LAUNCHERS
def test_only_new_runs_are_trained(sweep, begun, launcher):
    sweep(*BOTH, directory="whole")
    sweep(*FIRST, f"hydra/launcher={launcher}")
    kept = {path: path.stat().st_mtime_ns for path in Path("swept").glob("[0-9]/**/*.*")}
    begun.clear()
    out = sweep(*BOTH, f"hydra/launcher={launcher}")
    assert "4 of 6 runs are complete\n" in out
    assert begun == {"4": 0, "5": 0}
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert all_contents(Path("swept")) == all_contents(Path("whole"))
    assert [(row["run"], row["lr"], row["seed"]) for row in rows()] == [
        (str(number), lr, seed)
        for number, (lr, seed) in enumerate((lr, seed) for lr in ("0.1", "0.3", "1") for seed in "12")
    ]
    assert len(load_runs("swept")) == 6
    table = out.split("\n\n")[-2].splitlines()
    assert sorted(line.lstrip("* ").split()[0] for line in table[1:]) == ["0.1", "0.3", "1"]
    assert sweep(*BOTH, f"hydra/launcher={launcher}").count("6 of 6 runs are complete: nothing left to do") == 1


@LAUNCHERS
def test_incomplete_runs_are_resumed(sweep, begun, launcher):
    sweep(*BOTH, directory="whole")
    sweep(*FIRST, "steps=25", directory="short")
    sweep(*FIRST, f"hydra/launcher={launcher}")
    for number in "13":
        shutil.copy(f"short/{number}/checkpoints/last.npz", "swept/step25.npz")
        kill(Path("swept", number))
    begun.clear()
    out = sweep(*BOTH, f"hydra/launcher={launcher}")
    assert "2 of 6 runs are complete\n" in out
    assert begun == {"1": 25, "3": 25, "4": 0, "5": 0}
    metrics = [
        {run.name: (run / "metrics.csv").read_bytes() for run in Path(d).glob("[0-9]")} for d in ("swept", "whole")
    ]
    assert metrics[0] == metrics[1]


@LAUNCHERS
def test_runs_are_found_by_their_config(sweep, begun, launcher):
    """Values before, between and in another order or notation than those of the first grid."""
    sweep("lr=0.1,1.0", "seed=2", f"hydra/launcher={launcher}")
    begun.clear()
    sweep("lr=1,0.3,0.10,0.01", "seed=2", f"hydra/launcher={launcher}")
    assert begun == {"2": 0, "3": 0}
    assert [(row["run"], float(row["lr"])) for row in rows()] == [("0", 0.1), ("1", 1.0), ("2", 0.3), ("3", 0.01)]


def test_numbers_of_removed_runs_are_used_again(sweep, begun):
    sweep(*BOTH)
    before = all_contents(Path("swept"))
    shutil.rmtree("swept/1")
    shutil.rmtree("swept/4")
    begun.clear()
    sweep(*BOTH)
    assert begun == {"1": 0, "4": 0}
    assert all_contents(Path("swept")) == before


@LAUNCHERS
def test_another_key_makes_other_runs(sweep, begun, launcher):
    sweep("lr=0.1,0.3", f"hydra/launcher={launcher}")
    begun.clear()
    out = sweep("lr=0.1,0.3", "steps=80", "optimizer=adam", f"hydra/launcher={launcher}")
    assert begun == {"2": 0, "3": 0}
    assert "2 runs in swept, beside 2 other runs\n" in out
    assert [(row["steps"], row["optimizer"]) for row in rows()] == [("60", "sgd")] * 2 + [("80", "adam")] * 2
    title = read_sweep_title(Path("swept"))
    assert title.startswith("lr=0.1,0.3 steps=80 optimizer=adam")
    assert title.endswith(", and 2 other runs")
    assert "runs: 4" in Path("swept/multirun.yaml").read_text()


def test_other_runs_do_not_determine_the_exit_status(sweep, command):
    sweep("lr=0.1,0.3")
    path = Path("swept/0/summary.json")
    path.write_text(path.read_text().replace('"completed"', '"failed"'))
    out = sweep("lr=1")
    assert "1 run in swept, beside 2 other runs, 1 of them incomplete: " in out
    assert " resume swept\n" in out
    status, out, _ = command("resume", "swept")
    assert status == 0
    assert "2 of 3 runs are complete" in out


def test_a_run_whose_steps_were_changed_is_recognized(sweep, command, begun):
    sweep("lr=0.1,0.3")
    assert command("resume", "swept", "steps=80")[0] == 0
    begun.clear()
    assert "2 of 3 runs are complete" in sweep("lr=0.1,0.3,1", "steps=80")
    assert begun == {"2": 0}


def test_a_run_whose_config_has_keys_of_an_earlier_version_is_recognized(sweep, begun):
    sweep("lr=0.1,0.3", "max_grad_norm=1")
    path = Path("swept/0/.hydra/config.yaml")
    path.write_text(path.read_text().replace("max_grad_norm: 1", "clip: 1").replace("min_delta: null\n", ""))
    begun.clear()
    sweep("lr=0.1,0.3,1", "max_grad_norm=1")
    assert begun == {"2": 0}


def test_a_damaged_config_is_reported(sweep, begun):
    sweep("lr=0.1,0.3")
    Path("swept/0/.hydra/config.yaml").write_text("}{")
    begun.clear()
    out = sweep("lr=0.1,0.3")
    assert "swept/0/.hydra/config.yaml: the config cannot be read" in out
    assert "the run is left as it is" in out
    assert begun == {"2": 0}


def test_names_of_new_directories_must_be_free(sweep):
    sweep("lr=0.1,0.3", "hydra.sweep.subdir=lr-${lr}")
    before = {path: path.read_bytes() for path in Path("swept").rglob("*") if path.is_file()}
    out = sweep("lr=0.1", "steps=80", "hydra.sweep.subdir=lr-${lr}", status=2)
    assert "hydra.sweep.subdir: swept/lr-0.1 has a run with another config already" in out
    out = sweep("lr=0.1,1", status=0)
    assert "1 of 2 runs are complete" in out
    assert [row["run"] for row in rows()] == ["lr-0.1", "lr-0.3", "2"]
    assert {path: path.read_bytes() for path in before if path.parent != Path("swept")} == {
        path: content for path, content in before.items() if path.parent != Path("swept")
    }


def test_another_launcher_resumes_runs_where_they_are(sweep):
    sweep("lr=0.1,0.3", "hydra.sweep.subdir=lr-${lr}")
    out = sweep("lr=0.1,0.3,1", "hydra/launcher=basic", status=2)
    assert "the run in swept/lr-0.1 has this config already, and would be resumed in swept/0" in out
    assert not Path("swept/2").exists()


@LAUNCHERS
def test_changed_data_are_refused_before_anything_is_written(command, launcher):
    rows = [f"{i},{i % 7},{i % 2}" for i in range(40)]
    Path("t.csv").write_text("\n".join(["a,b,c", *rows]) + "\n")
    table = ["data=csv", "data.path=t.csv", "network.widths=[4]", "steps=20", "batch_size=8", "hydra.sweep.dir=swept"]
    assert command("-m", "lr=0.1,0.3", *table, f"hydra/launcher={launcher}")[0] == 0
    before = {path: path.read_bytes() for path in Path("swept").rglob("*") if path.is_file()}
    Path("t.csv").write_text("\n".join(["a,b,c", *rows[:-1]]) + "\n")
    status, _, err = command("-m", "lr=0.1,0.3,1", *table, f"hydra/launcher={launcher}")
    assert status == 2
    assert err.startswith("minitrain: swept/0: the data have changed since the run started: ")
    assert {path: path.read_bytes() for path in Path("swept").rglob("*") if path.is_file()} == before


def test_data_that_were_moved_are_recognized(command, begun):
    Path("t.csv").write_text("\n".join(["a,b,c", *(f"{i},{i % 7},{i % 2}" for i in range(40))]) + "\n")
    table = ["data=csv", "network.widths=[4]", "steps=20", "batch_size=8", "hydra.sweep.dir=swept"]
    assert command("-m", "lr=0.1,0.3", "data.path=t.csv", *table)[0] == 0
    Path("t.csv").rename("u.csv")
    assert command("resume", "swept", "data.path=u.csv")[0] == 0
    begun.clear()
    assert command("-m", "lr=0.1,0.3,1", "data.path=u.csv", *table)[0] == 0
    assert begun == {"2": 0}


def test_figures_that_are_not_informative_any_more_are_removed(sweep):
    sweep("lr=0.1,0.3,1")
    for suffix in ("png", "svg"):
        Path(f"swept/heatmap.{suffix}").write_text("of fewer runs")
    sweep("lr=0.1,0.3,1,2")
    assert sorted(path.stem for path in Path("swept").glob("*.png")) == ["comparison", "values"]
    assert not Path("swept/heatmap.svg").exists()


@LAUNCHERS
def test_a_killed_sweep_is_completed_by_resume(tmp_path, command, sweep, launcher):
    long = ["steps=2000", "eval_every=500", "log_every=100", "checkpoint_every=100"]
    sweep(*BOTH, *long, directory="whole")
    sweep(*FIRST, *long, f"hydra/launcher={launcher}")
    arguments = [text for text in SMALL if not text.startswith(("steps", "eval", "log", "checkpoint"))]
    overlapping = ["-m", *BOTH, *arguments, *long, f"hydra/launcher={launcher}", "hydra.sweep.dir=swept"]
    process = start_command(tmp_path, overlapping)
    wait_for(lambda: list(tmp_path.glob("swept/4/checkpoints/last.npz")), process)
    status, _, err = command(*overlapping)
    assert status == 2
    assert "swept: in use by process" in err
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert command("resume", "swept")[0] == 0
    assert all_contents(Path("swept")) == all_contents(Path("whole"))
    assert len(rows()) == 6


@LAUNCHERS
def test_a_dry_run_states_what_is_complete(command, sweep, launcher):
    sweep(*FIRST)
    before = sorted(Path().rglob("*"))
    arguments = ["--dry-run", "-m", *SMALL, "hydra.sweep.dir=swept", f"hydra/launcher={launcher}"]
    status, out, _ = command(*arguments, *BOTH)
    assert status == 0
    assert "4 of 6 runs are complete\n" in out
    assert "6 runs: 1 group of up to 2 runs" in out or "6 runs: 2 groups of 1 run" in out
    status, out, _ = command(*arguments, *FIRST)
    assert "4 of 4 runs are complete: nothing left to do" in out
    assert sorted(Path().rglob("*")) == before
