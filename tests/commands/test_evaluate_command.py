"""`minitrain evaluate`: scores on test examples and on files, and its errors."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import minitrain
from minitrain.data import Iris
from minitrain.storage.summary import read_summary

FAST = ["steps=60", "eval_every=20", "batch_size=16", "network.widths=[8]"]
LINEAR = ["network=linear", "loss=mse", "batch_size=null", "optimizer=adam", "lr=0.1", "steps=2000", "dtype=float64"]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(path, rows):
    with Path(path).open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def run(command):
    """Trains a run with overrides in the directory `run`."""

    def train(*overrides, options=FAST, directory="run"):
        status, out, err = command(*options, f"hydra.run.dir={directory}", *overrides)
        assert status == 0, out + err
        return Path(directory)

    return train


@pytest.fixture
def evaluate(command):
    """Evaluates `run` with arguments; returns the values of the JSON."""

    def score(*arguments, directory="run"):
        status, out, err = command("evaluate", directory, "--json", *arguments)
        assert status == 0, out + err
        return json.loads(out)

    return score


def raw(data):
    """The test examples of a dataset with classes, in its own units."""
    return data.preprocessing.x_scale.undo(data.x_test[:]), data.y_test


# Test examples


def test_scores_of_classes_are_those_of_scikit_learn(run, evaluate):
    metrics = pytest.importorskip("sklearn.metrics", reason="the reference is scikit-learn")
    run("data=breast_cancer", "data.test=0.3")
    scores, data = evaluate(), minitrain.data.BreastCancer(test=0.3).load()
    x, y = raw(data)
    prediction = minitrain.load_model("run").predict(x)
    assert scores["examples"] == len(y) == 171
    assert scores["metrics"] == pytest.approx(
        {
            "loss": -np.log(prediction.probabilities[np.arange(len(y)), y]).mean(),
            "accuracy": metrics.accuracy_score(y, prediction.classes),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, prediction.classes),
            "f1": metrics.f1_score(y, prediction.classes, average="macro"),
            "auc": metrics.roc_auc_score(y, prediction.outputs[:, 1] - prediction.outputs[:, 0]),
        },
        rel=1e-5,
    )
    precision, recall, f1, examples = metrics.precision_recall_fscore_support(y, prediction.classes)
    for i, label in enumerate(("malignant", "benign")):
        expected = {"precision": precision[i], "recall": recall[i], "f1": f1[i], "examples": examples[i]}
        assert scores["classes"][i] == pytest.approx({"class": label, **expected})


def test_scores_of_numbers_are_in_the_units_of_the_target(run, evaluate):
    metrics = pytest.importorskip("sklearn.metrics", reason="the reference is scikit-learn")
    run("data=diabetes", "loss=mse", "data.test=0.2", "dtype=float64")
    scores, data = evaluate(), minitrain.data.Diabetes(test=0.2).load()
    x, _ = raw(data)
    y = minitrain.data.Diabetes(test=0.2, standardize_target=False).load().y_test
    values = minitrain.load_model("run").predict(x).values
    assert y.mean() > 100
    assert scores["classes"] == []
    assert scores["metrics"] == pytest.approx(
        {
            "loss": metrics.mean_squared_error(y, values) / data.preprocessing.y_scale.deviation[0] ** 2,
            "rmse": metrics.root_mean_squared_error(y, values),
            "mae": metrics.mean_absolute_error(y, values),
            "r2": metrics.r2_score(y, values),
        },
        rel=1e-9,
    )


def test_table_of_scores(run, command):
    """Perfect predictions of separate clusters, but for the loss."""
    run("data=blobs", "data.spread=0.1", "data.test=0.1", "data.samples=300")
    status, out, err = command("evaluate", "run")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("30 test examples, by the network of step ")
    assert lines[2].startswith("loss               0.")
    assert lines[3:] == [
        "accuracy           100.00%",
        "balanced_accuracy  100.00%",
        "f1                 100.00%",
        "",
        "class  precision  recall  f1      examples",
        "0      100.0%     100.0%  100.0%  10",
        "1      100.0%     100.0%  100.0%  10",
        "2      100.0%     100.0%  100.0%  10",
    ]


def test_validation_examples_as_a_file_have_the_scores_of_the_summary(run, evaluate):
    """The scores of the best and of the last network equal those that training has recorded, weighted loss included."""
    run("data=iris", "class_weight=balanced", "data.stratify=false", "dtype=float64", "diagnostics=[val_f1]")
    data, summary = Iris(stratify=False).load(), read_summary(Path("run"))
    labels = data.preprocessing.labels
    rows = zip(data.preprocessing.x_scale.undo(data.x_val), data.y_val, strict=True)
    write("val.csv", [[*map(repr, x.tolist()), labels[y]] for x, y in rows])
    last, best = evaluate("val.csv", "--checkpoint", "last"), evaluate("val.csv")
    assert last["metrics"]["loss"] == pytest.approx(summary.final["val_loss"], rel=1e-9)
    assert last["metrics"]["accuracy"] == summary.final["val_accuracy"]
    assert last["metrics"]["f1"] == summary.final["val_f1"]
    assert best["metrics"]["accuracy"] == summary.best.value
    assert best["classes"] == summary.classes
    assert (last["step"], best["step"], best["file"]) == (60, summary.best.step, "val.csv")


def test_a_loss_that_depends_on_unknown_counts_is_left_out(run, evaluate, command):
    run("data=iris", "class_weight=balanced")
    record = json.loads(Path("run/data.json").read_text())
    assert record.pop("class_counts") == [40, 40, 40]
    Path("run/data.json").write_text(json.dumps(record))  # a run from before they were recorded
    write("new.csv", [[5, 3, 1.4, 0.2, "setosa"]])
    assert "loss" not in evaluate("new.csv")["metrics"]
    assert "loss: not known; the run has not recorded its classes" in command("evaluate", "run", "new.csv")[1]


def test_test_examples_do_not_affect_training(command):
    """Other values of the test examples change neither the metrics nor the weights of a run."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), np.arange(60) % 2
    np.savez("d.npz", x=x, y=y)
    arguments = ["data=npz", "data.path=d.npz", "data.test=0.2", *FAST]
    assert command(*arguments, "hydra.run.dir=first")[0] == 0
    data = minitrain.data.NPZ(path="d.npz", test=0.2, standardize=False).load()
    for row in data.x_test:
        x[(x == row).all(axis=1)] += 1000
    np.savez("d.npz", x=x, y=y)
    assert command(*arguments, "hydra.run.dir=second")[0] == 0
    assert Path("first/metrics.csv").read_bytes() == Path("second/metrics.csv").read_bytes()
    models = [minitrain.load_model(run, "last").network.state_dict() for run in ("first", "second")]
    assert all((models[0][name] == models[1][name]).all() for name in models[0])
    assert evaluate_status(command, "first") == (2, "the data have changed since the run started")


