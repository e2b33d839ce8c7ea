"""The command line as a person uses it: runs, sweeps, stops, pictures, start-up."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from minitrain.compare.comparison import compare
from minitrain.compare.results import load_runs
from minitrain.registry import REGISTRIES, register
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import read_summary

FAST = ("data=moons", "data.samples=100", "network.widths=[8]", "batch_size=16", "steps=40", "eval_every=10")


def only(pattern):
    (found,) = Path().glob(pattern)
    return found


def is_picture(path):
    if path.suffix == ".svg":
        return ElementTree.parse(path).getroot().tag.endswith("svg")
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000


def in_background(folder, *arguments):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "minitrain", *arguments], cwd=folder, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def wait_for(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_run_leaves_its_directory(command):
    status, out, err = command("activation=silu", "lr=0.1", *FAST)
    assert (status, err) == (0, "")
    directory = only("outputs/*/*activation=silu,lr=0.1*")
    names = {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}
    hydra = {f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides")}
    checkpoints = {"checkpoints/last.npz", "checkpoints/best.npz"}
    assert names == hydra | checkpoints | {"metrics.csv", "summary.json", "loss.png", "loss.svg", "minitrain.log"}
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


def test_a_sweep_trains_every_combination_and_draws_one_comparison(command):
    status, out, _ = command("-m", "lr=0.03,0.1", "activation=relu,silu", "seed=range(3)", *FAST)
    assert status == 0
    sweep = only("outputs/sweeps/*/*")
    runs = sorted(int(p.name) for p in sweep.iterdir() if p.is_dir())
    assert runs == list(range(12))
    told = [read_summary(sweep / str(i)).overrides[:3] for i in runs]
    assert told[0] == ["lr=0.03", "activation=relu", "seed=0"]
    assert len({tuple(overrides) for overrides in told}) == 12
    assert is_picture(sweep / "comparison.png")
    table = out.split("\n\n")[-2].splitlines()
    assert len(table) == 5  # a heading, four groups of three seeds
    assert all(" 3  " in row and "±" in row for row in table[1:])


def test_a_run_of_a_sweep_is_the_run_alone(command):
    command("lr=0.1", "seed=1", *FAST)
    command("-m", "lr=0.03,0.1", "seed=0,1", *FAST)
    alone, swept = only("outputs/2*/*"), only("outputs/sweeps/*/*") / "3"
    for name in ("metrics.csv", ".hydra/config.yaml"):
        assert (alone / name).read_bytes() == (swept / name).read_bytes()
    arrays = [load_checkpoint(d / "checkpoints" / "last.npz")[0] for d in (alone, swept)]
    assert all((arrays[0][key] == arrays[1][key]).all() for key in arrays[0])


def test_folders_of_a_sweep_may_have_names(command):
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
    status, _, err = command("-m", "lr=0.03,0.1", "hydra.sweep.dir=swept", *FAST)
    assert status == 2
    assert "is taken already" in err


def test_a_run_of_a_sweep_resumes(command):
    command("-m", "lr=0.03,0.1", "hydra.sweep.dir=swept", *FAST)
    status, out, _ = command("resume", "swept")
    assert status == 0
    assert "nothing left to do" in out
    status, out, _ = command("resume", "swept/1", "steps=50")
    assert status == 0
    assert "completed 50 steps" in out


def test_a_diverged_run_is_recorded_and_the_sweep_goes_on(command):
    status, out, _ = command("-m", "lr=1e30,0.1", *FAST)
    assert status == 0
    sweep = only("outputs/sweeps/*/*")
    assert [read_summary(sweep / i).status for i in "01"] == ["diverged", "completed"]
    assert "#0 lr=1e+30 data=moons" in out
    assert "diverged at step" in out
    assert is_picture(sweep / "comparison.png")


DIVERGING = {
    "a rate of a million": (["lr=1e6"], 1, "matmul", ".weight"),
    "a logarithm of 0 in the loss": (["loss=log_of_0"], 0, "log", "2."),
    "an activation that explodes": (["activation=explode", "lr=0.1"], 0, "exp", "0."),
}


@pytest.mark.parametrize("how", [["engine=numpy"], ["engine=eager"], ["-m", "seed=0,1"]], ids=" ".join)
@pytest.mark.parametrize("name", DIVERGING)
def test_what_is_not_finite_stops_the_run_and_is_named(command, own_components, name, how):
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
        told = f"diverged at step {summary.step} of 40"
        assert told in out
        if "-m" not in how:
            assert f"{operation} produced the first such value, from {summary.first_parameter}" in out
    assert summary


def test_a_run_that_fails_is_told_and_the_others_go_on(command, monkeypatch):
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


def test_resume_of_a_completed_run_says_so_and_more_steps_go_on(command):
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


def test_a_run_that_stopped_early_says_so_and_has_nothing_left_to_do(command):
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


def test_a_resume_that_cannot_go_on_is_told_and_harms_nothing(command):
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


def test_seeds_alone_are_one_line_with_a_band(command):
    _, out, _ = command("-m", "seed=range(3)", *FAST)
    assert out.split("\n\n")[-2].splitlines()[1].split()[:2] == ["*", "3"]


def test_a_given_directory_is_used_once(command):
    command("hydra.run.dir=here", *FAST)
    before = Path("here/metrics.csv").read_bytes()
    status, _, err = command("hydra.run.dir=here", *FAST)
    assert status == 2
    assert "is taken already" in err
    assert Path("here/metrics.csv").read_bytes() == before


def test_a_run_without_terminal_logs_now_and_then(command):
    _, out, _ = command(*FAST)
    assert "step 0 of 40: train_loss" in out


def test_a_persons_own_configs_are_found(command):
    Path("mine/network").mkdir(parents=True)
    Path("mine/network/tiny.yaml").write_text("name: mlp\nwidths: [3]\n")
    status, out, _ = command("--config-dir", "mine", "network=tiny", "data=moons", "steps=5")
    assert status == 0
    assert "mlp 2-3-2" in out


def test_help_shows_groups_choices_keys_and_examples(command):
    status, out, _ = command("--help")
    assert status == 0
    for part in (
        "digits, iris, modular_addition, moons",
        "cnn, lab2, linear, mlp, sequential",
        *REGISTRIES["optimizer"],
        *REGISTRIES["schedule"],
        "activations, depth_init",
        "hidden layer; one of elu, gelu",
    ):
        assert part in out
    assert out.count("  minitrain ") >= 8


def test_help_loads_neither_hydra_nor_matplotlib():
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "minitrain", "--help"], capture_output=True, text=True, check=True
    ).stderr
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines()}
    assert "numpy" in loaded
    assert not loaded & {"hydra", "omegaconf", "matplotlib", "scipy", "sklearn", "tqdm"}


def test_a_run_loads_no_pyplot_and_no_tqdm_without_a_terminal(tmp_path):
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "minitrain", *FAST],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    ).stderr  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert "matplotlib.figure" in loaded
    assert not loaded & {"matplotlib.pyplot", "scipy", "sklearn", "tqdm", "pandas"}
    assert not [name for name in loaded if name.startswith(("minitrain.sweep", "minitrain.compare"))]


def test_the_same_command_in_two_processes_gives_the_same_bytes(tmp_path):
    processes = [in_background(tmp_path, *FAST) for _ in range(2)]
    assert [p.wait(60) for p in processes] == [0, 0]
    for p in processes:
        p.stdout.close()
    first, second = (tmp_path / "outputs").glob("2*/*")
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()


LONG = ("steps=100000", "log_every=1", "checkpoint_every=50", "data=moons", "network.widths=[8]", "batch_size=16")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_is_readable_and_resumes_to_the_uninterrupted_bytes(tmp_path, number):
    process = in_background(tmp_path, *LONG)
    checkpoints = "outputs/*/*/checkpoints/last.npz"
    wait_for(lambda: list(tmp_path.glob(checkpoints)), process)
    process.send_signal(number)
    out = process.communicate(timeout=60)[0]
    (directory,) = (tmp_path / "outputs").glob("*/*")
    reached = load_checkpoint(directory / "checkpoints" / "last.npz")[1].step
    read_metrics(directory)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert f"python -m minitrain resume outputs/{directory.parent.name}/{directory.name}" in out
        assert is_picture(directory / "loss.png")
        assert read_summary(directory).status == "interrupted"
    else:
        assert read_summary(directory).status == "running"
    config = directory / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("steps: 100000", f"steps: {reached + 30}"))
    resumed = in_background(tmp_path, "resume", str(directory))
    assert resumed.wait(60) == 0, resumed.stdout.read()
    whole = in_background(tmp_path, *LONG[1:], f"steps={reached + 30}", "hydra.run.dir=whole")
    assert whole.wait(60) == 0, whole.stdout.read()
    resumed.stdout.close()
    whole.stdout.close()
    assert (directory / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()


def test_ctrl_c_ends_a_sweep_with_what_is_there(tmp_path):
    process = in_background(tmp_path, "-m", "seed=range(50)", "data=moons", "steps=200")
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
def test_four_starts_at_the_same_moment_are_four_directories(tmp_path):
    processes = [in_background(tmp_path, "data=moons", "steps=5") for _ in range(4)]
    assert [p.wait(60) for p in processes] == [0] * 4
    for p in processes:
        p.stdout.close()
    directories = list((tmp_path / "outputs").glob("*/*"))
    assert len(directories) == 4
    assert all(read_summary(d).status == "completed" for d in directories)


def test_shell_completion_knows_keys_and_names(tmp_path):
    environment = {**os.environ, "COMP_LINE": "minitrain optimizer=", "COMP_POINT": "20", "COMP_CWORD": "1"}
    told = subprocess.run(
        [sys.executable, "-m", "minitrain", "--shell-completion", "query=bash"],
        capture_output=True, text=True, env=environment, cwd=tmp_path, check=True,
    ).stdout  # fmt: skip
    assert {"optimizer=adam", "optimizer=sgd"} <= set(told.split())


@pytest.mark.slow
def test_the_activations_study_finds_that_sigmoid_at_a_small_rate_learns_last(command):
    status, out, _ = command("-m", "experiments=activations")
    assert status == 0
    assert "and 6 more" in out  # 16 groups, the best 10 are shown
    groups = compare(load_runs(only("outputs/sweeps/*/*"))).groups
    assert groups[0].mean >= 0.96
    assert groups[-1].values == {"activation": "sigmoid", "lr": 0.01}
    assert is_picture(only("outputs/sweeps/*/*/comparison.png"))


def test_graph_shows_the_compiled_step_and_trains_nothing(command):
    status, out, err = command("graph", "optimizer=momentum", *FAST)
    assert (status, err) == (0, "")
    directory = only("outputs/graphs/*/*optimizer=momentum*")
    assert {p.name for p in directory.iterdir()} == {"tape.txt", "graph.png", "graph.svg"}
    assert is_picture(directory / "graph.png")
    assert is_picture(directory / "graph.svg")
    assert [p.name for p in Path("outputs").iterdir()] == ["graphs"]
    listing = (directory / "tape.txt").read_text()
    assert out.startswith(listing)
    assert f"listing  {directory}/tape.txt\ngraph    {directory}/graph.png\n" in out
    titles = [listing.index(f"\n\n{title}\n") for title in ("inputs and constants", "loss", "update")]
    assert titles == sorted(titles)


def test_a_listing_has_every_line_of_the_tape_and_adds_up(command):
    from minitrain.config.schema import parse_run_config
    from minitrain.training.experiment import build_experiment

    names = {"data": "digits", "network": "mlp", "optimizer": "adam", "schedule": "constant"}
    step = build_experiment(
        parse_run_config({"lr": 0.1, **{group: {"name": name} for group, name in names.items()}})
    ).engine.training
    _, out, _ = command("graph", "optimizer=adam", "lr=0.1")
    rows = [line.split() for line in out.splitlines() if "%" in line]
    shown = [" ".join(row[next(i for i, word in enumerate(row) if word[0] in "%o") :]) for row in rows]
    assert sorted(shown) == sorted(str(step.tape).splitlines())
    assert sum(int(row[0]) for row in rows if row[0].isdigit()) == step.calls
    assert f" instructions, {step.calls} calls, " in out


def test_what_is_piped_may_be_read_in_part(tmp_path):
    line = [sys.executable, "-m", "minitrain", "graph", *FAST]
    show = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    show.stdout.close()
    assert (show.wait(60), show.stderr.read()) == (0, b"")
    show.stderr.close()


def test_who_stops_reading_does_not_stop_the_run(tmp_path):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "minitrain", "hydra.run.dir=run", *FAST]
    reading, writing = os.pipe()
    os.close(reading)
    found = subprocess.run(
        command, cwd=tmp_path, env=environment, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (found.returncode, found.stderr) == (0, "")
    assert read_summary(tmp_path / "run").status == "completed"
