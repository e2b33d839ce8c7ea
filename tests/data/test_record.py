"""data.json: a run is bound to its data, and complete without them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minitrain.data import CSV, NPY, Iris, Moons, Preprocessing, Scale
from minitrain.data.record import read_data_record
from minitrain.storage.summary import read_summary

TABLE = ["data=csv", "data.path=t.csv", "steps=30", "eval_every=10", "batch_size=16", "network.widths=[4]"]
ROWS = [[f"{value:.4f}" for value in row] for row in np.random.default_rng(0).normal(size=(60, 2))]
LABELS = ["yes" if float(a) > 0 else "no" for a, _ in ROWS]


def write_table(rows=ROWS, labels=LABELS, header=("a", "b", "c")):
    lines = [",".join([*row, label]) for row, label in zip(rows, labels, strict=True)]
    Path("t.csv").write_text("\n".join([",".join(header), *lines]) + "\n")


def scaled(factor):
    return [[str(factor * float(cell)) for cell in row] for row in ROWS]


CHANGES = {
    "one cell": lambda: write_table([["9.9", ROWS[0][1]], *ROWS[1:]]),
    "a row more": lambda: write_table([*ROWS, ["1", "2"]], [*LABELS, "yes"]),
    "a row fewer": lambda: write_table(ROWS[:-1], LABELS[:-1]),
    "labels exchanged": lambda: write_table(labels=LABELS[::-1]),
    "columns exchanged": lambda: write_table([[b, a] for a, b in ROWS], header=("b", "a", "c")),
    "other units": lambda: write_table(scaled(1000)),
    "other units, a power of two": lambda: write_table(scaled(1024)),
    "other names of classes": lambda: write_table(labels=["good" if label == "yes" else "bad" for label in LABELS]),
}  # fmt: skip


@pytest.mark.parametrize("validation", [0.2, 0.0])
@pytest.mark.parametrize("change", CHANGES)
def test_resume_refuses_changed_data(command, change, validation):
    write_table()
    assert command(*TABLE, f"data.validation={validation}", "hydra.run.dir=run")[0] == 0
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    CHANGES[change]()
    status, _, err = command("resume", "run", "steps=40")
    assert status == 2
    assert err.startswith("minitrain: run: the data have changed since the run started: ")
    assert len(err.splitlines()) == 1
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before
    write_table()
    assert command("resume", "run", "steps=40")[0] == 0
    assert read_summary(Path("run")).step == 40


@pytest.mark.parametrize("how", ["resume", "repeat"])
def test_a_continued_sweep_refuses_changed_data(command, how):
    sweep = ["-m", *TABLE, "seed=0,1", "hydra.sweep.dir=swept"]
    write_table()
    assert command(*sweep)[0] == 0
    shutil.rmtree("swept/1/checkpoints")
    Path("swept/1/summary.json").unlink()
    write_table(scaled(2))
    status, _, err = command("resume", "swept") if how == "resume" else command(*sweep)
    assert status == 2
    assert "swept/0: the data have changed since the run started" in err
    write_table()
    assert (command("resume", "swept") if how == "resume" else command(*sweep))[0] == 0


def test_a_run_is_resumed_from_another_folder(command, monkeypatch, tmp_path):
    write_table()
    assert command(*TABLE, "hydra.run.dir=run")[0] == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    status, out, err = command("resume", "../run", "steps=40")
    assert status == 0, out + err
    assert read_summary(Path("../run")).step == 40


def test_initial_weights_are_required_only_until_the_first_checkpoint(command):
    write_table()
    assert command(*TABLE, "hydra.run.dir=first")[0] == 0
    Path("first/checkpoints/last.npz").rename("weights.npz")
    assert command(*TABLE, "hydra.run.dir=run", "network.init_file=weights.npz")[0] == 0
    Path("weights.npz").unlink()
    np.save("x.npy", np.zeros((2, 2)))
    assert command("predict", "run", "x.npy")[0] == 0
    status, out, err = command("resume", "run", "steps=40")
    assert status == 0, out + err


def test_record_restores_the_preprocessing_exactly(tmp_path, command):
    write_table()
    assert command(*TABLE, "data.task=classification", "hydra.run.dir=run")[0] == 0
    trained, stored = CSV(path="t.csv", task="classification").load().preprocessing, read_data_record(Path("run"))
    assert stored.preprocessing.x_scale.mean.tobytes() == trained.x_scale.mean.tobytes()
    assert stored.preprocessing.x_scale.deviation.tobytes() == trained.x_scale.deviation.tobytes()
    assert replace(stored.preprocessing, x_scale=Scale()) == replace(trained, x_scale=Scale())
    assert stored.preprocessing.labels == ("no", "yes")
    assert stored.folder == tmp_path


def test_generated_data_are_not_compared(command):
    """Another processor may round the values of a formula differently."""
    assert command("data=moons", "steps=20", "hydra.run.dir=run")[0] == 0
    record = json.loads(Path("run/data.json").read_text())
    record["fingerprint"]["sha256"] = "0" * 64
    Path("run/data.json").write_text(json.dumps(record))
    assert command("resume", "run", "steps=30")[0] == 0
    assert Moons().load().is_generated
    assert not Iris().load().is_generated


def test_fingerprint_is_independent_of_where_the_rows_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
    np.save("x.npy", x)
    np.save("y.npy", y)
    data = NPY(x="x.npy", y="y.npy").load()
    in_memory = replace(data, x_train=data.x_train[:], x_val=data.x_val[:])
    assert in_memory.fingerprint == data.fingerprint
    other = replace(data, preprocessing=replace(data.preprocessing, class_names=("a", "b")))
    assert other.fingerprint != data.fingerprint
    assert Preprocessing(3, classes=2).labels == ("0", "1")