def evaluate_status(command, directory):
    status, _, err = command("evaluate", directory)
    assert len(err.splitlines()) == 1
    return status, err.removeprefix(f"minitrain: {directory}: ").partition(":")[0]


def test_test_examples_require_the_data_of_the_run(command, run):
    write("t.csv", [["a", "b"], *[[i, "xy"[i % 2]] for i in range(40)]])
    run("data=csv", "data.path=t.csv", "data.test=0.25", "data.task=classification")
    assert command("evaluate", "run")[0] == 0
    shutil.copy("t.csv", "copy.csv")
    write("t.csv", [["a", "b"], *[[i, "xy"[i % 2]] for i in range(1, 41)]])
    status, out, err = command("evaluate", "run")
    assert (status, out) == (2, "")
    assert err.startswith(
        "minitrain: run: the data have changed since the run started: 40 examples, as in training, but"
    )
    Path("t.csv").unlink()
    status, _, err = command("evaluate", "run")
    assert status == 2
    assert "t.csv: no such file" in err
    assert len(err.splitlines()) == 1
    assert command("evaluate", "run", "copy.csv")[0] == 0  # a file needs no training data


def test_a_run_without_test_examples_is_told_what_to_do(command, run):
    run("data=iris")
    status, out, err = command("evaluate", "run")
    assert (status, out) == (2, "")
    assert err == (
        "minitrain: evaluate: run: the run has no test examples; give a FILE of examples with their targets, or train "
        "a run with data.test=0.1\n"
    )


def test_data_without_a_target_cannot_be_evaluated(command):
    assert (
        command("data=point", "network=lab2", "loss=output", "batch_size=null", "steps=2", "hydra.run.dir=run")[0] == 0
    )
    status, _, err = command("evaluate", "run")
    assert (status, err) == (
        2, "minitrain: evaluate: run: the data of the run have no target, so that nothing can be scored\n",
    )  # fmt: skip


def test_a_mapped_file_is_evaluated(run, evaluate):
    x, y = np.random.default_rng(0).normal(size=(90, 3)), np.arange(90) % 3
    np.save("x.npy", x)
    np.save("y.npy", y)
    run("data=npy", "data.x=x.npy", "data.y=y.npy", "data.test=0.2")
    assert evaluate()["examples"] == 18
    np.savez("new.npz", x=x[:9], y=y[:9])
    assert evaluate("new.npz")["examples"] == 9


