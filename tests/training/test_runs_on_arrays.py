"""Runs on arrays and data frames from Python: equal to those on files, resumed, used for prediction."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from small_runs import SMALL, recorded_state, signal_at_step, train_run

from minitrain.data import CSV, ArrayData, Iris
from minitrain.errors import ConfigError, Interrupted, RecordError
from minitrain.inference.model import load_model, restore_model
from minitrain.sweep.grouping import structure
from minitrain.training.experiment import build_experiment

COLUMNS = {
    "age": [30, None, 50, 41.5] * 5,
    "town": ["Ulm", "Bonn", None, "Ulm"] * 5,
    "visits": [1, 2, 3, 4] * 5,
    "y": ["a", "b", "a", "b"] * 5,
}
INPUTS = {name: column for name, column in COLUMNS.items() if name != "y"}
TEXT = "age,town,visits,y\n" + 5 * "30,Ulm,1,a\n,Bonn,2,b\n50,,3,a\n41.5,Ulm,4,b\n"
X, CLASSES = np.random.default_rng(0).normal(size=(20, 2, 3)), np.array(COLUMNS["y"])
CONFIG = replace(SMALL, data=ArrayData(COLUMNS), batch_size=8)
FROM_PYTHON = (
    "minitrain: data=arrays: the examples of such a run are given from Python and are not stored; train or resume it "
    "there with minitrain.data.ArrayData(x, y), whose help shows how, or use data=csv, data=npz or data=npy"
)


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_equal_examples_are_equal_data():
    for first, same, other in (
        ((X, CLASSES), (X.copy(), CLASSES.tolist()), (X + 1, CLASSES)),
        ((X, CLASSES), (X.copy(), CLASSES), (X, CLASSES[::-1])),
        ((COLUMNS,), (dict(COLUMNS),), ({**COLUMNS, "visits": [4, 3, 2, 1] * 5},)),
    ):
        data = ArrayData(*first)
        assert (data == ArrayData(*same), data == ArrayData(*other)) == (True, False)
        assert hash(data) == hash(ArrayData(*same))
        assert pickle.loads(pickle.dumps(data)) == data  # as runs are sent to worker processes
        assert data != ArrayData(*first, validation=0.5)
        config = replace(SMALL, data=data)
        assert structure(config) == structure(replace(config, data=ArrayData(*same)))
        assert structure(config) != structure(replace(config, data=ArrayData(*other)))
    assert repr(ArrayData(X, CLASSES)) == f"ArrayData(sha256={ArrayData(X, CLASSES).sha256!r})"
    assert repr(ArrayData(X, CLASSES, seed=3, drop=["a"])).startswith("ArrayData(drop=['a'], seed=3, sha256=")


def store_config(directory):
    """Store the config as a run with the same keys does."""
    (directory / ".hydra").mkdir()
    text = (
        "data: {name: arrays}\nnetwork: {name: mlp, widths: [8]}\noptimizer: {name: sgd}\nschedule: {name: constant}\n"
        "lr: 0.1\nsteps: 60\nbatch_size: 8\neval_every: 20\nlog_every: 5\ncheckpoint_every: 25\n"
    )
    (directory / ".hydra" / "config.yaml").write_text(text)
    (directory / ".hydra" / "overrides.yaml").write_text("[]\n")


def test_run_equals_that_of_a_file():
    Path("table.csv").write_text(TEXT)
    train_run(CONFIG, Path("arrays"))
    train_run(replace(CONFIG, data=CSV(path="table.csv", categories="auto")), Path("csv"))
    assert recorded_state(Path("arrays")) == recorded_state(Path("csv"))
    records = [(Path(run) / "data.json").read_text() for run in ("arrays", "csv")]
    assert records[0] == records[1]


def test_run_is_resumed_with_the_same_examples_only(monkeypatch):
    train_run(CONFIG, Path("whole"))
    with monkeypatch.context() as patch:
        signal_at_step(patch, 30)
        with pytest.raises(Interrupted):
            train_run(CONFIG, Path("run"))
    changed = ArrayData({**COLUMNS, "visits": [4, 3, 2, 1] * 5})
    with pytest.raises(RecordError, match="the data have changed since the run started: 20 examples, as in"):
        train_run(replace(CONFIG, data=changed), Path("run"), resume=True)
    train_run(replace(CONFIG, data=ArrayData(pa.table(COLUMNS))), Path("run"), resume=True)
    assert recorded_state(Path("run")) == recorded_state(Path("whole"))


def test_command_line_reports_that_the_examples_were_given_from_python(command, monkeypatch):
    for arguments in (["data=arrays"], ["-m", "data=arrays", "lr=0.1,0.2"], ["--dry-run", "data=arrays"]):
        status, out, err = command(*arguments)
        assert (status, out, err.partition(" (run 0")[0].rstrip("\n")) == (2, "", FROM_PYTHON)
        assert list(Path().iterdir()) == []
    with monkeypatch.context() as patch:
        signal_at_step(patch, 30)
        with pytest.raises(Interrupted):
            train_run(CONFIG, Path("run"))
    store_config(Path("run"))
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    status, _, err = command("resume", "run")
    assert (status, err) == (2, FROM_PYTHON + "\n")
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


def test_directory_of_a_run_is_complete_without_the_examples(command):
    train_run(CONFIG, Path("run"))
    store_config(Path("run"))
    model = load_model("run")
    expected = restore_model(CONFIG, Path("run"))
    np.testing.assert_array_equal(model.predict(INPUTS).outputs, expected.predict(INPUTS).outputs)
    Path("new.csv").write_text(TEXT)
    assert command("predict", "run", "new.csv")[0] == 0
    written = [line.partition(",")[0] for line in Path("run/predictions.csv").read_text().splitlines()[1:]]
    assert written == model.predict(INPUTS).labels.tolist()
    status, out, err = command("resume", "run")
    assert (status, err) == (0, "")
    assert "nothing left to do" in out
    assert Path("run/loss.png").exists()


def test_predictions_for_a_data_frame_are_those_for_a_file():
    train_run(CONFIG, Path("run"))
    model = restore_model(CONFIG, Path("run"))
    expected = model.predict_scaled(build_experiment(CONFIG).data.x_val).outputs
    shuffled = {name: INPUTS[name] for name in ("visits", "town", "age")}
    outputs = model.predict(shuffled).outputs
    assert all((outputs == row).all(axis=1).any() for row in expected)
    missing = model.predict({**INPUTS, "age": [None] * 20, "town": ["Paris"] * 20})
    assert np.isfinite(missing.outputs).all()
    with pytest.raises(ConfigError, match="x: has no column visits; columns: age, town"):
        model.predict({name: column for name, column in INPUTS.items() if name != "visits"})
    with pytest.raises(ConfigError, match=r"x\[1\], column visits: 'many' is not a number; correct it"):
        model.predict({**INPUTS, "visits": ["1", "many"] * 10})
    iris = replace(SMALL, data=Iris())
    train_run(iris, Path("iris"))
    x = Iris(standardize=False).load().x_val
    network = restore_model(iris, Path("iris"))
    by_position = network.predict({str(i): column for i, column in enumerate(x.T)})
    np.testing.assert_array_equal(by_position.outputs, network.predict(x).outputs)
