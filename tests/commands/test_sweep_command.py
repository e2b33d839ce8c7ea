"""`minitrain -m`: combinations, directories, failures, Ctrl-C, studies."""

import json
import signal
from pathlib import Path

import pytest
from command_runs import FAST, is_picture, only, start, wait_for

from minitrain.compare.comparison import compare
from minitrain.compare.results import load_runs
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import read_summary


def test_a_sweep_trains_every_combination_and_draws_one_comparison(command):
    status, out, _ = command("-m", "lr=0.03,0.1", "activation=relu,silu", "seed=range(3)", *FAST)
    assert status == 0
    sweep = only("outputs/sweeps/*/*")
    runs = sorted(int(p.name) for p in sweep.iterdir() if p.is_dir())
    assert runs == list(range(12))
    reported = [read_summary(sweep / str(i)).overrides[:3] for i in runs]
    assert reported[0] == ["lr=0.03", "activation=relu", "seed=0"]
    assert len({tuple(overrides) for overrides in reported}) == 12
    assert is_picture(sweep / "comparison.png")
    table = out.split("\n\n")[-2].splitlines()
    assert len(table) == 5  # a heading, four groups of three seeds
    assert all(" 3  " in row and "±" in row for row in table[1:])


def test_a_run_of_a_sweep_equals_the_run_alone(command):
    command("lr=0.1", "seed=1", *FAST)
    command("-m", "lr=0.03,0.1", "seed=0,1", *FAST)
    alone, swept = only("outputs/2*/*"), only("outputs/sweeps/*/*") / "3"
    for name in ("metrics.csv", ".hydra/config.yaml"):
        assert (alone / name).read_bytes() == (swept / name).read_bytes()
    arrays = [load_checkpoint(d / "checkpoints" / "last.npz")[0] for d in (alone, swept)]
    assert all((arrays[0][key] == arrays[1][key]).all() for key in arrays[0])


def test_directories_of_runs_can_be_named_by_values(command):
    status, out, _ = command("-m", "lr=0.03,0.1", "hydra.sweep.subdir=lr-${lr}", "hydra.sweep.dir=swept", *FAST)
    assert status == 0
    assert {p.name for p in Path("swept").iterdir()} == {
        "lr-0.03",
        "lr-0.1",
        "multirun.yaml",
        "sweep.csv",
        "comparison.png",
        "comparison.svg",
        "report.html",
    }
    assert "0.03" in out.split("\n\n")[-2]
    status, out, _ = command("-m", "lr=0.03,0.1", "hydra.sweep.subdir=lr-${lr}", "hydra.sweep.dir=swept", *FAST)
    assert status == 0
    assert "nothing left to do" in out


def test_a_diverged_run_is_recorded_and_the_sweep_continues(command):
    status, out, _ = command("-m", "lr=1e30,0.1", *FAST)
    assert status == 0
    sweep = only("outputs/sweeps/*/*")
    assert [read_summary(sweep / i).status for i in "01"] == ["diverged", "completed"]
    assert "#0 lr=1e+30 data=moons" in out
    assert "diverged at step" in out
    assert is_picture(sweep / "comparison.png")


def test_a_failed_run_is_reported_and_the_others_continue(command, monkeypatch):
    from minitrain.training.compiled_engine import CompiledEngine

    update = CompiledEngine.update

    def fail(self, k):
        if any(step.config.seed == 0 for step in self.steps):
            raise RuntimeError("a bug")
        update(self, k)

    monkeypatch.setattr(CompiledEngine, "update", fail)
    status, out, _ = command("-m", "seed=0,1", *FAST)
    sweep = only("outputs/sweeps/*/*")
    assert status == 1
    assert "failed: RuntimeError: a bug" in out
    assert [read_summary(sweep / i).status for i in "01"] == ["failed", "completed"]
    assert "RuntimeError: a bug" in (sweep / "0" / "minitrain.log").read_text()


@pytest.mark.parametrize("name", ["lab2", "activations"])
def test_studies_compose(command, name):
    status, out, _ = command("--cfg", "job", f"experiments={name}")
    assert status == 0
    assert "activation: relu" in out


def test_the_lab2_study(command):
    status, _, _ = command("-m", "experiments=lab2")
    sweep = only("outputs/sweeps/*/*")
    losses = [read_metrics(sweep / i)["train_loss"] for i in "012"]
    assert status == 0
    assert [read_summary(sweep / i).overrides[0] for i in "012"] == [
        "activation=relu",
        "activation=silu",
        "activation=sigmoid",
    ]
    assert losses[0][0] == 9
    assert losses[0][2:].max() == 0
    for loss in losses[1:]:
        assert (loss[1:] < loss[:-1]).all()


def test_seeds_alone_are_one_group(command):
    _, out, _ = command("-m", "seed=range(3)", *FAST)
    assert out.split("\n\n")[-2].splitlines()[1].split()[:2] == ["*", "3"]


def test_ctrl_c_ends_a_sweep_with_a_comparison(tmp_path):
    process = start(tmp_path, "-m", "seed=range(50)", "data=moons", "steps=200")
    wait_for(lambda: list(tmp_path.glob("outputs/sweeps/*/*/1/summary.json")), process)
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "of 50 runs" in out
    (sweep,) = tmp_path.glob("outputs/sweeps/*/*")
    assert is_picture(sweep / "comparison.png")
    for directory in (d for d in sweep.iterdir() if d.is_dir()):
        assert json.loads((directory / "summary.json").read_text())["status"] in ("completed", "interrupted")


@pytest.mark.slow
def test_the_activations_study_ranks_sigmoid_at_a_small_rate_last(command):
    status, out, _ = command("-m", "experiments=activations")
    assert status == 0
    assert "and 6 more" in out  # 16 groups, the best 10 are shown
    groups = compare(load_runs(only("outputs/sweeps/*/*"))).groups
    assert groups[0].mean >= 0.96
    assert groups[-1].values == {"activation": "sigmoid", "lr": 0.01}
    assert is_picture(only("outputs/sweeps/*/*/comparison.png"))