# Files


FLOWERS = ("a", "b", "c", "d", "species")


@pytest.fixture
def flowers(run):
    """A run on a table with a header; returns its rows."""
    data = Iris(validation=0.0, standardize=False).load()
    rows = [[*x, data.preprocessing.labels[y]] for x, y in zip(data.x_train.tolist(), data.y_train, strict=True)]
    write("flowers.csv", [FLOWERS, *rows])
    run("data=csv", "data.path=flowers.csv")
    return rows


def test_columns_of_a_table_are_identified_by_name(flowers, evaluate):
    write("as_trained.csv", [FLOWERS, *flowers[:30]])
    write("exchanged.csv", [[*FLOWERS[::-1], "extra"], *([*row[::-1], "z"] for row in flowers[:30])])
    write("no_header.csv", flowers[:30])
    scores = [evaluate(name)["metrics"] for name in ("as_trained.csv", "exchanged.csv", "no_header.csv")]
    assert scores[0] == scores[1] == scores[2]
    assert scores[0]["accuracy"] > 0.6


def test_a_class_is_its_name_or_its_number():
    from minitrain.data.targets import known_classes

    assert known_classes(["1,0", "2"], ["1", "2.0"], "y", (".", ",")).tolist() == [0, 1]
    assert known_classes(["07", "7"], ["7", "07"], "y").tolist() == [1, 0]
    with pytest.raises(
        minitrain.ConfigError, match=r"y: has class 1\.0, which the network does not know; its .*: 1, x"
    ):
        known_classes(["1.0"], ["1", "x"], "y")


def test_rows_without_a_target_are_left_out_and_missing_inputs_are_means(flowers, evaluate, command):
    rows = [list(row) for row in flowers[:20]]
    rows[0][4], rows[3][4], rows[5][0] = "", "?", "NA"
    write("gaps.csv", [FLOWERS, *rows])
    status, out, err = command("evaluate", "run", "gaps.csv")
    assert status == 0, err
    assert "2 rows without a target left out" in out
    assert "1 missing cell replaced by means of the training examples" in out
    assert "18 examples of gaps.csv, by the network of step" in out
    status, out, err = command("evaluate", "run", "gaps.csv", "--json")
    assert json.loads(out)["examples"] == 18
    assert "2 rows without a target left out" in err


@pytest.mark.parametrize("header", [True, False])
def test_a_file_for_a_bundled_dataset_has_the_target_last(run, evaluate, header):
    run("data=iris", "data.test=0.2")
    data = Iris(test=0.2).load()
    x, y = raw(data)
    rows = [[*map(repr, values), data.preprocessing.labels[c]] for values, c in zip(x.tolist(), y, strict=True)]
    write("test.csv", [list("abcde"), *rows] if header else rows)
    np.savez("test.npz", x=x, y=np.array(data.preprocessing.labels)[y])
    for file in ("test.csv", "test.npz"):
        assert evaluate(file)["metrics"] == pytest.approx(evaluate()["metrics"], rel=1e-5)


def test_numbers_and_several_targets(run, evaluate):
    """Predictions of a linear function, whose errors are on paper: the second target is off by 2 everywhere."""
    x = np.linspace(-1, 1, 50)
    rows = [[repr(v), repr(3 * v + 1), repr(-v)] for v in x.tolist()]
    write("two.csv", [["x", "u", "v"], *rows])
    run("data=csv", "data.path=two.csv", "data.target=[u,v]", *LINEAR, options=())
    write("new.csv", [["v", "u", "x"], *([repr(float(v) + 2), u, x] for x, u, v in rows)])
    scores = evaluate("new.csv", "--checkpoint", "last")["metrics"]
    assert scores["rmse"] == pytest.approx(1, abs=1e-2)  # the mean of 0 and 2
    assert scores["mae"] == pytest.approx(1, abs=1e-2)
    np.savez("new.npz", x=x[:, None], y=np.stack([3 * x + 1, -x], axis=1))
    assert evaluate("new.npz", "--checkpoint", "last")["metrics"]["rmse"] < 1e-2


def test_one_hot_targets(run, evaluate):
    y = np.eye(3)[np.arange(60) % 3]
    x = y + np.random.default_rng(0).normal(scale=0.1, size=(60, 3))
    write("hot.csv", [["a", "b", "c", "p", "q", "r"], *np.column_stack([x, y]).tolist()])
    run("data=csv", "data.path=hot.csv", "data.target=[p,q,r]", "data.test=0.2")
    scores, file = evaluate(), evaluate("hot.csv")
    assert (scores["metrics"]["accuracy"], file["metrics"]["accuracy"]) == (1.0, 1.0)
    assert [row["class"] for row in file["classes"]] == ["p", "q", "r"]


