"""Metrics of the validation examples: scikit-learn's values, every engine, and which runs record which."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from engine_checks import BASE, CLASSES, NUMBERS, check_engines, with_seeds
from small_runs import SMALL, recorded_state, signal_at_step, train_run

from minitrain import Tensor, register
from minitrain import functional as F
from minitrain.components.losses import Loss
from minitrain.data import NPY, Iris, Moons, Preprocessing, Scale, Sine, rows
from minitrain.errors import ConfigError, Interrupted
from minitrain.inference.model import restore_model
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import Status, read_summary
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.eager_engine import EagerEngine
from minitrain.training.experiment import build_experiment
from minitrain.training.loop import train
from minitrain.training.metrics import Evaluation, auc, balanced_accuracy, class_scores, f1, mae, r2, rmse
from minitrain.training.progress import format_outcome, format_outcome_briefly

UNITS = Scale(np.array([100.0, -3.0]), np.array([10.0, 0.5]))


def regression(outputs, targets, scale=UNITS):
    outputs, targets = np.array(outputs, float), np.array(targets, float)
    return Evaluation(outputs, targets, Preprocessing(inputs=1, targets=targets.shape[1], y_scale=scale))


def classification(predicted, targets, classes):
    return Evaluation(np.eye(classes)[predicted], np.array(targets), Preprocessing(inputs=1, classes=classes))


def binary(scores, targets):
    return Evaluation(np.array(scores)[:, None], np.array(targets), Preprocessing(inputs=1, classes=2))


# Expected values: scikit-learn 1.9, on the numbers in the target's units

TWO_TARGETS = [[0.5, 1.0], [-1.0, 0.0], [2.0, -0.5], [0.0, 0.25]], [[1.0, 1.0], [-0.5, 0.5], [1.0, -1.0], [0.25, 0.0]]
REGRESSION = {  # outputs, targets, their scale; rmse, mae, r2
    "two targets": (*TWO_TARGETS, UNITS, (3.21875, 2.890625, 0.36637806637806636)),
    "constant target": ([[0.5], [1.0]], [[0.1], [0.1]], Scale(), (0.696419413859206, 0.65, 0.0)),
    # scikit-learn's r2 is -7.9e33 here, because its mean of three times 0.1 is not 0.1
    "constant target, rounded": ([[0.5], [1.0], [2.0]], [[0.1]] * 3, Scale(), (1.2355835328567093, 3.2 / 3, 0.0)),
    "constant target, predicted": ([[0.1]] * 3, [[0.1]] * 3, Scale(), (0.0, 0.0, 1.0)),
    "one example": ([[0.5]], [[2.0]], Scale(), (1.5, 1.5, math.nan)),
}


@pytest.mark.parametrize(("outputs", "targets", "scale", "expected"), REGRESSION.values(), ids=REGRESSION)
@pytest.mark.parametrize("block_size", [2**22, 2])
def test_regression_metrics(monkeypatch, outputs, targets, scale, expected, block_size):
    monkeypatch.setattr(rows, "BLOCK_SIZE", block_size)
    of = regression(outputs, targets, scale)
    assert [rmse(of), mae(of), r2(of)] == pytest.approx(expected, rel=1e-12, abs=1e-15, nan_ok=True)


CLASSIFICATION = {  # predicted classes, actual classes; balanced_accuracy_score, f1_score(average="macro")
    "three classes": ([0, 1, 1, 2, 2, 0], [0, 0, 1, 2, 2, 2], (0.7222222222222222, 0.6555555555555556)),
    "a class without examples": ([0, 2, 0, 2], [0, 0, 0, 2], (0.8333333333333333, 0.7333333333333334)),
    "a class that is only predicted": ([1, 0, 2], [0, 0, 2], (0.75, 0.5555555555555555)),
    "a class that is never predicted": ([0] * 6, [0] * 5 + [1], (0.5, 0.45454545454545453)),
    "one example": ([1], [1], (1.0, 1.0)),
    "one example, wrong": ([0], [1], (0.0, 0.0)),
}


@pytest.mark.parametrize(("predicted", "actual", "expected"), CLASSIFICATION.values(), ids=CLASSIFICATION)
def test_classification_metrics(predicted, actual, expected):
    of = classification(predicted, actual, 3)
    assert [balanced_accuracy(of), f1(of)] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("scores", "actual", "expected"),  # roc_auc_score
    [
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75), ([0.5, 0.5, 0.2, 0.5, 0.9, 0.9], [0, 1, 0, 1, 1, 0], 11 / 18),
        ([0.3, 0.3], [0, 1], 0.5), ([1.0, 2.0, 3.0, 0.0], [0, 0, 0, 1], 0.0), ([0.1, 0.2], [1, 1], math.nan),
        ([0.1], [1], math.nan), ([0.1, math.nan], [0, 1], math.nan), ([-math.inf, math.inf], [0, 1], 1.0),
    ],
)  # fmt: skip
def test_area_under_the_roc_curve(scores, actual, expected):
    assert auc(binary(scores, actual)) == pytest.approx(expected, rel=1e-12, nan_ok=True)
    pairs = np.stack([np.zeros(len(scores)), scores], axis=1)  # one output per class
    of_two_outputs = Evaluation(pairs, np.array(actual), Preprocessing(inputs=1, classes=2))
    assert auc(of_two_outputs) == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_scores_of_each_class():
    # precision_recall_fscore_support(actual, predicted, labels=[0, 1, 2], zero_division=0)
    table = class_scores(classification([0, 2, 0, 2], [0, 0, 0, 2], 3))
    expected = [(1.0, 2 / 3, 0.8, 3), (0.0, 0.0, 0.0, 0), (0.5, 1.0, 2 / 3, 1)]
    assert [row["class"] for row in table] == ["0", "1", "2"]
    for row, values in zip(table, expected, strict=True):
        assert (row["precision"], row["recall"], row["f1"], row["examples"]) == pytest.approx(values, rel=1e-12)


def test_metrics_equal_those_of_scikit_learn_on_random_data():
    metrics = pytest.importorskip("sklearn.metrics")
    for seed in range(20):
        random = np.random.default_rng(seed)
        outputs, targets = random.normal(size=(2, 30, 2)).round(1)
        of, raw = regression(outputs, targets), (UNITS.undo(targets), UNITS.undo(outputs))
        assert rmse(of) == pytest.approx(metrics.root_mean_squared_error(*raw), rel=1e-12)
        assert mae(of) == pytest.approx(metrics.mean_absolute_error(*raw), rel=1e-12)
        assert r2(of) == pytest.approx(metrics.r2_score(*raw), rel=1e-12)
        actual, predicted = random.integers(4, size=(2, 30))
        of = classification(predicted, actual, 5)
        assert balanced_accuracy(of) == pytest.approx(metrics.balanced_accuracy_score(actual, predicted), rel=1e-12)
        assert f1(of) == pytest.approx(metrics.f1_score(actual, predicted, average="macro"), rel=1e-12)
        expected = metrics.roc_auc_score(actual > 1, outputs[:, 0])
        assert auc(binary(outputs[:, 0], (actual > 1).astype(int))) == pytest.approx(expected, rel=1e-12)


# In runs

ALL_OF_TWO_CLASSES = ["val_balanced_accuracy", "val_f1", "val_auc"]
REGRESSION_COLUMNS = ["step", "lr", "train_loss", "val_loss", "val_rmse", "val_mae", "val_r2"]
RUN = replace(SMALL, data=Sine(samples=100), loss="mse")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_engines_compute_equal_metrics(tmp_path, dtype):
    base = replace(BASE, dtype=dtype)
    check_engines(*with_seeds(replace(base, data=NUMBERS, loss="mse", lr=0.01)))
    check_engines(*with_seeds(replace(base, data=CLASSES, diagnostics=["val_f1"], monitor="val_balanced_accuracy")))
    for loss in ("binary_cross_entropy", "cross_entropy"):
        data = Moons(samples=48, noise=0.5)
        check_engines(*with_seeds(replace(base, data=data, loss=loss, diagnostics=ALL_OF_TWO_CLASSES)))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(48, 2)))
    np.save(tmp_path / "y.npy", np.random.default_rng(1).normal(size=(48, 2)))
    data = NPY(x=str(tmp_path / "x.npy"), y=str(tmp_path / "y.npy"))
    check_engines(*with_seeds(replace(base, data=data, loss="mse")))


def columns(directory):
    return (directory / "metrics.csv").read_text().partition("\n")[0].split(",")


def test_default_columns(tmp_path):
    train_run(SMALL, tmp_path / "classes")
    assert columns(tmp_path / "classes") == ["step", "lr", "train_loss", "val_loss", "val_accuracy"]
    train_run(RUN, tmp_path / "numbers")
    assert columns(tmp_path / "numbers") == REGRESSION_COLUMNS
    train_run(replace(RUN, data=Sine(samples=100, validation=0.0)), tmp_path / "no validation")
    assert columns(tmp_path / "no validation") == ["step", "lr", "train_loss"]


def test_regression_metrics_are_in_the_units_of_the_target(tmp_path):
    data = Sine(samples=100, noise=0.5)
    config = replace(RUN, data=data, monitor="val_mae")
    train_run(config, tmp_path)
    loaded = data.load()
    scale = loaded.preprocessing.y_scale
    error = restore_model(config, tmp_path).predict_scaled(loaded.x_val).values - scale.undo(loaded.y_val)
    best = read_summary(tmp_path).best
    assert (best.metric, best.value) == ("val_mae", pytest.approx(abs(error).mean(), rel=1e-6))
    table = read_metrics(tmp_path)
    assert best.value == np.nanmin(table["val_mae"])
    evaluated = np.isfinite(table["val_loss"])
    np.testing.assert_allclose(
        table["val_rmse"][evaluated], np.sqrt(table["val_loss"][evaluated]) * scale.deviation, rtol=1e-5
    )


@pytest.mark.parametrize("monitor", ["val_balanced_accuracy", "val_f1", "val_auc"])
def test_any_metric_may_be_monitored(tmp_path, monitor):
    summary = train_run(replace(SMALL, data=Moons(samples=100, noise=0.6), monitor=monitor), tmp_path)
    assert columns(tmp_path)[3:] == ["val_loss", "val_accuracy", monitor]
    assert (summary.best.metric, summary.best.value) == (monitor, np.nanmax(read_metrics(tmp_path)[monitor]))


def test_r2_is_better_if_higher(tmp_path):
    summary = train_run(replace(RUN, monitor="val_r2", lr=0.02), tmp_path)
    assert summary.best.value == np.nanmax(read_metrics(tmp_path)["val_r2"])
    assert summary.best.step > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"diagnostics": ["val_auc"], "data": Iris()}, r"diagnostics=\[val_auc\]: is for 2 classes, and the data"),
        ({"diagnostics": ["val_rmse"]}, r"diagnostics=\[val_rmse\]: the data has no numeric target; leave it out"),
        ({"diagnostics": ["val_f1"], "data": Sine(), "loss": "mse"}, "the data has no classes; leave it out"),
        ({"diagnostics": ["val_f1"], "data": Moons(validation=0.0)}, "requires validation examples; set data"),
        ({"monitor": "val_auc", "data": Iris()}, "monitor=val_auc: not available with this data; expected one"),
        ({"monitor": "val_r2"}, "monitor=val_r2: not available with this data; expected one of auto, val_accuracy"),
        ({"monitor": "val_f1", "data": Moons(validation=0.0)}, "expected one of auto, train_loss"),
    ],
)  # fmt: skip
def test_a_metric_that_does_not_fit_the_data_is_an_error(changes, message):
    with pytest.raises(ConfigError, match=message):
        build_experiment(replace(SMALL, **changes))


def test_outputs_that_are_no_predictions_have_no_metrics_of_predictions(tmp_path, own_components):
    def normal(output, target):
        mean, log_variance = output[:, :1], output[:, 1:]
        return ((target - mean) ** 2 * (-log_variance).exp() + log_variance).mean()

    def with_rejection(output, target):
        return F.cross_entropy(output, target) - output[:, 2].mean() * 100

    register("loss", "normal")(Loss(normal, lambda data: 2 * data.outputs))
    register("loss", "with_rejection")(Loss(with_rejection, lambda data: data.outputs + 1))
    for loss, config in (("normal", RUN), ("with_rejection", SMALL)):
        for engine in ("numpy", "eager"):
            directory = tmp_path / f"{loss} {engine}"
            summary = train_run(replace(config, loss=loss, lr=0.01, engine=engine), directory)
            assert (summary.status, summary.classes) == ("completed", None)
        assert recorded_state(directory) == recorded_state(tmp_path / f"{loss} numpy")
    assert columns(tmp_path / "normal eager") == ["step", "lr", "train_loss", "val_loss"]
    for changes in ({"monitor": "val_rmse"}, {"diagnostics": ["val_rmse"]}):
        with pytest.raises(ConfigError, match=r"val_rmse: the outputs of the network, \[2\] for each example, are no"):
            build_experiment(replace(RUN, loss="normal", **changes))


def test_a_metric_without_a_value_is_not_the_best(tmp_path):
    data = Sine(samples=100, validation=0.01)
    summary = train_run(replace(RUN, data=data, monitor="val_r2"), tmp_path / "run")
    assert summary.best is None
    assert math.isnan(summary.final["val_r2"])
    for text in (format_outcome(summary).splitlines()[-1], format_outcome_briefly(summary)):
        assert text.endswith("the monitored metric was NaN or Inf at every evaluation")
    diverged_at_once = replace(summary, status=Status.DIVERGED, step=0, final={})
    assert format_outcome_briefly(diverged_at_once) == "diverged at step 0 of 60"
    assert "best" not in format_outcome(diverged_at_once)
    assert read_summary(tmp_path / "run").status == "completed"


def test_a_run_of_an_earlier_version_resumes_with_more_columns(tmp_path, monkeypatch):
    train_run(RUN, tmp_path / "uninterrupted")
    with monkeypatch.context() as patch:
        signal_at_step(patch, 30)
        with pytest.raises(Interrupted):
            train_run(RUN, tmp_path / "stopped")
    path = tmp_path / "stopped" / "metrics.csv"
    lines = [line.split(",")[:4] for line in path.read_text().splitlines()]
    path.write_text("".join(",".join(cells) + "\n" for cells in lines))
    train_run(RUN, tmp_path / "stopped", resume=True)
    before, after = read_metrics(tmp_path / "uninterrupted"), read_metrics(tmp_path / "stopped")
    assert list(after) == REGRESSION_COLUMNS
    assert after["val_loss"].tobytes() == before["val_loss"].tobytes()
    assert np.isnan(after["val_rmse"][before["step"] < 31]).all()
    assert after["val_rmse"][-1] == before["val_rmse"][-1]
    assert recorded_state(tmp_path / "stopped")[1:] == recorded_state(tmp_path / "uninterrupted")[1:]


# Metrics of the batch of a step

TRAIN_CLASSES = ["train_balanced_accuracy", "train_f1", "train_auc"]
TRAIN_NUMBERS = ["train_rmse", "train_mae", "train_r2"]


@pytest.mark.parametrize("engine", ["numpy", "eager"])
@pytest.mark.parametrize("batch_size", [16, None])
def test_metrics_of_the_batch_before_the_update(engine, batch_size):
    for data, loss, names in (
        (Moons(samples=100, noise=0.6), "cross_entropy", TRAIN_CLASSES),
        (Sine(samples=100, noise=0.5), "mse", TRAIN_NUMBERS),
    ):
        base = replace(SMALL, data=data, loss=loss, batch_size=batch_size, dtype="float64", engine=engine)
        experiment = build_experiment(replace(base, diagnostics=[*names, "grad_norm"]))
        step, loaded = experiment.step, data.load()
        for k in range(4):
            experiment.engine.loss(k)
            rows = slice(None) if batch_size is None else step.rows(k)
            output = step.model.eval()(Tensor(loaded.x_train[rows])).numpy()
            of = Evaluation(output, loaded.y_train[rows], loaded.preprocessing)
            functions = (balanced_accuracy, f1, auc) if loss == "cross_entropy" else (rmse, mae, r2)
            values = experiment.engine.inspect(k)
            assert list(values) == [*names, "grad_norm"]
            for name, function in zip(names, functions, strict=True):
                assert values[name] == pytest.approx(function(of), rel=1e-9)
            experiment.engine.update(k)


def test_groups_of_runs_compute_equal_metrics_of_their_batches():
    base = replace(BASE, data=Moons(samples=48, noise=0.5), diagnostics=TRAIN_CLASSES)
    steps = [build_experiment(replace(base, seed=seed)).step for seed in range(3)]
    group = CompiledEngine(*[build_experiment(replace(base, seed=seed)).step for seed in range(3)])
    for k in range(4):
        group.loss(k)
        values = group.inspect(k)
        for run, step in enumerate(steps):
            alone = EagerEngine(step)
            alone.loss(k)
            assert {name: float(value[run]) for name, value in values.items()} == alone.inspect(k)
            alone.update(k)
        group.update(k)


def test_metrics_of_the_batch_are_columns_and_do_not_change_the_run(tmp_path):
    config = replace(RUN, diagnostics=["train_r2", "grad_norm", "train_rmse"], data=Sine(samples=100, validation=0.0))
    train_run(config, tmp_path / "with")
    assert columns(tmp_path / "with") == ["step", "lr", "train_loss", "train_r2", "grad_norm", "train_rmse"]
    train_run(replace(config, diagnostics=[]), tmp_path / "without")
    assert recorded_state(tmp_path / "with")[1] == recorded_state(tmp_path / "without")[1]
    with_table, without = read_metrics(tmp_path / "with"), read_metrics(tmp_path / "without")
    assert with_table["train_loss"].tobytes() == without["train_loss"].tobytes()
    for changes, message in (
        ({"diagnostics": ["train_f1"]}, r"diagnostics=\[train_f1\]: the data has no classes; leave it out"),
        ({"diagnostics": ["train_exact_match"], "data": Moons(), "loss": "hinge"}, "is for several labels per example"),
        ({"diagnostics": ["train_auc"], "data": Iris(), "loss": "hinge"}, "is for 2 classes, and the data has 3"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_experiment(replace(RUN, **changes))


# The scores of each class in the summary

IRIS = replace(SMALL, data=Iris(), batch_size=40, lr=1.0, steps=130, eval_every=10)


def test_summary_has_the_scores_of_each_class_for_the_best_network(tmp_path):
    summary = train_run(IRIS, tmp_path)
    assert summary.best.step < IRIS.steps
    stored = json.loads((tmp_path / "summary.json").read_text())
    assert (stored["classes"], stored["classes_of"]) == (summary.classes, "best")
    assert [row["class"] for row in summary.classes] == ["setosa", "versicolor", "virginica"]
    data = Iris().load()
    predicted = restore_model(IRIS, tmp_path).predict_scaled(data.x_val).classes
    for label, row in enumerate(summary.classes):
        hits = ((predicted == label) & (data.y_val == label)).sum()
        assert row["examples"] == (data.y_val == label).sum()
        assert row["recall"] == hits / (data.y_val == label).sum()
        assert row["precision"] == hits / (predicted == label).sum()
    assert read_summary(tmp_path) == summary


def test_the_last_network_stays_in_memory_and_on_disk(tmp_path):
    experiment = build_experiment(IRIS)
    assert train(experiment, tmp_path, bar=False).best.step < IRIS.steps
    arrays, _ = load_checkpoint(tmp_path / "checkpoints" / "last.npz")
    assert {name: array.tobytes() for name, array in arrays.items()} == {
        name: array.tobytes() for name, array in experiment.step.arrays().items()
    }


def test_scores_of_classes_require_classes_validation_examples_and_a_complete_run(tmp_path, monkeypatch):
    assert train_run(RUN, tmp_path / "numbers").classes is None
    assert (
        train_run(replace(SMALL, data=Moons(samples=100, validation=0.0)), tmp_path / "no validation").classes is None
    )
    with monkeypatch.context() as patch:
        signal_at_step(patch, 30)
        with pytest.raises(Interrupted):
            train_run(SMALL, tmp_path / "stopped")
    assert "classes" not in json.loads((tmp_path / "stopped" / "summary.json").read_text())
    resumed, whole = train_run(SMALL, tmp_path / "stopped", resume=True), train_run(SMALL, tmp_path / "whole")
    assert whole.classes
    assert resumed.classes == whole.classes
