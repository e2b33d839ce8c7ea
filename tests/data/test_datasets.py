"""Datasets: values, splits, scaling, and training on each of them."""

from dataclasses import replace

import numpy as np
import pytest

from minitrain.components.networks import LinearConfig, MLPConfig
from minitrain.config.schema import RunConfig
from minitrain.data import (
    Blobs,
    BreastCancer,
    Circles,
    Diabetes,
    Digits,
    Iris,
    ModularAddition,
    Moons,
    Point,
    Polynomials,
    RegressionSplitOptions,
    RowsOnDisk,
    Sine,
    Spirals,
    SplitOptions,
    Wine,
    Xor,
    row_blocks,
    rows,
)
from minitrain.data.preprocessing import Scale
from minitrain.data.rows import mean_and_deviation
from minitrain.errors import ConfigError
from minitrain.optim import SGDRule
from minitrain.optim.schedules import Constant
from minitrain.options import options
from minitrain.storage.metrics_file import read_metrics
from minitrain.training.experiment import build_experiment
from minitrain.training.loop import train

BUNDLED = {"digits": Digits, "iris": Iris, "wine": Wine, "breast_cancer": BreastCancer, "diabetes": Diabetes}
RANDOM = [Moons, Circles, Blobs, Spirals, Xor, Sine, Polynomials]
DATASETS = [*BUNDLED.values(), *RANDOM, ModularAddition]
RAW = {"validation": 0.0, "standardize": False}


def load_raw(cls, **values):
    """All examples of a dataset, neither split nor scaled."""
    if "standardize_target" in options(cls):
        values["standardize_target"] = False
    data = cls(**RAW, **values).load()
    return data.x_train, data.y_train


def run_config(data):
    regression = data.load().preprocessing.classes is None
    loss = "mse" if regression else "cross_entropy"
    return RunConfig(
        data, MLPConfig([16]), SGDRule(), Constant(), lr=0.1, loss=loss, steps=100, batch_size=16, eval_every=50
    )


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_values_are_scikit_learns_exactly(name):
    datasets = pytest.importorskip("sklearn.datasets", reason="the test extra has scikit-learn")
    unscaled = {"scaled": False} if name == "diabetes" else {}
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True, **unscaled)
    ours_x, ours_y = load_raw(BUNDLED[name])
    ours, theirs = np.column_stack([ours_x, ours_y]), np.column_stack([x, y])
    assert (ours[np.lexsort(ours.T)] == theirs[np.lexsort(theirs.T)]).all()


def test_bundled_integers_are_stored_as_small_types():
    from importlib.resources import files

    with (files("minitrain") / "data" / "assets" / "datasets.npz").open("rb") as file, np.load(file) as arrays:
        kinds = {name: str(arrays[name].dtype) for name in arrays}
    assert kinds["digits_x"] == "uint8"
    assert {kind for name, kind in kinds.items() if name.endswith("_y")} == {"uint8", "uint16"}


@pytest.mark.parametrize("cls", DATASETS)
def test_split_is_disjoint_and_complete(cls):
    data = replace(cls(**RAW), validation=0.3)
    if "standardize_target" in options(cls):
        data = replace(data, standardize_target=False)
    split, whole = data.load(), load_raw(cls)
    x, y = np.concatenate([split.x_train, split.x_val]), np.concatenate([split.y_train, split.y_val])
    assert len(split.x_val) == round(0.3 * len(x))
    examples, expected = np.column_stack([x, y]), np.column_stack(whole)
    assert (examples[np.lexsort(examples.T)] == expected[np.lexsort(expected.T)]).all()


@pytest.mark.parametrize("cls", DATASETS)
def test_dataset_depends_on_its_seed_only(cls):
    first, again, other = cls().load(), cls().load(), cls(seed=1).load()
    for name in ("x_train", "y_train", "x_val", "y_val"):
        assert (getattr(first, name) == getattr(again, name)).all()
    assert (first.x_train != other.x_train).any()


@pytest.mark.parametrize("cls", [Moons, Circles, Blobs, Spirals, Xor, Sine])
def test_seed_also_determines_generated_values(cls):
    x, y = (np.sort(values, axis=0) for values in load_raw(cls))
    other_x, other_y = (np.sort(values, axis=0) for values in load_raw(cls, seed=1))
    assert (x != other_x).any() or (y != other_y).any()


def test_modular_addition_contains_every_pair_once():
    x, y = load_raw(ModularAddition, p=7)
    a, b = x[:, :7].argmax(axis=1), x[:, 7:].argmax(axis=1)
    assert {*zip(a.tolist(), b.tolist(), strict=True)} == {(i, j) for i in range(7) for j in range(7)}
    assert (x.sum(axis=1) == 2).all()
    assert (y == (a + b) % 7).all()


