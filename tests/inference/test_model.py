"""Loading a trained network and predicting from raw examples, in Python and by `minitrain predict`."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import minitrain
from minitrain import ConfigError, register
from minitrain.components.losses import Loss
from minitrain.data import CSV, NPZ, Digits, Iris, Moons, RegressionSplitOptions
from minitrain.errors import RecordError
from minitrain.inference.evaluation import evaluate
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.summary import read_summary

FAST = ["steps=60", "eval_every=20", "batch_size=16", "network.widths=[8]"]
FLOWERS = ("a", "b", "c", "d", "species")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def flowers():
    """Irises as a csv with a header and species by name: the rows of the file, without the header."""
    data = Iris(validation=0.0, standardize=False).load()
    rows = [[*map(str, x), data.preprocessing.labels[y]] for x, y in zip(data.x_train, data.y_train, strict=True)]
    write("flowers.csv", [FLOWERS, *rows])
    return rows


def write(path, rows):
    with Path(path).open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def read(path):
    with Path(path).open(newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def run(command, *arguments, directory="run"):
    status, out, err = command(f"hydra.run.dir={directory}", *arguments)
    assert status == 0, out + err


def raw_validation(data):
    return data.preprocessing.x_scale.undo(data.x_val[:])


FLOWERS_RUN = ["data=csv", "data.path=flowers.csv", *FAST]


# load_model


@pytest.mark.parametrize(
    "arguments",
    [
        ["data=digits", *FAST],
        ["data=digits", "network=cnn", "network.channels=[4]", *FAST[:-1]],
        ["data=moons", "loss=binary_cross_entropy", *FAST],
        ["data=moons", "loss=hinge", "dtype=float64", "network.norm=batch", "network.dropout=0.2", *FAST],
        ["data=iris", "loss=mse", *FAST],
        ["data=iris", "data.standardize=false", "engine=eager", "network.frozen=[0.*]", *FAST],
    ],
    ids=" ".join,
)
def test_predictions_reproduce_the_accuracy_of_the_summary(command, arguments):
    run(command, *arguments)
    model = minitrain.load_model("run")
    best = read_summary(Path("run")).best
    prediction = model.predict(raw_validation(model.config.data.load()))
    assert best.metric == "val_accuracy"
    assert (prediction.classes == model.config.data.load().y_val).mean() == best.value
    assert prediction.labels.tolist() == [model.preprocessing.labels[c] for c in prediction.classes]
    assert model.step == best.step
    if prediction.probabilities is not None:
        assert prediction.probabilities.shape == (len(model.config.data.load().x_val), model.preprocessing.classes)
        np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1, rtol=1e-6)
        assert (prediction.probabilities.argmax(axis=1) == prediction.classes).all()


def test_probabilities_require_a_probabilistic_loss(command):
    for loss, has_them in (("cross_entropy", True), ("binary_cross_entropy", True), ("hinge", False), ("mse", False)):
        run(command, "data=moons", f"loss={loss}", *FAST, directory=loss)
        prediction = minitrain.load_model(loss).predict([[0.0, 0.5]])
        assert (prediction.probabilities is not None) == has_them


def test_regression_values_are_in_target_units(command):
    run(command, "data=diabetes", "loss=mse", "dtype=float64", *FAST)
    model = minitrain.load_model("run")
    validation = raw_validation(model.config.data.load())
    raw = {"standardize": False, "standardize_target": False}
    targets = minitrain.data.Diabetes(**raw).load()
    values = model.predict(targets.x_val).values
    np.testing.assert_allclose(validation, targets.x_val, rtol=1e-12)
    assert 25 < targets.y_val.min() <= values.mean() <= targets.y_val.max()
    val_loss = np.square((values - targets.y_val) / targets.y_train.std()).mean()
    np.testing.assert_allclose(val_loss, read_summary(Path("run")).best.value, rtol=1e-9)


def test_checkpoint_best_last_and_fallback_to_last(command):
    run(command, "data=moons", "network.dropout=0.5", *FAST, "lr=3", "seed=1")
    best, last = (minitrain.load_model("run", name) for name in ("best", "last"))
    assert not any(layer.training for model in (best, last) for layer in model.network.named_modules().values())
    assert (best.step, last.step) == (read_summary(Path("run")).best.step, 60)
    assert best.step < 60
    Path("run/checkpoints/best.npz").unlink()
    assert minitrain.load_model("run").step == 60
    with pytest.raises(ConfigError, match="checkpoint=first: expected one of best, last"):
        minitrain.load_model("run", "first")


def test_killed_run_uses_its_checkpoint_or_reports_that_none_exists(command):
    run(command, "data=moons", *FAST)
    Path("run/checkpoints/last.npz").unlink()
    Path("run/summary.json").write_text(json.dumps({"status": "running", "step": 20}))
    assert minitrain.load_model("run").predict([[0.0, 0.0]]).classes.shape == (1,)
    Path("run/checkpoints/best.npz").unlink()
    with pytest.raises(
        RecordError, match=r"last.npz: no such file; a run writes its first checkpoint after checkpoint_ev"
    ):
        minitrain.load_model("run")


def test_diverged_run_uses_its_best_checkpoint(command):
    run(command, "data=moons", "lr=1e30", *FAST)
    assert read_summary(Path("run")).status == "diverged"
    assert minitrain.load_model("run").step == 0


def test_image_inputs_may_keep_their_shape(command):
    run(command, "data=digits", "network=cnn", "network.channels=[4]", *FAST[:-1])
    model = minitrain.load_model("run")
    x = raw_validation(model.config.data.load())
    assert (model.predict(x).outputs == model.predict(x.reshape(-1, 8, 8)).outputs).all()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([0.1, 0.2], r"x: has shape \[2\]; expected numbers \[examples, 2\]"),
        ([[0.1, 0.2, 0.3]], r"x: has shape \[1, 3\]; expected"),
        (np.empty((0, 2)), r"x: has shape \[0, 2\]; expected"),
        ([["a", "b"]], "x: has type <U1; expected"),
        ([[0.1, np.nan]], r"x\[0\]: contains NaN or Inf"),
    ],
)
def test_inputs_that_do_not_fit_training_are_rejected(command, x, message):
    run(command, "data=moons", *FAST)
    with pytest.raises(ConfigError, match=message):
        minitrain.load_model("run").predict(x)


def test_run_directory_imports_no_extensions(command, own_components):
    Path("mine.py").write_text(
        "from minitrain import register\n@register('activation', 'cube')\ndef cube(x):\n    return x**3\n"
    )
    run(command, "extensions=[mine]", "activation=cube", "data=moons", *FAST)
    write("points.csv", [["0.5", "0.5"]])
    sys.modules.pop("mine")
    minitrain.registry.REGISTRIES["activation"].pop("cube")
    with pytest.raises(ConfigError, match=r"activation=cube: .*the run used extensions=\[mine\]: give them again"):
        minitrain.load_model("run")
    assert "mine" not in sys.modules
    assert command("predict", "run", "points.csv")[0] == 2
    assert command("predict", "run", "points.csv", "extensions=[mine]")[0] == 0


def test_invalid_or_damaged_run_is_reported(command, flowers):
    run(command, *FLOWERS_RUN)
    Path("empty").mkdir()
    assert command("-m", "seed=0,1", "hydra.sweep.dir=swept", "data=moons", *FAST)[0] == 0
    for directory, message in (
        ("nowhere", "nowhere: not a run's directory; expected .hydra/config.yaml in it"),
        ("empty", "empty: not a run's directory"),
        ("swept", "to use a run of a sweep, give its directory"),
    ):
        with pytest.raises(ConfigError, match=message):
            minitrain.load_model(directory)
    assert minitrain.load_model("swept/1").config.seed == 1
    config, best = Path("run/.hydra/config.yaml"), Path("run/checkpoints/best.npz")
    text, whole = config.read_text(), best.read_bytes()
    best.write_bytes(whole[:-100])
    with pytest.raises(RecordError, match=r"best.npz: not a usable checkpoint"):
        minitrain.load_model("run")
    best.write_bytes(whole)
    config.write_text(text.replace("- 8", "- 9"))
    with pytest.raises(
        RecordError, match=r"best.npz: does not fit the network .* 0.weight of shape \[8, 4\], expected \[9"
    ):
        minitrain.load_model("run")
    config.write_text("}{")
    with pytest.raises(RecordError, match="the config cannot be read"):
        minitrain.load_model("run")
    config.write_text(text)
    assert minitrain.load_model("run").preprocessing.target == "species"


def test_changed_or_missing_data_do_not_change_predictions(command, flowers):
    run(command, *FLOWERS_RUN)
    x = np.array([[5.1, 3.5, 1.4, 0.2], [6.2, 2.9, 4.3, 1.3]])
    before = minitrain.load_model("run").predict(x)
    write("flowers.csv", [FLOWERS, *([*(str(100 * float(cell)) for cell in row[:-1]), "zero"] for row in flowers)])
    after = minitrain.load_model("run").predict(x)
    assert (after.outputs.tobytes(), after.labels.tolist()) == (before.outputs.tobytes(), before.labels.tolist())
    Path("flowers.csv").unlink()
    assert minitrain.load_model("run").predict(x).labels.tolist() == before.labels.tolist()


def test_data_of_a_run_of_version_0_1_0_are_loaded_again(command, flowers):
    run(command, *FLOWERS_RUN)
    x = np.array([[5.1, 3.5, 1.4, 0.2]])
    expected = minitrain.load_model("run").predict(x).outputs
    Path("run/data.json").unlink()
    assert (minitrain.load_model("run").predict(x).outputs == expected).all()
    np.save("x.npy", x)
    status, out, err = command("predict", "run", "x.npy")
    assert status == 0
    assert "run: no data.json: a run of version 0.1.0, whose data are loaded again" in out + err
    run(command, *FLOWERS_RUN, "network.init_file=run/checkpoints/last.npz", directory="warm")
    Path("run").rename("elsewhere")
    expected = minitrain.load_model("warm").predict(x).outputs
    Path("warm/data.json").unlink()
    assert (minitrain.load_model("warm").predict(x).outputs == expected).all()  # without the file of initial weights
    Path("elsewhere").rename("run")
    write("flowers.csv", [FLOWERS, *([str(float(row[0]) + i), *row[1:]] for i, row in enumerate(flowers))])
    with pytest.raises(RecordError, match=r"val_loss is .* and was .*: the data has changed since the run; restore it"):
        minitrain.load_model("run")
    Path("flowers.csv").unlink()
    missing = r"data.path=flowers.csv: no such file; expected a path relative to the current"
    with pytest.raises(ConfigError, match=missing):
        minitrain.load_model("run")


@pytest.mark.parametrize("with_record", [True, False])
def test_data_that_were_moved(command, flowers, with_record):
    """A run of version 0.1.0, which has no data.json, needs its data; any run compares them with those it had."""
    run(command, *FLOWERS_RUN)
    np.save("x.npy", np.array([[5.1, 3.5, 1.4, 0.2]]))
    command("predict", "run", "x.npy", "--output", "expected.csv")
    if not with_record:
        Path("run/data.json").unlink()
    Path("flowers.csv").rename("moved.csv")
    status, out, err = command("predict", "run", "x.npy", "--output", "actual.csv", "data.path=moved.csv")
    assert status == 0, out + err
    assert Path("actual.csv").read_bytes() == Path("expected.csv").read_bytes()
    write("other.csv", [FLOWERS, *([str(float(row[0]) + i), *row[1:]] for i, row in enumerate(flowers))])
    message = "the data have changed since the run started" if with_record else "the data has changed since the run"
    status, _, err = command("predict", "data.path=other.csv", "run", "x.npy", "--output", "none.csv")
    assert status == 2
    assert message in err
    status, _, err = command("predict", "run", "x.npy", "--output", "none.csv", "data.target=species")
    assert status == 2
    assert "data.target=species: a trained network keeps its config; only data.path can be set" in err
    assert not Path("none.csv").exists()
    assert minitrain.load_model("run", data_files={"path": Path("moved.csv")}).step > 0


def test_data_that_are_in_no_file(command):
    run(command, "data=moons", "steps=20")
    with pytest.raises(
        ConfigError, match=r"data\.path=a\.csv: .* the data of this run are not in a file; leave it out"
    ):
        minitrain.load_model("run", data_files={"path": "a.csv"})


# What datasets store for predictions


def test_dataset_stores_scales_names_and_columns():
    Path("t.csv").write_text("town,age,pay\nUlm,30,1\nBonn,40,3\nUlm,50,2\nBonn,60,2.5\n")
    data = CSV(path="t.csv", categories=["town"], validation=0.25).load()
    assert data.preprocessing.input_names == ["town=Bonn", "town=Ulm", "age"]
    assert data.preprocessing.target == "pay"
    x, y = (np.concatenate(parts) for parts in ((data.x_train, data.x_val), (data.y_train, data.y_val)))
    assert sorted(data.preprocessing.x_scale.undo(x)[:, 2].round(9).tolist()) == [30, 40, 50, 60]
    assert sorted(data.preprocessing.y_scale.undo(y)[:, 0].round(9).tolist()) == [1, 2, 2.5, 3]
    plain = CSV(path="t.csv", header=False, categories=["1", "2", "3"], task="classification", stratify=False).load()
    assert plain.preprocessing.input_names[0] == "column 1=Bonn"
    assert (plain.preprocessing.target, plain.preprocessing.labels) == ("", ("1", "2", "2.5", "3", "pay"))
    assert Moons().load().preprocessing.input_names == ["input 1", "input 2"]
    assert RegressionSplitOptions(standardize=False).split(np.ones((5, 1)), np.ones(5)).preprocessing.x_scale.mean == 0


@pytest.mark.parametrize(
    ("targets", "labels"),
    [
        (np.array([1.0, 2.0, 3.0]), ("1", "2", "3")),
        (np.array([True, False, True]), ("False", "True")),
        (np.array(["b", "a", "c"]), ("a", "b", "c")),
    ],
)
def test_class_labels_come_from_the_file(targets, labels):
    np.savez("data.npz", x=np.random.default_rng(0).normal(size=(30, 2)), y=np.tile(targets, 10))
    assert NPZ(path="data.npz").load().preprocessing.labels == labels


# The command


def test_csv_with_text_classes_and_reordered_columns(command, flowers):
    run(command, *FLOWERS_RUN)
    status, out, err = command("predict", "run", "flowers.csv")
    assert (status, err) == (0, "")
    assert "150 examples" in out
    assert "predictions  run/predictions.csv" in out
    header, rows = read("run/predictions.csv")
    assert header == ["prediction", "p(setosa)", "p(versicolor)", "p(virginica)"]
    is_correct = [prediction[0] == row[-1] for prediction, row in zip(rows, flowers, strict=True)]
    assert np.mean(is_correct) > 0.8
    assert {p for p, *_ in rows} == {"setosa", "versicolor", "virginica"}
    order = [4, 2, 0, 3, 1]
    write("turned.csv", [["note", *(FLOWERS[i] for i in order)], *(["x", *(row[i] for i in order)] for row in flowers)])
    write("bare.csv", [row[:4] for row in flowers])
    write("whole.csv", flowers)
    for name in ("turned.csv", "bare.csv", "whole.csv"):
        assert command("predict", "run", name, "--output", f"out/{name}")[0] == 0
        assert read(f"out/{name}") == (header, rows)


def test_file_rows_equal_predictions_in_python(command, flowers):
    run(command, *FLOWERS_RUN)
    command("predict", "run", "flowers.csv", "--checkpoint", "last", "--output", "mine.csv")
    prediction = minitrain.load_model("run", "last").predict([list(map(float, row[:4])) for row in flowers])
    _, rows = read("mine.csv")
    assert [row[0] for row in rows] == prediction.labels.tolist()
    assert (np.array([row[1:] for row in rows], np.float32) == prediction.probabilities).all()
    assert not Path("run/predictions.csv").exists()


@pytest.mark.parametrize("target", ["classes", "numbers"])
def test_outputs_that_are_no_predictions_are_written_as_they_are(command, own_components, target):
    register("loss", "own")(Loss(lambda output, y: (output**2).mean(), lambda data: data.outputs + 1, None, target))
    run(command, f"data={'iris' if target == 'classes' else 'diabetes'}", "loss=own", *FAST)
    x = np.random.default_rng(0).normal(size=(3, 4 if target == "classes" else 10))
    prediction = minitrain.load_model("run").predict(x)
    assert (prediction.values, prediction.classes, prediction.labels, prediction.probabilities) == (None,) * 4
    data = minitrain.load_model("run").config.data.load()
    scores = evaluate(minitrain.load_model("run"), data.x_val, data.y_val)
    assert (list(scores.metrics), scores.classes, scores.examples) == (["val_loss"], [], len(data.y_val))
    np.save("x.npy", x)
    assert command("predict", "run", "x.npy")[0] == 0
    header, rows = read("run/predictions.csv")
    assert header == [f"output {i + 1}" for i in range(prediction.outputs.shape[1])]
    np.testing.assert_array_equal(np.array(rows, np.float32), prediction.outputs)


def test_categorical_inputs_and_target_units(command):
    random = np.random.default_rng(0)
    towns = random.choice(["Ulm", "Bonn"], 80)
    ages = random.integers(18, 80, 80)
    pay = 1000.0 * (towns == "Ulm") + 20.0 * ages
    write("pay.csv", [("town", "age", "pay"), *zip(towns, ages, pay, strict=True)])
    arguments = ["data=csv", "data.path=pay.csv", "data.categories=[town]", "loss=mse", "steps=300", *FAST[1:]]
    run(command, *arguments, "data.delimiter=','")
    write("new.csv", [("age", "town"), ("30", "Ulm"), ("30", "Bonn"), ("70", "Bonn")])
    assert command("predict", "run", "new.csv")[0] == 0
    header, rows = read("run/predictions.csv")
    assert header == ["prediction"]
    np.testing.assert_allclose([float(row[0]) for row in rows], [1600, 600, 1400], atol=80)
    assert all(len(row[0]) <= 10 for row in rows)  # digits of a float32
    write("new.csv", [("age", "town"), ("30", "Ulm"), ("30", "Paris")])
    status, out, _ = command("predict", "run", "new.csv")
    assert status == 0
    assert "column town: 1 value is not in the training data (Paris); encoded as zeros" in out
    unknown = minitrain.load_model("run").predict([[0, 0, 30]]).values[0, 0]
    assert float(read("run/predictions.csv")[1][1][0]) == pytest.approx(unknown, rel=1e-6)


def test_columns_without_names_are_matched_by_order(command):
    run(command, "data=moons", *FAST)
    points = [("0.5", "0.5"), ("1.0", "-0.5")]
    write("plain.csv", points)
    write("named.csv", [("u", "v"), *points])
    assert command("predict", "run", "plain.csv", "--output", "a.csv")[0] == 0
    assert command("predict", "run", "named.csv", "--output", "b.csv")[0] == 0
    assert read("a.csv") == read("b.csv")
    assert read("a.csv")[0] == ["prediction", "p(0)", "p(1)"]
    write("named.csv", [("0.5", "v"), *points])
    status, _, err = command("predict", "run", "named.csv")
    assert (status, err) == (2, "minitrain: named.csv row 1, column 2: 'v' is not a number; correct it\n")


def test_numpy_files_as_input(command):
    run(command, "data=digits", *FAST)
    x = Digits(standardize=False).load().x_val
    write("x.csv", x.astype(int).tolist())
    np.save("x.npy", x.reshape(-1, 8, 8))
    np.savez("x.npz", x=x)
    for kind in ("csv", "npy", "npz"):
        assert command("predict", "run", f"x.{kind}", "--output", f"{kind}.out")[0] == 0
    assert read("csv.out") == read("npy.out") == read("npz.out")
    np.savez("x.npz", images=x)
    status, _, err = command("predict", "run", "x.npz")
    assert (status, err) == (2, "minitrain: x.npz: has no array x; arrays: images\n")


def test_invalid_arguments_are_reported_and_nothing_is_written(command, flowers):
    run(command, *FLOWERS_RUN)
    write("three.csv", [FLOWERS[1:], *(row[1:] for row in flowers)])
    write("bare.csv", [row[:3] for row in flowers])
    write("broken.csv", [FLOWERS, ["1", "2", "x", "4", "setosa"]])
    before = sorted(Path().rglob("*"))
    for arguments, message in (
        ([], "predict: the following arguments are required: RUN, FILE; minitrain predict --help shows"),
        (["run"], "the following arguments are required: FILE"),
        (["run", "flowers.csv", "lr=3"], "unrecognized arguments: lr=3"),
        (["run", "flowers.csv", "--checkpoint", "first"], "invalid choice: 'first'"),
        (["run", "flowers.csv", "--output", "."], "--output .: is a directory; expected a file"),
        (["run", "flowers.csv", "--output", "flowers.csv"], "is the file of examples itself"),
        (["nowhere", "flowers.csv"], "nowhere: not a run's directory"),
        (["run", "nowhere.csv"], "FILE=nowhere.csv: no such file; expected a path relative to the current directory"),
        (["run", "three.csv"], "three.csv: has no column a; columns: b, c, d, species"),
        (
            ["run", "bare.csv"],
            "bare.csv: 3 columns; expected 4, the inputs in the order of training, or 5 with the target",
        ),
        (["run", "broken.csv"], "broken.csv row 2, column c: 'x' is not a number; correct it"),
    ):
        status, out, err = command("predict", *arguments)
        assert (status, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
    assert sorted(Path().rglob("*")) == before


def test_importing_minitrain_does_not_import_hydra():
    import subprocess

    code = (
        "import sys, minitrain; print({'hydra', 'omegaconf', 'matplotlib'} & sys.modules.keys()); minitrain.load_model"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "set()\n"


def test_checkpoint_equals_the_loaded_state(command):
    run(command, "data=moons", "network.norm=batch", *FAST)
    arrays, _ = load_checkpoint(Path("run/checkpoints/best.npz"))
    state = minitrain.load_model("run").network.state_dict()
    assert {f"{k}/{n}" for k in ("parameters", "buffers") for n in state} >= {n for n in arrays if "optimizer" not in n}
    assert all((value == arrays.get(f"parameters/{n}", arrays.get(f"buffers/{n}"))).all() for n, value in state.items())
