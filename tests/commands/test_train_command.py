"""The bare command trains a run: its directory, divergence, determinism, imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_runs import FAST, is_picture, only, start

from minitrain.registry import register
from minitrain.storage.summary import read_summary


def test_a_run_writes_its_directory(command):
    status, out, err = command("activation=silu", "lr=0.1", *FAST)
    assert (status, err) == (0, "")
    directory = only("outputs/*/*activation-silu_lr-0.1*")
    names = {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}
    hydra = {f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides")}
    checkpoints = {"checkpoints/last.npz", "checkpoints/best.npz"}
    records = {"metrics.csv", "summary.json", "data.json", "minitrain.log"}
    assert names == hydra | checkpoints | records | {"loss.png", "loss.svg"}
    assert is_picture(directory / "loss.png")
    assert is_picture(directory / "loss.svg")
    summary = read_summary(directory)
    assert summary.status == "completed"
    assert summary.overrides == ["activation=silu", "lr=0.1", *FAST]
    for part in ("completed 40 steps", "final  train_loss", "best   val_accuracy", f"{directory}/loss.png"):
        assert part in out
        assert part in (directory / "minitrain.log").read_text()


def test_the_default_run_reaches_96_percent_on_digits(command):
    status, _, _ = command()
    summary = read_summary(only("outputs/*/*"))
    assert status == 0
    assert summary.steps == 1000
    assert summary.final["val_accuracy"] >= 0.96


DIVERGING = {
    "a rate of a million": (["lr=1e6"], 1, "matmul", ".weight"),
    "a logarithm of 0 in the loss": (["loss=log_of_0"], 0, "log", "2."),
    "an activation that explodes": (["activation=explode", "lr=0.1"], 0, "exp", "0."),
}


@pytest.mark.parametrize("how", [["engine=numpy"], ["engine=eager"], ["-m", "seed=0,1"]], ids=" ".join)
@pytest.mark.parametrize("name", DIVERGING)
def test_nan_or_inf_stops_the_run_and_its_origin_is_reported(command, own_components, name, how):
    register("loss", "log_of_0")(lambda output, y: (output * 0.0).log().mean())
    register("activation", "explode")(lambda x: (x.abs() * 100.0 + 1.0).exp().exp())
    arguments, at_least, operation, parameter = DIVERGING[name]
    status, out, _ = command(*how, *arguments, *FAST)
    assert status == 0
    for run in Path("outputs").glob("sweeps/*/*/[01]" if "-m" in how else "*/*"):
        summary = read_summary(run)
        assert summary.status == "diverged"
        assert at_least <= summary.step < 40
        assert summary.first_operation == operation
        assert parameter in summary.first_parameter
        assert "-m" in how or is_picture(run / "loss.png")  # a sweep draws its runs together
        reported = f"diverged at step {summary.step} of 40"
        assert reported in out
        if "-m" not in how:
            assert f"{operation} produced the first such value, from {summary.first_parameter}" in out
    assert summary


def test_a_directory_is_not_used_twice(command):
    command("hydra.run.dir=here", *FAST)
    before = Path("here/metrics.csv").read_bytes()
    status, _, err = command("hydra.run.dir=here", *FAST)
    assert status == 2
    assert "already exists" in err
    assert Path("here/metrics.csv").read_bytes() == before


def test_a_run_without_a_terminal_logs_its_progress(command):
    _, out, _ = command(*FAST)
    assert "step 0 of 40: train_loss" in out


def test_config_dir_adds_presets(command):
    Path("mine/network").mkdir(parents=True)
    Path("mine/network/tiny.yaml").write_text("name: mlp\nwidths: [3]\n")
    status, out, _ = command("--config-dir", "mine", "network=tiny", "data=moons", "steps=5")
    assert status == 0
    assert "mlp 2-3-2" in out


def test_a_run_loads_no_pyplot_and_no_tqdm_without_a_terminal(tmp_path):
    reported = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "minitrain", *FAST],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    ).stderr  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in reported.splitlines()}
    assert "matplotlib.figure" in loaded
    assert not loaded & {"matplotlib.pyplot", "scipy", "sklearn", "tqdm", "pandas"}
    assert not [name for name in loaded if name.startswith(("minitrain.sweep", "minitrain.compare"))]


def test_the_same_command_in_two_processes_writes_the_same_bytes(tmp_path):
    processes = [start(tmp_path, *FAST) for _ in range(2)]
    assert [p.wait(60) for p in processes] == [0, 0]
    for p in processes:
        p.stdout.close()
    first, second = (tmp_path / "outputs").glob("2*/*")
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()


@pytest.mark.slow
def test_four_simultaneous_runs_have_four_directories(tmp_path):
    processes = [start(tmp_path, "data=moons", "steps=5") for _ in range(4)]
    assert [p.wait(60) for p in processes] == [0] * 4
    for p in processes:
        p.stdout.close()
    directories = list((tmp_path / "outputs").glob("*/*"))
    assert len(directories) == 4
    assert all(read_summary(d).status == "completed" for d in directories)


def test_a_closed_standard_output_does_not_stop_the_run(tmp_path):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "minitrain", "hydra.run.dir=run", *FAST]
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        command, cwd=tmp_path, env=environment, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (0, "")
    assert read_summary(tmp_path / "run").status == "completed"
