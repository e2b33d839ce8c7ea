"""The results that the studies in experiments/ state."""

import importlib
import math
import sys
import warnings
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from published import MAZUR_ERROR, MAZUR_FIRST_LAYER, MAZUR_SECOND_LAYER, MICROGRAD
from threadpoolctl import threadpool_limits

from minitrain.compare.comparison import compare
from minitrain.compare.results import load_run, load_runs, value_of
from minitrain.config.loading import read_run_config
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.training.experiment import build_experiment


@pytest.fixture
def study(command):
    """Run a study with overrides in an empty directory; returns the run, or all runs of a sweep."""

    def run(name, *overrides, sweep=False, directory="study"):
        flags = ["-m"] if sweep else []
        key = "hydra.sweep.dir" if sweep else "hydra.run.dir"
        status, out, err = command(*flags, f"experiments={name}", f"{key}={directory}", *overrides)
        assert status == 0, out + err
        return load_runs(directory) if sweep else load_run(Path(directory))

    return run


def final_values(runs, key, metric="val_accuracy"):
    """Value of a key -> final values of a metric in the order of the runs: [runs]."""
    values_by_key = {}
    for run in runs:
        values_by_key.setdefault(value_of(run, key), []).append(run.curve(metric)[1][-1])
    return {value: np.array(values) for value, values in values_by_key.items()}


# Published numbers


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_micrograd_moons(study, dtype, tolerance):
    metrics = study("micrograd_moons", f"dtype={dtype}").metrics
    for step, (loss, percent) in MICROGRAD.items():
        assert metrics["step"][step] == step
        assert metrics["train_loss"][step] == pytest.approx(loss, rel=tolerance)
        assert round(metrics["train_accuracy"][step] * 100, 9) == percent


def test_data_of_micrograd_moons_equal_those_of_the_demo(study):
    """The demo's initial weights are drawn in test_published.py."""
    datasets = pytest.importorskip("sklearn.datasets", reason="the demo's data are scikit-learn's moons")
    np.random.seed(1337)  # noqa: NPY002  # as the demo does
    x, y = datasets.make_moons(n_samples=100, noise=0.1)
    data = build_experiment(read_run_config(study("micrograd_moons", "steps=1").directory)).data
    order = np.lexsort(data.x_train.T)
    np.testing.assert_array_equal(data.x_train[order], x[np.lexsort(x.T)])
    np.testing.assert_array_equal(data.y_train[order], y[np.lexsort(x.T)])


def test_mazur(study):
    run = study("mazur")
    assert run.metrics["train_loss"][0] == pytest.approx(MAZUR_ERROR, abs=5e-9)
    arrays, _ = load_checkpoint(run.directory / "checkpoints" / "last.npz")
    np.testing.assert_allclose(arrays["parameters/0.weight"], MAZUR_FIRST_LAYER, rtol=0, atol=5e-9)
    np.testing.assert_allclose(arrays["parameters/2.weight"], MAZUR_SECOND_LAYER, rtol=0, atol=5e-9)
    np.testing.assert_array_equal(arrays["parameters/0.bias"], [0.35, 0.35])
    np.testing.assert_array_equal(arrays["parameters/2.bias"], [0.60, 0.60])


# Numbers of other implementations


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


# name -> function, derivative
ACTIVATIONS = {
    "relu": (lambda x: max(0.0, x), lambda x: float(x > 0)),
    "silu": (lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x)))),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
}


def lab2_losses(activation):
    """The losses before each step and after the last, from gradients derived by hand."""
    a, derivative = ACTIVATIONS[activation]
    x, w1, w2, b, losses = 3.0, 1.0, 2.0, 1.0, []
    for _ in range(21):
        inner = w1 * x + b
        outer = w2 * a(inner) + b
        losses.append(a(outer))
        d_inner = derivative(outer) * w2 * derivative(inner)
        g1, g2, gb = d_inner * x, derivative(outer) * a(inner), d_inner + derivative(outer)
        w1, w2, b = w1 - 0.3 * g1, w2 - 0.3 * g2, b - 0.3 * gb
    return losses


