"""The studies in experiments/ show what their first lines say."""

import importlib
import math
import sys
import warnings
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from published import MAZUR_ERROR, MAZUR_FIRST, MAZUR_SECOND, MICROGRAD
from threadpoolctl import threadpool_limits

from minitrain.compare.comparison import compare
from minitrain.compare.results import load_run, load_runs, value_of
from minitrain.config.loading import read_run_config
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.training.experiment import build_experiment


@pytest.fixture
def study(command):
    """Run a study in an empty folder, with overrides: of one run, the run; of a sweep, all of them."""

    def run(name, *overrides, sweep=False, where="found"):
        placed = f"hydra.{'sweep' if sweep else 'run'}.dir={where}"
        status, out, err = command(*["-m"] * sweep, f"experiments={name}", placed, *overrides)
        assert status == 0, out + err
        return load_runs(where) if sweep else load_run(Path(where))

    return run


def final(runs, key, metric="val_accuracy"):
    """Value of a key -> what the metric comes to at the end, in the order of the runs: [runs]."""
    found = {}
    for run in runs:
        found.setdefault(value_of(run, key), []).append(run.curve(metric)[1][-1])
    return {value: np.array(values) for value, values in found.items()}


# Printed by others


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_micrograd_moons(study, dtype, tolerance):
    metrics = study("micrograd_moons", f"dtype={dtype}").metrics
    for step, (loss, percent) in MICROGRAD.items():
        assert metrics["step"][step] == step
        assert metrics["train_loss"][step] == pytest.approx(loss, rel=tolerance)
        assert round(metrics["train_accuracy"][step] * 100, 9) == percent


def test_micrograd_moons_starts_from_what_the_demo_draws(study):
    """Its data; the weights are drawn in tests/test_published.py."""
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
    after, _ = load_checkpoint(run.directory / "checkpoints" / "last.npz")
    np.testing.assert_allclose(after["parameters/0.weight"], MAZUR_FIRST, rtol=0, atol=5e-9)
    np.testing.assert_allclose(after["parameters/2.weight"], MAZUR_SECOND, rtol=0, atol=5e-9)
    np.testing.assert_array_equal(after["parameters/0.bias"], [0.35, 0.35])
    np.testing.assert_array_equal(after["parameters/2.bias"], [0.60, 0.60])


# Recomputed by other means


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


# name -> value, derivative
BY_HAND = {
    "relu": (lambda x: max(0.0, x), lambda x: float(x > 0)),
    "silu": (lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x)))),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
}


def lab2_by_hand(activation):
    """The losses before each step and after the last."""
    a, slope = BY_HAND[activation]
    x, w1, w2, b, losses = 3.0, 1.0, 2.0, 1.0, []
    for _ in range(21):
        inner = w1 * x + b
        outer = w2 * a(inner) + b
        losses.append(a(outer))
        through = slope(outer) * w2 * slope(inner)
        g1, g2, gb = through * x, slope(outer) * a(inner), through + slope(outer)
        w1, w2, b = w1 - 0.3 * g1, w2 - 0.3 * g2, b - 0.3 * gb
    return losses


def test_lab2(study):
    found = {run.config["activation"]: run.metrics["train_loss"] for run in study("lab2", sweep=True)}
    assert found.keys() == BY_HAND.keys()
    for activation, losses in found.items():
        np.testing.assert_allclose(losses, lab2_by_hand(activation), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found["relu"], [9, 0.1] + [0] * 19, rtol=1e-14, atol=0)


def by_scikit_learn(experiment, solver):
    """The loss curve of MLPClassifier from a problem's weights."""
    neural_network = pytest.importorskip("sklearn.neural_network", reason="it is compared with scikit-learn")
    config, data, start = experiment.config, experiment.data, experiment.model.state_dict()
    examples = len(data.x_train)
    net = neural_network.MLPClassifier(
        config.network.widths, activation=config.activation, alpha=2 * examples * config.l2, batch_size=examples,
        learning_rate_init=config.lr, n_iter_no_change=10**6, warm_start=True, **solver,
    )  # fmt: skip
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # that it has not converged
        net.set_params(max_iter=1).fit(data.x_train, data.y_train)  # which makes the arrays to be given values
        net.coefs_ = [start["0.weight"].T.copy(), start["2.weight"].T.copy()]
        net.intercepts_ = [start["0.bias"].copy(), start["2.bias"].copy()]
        net.set_params(max_iter=config.steps).fit(data.x_train, data.y_train)
    return net.loss_curve_[-config.steps :]


