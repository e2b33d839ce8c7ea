"""Diagnostics: equal bits in every engine, values as computed by NumPy, and no effect on training."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_checks import RunningMean

from minitrain import ConfigError, Tensor, hessian, nn, register
from minitrain import functional as F
from minitrain.commands import run as run_command
from minitrain.components.networks import Lab2Config, LinearConfig, MLPConfig
from minitrain.components.sequential import CNNConfig, SequentialConfig
from minitrain.config.schema import RunConfig
from minitrain.data import NPY, Blobs, Moons, Point, Polynomials, Sine
from minitrain.nn.module import record_outputs
from minitrain.optim import AdamRule, MomentumRule, SGDRule
from minitrain.optim.gradient_transforms import l2_penalty
from minitrain.optim.schedules import Constant, Cosine
from minitrain.registry import REGISTRIES
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import read_summary
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.diagnostics import EVALUATION_KINDS, REGRESSION_METRICS, Diagnostic, kind_of, largest_eigenvalue
from minitrain.training.eager_engine import EagerEngine
from minitrain.training.experiment import assemble_experiment, build_experiment
from minitrain.training.loop import train

# Metrics of the validation examples and of a batch are tested in test_metrics.py
ALL = [name for name in sorted(REGISTRIES["diagnostic"]) if kind_of(name) not in EVALUATION_KINDS]
REGRESSION = [name for name in ALL if name != "train_accuracy"]  # where there are no classes
LAYER_DIAGNOSTICS = ("activation_mean", "activation_std", "dead_units")
CLASSES = Blobs(samples=24, centers=3, features=4, spread=4.0)
IMAGES = replace(CLASSES, features=16)
NUMBERS = Sine(samples=24)
BASE = RunConfig(
    CLASSES, MLPConfig([5, 4]), AdamRule(), Cosine(), lr=0.05, batch_size=8, steps=5, eval_every=2, log_every=1,
    diagnostics=ALL,
)  # fmt: skip
LAB2 = replace(
    BASE, data=Point(), network=Lab2Config(), loss="output", batch_size=None, lr=0.01, diagnostics=REGRESSION
)


def step_of(config):
    return assemble_experiment(config).step


def inspect_first_step(step):
    engine = EagerEngine(step)
    engine.loss(0)
    return engine.inspect(0)


def execute(engine):
    """Losses and diagnostics of four steps, by name."""
    results = {}
    with np.errstate(all="ignore"):
        for k in range(4):
            results[f"loss {k}"] = engine.loss(k).copy()
            if k in (0, 3):
                results |= {f"{name} {k}": value for name, value in engine.inspect(k).items()}
            engine.update(k)
    return results


def assert_bitwise_equal(actual, expected):
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert (actual[name].dtype, actual[name].shape) == (value.dtype, value.shape), name
        assert actual[name].tobytes() == value.tobytes(), name


def check_engines(*configs):
    """Execute each run eagerly; compiled, the first run alone and all runs as a group give equal results."""
    expected = [execute(EagerEngine(step_of(config))) for config in configs]
    assert [name for name in expected[0] if name.endswith(" 3")][1:] == [
        f"{column} 3" for column in step_of(configs[0]).diagnostics
    ]
    assert_bitwise_equal(execute(CompiledEngine(step_of(configs[0]))), expected[0])
    results = execute(CompiledEngine(*map(step_of, configs)))
    for run, expected_of_run in enumerate(expected):
        assert_bitwise_equal({name: value[run] for name, value in results.items()}, expected_of_run)


def with_seeds(config, count=3):
    return [replace(config, seed=seed) for seed in range(count)]


# Equal bits in every engine


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "network",
    [
        MLPConfig([5], norm="batch"), MLPConfig([5, 4], dropout=0.3, norm="layer"), CNNConfig([3, 2]),
        MLPConfig([16, 16], residual=True, norm="batch", dropout=0.2, frozen=["0.*"]),
        SequentialConfig(
            [
                {"linear": 16}, {"reshape": [2, 8]}, {"conv": {"channels": 3}}, "layer_norm", "tanh", "avg_pool",
                {"residual": ["batch_norm", "silu"]}, "flatten", "linear",
            ]
        ),
    ],
    ids=lambda network: type(network).__name__,
)  # fmt: skip
def test_networks(network, dtype):
    check_engines(*with_seeds(replace(BASE, data=IMAGES, network=network, dtype=dtype)))


@pytest.mark.parametrize("name", REGISTRIES["activation"])
def test_activations(name):
    check_engines(*with_seeds(replace(BASE, network=MLPConfig([4]), activation=name), 2))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cross_entropy", CLASSES), ("binary_cross_entropy", Moons(samples=24)), ("hinge", CLASSES), ("mse", NUMBERS),
        ("mae", NUMBERS), ("huber", NUMBERS),
    ],
)  # fmt: skip
def test_losses(name, data):
    diagnostics = REGRESSION if data is NUMBERS else ALL
    check_engines(
        *with_seeds(
            replace(BASE, network=MLPConfig([4]), loss=name, data=data, activation="tanh", diagnostics=diagnostics), 2
        )
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"l2": [0.1, 0.0], "max_grad_norm": [0.01, 10.0], "seed": [3, 3]},
        {"label_smoothing": [0.1, 0.0]}, {"lr": [0.0, 1.0]},
        {"l2": [0.1, 0.2], "l2_on": ["all", "all"], "batch_size": [None, None]},
        {"network": [MLPConfig([5], dropout=0.5), MLPConfig([5], dropout=0.1)]},
        {"optimizer": [MomentumRule(0.9), MomentumRule(0.1)], "warmup": [2, None]},
    ],
    ids=str,
)  # fmt: skip
def test_runs_of_a_group_that_differ_in_numbers(changes):
    check_engines(
        *(replace(BASE, **dict(zip(changes, values, strict=True))) for values in zip(*changes.values(), strict=True))
    )


def test_a_network_without_a_target_that_uses_a_layer_twice():
    step = step_of(LAB2)
    assert step.diagnostics[:3] == ["activation_mean/activation", "activation_std/activation", "dead_units/activation"]
    # The layer is used twice; its last output is the network's.
    assert inspect_first_step(step)["activation_mean/activation"] == 9.0
    check_engines(LAB2, replace(LAB2, lr=0.02))


def test_data_on_disk(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(24, 4)))
    np.save(tmp_path / "y.npy", np.arange(24) % 3)
    data = NPY(x=str(tmp_path / "x.npy"), y=str(tmp_path / "y.npy"))
    check_engines(*with_seeds(replace(BASE, data=data, diagnostics=[name for name in ALL if name != "sharpness"])))
    with pytest.raises(ConfigError, match=r"diagnostics=\[sharpness\]: requires all training examples in memory"):
        build_experiment(replace(BASE, data=data))


class Centered(RunningMean):
    """The gradient depends on the Buffer."""

    def forward(self, x):
        mean = self.updated_mean(x)
        return (x - mean) * mean


def test_a_gradient_that_depends_on_a_buffer(own_components):
    register("activation", "centered")(Centered)
    check_engines(*with_seeds(replace(BASE, activation="centered"), 2))


def test_custom_diagnostics(own_components):
    register("diagnostic", "largest_weight")(Diagnostic(lambda step: step.params.abs().max(), "step"))
    register("diagnostic", "largest")(Diagnostic(lambda gradient: gradient.abs().max(), "parameter"))
    register("diagnostic", "smallest")(
        Diagnostic(lambda product, v: -largest_eigenvalue(lambda w: -product(w), v), "hessian")
    )
    check_engines(*with_seeds(replace(BASE, diagnostics=["smallest", "sharpness", "largest", "largest_weight"]), 2))
    with pytest.raises(ConfigError, match="register: diagnostic plain: expected a Diagnostic"):
        register("diagnostic", "plain")(lambda step: step.params.max())
    with pytest.raises(ConfigError, match="register: diagnostic wrong: kind 'steps': expected one of step, classes, "):
        register("diagnostic", "wrong")(Diagnostic(lambda step: step.params.max(), "steps"))


# Values


def perceptron(params, x):
    """A tanh network of one hidden layer, from a flat vector in the order of `FlatParameters`: 1-3-1."""
    w1, w2, b1, b2 = params[:3].reshape(3, 1), params[3:6].reshape(1, 3), params[6:9], params[9:10]
    hidden = (x @ w1.T + b1).tanh()
    return hidden, hidden @ w2.T + b2


PERCEPTRON = replace(
    BASE, data=NUMBERS, diagnostics=REGRESSION, network=MLPConfig([3]), activation="tanh", loss="mse", dtype="float64",
    optimizer=SGDRule(), schedule=Constant(), batch_size=None,
)  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"l2": 0.1, "max_grad_norm": 0.05}, {"l2": 0.3, "l2_on": "all"}], ids=str)
def test_diagnostics_of_a_step_equal_those_computed_by_numpy(tmp_path, changes):
    config = replace(PERCEPTRON, **changes)
    experiment = build_experiment(config)
    train(experiment, tmp_path, bar=False)
    arrays, progress = load_checkpoint(tmp_path / "checkpoints" / "last.npz")
    row = {name: column[-1] for name, column in read_metrics(tmp_path).items()}
    assert row["step"] == progress.step == 5

    w1, w2, b1, b2 = (arrays[f"parameters/{name}"] for name in ("0.weight", "2.weight", "0.bias", "2.bias"))
    x, y = experiment.data.x_train, experiment.data.y_train
    hidden = np.tanh(x @ w1.T + b1)
    error = 2 * (hidden @ w2.T + b2 - y) / len(x)
    back = error @ w2 * (1 - hidden**2)
    gradients = {"0.weight": back.T @ x, "2.weight": error.T @ hidden, "0.bias": back.sum(0), "2.bias": error.sum(0)}
    for name, g in gradients.items():
        if config.l2 and (config.l2_on == "all" or name.endswith("weight")):
            g += 2 * config.l2 * arrays[f"parameters/{name}"]
    grad_norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
    param_norm = np.sqrt(sum((p**2).sum() for p in (w1, w2, b1, b2)))
    clipped = min(grad_norm, config.max_grad_norm or np.inf)
    expected = {
        "grad_norm": grad_norm, "param_norm": param_norm, "update_ratio": config.lr * clipped / param_norm,
        "dead_units/1": 0.0,
        "activation_mean/1": hidden.mean(), "activation_std/1": hidden.std(),
    } | {f"layer_grad_norm/{name}": np.linalg.norm(g) for name, g in gradients.items()}  # fmt: skip
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-6), name
    assert row.keys() == {"step", "lr", "train_loss", "val_loss", *REGRESSION_METRICS, "sharpness", *expected}


def test_train_accuracy_is_that_of_the_batch_before_the_update():
    step = step_of(replace(BASE, diagnostics=["train_accuracy"], dtype="float64"))
    engine = EagerEngine(step)
    for k in range(3):
        batch = step.batch(k)
        is_correct = step.model(Tensor(batch.x)).numpy().argmax(axis=1) == batch.y
        engine.loss(k)
        assert engine.inspect(k)["train_accuracy"] == is_correct.mean()
        engine.update(k)


def test_param_norm_includes_frozen_parameters():
    all_trained, some_frozen = (
        inspect_first_step(step_of(replace(BASE, network=MLPConfig([5], frozen=frozen), dtype="float64")))
        for frozen in ([], ["0.*"])
    )
    assert some_frozen["param_norm"] == pytest.approx(all_trained["param_norm"])
    assert some_frozen["grad_norm"] < all_trained["grad_norm"]
    assert all_trained.keys() - some_frozen.keys() == {"layer_grad_norm/0.weight", "layer_grad_norm/0.bias"}


@pytest.mark.parametrize("l2", [None, 0.5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(3))
def test_sharpness_is_the_largest_eigenvalue_of_the_hessian(dtype, l2, seed):
    config = replace(PERCEPTRON, network=MLPConfig([3], init_scale=3.0), dtype=dtype, l2=l2, seed=seed)
    step = step_of(config)
    x, y = Tensor(step.train.x.astype("float64")), step.train.y.astype("float64")

    def loss(params):
        total = F.mse_loss(perceptron(params, x)[1], y)
        return total if l2 is None else total + l2_penalty(params, l2, 6)

    eigenvalues = np.linalg.eigvalsh(hessian(loss)(step.parameters.vector.astype("float64")).numpy())
    assert eigenvalues[0] < 0 < eigenvalues[-1]
    tolerance = 1e-7 if dtype == "float64" else 1e-4
    assert inspect_first_step(step)["sharpness"] == pytest.approx(eigenvalues[-1], rel=tolerance)


def test_sharpness_uses_all_examples_and_no_dropout():
    config = replace(PERCEPTRON, network=MLPConfig([3], dropout=0.5))
    values = [
        inspect_first_step(step_of(replace(config, **changes)))["sharpness"]
        for changes in ({}, {"batch_size": 5}, {"network": MLPConfig([3])})
    ]
    assert values[0] == values[1] == values[2]


def test_the_most_positive_eigenvalue_is_not_the_largest_in_magnitude():
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.normal(size=(300, 300)))
    eigenvalues = np.concatenate([[-80.0, -60.0, 10.0, 9.0], rng.uniform(-1, 1, size=296)])
    matrix = axes * eigenvalues @ axes.T
    directions = []

    def product(v):
        directions.append(v)
        return matrix @ v

    assert largest_eigenvalue(product, rng.normal(size=300)) == pytest.approx(10.0, rel=1e-4)
    assert len(directions) < 50


@pytest.mark.parametrize(("matrix", "expected"), [(np.zeros((2, 2)), 0.0), ([[-3.0]], -3.0), ([[np.nan]], np.nan)])
def test_eigenvalues_of_degenerate_matrices(matrix, expected):
    value = largest_eigenvalue(lambda v: np.array(matrix) @ v, np.ones(len(matrix)))
    assert value == pytest.approx(expected, nan_ok=True)


def test_sharpness_rises_to_the_edge_of_stability_under_gradient_descent(tmp_path):
    data = Polynomials(validation=0.0)
    config = replace(PERCEPTRON, data=data, network=MLPConfig([64, 64]), lr=0.05, steps=1500, eval_every=50, l2=None)
    train(build_experiment(replace(config, dtype="float32", diagnostics=["sharpness"])), tmp_path, bar=False)
    sharpness = read_metrics(tmp_path)["sharpness"]
    sharpness = sharpness[np.isfinite(sharpness)]
    assert sharpness[0] < 20
    assert (np.diff(sharpness[:10]) > 0).all()
    assert 36 < sharpness[-10:].mean() < 46  # 2 / lr is 40


def test_dead_units_of_a_constructed_network():
    step = step_of(replace(BASE, network=MLPConfig([4, 2])))
    arrays = {name: array.copy() for name, array in step.arrays().items()}
    arrays["parameters/0.bias"] = np.array([-100.0, 100.0, -100.0, -100.0], step.config.dtype)
    arrays["parameters/2.bias"] = np.array([100.0, 100.0], step.config.dtype)
    step.restore(arrays)
    values = inspect_first_step(step)
    assert (values["dead_units/1"], values["dead_units/3"]) == (0.75, 0.0)


def test_a_channel_is_dead_if_it_is_0_at_every_position():
    dead_units = REGISTRIES["diagnostic"]["dead_units"].function
    output = np.zeros((2, 4, 3, 3))
    output[1, 2, 0, 0] = -0.5
    assert dead_units(Tensor(output)).item() == 0.75


def test_outputs_are_recorded_only_inside_the_context():
    net = nn.Sequential(nn.Linear(2, 3, rng=0), nn.ReLU())
    with record_outputs({"relu": net.layers[1]}) as outputs:
        output = net(np.ones((1, 2)))
    assert outputs == {"relu": output}
    net(np.ones((1, 2)))
    assert outputs == {"relu": output}
    assert "observer" not in vars(net.layers[1])


# Diagnostics have no effect on training

RANDOM = replace(
    BASE, network=MLPConfig([5, 4], norm="batch", dropout=0.3), l2=0.01, max_grad_norm=1.0, steps=7, eval_every=2,
    checkpoint_every=3, optimizer=MomentumRule(0.9),
)  # fmt: skip


def rows(directory, names):
    with (directory / "metrics.csv").open() as file:
        return [[row[name] for name in names] for row in csv.DictReader(file)]


@pytest.mark.parametrize("engine", ["numpy", "eager"])
def test_diagnostics_do_not_change_a_run(tmp_path, engine):
    contents = []
    for diagnostics in ([], ALL):
        directory = tmp_path / str(len(diagnostics))
        directory.mkdir()
        experiment = build_experiment(replace(RANDOM, diagnostics=diagnostics, engine=engine))
        train(experiment, directory, bar=False)
        files = sorted((directory / "checkpoints").glob("*.npz"))
        weights = [{name: a.tobytes() for name, a in load_checkpoint(file)[0].items()} for file in files]
        contents.append((rows(directory, ["step", "lr", "train_loss", "val_loss", "val_accuracy"]), weights))
    assert contents[0] == contents[1]


def test_columns_are_the_requested_ones_in_order(tmp_path):
    config = replace(BASE, diagnostics=["sharpness", "dead_units", "grad_norm", "dead_units"])
    train(build_experiment(config), tmp_path, bar=False)
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0]
    requested = ["sharpness", "dead_units/1", "dead_units/3", "grad_norm"]
    assert header.split(",") == ["step", "lr", "train_loss", "val_loss", "val_accuracy", *requested]
    cells = np.array(rows(tmp_path, requested))
    assert [step for step in range(6) if (cells[step] != "").all()] == [0, 2, 4, 5]
    assert [step for step in range(6) if (cells[step] == "").all()] == [1, 3]
    final = read_summary(tmp_path).final
    assert [final[name] for name in requested] == [float(value) for value in cells[-1]]


def test_a_resumed_run_has_equal_rows(tmp_path):
    for directory, lengths in (("uninterrupted", [7]), ("resumed", [4, 7])):
        (tmp_path / directory).mkdir()
        for steps in lengths:
            experiment = build_experiment(replace(RANDOM, steps=steps, schedule=Constant()))
            train(experiment, tmp_path / directory, resume=steps == 7, bar=False)
    uninterrupted, resumed = ((tmp_path / name / "metrics.csv").read_bytes() for name in ("uninterrupted", "resumed"))
    assert uninterrupted == resumed


SMALL = ["data=moons", "data.samples=50", "network.widths=[6]", "batch_size=10", "steps=6", "eval_every=2"]
SMALL += ["network.norm=batch", "network.dropout=0.2", "network.bias=false"]


@pytest.mark.slow
def test_runs_of_a_sweep_have_the_bytes_of_single_runs(command, monkeypatch):
    monkeypatch.setattr(run_command, "draw_curves", lambda *args, **options: {})  # drawing is slow
    sweep = ["lr=0.03,1e9", "l2=0.01,0.1", f"diagnostics=[{','.join(ALL)}]", *SMALL]
    for directory, launcher in (("stacked", []), ("basic", ["hydra/launcher=basic"])):
        status, out, err = command("-m", *sweep, f"hydra.sweep.dir={directory}", *launcher)
        assert status == 0, out + err
    for run in range(4):
        stacked, alone = (Path(name, str(run), "metrics.csv").read_bytes() for name in ("stacked", "basic"))
        assert b"sharpness" in stacked
        assert stacked == alone
    assert {read_summary(Path("stacked", str(run))).status for run in range(4)} == {"completed", "diverged"}


# Messages


def test_errors_are_reported_in_one_line(command):
    status, out, err = command("diagnostics=[grad_norm,sharp]", *SMALL)
    assert (status, out) == (2, "")
    names = ", ".join(sorted(REGISTRIES["diagnostic"]))
    assert err == f"minitrain: diagnostics=['grad_norm', 'sharp']: expected a list of {names}\n"
    status, out, err = command("diagnostics=[dead_units]", "network=linear")
    assert (status, out) == (2, "")
    assert err == "minitrain: diagnostics=[dead_units]: the network has no activation layer; leave it out\n"
    status, out, err = command("diagnostics=[train_accuracy]", "data=sine", "loss=mse")
    assert (status, out) == (2, "")
    assert err == "minitrain: diagnostics=[train_accuracy]: the data has no classes; leave it out\n"
    assert not Path("outputs").exists()


@pytest.mark.parametrize("name", LAYER_DIAGNOSTICS)
def test_diagnostics_of_activation_layers_require_one(name):
    with pytest.raises(ConfigError, match="no activation layer"):
        build_experiment(replace(BASE, network=LinearConfig(), diagnostics=[name]))


def test_the_log_omits_diagnostics_of_single_layers(command):
    status, out, err = command(f"diagnostics=[{','.join(ALL)}]", *SMALL)
    assert status == 0, err
    assert ", grad_norm 0." in out
    assert "layer_grad_norm/" not in out