@pytest.mark.parametrize("cls", [Digits, Moons, Diabetes])
def test_seed_of_the_run_does_not_change_the_data(cls):
    first, second = (build_experiment(replace(run_config(cls()), seed=seed)).data for seed in (0, 1))
    assert (first.x_train == second.x_train).all()
    assert (first.y_train == second.y_train).all()


@pytest.mark.parametrize("cls", DATASETS)
def test_scaling_is_fitted_on_training_examples_only(cls):
    data, unscaled = cls(standardize=True).load(), cls(standardize=False).load()
    mean, deviation = unscaled.x_train.mean(axis=0), unscaled.x_train.std(axis=0)
    varying = deviation > 0
    np.testing.assert_allclose(data.x_train.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data.x_train.std(axis=0)[varying], 1, rtol=1e-12)
    np.testing.assert_allclose(
        data.x_val[:, varying], ((unscaled.x_val - mean)[:, varying] / deviation[varying]), rtol=1e-9, atol=1e-12
    )
    assert abs(data.x_val.mean(axis=0)).max() > 1e-3


def test_scaling_of_targets_is_fitted_on_training_examples_only():
    data, unscaled = Diabetes().load(), Diabetes(standardize_target=False).load()
    y = unscaled.y_train
    assert (data.y_train == (y - y.mean()) / y.std()).all()
    assert (data.y_val == (unscaled.y_val - y.mean()) / y.std()).all()
    assert (unscaled.y_val == np.round(unscaled.y_val)).all()


def test_constant_input_has_deviation_1_despite_rounding():
    x = np.full((1000, 1), 0.1)
    assert x.std() > 0  # by rounding alone
    mean, deviation = mean_and_deviation(x)
    assert deviation == 1
    np.testing.assert_allclose(mean, 0.1, rtol=1e-12)


def test_classes_are_integers_and_numeric_targets_are_columns():
    iris, diabetes, point = Iris().load(), Diabetes().load(), Point().load()
    assert (iris.y_train.dtype, iris.y_train.shape) == (np.int64, (120,))
    assert (iris.preprocessing.classes, iris.preprocessing.outputs) == (3, 3)
    assert (diabetes.y_train.dtype, diabetes.y_train.shape) == (np.float64, (354, 1))
    assert (diabetes.preprocessing.classes, diabetes.preprocessing.outputs) == (None, 1)
    assert (point.preprocessing.classes, point.preprocessing.outputs) == (None, 1)
    two_targets = SplitOptions(**RAW).split(np.zeros((5, 3)), np.ones((5, 2)))
    assert two_targets.preprocessing.outputs == 2
    assert two_targets.describe().endswith("3 inputs, 2 numbers to predict")


# Formulas, without noise


def test_circles_have_the_given_radii():
    x, y = load_raw(Circles, noise=0.0, factor=0.3)
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 0, 1.0, 0.3))


def test_blobs_have_the_given_spread_and_centers_within_the_cube():
    x, y = load_raw(Blobs, samples=4000, centers=4, features=3, spread=0.1)
    assert x.shape == (4000, 3)
    assert np.bincount(y).tolist() == [1000] * 4
    for k in range(4):
        np.testing.assert_allclose(x[y == k].std(axis=0), 0.1, rtol=0.1)
        assert abs(x[y == k].mean(axis=0)).max() < 10.1


@pytest.mark.parametrize("arms", [2, 3])
def test_spirals_are_rotated_by_equal_angles(arms):
    x, y = load_raw(Spirals, samples=arms * 50, arms=arms, turns=1.0, noise=0.0)
    z = x @ np.array([1, 1j])
    for k in range(arms):
        arm = z[y == k]
        expected = abs(arm) * np.exp(2j * np.pi * (abs(arm) + k / arms))
        np.testing.assert_allclose(arm, expected, atol=1e-12)
    assert abs(z).max() == pytest.approx(1)


def test_xor_classes_are_the_product_of_signs():
    x, y = load_raw(Xor, noise=0.0)
    assert (y == (x[:, 0] * x[:, 1] < 0)).all()
    assert np.bincount(y).tolist() == [250, 250]


def test_sine_follows_its_formula():
    x, y = load_raw(Sine, noise=0.0, frequency=3.0, extent=2.0)
    np.testing.assert_allclose(y, np.sin(3 * x), atol=1e-12)
    assert (x.min(), x.max()) == (-2, 2)