SOLVERS = {
    "momentum": {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": True},
}
ADAM = {"solver": "adam", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}


def test_sklearn_digits(study):
    runs = study("sklearn_digits", sweep=True)
    assert [run.config["optimizer.name"] for run in runs] == list(SOLVERS)
    for run, solver in zip(runs, SOLVERS.values(), strict=True):
        config = read_run_config(run.directory)
        theirs = by_scikit_learn(build_experiment(config), solver)
        assert len(theirs) == 200
        np.testing.assert_allclose(run.metrics["train_loss"][:200], theirs, rtol=1e-9)


def test_sklearn_digits_adam(study):
    runs = study("sklearn_digits_adam", sweep=True)
    assert [run.config["optimizer.eps_hat"] for run in runs] == [True, False]
    reference = by_scikit_learn(build_experiment(read_run_config(runs[0].directory)), ADAM)
    assert len(reference) == 200
    np.testing.assert_allclose(runs[0].metrics["train_loss"][:200], reference, rtol=1e-9)
    difference = np.abs(runs[1].metrics["train_loss"][:200] / reference - 1).max()
    assert 1e-5 < difference < 1e-3


# Seen


@pytest.mark.slow
def test_spirals(study):
    found = final(study("spirals", sweep=True), "network")
    assert found["linear"].mean() == pytest.approx(0.66, abs=0.02)
    assert found["mlp"].min() > 0.95


@pytest.mark.slow
def test_optimizers(study):
    runs = study("optimizers", sweep=True)
    best = {}
    for group in compare(runs).groups:  # the best first
        best.setdefault(group.values["optimizer"], group)
    assert len(best) == 9
    assert all(len(group.runs) == 5 for group in best.values())
    means = {name: 100 * group.mean for name, group in best.items()}
    assert means.pop("lion") == pytest.approx(96.0, abs=0.5)
    assert min(means.values()) == pytest.approx(97.7, abs=0.3)
    assert max(means.values()) == pytest.approx(98.3, abs=0.3)
    rates = {name: group.values["lr"] for name, group in best.items()}
    assert rates["sgd"] >= 0.3 > rates["momentum"] > rates["adam"] >= 0.001


@pytest.fixture
def seeds(monkeypatch):
    """experiments/seeds.py as a module."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "experiments")
    yield importlib.import_module("seeds")
    sys.modules.pop("seeds")


def test_the_bootstrap_of_seeds(seeds):
    """For normal differences the interval is mean ± 1.96 deviation / √n."""
    difference = NormalDist(0.5, 2.0).samples(200, seed=0)
    many = seeds.COUNTS >= 20
    half = 1.96 * np.std(difference) / np.sqrt(seeds.COUNTS[many])
    low, high = seeds.bootstrap(np.array(difference))[:, many]
    np.testing.assert_allclose(np.mean(difference) - low, half, rtol=0.05)
    np.testing.assert_allclose(high - np.mean(difference), half, rtol=0.05)


def test_seeds_of_a_small_sweep(study, seeds, capsys):
    study("seeds", "activation=silu,relu", "seed=range(4)", "steps=30", "data=iris", sweep=True)
    seeds.main(Path("found"))
    told = capsys.readouterr().out
    assert "silu: " in told
    assert "silu - relu: " in told
    assert Path("found/seeds.png").stat().st_size > 10_000


@pytest.mark.slow
def test_seeds(study, seeds):
    found = seeds.final_accuracies(study("seeds", sweep=True))
    difference = found["tanh"] - found["relu"]
    assert found["tanh"].mean() == pytest.approx(97.73, abs=0.1)
    assert found["relu"].mean() == pytest.approx(97.61, abs=0.1)
    low, _ = seeds.bootstrap(difference)
    assert 40 < seeds.COUNTS[(low > 0).argmax()] < 150


def test_grokking_in_short(study):
    """The training examples are known by step 50; the others are 150 steps later, with weight decay alone."""
    short = ["optimizer.weight_decay=0,4", "seed=0", "steps=300"]
    without, with_decay = runs = study("grokking", *short, sweep=True)
    for run in runs:
        steps, known = run.curve("train_accuracy")
        assert known[steps == 50] == 1.0
    assert without.curve("val_accuracy")[1].max() < 0.1
    steps, accuracy = with_decay.curve("val_accuracy")
    assert accuracy[steps <= 50].max() < 0.2
    assert accuracy[-1] == 1.0


@pytest.mark.slow
def test_grokking(study):
    runs = study("grokking", sweep=True)
    known = {}
    for run in runs:
        steps, accuracy = run.curve("val_accuracy")
        known.setdefault(run.config["optimizer.weight_decay"], []).append(steps[np.argmax(accuracy > 0.99)])
    assert max(known[4]) < min(known[2])
    assert max(known[2]) < min(known[1]) < 2000
    found = final(runs, "optimizer.weight_decay")
    assert found[0.5].max() < 0.6
    assert found[0].max() < 0.1


@pytest.mark.slow
def test_lr_transfer(study):
    keys = ["network.parametrization", "network.widths", "lr"]
    best = {}
    for group in compare(study("lr_transfer", sweep=True), "val_loss", keys=keys).groups:  # the best first
        name, widths, lr = group.values.values()
        best.setdefault((name, widths[0]), lr)
    assert len(best) == 10
    assert all(best["mup_adam", width] in (0.008, 0.016) for width in (32, 64, 128, 256, 512))
    assert best["standard", 32] == best["mup_adam", 32]
    assert best["standard", 512] <= 0.002


def test_edge_of_stability_in_short(study):
    """The sharpness begins at 13; 3,000 steps of rates 0.1 and 0.05 take it to 20 and to 40."""
    for run in study("edge_of_stability", "lr=0.1,0.05", "seed=0", "steps=3000", sweep=True):
        steps, sharpness = run.curve("sharpness")
        assert sharpness[0] < 14
        assert sharpness[steps > 1500].mean() == pytest.approx(2 / run.config["lr"], rel=0.03)


@pytest.mark.slow
def test_edge_of_stability(study):
    for run in study("edge_of_stability", sweep=True):
        at_edge = run.curve("sharpness")[1] * run.config["lr"] / 2
        arrived = (at_edge >= 1).argmax()
        assert 0 < arrived < len(at_edge) / 2
        assert at_edge[arrived:].mean() == pytest.approx(1, rel=0.02)
        assert run.metrics["train_loss"][-1] < run.metrics["train_loss"][0] / 90


@pytest.mark.parametrize(
    ("activation", "init", "low", "high"),
    [
        ("relu", "pytorch", 0, 1e-8),
        ("relu", "xavier_normal", 1e-5, 1e-2),
        ("relu", "he_normal", 0.3, 3),
        ("relu", "normal", 1e16, 1e20),
        ("tanh", "pytorch", 0, 1e-4),
        ("tanh", "orthogonal", 0.1, 1),
        ("tanh", "normal", 1e6, 1e9),
        ("sigmoid", "he_normal", 0, 1e-10),
    ],
)
def test_depth_init_at_the_start(study, activation, init, low, high):
    """The norm of the first of 25 layers' gradient."""
    run = study("depth_init", f"activation={activation}", f"network.init={init}", "network.depth=24", "steps=1")
    assert low <= run.metrics["layer_grad_norm/0.weight"][0] <= high


@pytest.mark.slow
def test_depth_init(study):
    runs = study("depth_init", sweep=True)
    deep = {(r.config["activation"], r.config["network.init"]): r for r in runs if r.config["network.depth"] == 24}
    assert len(deep) == 15
    learned = {key for key, run in deep.items() if run.status == "completed" and run.curve("val_accuracy")[1][-1] > 0.9}
    assert learned == {("tanh", "xavier_normal"), ("tanh", "he_normal"), ("tanh", "orthogonal")}
    assert deep["relu", "normal"].status == "diverged"