def test_lab2(study):
    curves = {run.config["activation"]: run.metrics["train_loss"] for run in study("lab2", sweep=True)}
    assert curves.keys() == ACTIVATIONS.keys()
    for activation, losses in curves.items():
        np.testing.assert_allclose(losses, lab2_losses(activation), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(curves["relu"], [9, 0.1] + [0] * 19, rtol=1e-14, atol=0)


def scikit_learn_losses(experiment, solver):
    """The loss curve of MLPClassifier from the initial weights of an experiment."""
    neural_network = pytest.importorskip("sklearn.neural_network", reason="the reference is scikit-learn")
    config, data, initial = experiment.config, experiment.data, experiment.model.state_dict()
    examples = len(data.x_train)
    net = neural_network.MLPClassifier(
        config.network.widths, activation=config.activation, alpha=2 * examples * config.l2, batch_size=examples,
        learning_rate_init=config.lr, n_iter_no_change=10**6, warm_start=True, **solver,
    )  # fmt: skip
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # ConvergenceWarning
        net.set_params(max_iter=1).fit(data.x_train, data.y_train)  # creates the arrays that are overwritten below
        net.coefs_ = [initial["0.weight"].T.copy(), initial["2.weight"].T.copy()]
        net.intercepts_ = [initial["0.bias"].copy(), initial["2.bias"].copy()]
        net.set_params(max_iter=config.steps).fit(data.x_train, data.y_train)
    return net.loss_curve_[-config.steps :]


SOLVERS = {
    "momentum": {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": True},
}
ADAM = {"solver": "adam", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}


@pytest.mark.slow
def test_sklearn_digits(study):
    runs = study("sklearn_digits", sweep=True)
    assert [run.config["optimizer.name"] for run in runs] == list(SOLVERS)
    for run, solver in zip(runs, SOLVERS.values(), strict=True):
        config = read_run_config(run.directory)
        theirs = scikit_learn_losses(build_experiment(config), solver)
        assert len(theirs) == 200
        np.testing.assert_allclose(run.metrics["train_loss"][:200], theirs, rtol=1e-9)


def test_sklearn_digits_adam(study):
    runs = study("sklearn_digits_adam", sweep=True)
    assert [run.config["optimizer.eps_hat"] for run in runs] == [True, False]
    reference = scikit_learn_losses(build_experiment(read_run_config(runs[0].directory)), ADAM)
    assert len(reference) == 200
    np.testing.assert_allclose(runs[0].metrics["train_loss"][:200], reference, rtol=1e-9)
    difference = np.abs(runs[1].metrics["train_loss"][:200] / reference - 1).max()
    assert 1e-5 < difference < 1e-3


# Observed results


@pytest.mark.slow
def test_spirals(study):
    accuracies = final_values(study("spirals", sweep=True), "network")
    assert accuracies["linear"].mean() == pytest.approx(0.66, abs=0.02)
    assert accuracies["mlp"].min() > 0.95


@pytest.mark.slow
def test_optimizers(study):
    runs = study("optimizers", sweep=True)
    best = {}
    for group in compare(runs).groups:  # ordered from the best
        best.setdefault(group.values["optimizer"], group)
    assert len(best) == 9
    assert all(len(group.runs) == 5 for group in best.values())
    means = {name: 100 * group.mean for name, group in best.items()}
    assert means.pop("lion") == pytest.approx(96.0, abs=0.5)
    assert min(means.values()) == pytest.approx(97.5, abs=0.3)
    assert max(means.values()) == pytest.approx(98.2, abs=0.3)
    learning_rates = {name: group.values["lr"] for name, group in best.items()}
    assert learning_rates["sgd"] >= 0.3 > learning_rates["momentum"] > learning_rates["adam"] >= 0.001


@pytest.fixture
def seeds(monkeypatch):
    """experiments/seeds.py as a module."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "experiments")
    yield importlib.import_module("seeds")
    sys.modules.pop("seeds")


def test_bootstrap_interval_of_normal_differences(seeds):
    """The interval is mean ± 1.96 std / √n."""
    difference = NormalDist(0.5, 2.0).samples(200, seed=0)
    large_n = seeds.COUNTS >= 20
    half_width = 1.96 * np.std(difference) / np.sqrt(seeds.COUNTS[large_n])
    low, high = seeds.bootstrap(np.array(difference))[:, large_n]
    np.testing.assert_allclose(np.mean(difference) - low, half_width, rtol=0.05)
    np.testing.assert_allclose(high - np.mean(difference), half_width, rtol=0.05)


def test_seeds_script_on_a_small_sweep(study, seeds, capsys):
    study("seeds", "activation=silu,relu", "seed=range(4)", "steps=30", "data=iris", sweep=True)
    seeds.main(Path("study"))
    output = capsys.readouterr().out
    assert "silu: " in output
    assert "silu - relu: " in output
    assert Path("study/seeds.png").stat().st_size > 10_000


@pytest.mark.slow
def test_seeds(study, seeds):
    accuracies = seeds.final_accuracies(study("seeds", sweep=True))
    difference = accuracies["tanh"] - accuracies["relu"]
    assert accuracies["tanh"].mean() == pytest.approx(97.82, abs=0.1)
    assert accuracies["relu"].mean() == pytest.approx(97.71, abs=0.1)
    low, _ = seeds.bootstrap(difference)
    assert 40 < seeds.COUNTS[(low > 0).argmax()] < 150


def test_short_version_of_grokking(study):
    """The training set is memorized by step 50; validation follows 150 steps later, only with weight decay."""
    overrides = ["optimizer.weight_decay=0,4", "seed=0", "steps=300"]
    without, with_decay = runs = study("grokking", *overrides, sweep=True)
    for run in runs:
        steps, accuracy = run.curve("train_accuracy")
        assert accuracy[steps == 50] == 1.0
    assert without.curve("val_accuracy")[1].max() < 0.1
    steps, accuracy = with_decay.curve("val_accuracy")
    assert accuracy[steps <= 50].max() < 0.2
    assert accuracy[-1] == 1.0


@pytest.mark.slow
def test_grokking(study):
    runs = study("grokking", sweep=True)
    first_steps = {}  # weight decay -> first steps with a validation accuracy above 99%
    for run in runs:
        steps, accuracy = run.curve("val_accuracy")
        first_steps.setdefault(run.config["optimizer.weight_decay"], []).append(steps[np.argmax(accuracy > 0.99)])
    assert max(first_steps[4]) < min(first_steps[2])
    assert max(first_steps[2]) < min(first_steps[1]) < 2000
    accuracies = final_values(runs, "optimizer.weight_decay")
    assert accuracies[0.5].max() < 0.6
    assert accuracies[0].max() < 0.1


@pytest.mark.slow
def test_lr_transfer(study):
    keys = ["network.parametrization", "network.widths", "lr"]
    best = {}
    for group in compare(study("lr_transfer", sweep=True), "val_loss", keys=keys).groups:  # ordered from the best
        name, widths, lr = group.values.values()
        best.setdefault((name, widths[0]), lr)
    assert len(best) == 10
    assert all(best["mup_adam", width] in (0.008, 0.016) for width in (32, 64, 128, 256, 512))
    assert best["standard", 32] == best["mup_adam", 32]
    assert best["standard", 512] <= 0.002


def test_short_version_of_edge_of_stability(study):
    """The sharpness rises from 13 to 20 and to 40 within 3,000 steps at the learning rates 0.1 and 0.05."""
    for run in study("edge_of_stability", "lr=0.1,0.05", "seed=0", "steps=3000", sweep=True):
        steps, sharpness = run.curve("sharpness")
        assert sharpness[0] < 14
        assert sharpness[steps > 1500].mean() == pytest.approx(2 / run.config["lr"], rel=0.03)


@pytest.mark.slow
def test_edge_of_stability(study):
    for run in study("edge_of_stability", sweep=True):
        relative = run.curve("sharpness")[1] * run.config["lr"] / 2
        first = (relative >= 1).argmax()  # first evaluation at the edge
        assert 0 < first < len(relative) / 2
        assert relative[first:].mean() == pytest.approx(1, rel=0.02)
        assert run.metrics["train_loss"][-1] < run.metrics["train_loss"][0] / 90


@pytest.mark.parametrize(
    ("activation", "init", "low", "high"),
    [
        pytest.param("relu", "pytorch", 0, 1e-8, marks=pytest.mark.slow),
        pytest.param("relu", "xavier_normal", 1e-5, 1e-2, marks=pytest.mark.slow),
        ("relu", "he_normal", 0.3, 3),
        pytest.param("relu", "normal", 1e16, 1e20, marks=pytest.mark.slow),
        pytest.param("tanh", "pytorch", 0, 1e-4, marks=pytest.mark.slow),
        pytest.param("tanh", "orthogonal", 0.1, 1, marks=pytest.mark.slow),
        pytest.param("tanh", "normal", 1e6, 1e9, marks=pytest.mark.slow),
        ("sigmoid", "he_normal", 0, 1e-10),
    ],
)
def test_first_gradient_norm_of_depth_init(study, activation, init, low, high):
    """The gradient norm of the first of 25 layers before the first step."""
    run = study("depth_init", f"activation={activation}", f"network.init={init}", "network.depth=24", "steps=1")
    assert low <= run.metrics["layer_grad_norm/0.weight"][0] <= high


@pytest.mark.slow
def test_depth_init(study):
    runs = study("depth_init", sweep=True)
    deep = {(r.config["activation"], r.config["network.init"]): r for r in runs if r.config["network.depth"] == 24}
    assert len(deep) == 15
    trained = {key for key, run in deep.items() if run.status == "completed" and run.curve("val_accuracy")[1][-1] > 0.9}
    assert trained == {("tanh", "xavier_normal"), ("tanh", "he_normal"), ("tanh", "orthogonal")}
    assert deep["relu", "normal"].status == "diverged"
