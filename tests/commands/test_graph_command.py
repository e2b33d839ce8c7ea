"""`minitrain graph`, and the number of threads of a product."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_runs import is_picture, only
from threadpoolctl import threadpool_info

from minitrain.compiler.listing import _short
from minitrain.config.composition import Composer, task_config
from minitrain.config.loading import to_run_config
from minitrain.storage.summary import read_summary
from minitrain.training import experiment
from minitrain.training.compiled_engine import CompiledEngine

SEQUENTIAL = ("network=sequential", "network.layers=[{linear: 64}, relu, {dropout: 0.2}, linear]")
FAST = ("data=moons", "data.samples=100", "network.widths=[8]", "batch_size=16", "steps=3")
RUNS = {
    "default": (),
    "cnn": ("network=cnn",),
    "lab2": ("network=lab2", "data=point", "loss=output", "batch_size=null"),
    "sequential": SEQUENTIAL,
    "dropout": ("network.dropout=0.1",),
    "frozen": ('network.frozen=["0.*"]',),
    "full batch": ("data=moons", "batch_size=null"),
}


def build(*overrides):
    return experiment.build_experiment(to_run_config(task_config(Composer().compose(overrides))))


@pytest.mark.parametrize("overrides", RUNS.values(), ids=RUNS)
def test_the_listing_of_a_step_adds_up_and_is_written(command, overrides):
    status, out, err = command("graph", *overrides)
    assert (status, err) == (0, "")
    (directory,) = Path("outputs/graphs").glob("*/*")
    assert {path.name for path in directory.iterdir()} == {"tape.txt", "graph.png", "graph.svg"}
    text = (directory / "tape.txt").read_text()
    assert out == f"{text}\nlisting  {directory}/tape.txt\ngraph    {directory}/graph.png\n"
    lines = text.splitlines()
    assert {"inputs and constants", "loss", "update"} <= set(lines)
    rows = [re.match(r" *([\d,]+)  ( *[\d,]+  +[\d,]+)?", line) for line in lines]
    numbers = [[int(n.replace(",", "")) for n in row[0].split()] for row in rows if row]
    calls, nbytes, flops = (sum(row[k] for row in numbers if len(row) > k) for k in range(3))
    total = re.search(r"(\d+) instructions, (\d+) calls, ([\d.]+) (k|M|)B moved, ([\d.]+) (k|M|)flop", lines[-1])
    size = {"": 1, "k": 1e3, "M": 1e6}
    assert calls == int(total[2]) == build(*overrides).engine.training.calls
    assert nbytes == pytest.approx(float(total[3]) * size[total[4]], rel=0.005)  # three digits are shown
    assert flops == pytest.approx(float(total[5]) * size[total[6]], rel=0.005)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (6.944e6, "6.94 MB"),
        (9.996e5, "1,000 kB"),
        (1.234e12, "1,234 GB"),
        (5e15, "5,000,000 GB"),
    ],
)
def test_large_numbers_are_written_in_plain_digits(number, text):
    assert _short(number, "B") == text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["-m", "lr=0.1,0.2"], "graph -m: shows the step of one run"),
        (["engine=eager"], "engine=eager: has no compiled step to show; set engine=numpy"),
        (["lr=0.1,0.2"], "several values"),
        (["activation=foo"], "activation=foo: expected one of"),
        (["hydra.run.dir=here"], "hydra.run.dir=here: graph starts no run"),
    ],
)
def test_an_error_is_one_line_and_nothing_is_written(command, overrides, message):
    status, out, err = command("graph", *overrides)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert list(Path().iterdir()) == []


def test_a_closed_pipe_of_a_larger_graph_is_no_error(tmp_path):
    program = [sys.executable, "-m", "minitrain", "graph", "network=cnn"]
    with subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_auto_uses_all_cores_if_the_products_are_large(monkeypatch):
    monkeypatch.setattr(experiment, "available_cores", lambda: 6)
    assert build("blas_threads=auto").blas_threads == 1
    assert build("blas_threads=auto", "network.widths=[256,256]", "batch_size=256").blas_threads == 6
    assert build("blas_threads=3").blas_threads == 3


@pytest.mark.parametrize("sweep", [(), ("-m", "seed=0,1")], ids=["run", "group"])
def test_blas_threads_applies_to_each_step_and_is_recorded(command, monkeypatch, sweep):
    thread_counts, update = set(), CompiledEngine.update

    def observed_update(self, *arguments):
        thread_counts.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return update(self, *arguments)

    monkeypatch.setattr(CompiledEngine, "update", observed_update)
    assert command(*sweep, *FAST, "blas_threads=2")[0] == 0
    summaries = list(Path("outputs").rglob("summary.json"))
    assert {read_summary(path.parent).blas_threads for path in summaries} == {2}
    assert thread_counts == {2}


SHORT = ("data=moons", "data.samples=100", "network.widths=[8]", "batch_size=16", "steps=40")


def test_graph_prints_the_compiled_step_and_trains_nothing(command):
    status, out, err = command("graph", "optimizer=momentum", *SHORT)
    assert (status, err) == (0, "")
    directory = only("outputs/graphs/*/*optimizer-momentum*")
    assert {p.name for p in directory.iterdir()} == {"tape.txt", "graph.png", "graph.svg"}
    assert is_picture(directory / "graph.png")
    assert is_picture(directory / "graph.svg")
    assert [p.name for p in Path("outputs").iterdir()] == ["graphs"]
    listing = (directory / "tape.txt").read_text()
    assert out.startswith(listing)
    assert f"listing  {directory}/tape.txt\ngraph    {directory}/graph.png\n" in out
    titles = [listing.index(f"\n\n{title}\n") for title in ("inputs and constants", "loss", "update")]
    assert titles == sorted(titles)


def test_the_listing_has_every_line_of_the_tape_and_adds_up(command):
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


def test_a_closed_pipe_is_no_error(tmp_path):
    line = [sys.executable, "-m", "minitrain", "graph", *SHORT]
    show = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    show.stdout.close()
    assert (show.wait(60), show.stderr.read()) == (0, b"")
    show.stderr.close()