@pytest.mark.parametrize("points", ["chebyshev", "random"])
def test_polynomials_are_chebyshev_polynomials(points):
    x, y = load_raw(Polynomials, degree=4, points=points)
    np.testing.assert_allclose(y, np.polynomial.chebyshev.chebval(x, [0, 0, 0, 0, 1]), atol=1e-12)
    assert abs(x).max() <= 1
    if points == "chebyshev":
        roots = np.polynomial.chebyshev.chebroots([0] * 200 + [1])
        np.testing.assert_allclose(np.sort(x[:, 0]), roots, atol=1e-12)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Blobs(samples=3, centers=4), "data.centers=4: expected at most data.samples=3"),
        (Spirals(samples=3, arms=4), "data.arms=4: expected at most data.samples=3"),
        (Moons(samples=2, validation=0.9), "data.validation=0.9: leaves no training examples out of 2"),
    ],
)
def test_contradictory_options_are_rejected(data, message):
    with pytest.raises(ConfigError, match=message):
        data.load()


# Training


@pytest.mark.parametrize("cls", DATASETS)
def test_training_on_each_dataset_reduces_the_loss(tmp_path, cls):
    summary = train(build_experiment(run_config(cls())), tmp_path, bar=False)
    table = read_metrics(tmp_path)
    regression = issubclass(cls, RegressionSplitOptions)
    assert summary.status == "completed"
    assert ("val_accuracy" in table) == (not regression)
    loss = (
        "train_loss" if cls is ModularAddition else "val_loss"
    )  # its validation examples are learned late or never (grokking)
    assert table[loss][-1] < table[loss][0]
    assert summary.best.metric == ("val_loss" if regression else "val_accuracy")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_descent_converges_to_the_least_squares_solution(tmp_path, dtype):
    data = Diabetes()
    experiment = build_experiment(
        replace(run_config(data), network=LinearConfig(), dtype=dtype, batch_size=None, steps=500, lr=0.2)
    )
    train(experiment, tmp_path, bar=False)
    loaded = data.load()
    x = np.column_stack([loaded.x_train, np.ones(len(loaded.x_train))])
    residual = loaded.y_train - x @ np.linalg.lstsq(x, loaded.y_train)[0]
    last = read_metrics(tmp_path)["train_loss"][-1]
    # Two inputs (s1, s2) are nearly collinear, so convergence is slow: 500 steps reach the minimum within 1%.
    assert (residual**2).mean() * (1 - 1e-6) <= last <= 1.01 * (residual**2).mean()


def test_targets_have_the_dtype_of_the_run():
    experiment = build_experiment(run_config(Sine()))
    step = experiment.step
    batch = step.batch(0)
    assert (batch.x.dtype, batch.y.dtype, step.val.y.dtype) == (np.float32,) * 3
    assert experiment.eager_engine.loss(0).dtype == np.float32


def test_cross_entropy_of_numeric_targets_is_rejected_with_advice():
    with pytest.raises(ConfigError, match=r"loss=cross_entropy: requires classes, .* set loss=mse"):
        build_experiment(replace(run_config(Diabetes()), loss="cross_entropy"))


# Data larger than memory


def test_row_blocks_cover_every_row_once(monkeypatch):
    x = np.arange(70).reshape(10, 7)
    monkeypatch.setattr(rows, "BLOCK_SIZE", 21)
    assert [len(x[block]) for block in row_blocks(x)] == [3, 3, 3, 1]
    assert (np.concatenate([x[block] for block in row_blocks(x)]) == x).all()
    monkeypatch.setattr(rows, "BLOCK_SIZE", 2)
    assert len(list(row_blocks(x))) == 10


def test_mean_and_deviation_in_blocks_equal_those_of_the_whole_array(monkeypatch):
    x = np.random.default_rng(0).normal(size=(100, 3)) * [1, 10, 100] + 5
    whole = mean_and_deviation(x)
    assert (whole[0] == x.mean(axis=0)).all()
    assert (whole[1] == x.std(axis=0)).all()
    monkeypatch.setattr(rows, "BLOCK_SIZE", 21)
    np.testing.assert_allclose(mean_and_deviation(x), whole, rtol=1e-13)


def test_rows_on_disk_behave_like_an_array():
    array = np.arange(24.0).reshape(4, 2, 3)
    x = RowsOnDisk(array, np.array([2, 0, 3]), Scale(np.ones(6), np.full(6, 2.0))).astype("float32")
    expected = ((array[[2, 0, 3]].reshape(3, 6) - 1) / 2).astype(np.float32)
    assert (len(x), x.shape, x[:].dtype) == (3, (3, 6), np.float32)
    assert (x[:] == expected).all()
    assert (x[np.array([1, 1])] == expected[[1, 1]]).all()
    assert x[:0].shape == (0, 6)