ERRORS = {
    "unknown class": (
        [FLOWERS, [1, 2, 3, 4, "rosa"]],
        "bad.csv column species: has class rosa, which the network does",
    ),
    "no target": ([FLOWERS[:4], [1, 2, 3, 4]], "bad.csv: has no column species, the target; columns: a, b, c, d"),
    "no input": ([("a", "b", "species"), [1, 2, "setosa"]], "bad.csv: has no column c, d; columns: a, b, species"),
    "empty": ([], "bad.csv: the file is empty; expected one row per example"),
    "header alone": ([FLOWERS], "bad.csv: "),
    "no value of the target": (
        [FLOWERS, [1, 2, 3, 4, ""]],
        "bad.csv: no row has a target; expected values in column sp",
    ),
    "text": (
        [FLOWERS, ["x", 2, 3, 4, "setosa"], [1, 2, 3, 4, "setosa"]],
        "bad.csv row 2, column a: 'x' is not a number",
    ),
    "columns": ([[1, 2, 3, 4]], "bad.csv: 4 columns; expected 5, the inputs and the target in the order of training"),
}


@pytest.mark.parametrize("error", ERRORS)
def test_a_file_that_does_not_fit_is_one_line(flowers, command, error):
    rows, message = ERRORS[error]
    write("bad.csv", rows)
    before = sorted(Path("run").rglob("*"))
    status, out, err = command("evaluate", "run", "bad.csv")
    assert (status, out) == (2, "")
    assert err.startswith(f"minitrain: {message}")
    assert len(err.splitlines()) == 1
    assert sorted(Path("run").rglob("*")) == before


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones((3, 4))}, "bad.npz: has no array y; arrays: x"),
        ({"x": np.ones((3, 5)), "y": np.zeros(3)}, "bad.npz x: has shape [3, 5]; expected numbers [examples, 4]"),
        ({"x": np.ones((3, 4)), "y": np.zeros(2)}, "bad.npz y: has shape [2]; expected [3], a target for each example"),
        ({"x": np.ones((3, 4)), "y": np.full((3, 3), 1)}, "bad.npz y: expected one-hot rows (a single 1, else 0)"),
        (
            {"x": np.ones((3, 4)), "y": np.array([0, 1, 2])},
            "bad.npz y: has classes 0, 1, 2, which the network does not",
        ),
        ({"x": np.ones((0, 4)), "y": np.zeros(0)}, "bad.npz x: has shape [0, 4]; expected numbers [examples, 4]"),
    ],
)
def test_arrays_that_do_not_fit_are_one_line(flowers, command, arrays, message):
    np.savez("bad.npz", **arrays)
    status, _, err = command("evaluate", "run", "bad.npz")
    assert status == 2
    assert err.startswith(f"minitrain: {message}")
    assert len(err.splitlines()) == 1


def test_numbers_that_are_not_finite_are_one_line(run, command):
    run("data=sine", "loss=mse")
    np.savez("bad.npz", x=np.ones((2, 1)), y=np.array([1.0, np.nan]))
    assert command("evaluate", "run", "bad.npz")[2].startswith(
        "minitrain: bad.npz y: contains values that are not finite"
    )
    np.save("x.npy", np.ones((2, 1)))
    assert command("evaluate", "run", "x.npy")[2] == (
        "minitrain: x.npy: an npy file has no target; expected a table, or an npz file with arrays x and y\n"
    )


def test_a_metric_that_is_not_defined_is_null(run, evaluate, command):
    """One example has no r2, and one class has no area under a curve."""
    run("data=sine", "loss=mse")
    np.savez("one.npz", x=[[0.5]], y=[0.1])
    assert evaluate("one.npz")["metrics"]["r2"] is None
    assert "r2    not defined" in command("evaluate", "run", "one.npz")[1]


def test_scores_by_a_metric_of_the_user(own_components, run, command, tmp_path):
    Path("mine.py").write_text(
        "from minitrain import register\nfrom minitrain.training.diagnostics import Diagnostic\n"
        "def errors(of):\n    return (of.predicted != of.targets).sum()\n"
        'register("diagnostic", "val_errors")(Diagnostic(errors, "classification"))\n'
    )
    run("extensions=[mine]", "data=iris", "data.test=0.2")
    status, out, err = command("evaluate", "run", "extensions=[mine]")
    assert status == 0, err
    assert "\nerrors             " in out
