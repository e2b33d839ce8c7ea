"""Targets of several labels: values of the loss and the metrics, engines, runs, predictions and errors."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_checks import BASE, check_engines, with_seeds
from sklearn import metrics as reference
from small_runs import SMALL, recorded_state, signal_at_step, train_run

from minitrain import Parameter, Tensor
from minitrain import functional as F
from minitrain.components.losses import LOSSES, build_loss
from minitrain.data import CSV, NPZ, Preprocessing
from minitrain.data.preprocessing import parse_preprocessing, preprocessing_as_json
from minitrain.errors import ConfigError, Interrupted
from minitrain.inference.model import load_model, restore_model
from minitrain.storage.metrics_file import read_metrics
from minitrain.training.experiment import build_experiment
from minitrain.training.metrics import Evaluation, auc, class_scores, exact_match, f1

NAMES = ("red", "green", "blue")
LABELS = Preprocessing(inputs=2, multilabel=NAMES)
ALL_METRICS = ["val_exact_match", "val_f1", "val_auc"]


@pytest.fixture
def table(tmp_path):
    """A table of 60 examples with the labels red, green and blue."""
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 2))
    y = np.stack([x[:, 0] > 0, x.sum(axis=1) > 0.5, x[:, 1] < -0.5], axis=1)
    path = tmp_path / "colors.csv"
    rows = [[*map(repr, row), *map(int, labels)] for row, labels in zip(x.tolist(), y.tolist(), strict=True)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", *NAMES], *rows])
    return path


def config_of(table, **changes):
    config = replace(SMALL, data=CSV(path=str(table), target=list(NAMES)), loss="binary_cross_entropy", lr=0.5)
    return replace(config, **changes)


# The loss


def test_loss_is_the_mean_over_labels_and_examples():
    # torch.nn.functional.binary_cross_entropy_with_logits(x, y) of PyTorch 2.13, float64, and its gradient
    logits = Parameter([[0.5, -2.0, 3.0], [-1.0, 0.25, 0.0]])
    target = np.array([[True, False, True], [True, True, False]])
    loss = LOSSES["binary_cross_entropy"](logits, target)
    assert loss.item() == pytest.approx(0.5386567724589723, rel=1e-12)
    loss.backward()
    expected = [
        [-0.06292344, 0.01986715, -0.00790431],
        [-0.12184310, -0.07297057, 0.08333333],
    ]
    np.testing.assert_allclose(logits.grad, expected, atol=1e-8)
    total = build_loss("binary_cross_entropy", reduction="sum")(Tensor(logits.data), target).item()
    assert total == pytest.approx(6 * loss.item(), rel=1e-14)


def test_loss_equals_that_of_pytorch():
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(1)
    logits, target = random.normal(size=(8, 3)), random.integers(2, size=(8, 3))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(logits), torch.tensor(target * 1.0))
    assert LOSSES["binary_cross_entropy"](Tensor(logits), target == 1).item() == pytest.approx(float(expected))


def test_outputs_that_losses_require():
    assert LOSSES["binary_cross_entropy"].outputs(LABELS) == 3
    for name in ("cross_entropy", "hinge"):
        message = f"loss={name}: requires one class per example, and the data has several labels; set loss=binary_cr"
        with pytest.raises(ConfigError, match=message):
            LOSSES[name].outputs(LABELS)


# Metrics


def test_metrics_equal_those_of_scikit_learn():
    for seed in range(20):
        random = np.random.default_rng(seed)
        outputs, targets = random.normal(size=(30, 3)).round(1), random.random((30, 3)) < [0.3, 0.5, 0.7]
        of, predicted = Evaluation(outputs, targets, LABELS), outputs > 0
        assert exact_match(of) == pytest.approx(reference.accuracy_score(targets, predicted), rel=1e-12)
        accuracy = F.accuracy(outputs, targets).item()
        assert accuracy == pytest.approx(1 - reference.hamming_loss(targets, predicted), rel=1e-12)
        assert f1(of) == pytest.approx(reference.f1_score(targets, predicted, average="macro"), rel=1e-12)
        assert auc(of) == pytest.approx(reference.roc_auc_score(targets, outputs, average="macro"), rel=1e-12)
        rows = [(row["precision"], row["recall"], row["f1"], row["examples"]) for row in class_scores(of)]
        expected = reference.precision_recall_fscore_support(targets, predicted, zero_division=0)
        np.testing.assert_allclose(rows, np.transpose(expected), rtol=1e-12)
        assert [row["class"] for row in class_scores(of)] == list(NAMES)


def test_a_label_without_examples_has_the_f1_score_0_and_no_area_under_the_curve():
    targets, outputs = np.array([[True, False], [False, False]]), np.array([[1.0, -1.0], [-1.0, -2.0]])
    of = Evaluation(outputs, targets, Preprocessing(inputs=1, multilabel=("a", "b")))
    assert (exact_match(of), f1(of)) == (1.0, 0.5)
    assert f1(of) == reference.f1_score(targets, outputs > 0, average="macro", zero_division=0)
    assert np.isnan(auc(of))


def test_metrics_of_training_examples(table, tmp_path):
    names = ["train_accuracy", "train_exact_match"]
    config = config_of(table, batch_size=None, dtype="float64", diagnostics=names)
    train_run(config, tmp_path / "run")
    data, model = config.dataset.load(), restore_model(config, tmp_path / "run", "last")
    is_right = model.predict_scaled(data.x_train).has_label == data.y_train
    logged = read_metrics(tmp_path / "run")
    assert logged["train_accuracy"][-1] == pytest.approx(is_right.mean(), rel=1e-12)
    assert logged["train_exact_match"][-1] == pytest.approx(is_right.all(axis=1).mean(), rel=1e-12)


# Runs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_engines_compute_equal_bits(table, dtype):
    data = CSV(path=str(table), target=list(NAMES))
    base = replace(BASE, data=data, loss="binary_cross_entropy", dtype=dtype)
    check_engines(*with_seeds(replace(base, diagnostics=[*ALL_METRICS, "train_accuracy"])))


def test_npz_equals_a_table_in_all_but_names(table, tmp_path):
    raw = np.loadtxt(table, delimiter=",", skiprows=1)
    results = []
    for i, y in enumerate((raw[:, 2:], raw[:, 2:].astype(int), raw[:, 2:] == 1)):
        np.savez(tmp_path / f"{i}.npz", x=raw[:, :2], y=y)
        config = config_of(table, data=NPZ(path=str(tmp_path / f"{i}.npz")))
        train_run(config, tmp_path / f"run {i}")
        assert build_experiment(config).data.preprocessing.labels == ("0", "1", "2")
        results.append(recorded_state(tmp_path / f"run {i}"))
    train_run(config_of(table), tmp_path / "run")
    assert results == [recorded_state(tmp_path / "run")] * 3


def test_true_and_false_in_a_table_are_1_and_0(table, tmp_path):
    raw = np.loadtxt(table, delimiter=",", skiprows=1)
    rows = [f"{a!r},{b!r},{bool(r)},{bool(g)},{str(bool(c)).lower()}" for a, b, r, g, c in raw.tolist()]
    path = tmp_path / "words.csv"
    path.write_text("\n".join(["a,b,red,green,blue", *rows, "0,0,True,,false"]) + "\n")
    data, expected = config_of(path).dataset.load(), config_of(table).dataset.load()
    assert data.fingerprint == expected.fingerprint
    assert data.notes == ("1 row with missing cells left out",)
    path.write_text("\n".join(["a,b,red,green,blue", *rows, "0,0,True,maybe,false"]) + "\n")
    with pytest.raises(ConfigError, match=r"words.csv row 62, column green: 'maybe' is not a number; correct it"):
        config_of(path).dataset.load()


def test_interrupted_run_resumes_with_equal_bytes(table, tmp_path, monkeypatch):
    config = config_of(table, monitor="val_exact_match")
    whole = train_run(config, tmp_path / "whole")
    assert whole.best.value == np.nanmax(read_metrics(tmp_path / "whole")["val_exact_match"])
    with monkeypatch.context() as patch:
        signal_at_step(patch, 30)
        with pytest.raises(Interrupted):
            train_run(config, tmp_path / "stopped")
    assert train_run(config, tmp_path / "stopped", resume=True).classes == whole.classes
    assert recorded_state(tmp_path / "stopped") == recorded_state(tmp_path / "whole")


def test_predictions_have_columns_named_by_the_labels(command, table):
    arguments = ["data=csv", f"data.path={table}", "data.target=[red,green,blue]", "loss=binary_cross_entropy"]
    status, out, _ = command(*arguments, "batch_size=16", "steps=40", "hydra.run.dir=run")
    assert (status, "2 inputs, 3 labels" in out) == (0, True)
    assert Path("run/metrics.csv").read_text().startswith("step,lr,train_loss,val_loss,val_accuracy\n")
    summary = json.loads(Path("run/summary.json").read_text())
    assert [row["class"] for row in summary["classes"]] == list(NAMES)
    assert command("predict", "run", str(table))[0] == 0
    header, *rows = csv.reader(Path("run/predictions.csv").read_text().splitlines())
    assert header == [*NAMES, "p(red)", "p(green)", "p(blue)"]
    values = np.array(rows, float)
    prediction = load_model("run").predict(np.loadtxt(table, delimiter=",", skiprows=1)[:, :2])
    np.testing.assert_allclose(prediction.probabilities, 1 / (1 + np.exp(-prediction.outputs)), rtol=1e-6)
    np.testing.assert_array_equal(values[:, 3:].astype("float32"), prediction.probabilities)
    np.testing.assert_array_equal(values[:, :3], values[:, 3:] > 0.5)
    assert (prediction.classes, prediction.labels, prediction.values) == (None, None, None)


def test_evaluate_scores_labels(command, table):
    arguments = ["data=csv", f"data.path={table}", "data.target=[red,green,blue]", "loss=binary_cross_entropy"]
    assert command(*arguments, "data.test=0.3", "batch_size=16", "steps=40", "hydra.run.dir=run")[0] == 0
    scores = json.loads(command("evaluate", "run", "--json")[1])
    data, model = build_experiment(config_of(table, data=load_model("run").config.data)).data, load_model("run")
    predicted = model.predict_scaled(data.x_test).has_label
    assert scores["examples"] == len(data.x_test) == 18
    expected = {
        "accuracy": 1 - reference.hamming_loss(data.y_test, predicted),
        "exact_match": reference.accuracy_score(data.y_test, predicted),
        "f1": reference.f1_score(data.y_test, predicted, average="macro"),
    }
    assert {name: scores["metrics"][name] for name in expected} == pytest.approx(expected)
    assert [row["class"] for row in scores["classes"]] == list(NAMES)
    raw = np.loadtxt(table, delimiter=",", skiprows=1)
    Path("words.csv").write_text(table.read_text().replace(",1\n", ",True\n").replace(",0\n", ",false\n"))
    np.savez("arrays.npz", x=raw[:, :2], y=raw[:, 2:])
    texts = [command("evaluate", "run", name, "--json")[1] for name in (str(table), "words.csv", "arrays.npz")]
    metrics = [json.loads(text)["metrics"] for text in texts]
    assert metrics[0] == metrics[1] == metrics[2]
    np.savez("arrays.npz", x=raw[:, :2], y=raw[:, 2:] + 1)
    _, _, err = command("evaluate", "run", "arrays.npz")
    assert err == "minitrain: arrays.npz y: expected labels, each 0 or 1, as in training\n"


def test_preprocessing_is_restored_from_json():
    assert parse_preprocessing(json.loads(json.dumps(preprocessing_as_json(LABELS)))) == LABELS
    assert "multilabel" not in preprocessing_as_json(Preprocessing(inputs=2, classes=2))  # fingerprints of earlier runs
    for change in ({"multilabel": ["a"]}, {"multilabel": ["a", "b"], "classes": 2}, {"multilabel": 3}):
        with pytest.raises(ValueError, match=r"preprocessing|expected"):
            parse_preprocessing(preprocessing_as_json(Preprocessing(inputs=2)) | change)


# One-hot columns, and errors


def test_one_hot_columns_are_classes_for_cross_entropy_and_labels_for_binary_cross_entropy(tmp_path):
    path = tmp_path / "one_hot.csv"
    path.write_text("a,cat,dog\n" + "".join(f"{i},{i % 2},{(i + 1) % 2}\n" for i in range(40)))
    config = replace(SMALL, data=CSV(path=str(path), target=["cat", "dog"]))
    assert build_experiment(config).data.preprocessing.class_names == ("cat", "dog")
    labels = build_experiment(replace(config, loss="binary_cross_entropy")).data
    assert (labels.preprocessing.multilabel, labels.y_train.dtype) == (("cat", "dog"), bool)
    assert labels.describe() == "32 training and 8 validation examples, 1 input, 2 labels"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"loss": "cross_entropy"},
            r"colors.csv row 3: has the targets 1, 1, 0, and the loss requires one class per example, or one 1 among "
            "0s; correct the row, or set loss=mse data.task=regression, or loss=binary_cross_entropy for labels",
        ),
        ({"loss": "hinge"}, "the loss requires one class per example, or one 1 among 0s"),
        ({"class_weight": "balanced"}, "class_weight=balanced: is for one class per example, and the data has 3 lab"),
        ({"monitor": "val_balanced_accuracy"}, "expected one of auto, val_accuracy, val_loss, val_exact_match, val_f1"),
        ({"diagnostics": ["val_balanced_accuracy"]}, "is for one class per example, and the data has 3 labels"),
    ],
)
def test_what_does_not_fit_labels_is_an_error(table, changes, message):
    with pytest.raises(ConfigError, match=message):
        build_experiment(config_of(table, **changes))
    with pytest.raises(ConfigError, match="is for several labels per example, and the data has 2 classes"):
        build_experiment(replace(SMALL, diagnostics=["val_exact_match"]))


def test_a_row_that_is_not_of_labels_is_named(table, tmp_path):
    lines = table.read_text().splitlines()
    lines[7] = lines[7][:-1] + "2"
    table.write_text("\n".join(lines) + "\n")
    message = r"colors.csv row 8: has the targets \d, \d, 2, and the loss requires labels, each 0 or 1; correct the row"
    with pytest.raises(ConfigError, match=message):
        build_experiment(config_of(table))
    np.savez(tmp_path / "y.npz", x=np.ones((3, 1)), y=[[0, 1], [1, 1], [0.5, 1]])
    with pytest.raises(ConfigError, match=r"y\[2\]: has the targets 0.5, 1, and the loss requires labels"):
        build_experiment(config_of(table, data=NPZ(path=str(tmp_path / "y.npz"))))


def test_labels_without_a_training_example_are_reported(table):
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *(line[:-1] + "0" for line in lines[1:])]) + "\n")
    warnings = build_experiment(config_of(table)).warnings()
    assert warnings == ["label without a training example, which cannot be learned: blue"]
