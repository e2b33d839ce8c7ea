"""Experiments: contradictory keys are rejected, and threads are chosen by the size of the products."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from small_runs import SMALL, train_run

from minitrain.components.networks import Lab2Config, LinearConfig, MLPConfig
from minitrain.data import Dataset, Digits, Moons, Point, Preprocessing, Sine
from minitrain.errors import ConfigError
from minitrain.registry import register
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metric import Metric
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.eager_engine import EagerEngine
from minitrain.training.experiment import build_experiment, describe_network


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warmup": 60}, "warmup=60: expected fewer than steps=60"),
        (
            {"data": Moons(validation=0.0), "monitor": "val_loss"},
            "monitor=val_loss: not available with this data; expected one of auto, train_loss",
        ),
        ({"batch_size": 81}, "batch_size=81: expected at most 80"),
        ({"network": Lab2Config()}, "set data=point"),
        ({"data": Point(), "batch_size": None}, "set loss=output"),
        ({"data": Digits(), "loss": "binary_cross_entropy"}, "data has 10; set loss=cross_entropy"),
        ({"class_weight": [1.0]}, r"class_weight=\[1.0\]: expected 2 numbers, one for each class: 0, 1"),
        (
            {"data": Sine(samples=100), "loss": "mse", "class_weight": "balanced"},
            "class_weight=balanced: loss=mse has none; set loss=cross_entropy or",
        ),
        ({"data": Sine(samples=100), "class_weight": "balanced"}, "loss=cross_entropy: requires classes"),
        (
            {"data": Sine(samples=100), "class_weight": "balanced", "loss": "own"},
            "class_weight=balanced: the data has no classes; set class_weight=null",
        ),
        ({"loss": "hinge", "label_smoothing": 0.1}, "label_smoothing=0.1: loss=hinge has none"),
    ],
)
def test_contradictory_keys_are_rejected(own_components, changes, message):
    register("loss", "own")(lambda output, target, class_weight=None: (output - target).mean())
    with pytest.raises(ConfigError, match=message):
        build_experiment(replace(SMALL, **changes))


def test_engine_is_the_one_that_the_config_selects():
    assert isinstance(build_experiment(SMALL).engine, CompiledEngine)
    assert isinstance(build_experiment(replace(SMALL, engine="eager")).engine, EagerEngine)


def test_monitors_depend_on_the_data():
    of_classes = ["val_accuracy", "val_loss", "val_balanced_accuracy", "val_f1", "val_auc", "train_loss"]
    assert build_experiment(SMALL).monitors == of_classes
    of_numbers = ["val_loss", "val_rmse", "val_mae", "val_r2", "train_loss"]
    assert build_experiment(replace(SMALL, data=Sine(samples=100), loss="mse")).monitors == of_numbers
    assert build_experiment(replace(SMALL, data=Moons(validation=0.0))).monitors == ["train_loss"]
    assert build_experiment(SMALL).monitor == Metric.named("val_accuracy")
    assert build_experiment(replace(SMALL, monitor="val_loss")).monitor == Metric.named("val_loss")


def test_an_epoch_uses_every_example_once_and_drops_the_last_partial_batch():
    step = build_experiment(replace(SMALL, batch_size=16)).step
    batches = [step.batch(k).x for k in range(10)]
    epoch = np.concatenate(batches[:5])  # 80 training examples are 5 batches of 16
    assert len(np.unique(epoch, axis=0)) == 80
    assert (np.concatenate(batches[5:]) != epoch).any()
    assert (step.batch(3).x == batches[3]).all()
    assert len(build_experiment(replace(SMALL, batch_size=None)).step.batch(0)) == 80


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "hinge"])
def test_two_classes_from_one_output(tmp_path, loss):
    config = replace(SMALL, loss=loss, steps=200, lr=0.3)
    experiment = build_experiment(config)
    assert describe_network(config, experiment.data.preprocessing) == "mlp 2-8-1, relu"
    summary = train_run(config, tmp_path)
    last, _ = load_checkpoint(tmp_path / "checkpoints" / "last.npz")
    assert last["parameters/2.weight"].shape == (1, 8)
    # The prediction is the sign of the output: positive for class 1, negative for class 0.
    hidden = np.maximum(experiment.data.x_val @ last["parameters/0.weight"].T + last["parameters/0.bias"], 0)
    positive = (hidden @ last["parameters/2.weight"].T + last["parameters/2.bias"])[:, 0] > 0
    assert summary.final["val_accuracy"] == (positive == experiment.data.y_val).mean()
    assert summary.best.value >= 0.75


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_regression_computes_in_the_dtype_of_the_run(tmp_path, loss, dtype):
    @dataclass(frozen=True)
    class Line:
        def load(self):
            x = np.linspace(-1, 1, 40)[:, None]
            y = 2 * x + 1
            return Dataset(x[::2], y[::2], x[1::2], y[1::2], Preprocessing(inputs=1, targets=1))

    config = replace(SMALL, data=Line(), network=LinearConfig(), loss=loss, dtype=dtype, steps=300, batch_size=None)
    assert describe_network(config, Line().load().preprocessing) == "linear 1-1"
    summary = train_run(config, tmp_path)
    assert list(summary.final) == ["train_loss", "val_loss", "val_rmse", "val_mae", "val_r2"]
    assert summary.final["val_loss"] < 0.1  # an output of 0 has 0.8 (huber) to 2.3 (mse)
    for engine in (build_experiment(config).eager_engine, build_experiment(config).engine):
        assert engine.loss(0).dtype == engine.evaluate()["val_loss"].dtype == dtype


@pytest.mark.parametrize(
    ("requested", "width", "threads"), [("auto", 255, 1), ("auto", 256, 6), (1, 256, 1), (3, 8, 3)]
)
def test_auto_threads_use_all_cores_from_products_of_256_cubed(requested, width, threads, monkeypatch):
    monkeypatch.setattr("minitrain.training.experiment.available_cores", lambda: 6)
    config = replace(SMALL, data=Digits(), network=MLPConfig([width, 256]), batch_size=256, blas_threads=requested)
    assert build_experiment(config).blas_threads == threads


def test_a_class_without_a_training_example_is_a_warning_that_names_it(tmp_path):
    @dataclass(frozen=True)
    class Rare:
        counts: tuple

        def load(self):
            y = np.repeat(np.arange(4), self.counts)
            x = np.random.default_rng(0).normal(size=(len(y), 2))
            names = ("ash", "beech", "elm", "oak")
            return Dataset(x, y, x[:3], np.array([1, 2, 3]), Preprocessing(inputs=2, classes=4, class_names=names))

    config = replace(SMALL, data=Rare((10, 0, 10, 20)), class_weight="balanced")
    experiment = build_experiment(config)
    assert experiment.warnings() == ["class without a training example, which cannot be learned: beech (1 example)"]
    assert experiment.loss.function.keywords["class_weight"] == (40 / 30, 1.0, 40 / 30, 40 / 60)
    assert train_run(config, tmp_path / "run").status == "completed"
    several = build_experiment(replace(config, data=Rare((40, 0, 0, 0)))).warnings()
    rare = "beech (1 example), elm (1 example), oak (1 example)"
    assert several == [f"classes without a training example, which cannot be learned: {rare}"]
    assert build_experiment(SMALL).warnings() == []
    assert build_experiment(replace(SMALL, data=Sine(samples=100), loss="mse")).warnings() == []
