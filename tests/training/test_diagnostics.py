"""Diagnostics: the same bits in every engine, the numbers that NumPy gives, and nothing changed by looking."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minitrain import ConfigError, Tensor, hessian, nn, no_grad, register
from minitrain import functional as F
from minitrain.commands import run as job
from minitrain.components.networks import Lab2Config, LinearConfig, MLPConfig
from minitrain.components.sequential import CNNConfig, SequentialConfig
from minitrain.config.schema import RunConfig
from minitrain.data import NPY, Blobs, Moons, Point, Polynomials, Sine
from minitrain.nn.module import Buffer, record_outputs
from minitrain.optim import AdamRule, MomentumRule, SGDRule
from minitrain.optim.gradient_transforms import l2_penalty
from minitrain.optim.schedules import Constant, Cosine
from minitrain.plotting import diagnostics as diagnostics_plot
from minitrain.plotting.diagnostics import draw_diagnostics
from minitrain.registry import REGISTRIES
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import read_summary
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.diagnostics import Diagnostic, largest_eigenvalue
from minitrain.training.experiment import assemble_experiment, build_experiment
from minitrain.training.loop import train

ALL = sorted(REGISTRIES["diagnostic"])
OF_NUMBERS = [name for name in ALL if name != "train_accuracy"]  # where there are no classes
OF_LAYERS = ("activation_mean", "activation_std", "dead_units")
CLASSES = Blobs(samples=24, centers=3, features=4, spread=4.0)
IMAGES = replace(CLASSES, features=16)
NUMBERS = Sine(samples=24)
BASE = RunConfig(
    CLASSES, MLPConfig([5, 4]), AdamRule(), Cosine(), lr=0.05, batch_size=8, steps=5, eval_every=2, log_every=1,
    diagnostics=ALL,
)  # fmt: skip
NOTEBOOK = replace(
    BASE, data=Point(), network=Lab2Config(), loss="output", batch_size=None, lr=0.01, diagnostics=OF_NUMBERS
)


def step_of(config):
    return assemble_experiment(config).step


def taken(engine):
    """What an engine tells on its way."""
    found = {}
    with np.errstate(all="ignore"):
        for k in range(4):
            found[f"loss {k}"] = engine.loss(k).copy()
            if k in (0, 3):
                found |= {f"{name} {k}": value for name, value in engine.inspect(k).items()}
            engine.update(k)
    return found


def assert_same(given, expected):
    assert list(given) == list(expected)
    for name, value in expected.items():
        assert (given[name].dtype, given[name].shape) == (value.dtype, value.shape), name
        assert given[name].tobytes() == value.tobytes(), name


def check(*configs):
    """Run each eagerly; the first compiled, and all as a stack, give the same."""
    expected = [taken(step_of(config)) for config in configs]
    assert [name for name in expected[0] if name.endswith(" 3")][1:] == [
        f"{column} 3" for column in step_of(configs[0]).diagnostics
    ]
    assert_same(taken(CompiledEngine(step_of(configs[0]))), expected[0])
    stacked = taken(CompiledEngine(*map(step_of, configs)))
    for run, one in enumerate(expected):
        assert_same({name: value[run] for name, value in stacked.items()}, one)


def seeds(config, count=3):
    return [replace(config, seed=seed) for seed in range(count)]


# The same bits in every engine


@pytest.mark.parametrize("dtype", ["float32", "float64"])
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
    check(*seeds(replace(BASE, data=IMAGES, network=network, dtype=dtype)))


@pytest.mark.parametrize("name", REGISTRIES["activation"])
def test_activations(name):
    check(*seeds(replace(BASE, network=MLPConfig([4]), activation=name), 2))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cross_entropy", CLASSES), ("binary_cross_entropy", Moons(samples=24)), ("hinge", CLASSES), ("mse", NUMBERS),
        ("mae", NUMBERS), ("huber", NUMBERS),
    ],
)  # fmt: skip
def test_losses(name, data):
    metrics = OF_NUMBERS if data is NUMBERS else ALL
    check(
        *seeds(replace(BASE, network=MLPConfig([4]), loss=name, data=data, activation="tanh", diagnostics=metrics), 2)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"l2": [0.1, 0.0], "max_grad_norm": [0.01, 10.0], "seed": [3, 3]}, {"label_smoothing": [0.1, 0.0]}, {"lr": [0.0, 1.0]},
        {"l2": [0.1, 0.2], "l2_on": ["all", "all"], "batch_size": [None, None]},
        {"network": [MLPConfig([5], dropout=0.5), MLPConfig([5], dropout=0.1)]},
        {"optimizer": [MomentumRule(0.9), MomentumRule(0.1)], "warmup": [2, None]},
    ],
    ids=str,
)  # fmt: skip
def test_runs_of_a_stack_that_differ_in_numbers(changes):
    check(*(replace(BASE, **dict(zip(changes, values, strict=True))) for values in zip(*changes.values(), strict=True)))


def test_a_network_without_a_target_that_uses_a_layer_twice():
    step = step_of(NOTEBOOK)
    assert step.diagnostics[:3] == ["activation_mean/activation", "activation_std/activation", "dead_units/activation"]
    step.loss(0)
    assert step.inspect(0)["activation_mean/activation"] == 9.0  # of its second use, the output
    check(NOTEBOOK, replace(NOTEBOOK, lr=0.02))


def test_data_on_disk(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(24, 4)))
    np.save(tmp_path / "y.npy", np.arange(24) % 3)
    data = NPY(x=str(tmp_path / "x.npy"), y=str(tmp_path / "y.npy"))
    check(*seeds(replace(BASE, data=data, diagnostics=[name for name in ALL if name != "sharpness"])))
    with pytest.raises(ConfigError, match=r"diagnostics=\[sharpness\]: requires all training examples in memory"):
        build_experiment(replace(BASE, data=data))


class Centred(nn.Module):
    """Moves a Buffer in training, before its gradient is known."""

    def __init__(self):
        self.seen = Buffer(0.0, "seen")

    def forward(self, x):
        if self.training:
            with no_grad():
                self.seen.data = self.seen * 0.9 + x.mean() * 0.1
        return (x - self.seen) * self.seen


def test_a_layer_whose_buffer_is_in_the_gradient(own_components):
    register("activation", "centred")(Centred)
    check(*seeds(replace(BASE, activation="centred"), 2))


def test_diagnostics_of_ones_own(own_components):
    register("diagnostic", "largest_weight")(Diagnostic(lambda step: step.params.abs().max(), "step"))
    register("diagnostic", "largest")(Diagnostic(lambda gradient: gradient.abs().max(), "parameter"))
    register("diagnostic", "smallest")(
        Diagnostic(lambda product, v: -largest_eigenvalue(lambda w: -product(w), v), "hessian")
    )
    check(*seeds(replace(BASE, diagnostics=["smallest", "sharpness", "largest", "largest_weight"]), 2))
    with pytest.raises(ConfigError, match="register: diagnostic plain: expected a Diagnostic"):
        register("diagnostic", "plain")(lambda step: step.params.max())


# The numbers


def perceptron(params, x):
    """A tanh network of one hidden layer, from a flat vector in the order of `FlatParameters`: 1-3-1."""
    w1, w2, b1, b2 = params[:3].reshape(3, 1), params[3:6].reshape(1, 3), params[6:9], params[9:10]
    hidden = (x @ w1.T + b1).tanh()
    return hidden, hidden @ w2.T + b2


PERCEPTRON = replace(
    BASE, data=NUMBERS, diagnostics=OF_NUMBERS, network=MLPConfig([3]), activation="tanh", loss="mse", dtype="float64",
    optimizer=SGDRule(), schedule=Constant(), batch_size=None,
)  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"l2": 0.1, "max_grad_norm": 0.05}, {"l2": 0.3, "l2_on": "all"}], ids=str)
def test_of_a_step_as_numpy_computes_them(tmp_path, changes):
    config = replace(PERCEPTRON, **changes)
    experiment = build_experiment(config)
    train(experiment, tmp_path, bar=False)
    arrays, meta = load_checkpoint(tmp_path / "checkpoints" / "last.npz")
    row = {name: column[-1] for name, column in read_metrics(tmp_path).items()}
    assert row["step"] == meta.step == 5

    w1, w2, b1, b2 = (arrays[f"parameters/{name}"] for name in ("0.weight", "2.weight", "0.bias", "2.bias"))
    x, y = experiment.data.x_train, experiment.data.y_train
    hidden = np.tanh(x @ w1.T + b1)
    error = 2 * (hidden @ w2.T + b2 - y) / len(x)
    back = error @ w2 * (1 - hidden**2)
    gradients = {"0.weight": back.T @ x, "2.weight": error.T @ hidden, "0.bias": back.sum(0), "2.bias": error.sum(0)}
    for name, g in gradients.items():
        if config.l2 and (config.l2_on == "all" or name.endswith("weight")):
            g += 2 * config.l2 * arrays[f"parameters/{name}"]
    length = np.sqrt(sum((g**2).sum() for g in gradients.values()))
    size = np.sqrt(sum((p**2).sum() for p in (w1, w2, b1, b2)))
    clipped = min(length, config.max_grad_norm or np.inf)
    expected = {
        "grad_norm": length, "param_norm": size, "update_ratio": config.lr * clipped / size, "dead_units/1": 0.0,
        "activation_mean/1": hidden.mean(), "activation_std/1": hidden.std(),
    } | {f"layer_grad_norm/{name}": np.linalg.norm(g) for name, g in gradients.items()}  # fmt: skip
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-6), name
    assert row.keys() == {"step", "lr", "train_loss", "val_loss", "sharpness", *expected}


def test_train_accuracy_is_of_the_batch_before_the_step():
    step = step_of(replace(BASE, diagnostics=["train_accuracy"], dtype="float64"))
    for k in range(3):
        batch = step.batch(k)
        right = step.model(Tensor(batch.x)).numpy().argmax(axis=1) == batch.y
        step.loss(k)
        assert step.inspect(k)["train_accuracy"] == right.mean()
        step.update(k)


def test_param_norm_has_frozen_parameters_too():
    given = []
    for frozen in ([], ["0.*"]):
        step = step_of(replace(BASE, network=MLPConfig([5], frozen=frozen), dtype="float64"))
        step.loss(0)
        given.append(step.inspect(0))
    whole, part = given
    assert part["param_norm"] == pytest.approx(whole["param_norm"])
    assert part["grad_norm"] < whole["grad_norm"]
    assert whole.keys() - part.keys() == {"layer_grad_norm/0.weight", "layer_grad_norm/0.bias"}


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
    step.loss(0)
    assert step.inspect(0)["sharpness"] == pytest.approx(eigenvalues[-1], rel=1e-7 if dtype == "float64" else 1e-4)


def test_sharpness_is_of_all_examples_and_without_dropout():
    config = replace(PERCEPTRON, network=MLPConfig([3], dropout=0.5))
    values = []
    for changes in ({}, {"batch_size": 5}, {"network": MLPConfig([3])}):
        step = step_of(replace(config, **changes))
        step.loss(0)
        values.append(step.inspect(0)["sharpness"])
    assert values[0] == values[1] == values[2]


def test_the_most_positive_eigenvalue_and_not_the_longest():
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.normal(size=(300, 300)))
    eigenvalues = np.concatenate([[-80.0, -60.0, 10.0, 9.0], rng.uniform(-1, 1, size=296)])
    matrix = axes * eigenvalues @ axes.T
    counted = []

    def product(v):
        counted.append(v)
        return matrix @ v

    assert largest_eigenvalue(product, rng.normal(size=300)) == pytest.approx(10.0, rel=1e-4)
    assert len(counted) < 50


@pytest.mark.parametrize(("matrix", "expected"), [(np.zeros((2, 2)), 0.0), ([[-3.0]], -3.0), ([[np.nan]], np.nan)])
def test_eigenvalues_of_odd_matrices(matrix, expected):
    found = largest_eigenvalue(lambda v: np.array(matrix) @ v, np.ones(len(matrix)))
    assert found == pytest.approx(expected, nan_ok=True)


def test_gradient_descent_sharpens_to_the_edge_of_stability(tmp_path):
    data = Polynomials(validation=0.0)
    config = replace(PERCEPTRON, data=data, network=MLPConfig([64, 64]), lr=0.05, steps=1500, eval_every=50, l2=None)
    train(build_experiment(replace(config, dtype="float32", diagnostics=["sharpness"])), tmp_path, bar=False)
    sharpness = read_metrics(tmp_path)["sharpness"]
    sharpness = sharpness[np.isfinite(sharpness)]
    assert sharpness[0] < 20
    assert (np.diff(sharpness[:10]) > 0).all()
    assert 36 < sharpness[-10:].mean() < 46  # 2 / lr is 40


def test_dead_units_by_hand():
    step = step_of(replace(BASE, network=MLPConfig([4, 2])))
    arrays = {name: array.copy() for name, array in step.arrays().items()}
    arrays["parameters/0.bias"] = np.array([-100.0, 100.0, -100.0, -100.0], step.config.dtype)
    arrays["parameters/2.bias"] = np.array([100.0, 100.0], step.config.dtype)
    step.restore(arrays)
    step.loss(0)
    found = step.inspect(0)
    assert (found["dead_units/1"], found["dead_units/3"]) == (0.75, 0.0)


def test_a_channel_is_dead_where_it_is_0_at_every_place():
    dead_units = REGISTRIES["diagnostic"]["dead_units"].function
    output = np.zeros((2, 4, 3, 3))
    output[1, 2, 0, 0] = -0.5
    assert dead_units(Tensor(output)).item() == 0.75


def test_modules_are_watched_inside_alone():
    net = nn.Sequential(nn.Linear(2, 3, rng=0), nn.ReLU())
    with record_outputs({"relu": net.layers[1]}) as outputs:
        given = net(np.ones((1, 2)))
    assert outputs == {"relu": given}
    net(np.ones((1, 2)))
    assert outputs == {"relu": given}
    assert "observer" not in vars(net.layers[1])


# Looking changes nothing

RANDOM = replace(
    BASE, network=MLPConfig([5, 4], norm="batch", dropout=0.3), l2=0.01, max_grad_norm=1.0, steps=7, eval_every=2,
    checkpoint_every=3, optimizer=MomentumRule(0.9),
)  # fmt: skip


def rows(directory, names):
    with (directory / "metrics.csv").open() as file:
        return [[row[name] for name in names] for row in csv.DictReader(file)]


@pytest.mark.parametrize("engine", ["numpy", "eager"])
def test_a_run_that_is_looked_at_is_the_same_run(tmp_path, engine):
    contents = []
    for metrics in ([], ALL):
        directory = tmp_path / str(len(metrics))
        directory.mkdir()
        experiment = build_experiment(replace(RANDOM, diagnostics=metrics, engine=engine))
        train(experiment, directory, bar=False)
        files = sorted((directory / "checkpoints").glob("*.npz"))
        weights = [{name: a.tobytes() for name, a in load_checkpoint(file)[0].items()} for file in files]
        contents.append((rows(directory, ["step", "lr", "train_loss", "val_loss", "val_accuracy"]), weights))
    assert contents[0] == contents[1]


def test_columns_are_those_asked_for_in_their_order(tmp_path):
    config = replace(BASE, diagnostics=["sharpness", "dead_units", "grad_norm", "dead_units"])
    train(build_experiment(config), tmp_path, bar=False)
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0]
    asked = ["sharpness", "dead_units/1", "dead_units/3", "grad_norm"]
    assert header.split(",") == ["step", "lr", "train_loss", "val_loss", "val_accuracy", *asked]
    found = np.array(rows(tmp_path, asked))
    assert [step for step in range(6) if (found[step] != "").all()] == [0, 2, 4, 5]
    assert [step for step in range(6) if (found[step] == "").all()] == [1, 3]
    final = read_summary(tmp_path).final
    assert [final[name] for name in asked] == [float(value) for value in found[-1]]


def test_a_resumed_run_has_the_same_rows(tmp_path):
    for directory, lengths in (("whole", [7]), ("parts", [4, 7])):
        (tmp_path / directory).mkdir()
        for steps in lengths:
            experiment = build_experiment(replace(RANDOM, steps=steps, schedule=Constant()))
            train(experiment, tmp_path / directory, resume=steps == 7, bar=False)
    whole, parts = ((tmp_path / name / "metrics.csv").read_bytes() for name in ("whole", "parts"))
    assert whole == parts


SMALL = ["data=moons", "data.samples=50", "network.widths=[6]", "batch_size=10", "steps=6", "eval_every=2"]
SMALL += ["network.norm=batch", "network.dropout=0.2", "network.bias=false"]


def test_runs_of_a_sweep_have_the_bytes_of_runs_alone(command, monkeypatch):
    monkeypatch.setattr(job, "draw_requested_diagnostics", lambda *given: None)  # takes its time
    swept = ["lr=0.03,1e9", "l2=0.01,0.1", f"diagnostics=[{','.join(ALL)}]", *SMALL]
    for directory, launcher in (("stacked", []), ("basic", ["hydra/launcher=basic"])):
        status, out, err = command("-m", *swept, f"hydra.sweep.dir={directory}", *launcher)
        assert status == 0, out + err
    for run in range(4):
        stacked, alone = (Path(name, str(run), "metrics.csv").read_bytes() for name in ("stacked", "basic"))
        assert b"sharpness" in stacked
        assert stacked == alone
    assert {read_summary(Path("stacked", str(run)))["status"] for run in range(4)} == {"completed", "diverged"}


# What is told


def test_mistakes_are_told_in_one_line(command):
    status, out, err = command("diagnostics=[grad_norm,sharp]", *SMALL)
    assert (status, out) == (2, "")
    assert err == f"minitrain: diagnostics=['grad_norm', 'sharp']: expected a list of {', '.join(ALL)}\n"
    status, out, err = command("diagnostics=[dead_units]", "network=linear")
    assert (status, out) == (2, "")
    assert err == "minitrain: diagnostics=[dead_units]: the network has no activation layer; leave it out\n"
    status, out, err = command("diagnostics=[train_accuracy]", "data=sine", "loss=mse")
    assert (status, out) == (2, "")
    assert err == "minitrain: diagnostics=[train_accuracy]: the data has no classes; leave it out\n"
    assert not Path("outputs").exists()


@pytest.mark.parametrize("name", OF_LAYERS)
def test_each_diagnostic_of_layers_needs_one(name):
    with pytest.raises(ConfigError, match="no activation layer"):
        build_experiment(replace(BASE, network=LinearConfig(), diagnostics=[name]))


def test_the_console_leaves_out_what_there_is_of_each_layer(command):
    status, out, err = command(f"diagnostics=[{','.join(ALL)}]", *SMALL)
    assert status == 0, err
    assert ", grad_norm 0." in out
    assert "layer_grad_norm/" not in out


# What is drawn


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, by name."""
    found = {}
    save = diagnostics_plot.save_figures

    def keep(figure, directory, name):
        found[name] = figure
        return save(figure, directory, name)

    monkeypatch.setattr(diagnostics_plot, "save_figures", keep)
    return found


def a_run(directory, columns, rows=((0, 0.1, 1.0, 2.0), (10, 0.05, 0.5, 3.0))):
    lines = [["step", "lr", "train_loss", *columns]]
    lines += [[*row[:3], *[row[3]] * len(columns)] for row in rows]
    (directory / "metrics.csv").write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    return directory


def legend(axes):
    return [] if axes.get_legend() is None else [text.get_text() for text in axes.get_legend().get_texts()]


def test_a_panel_for_each_diagnostic_with_a_curve_for_each_layer(tmp_path, drawn):
    columns = ["sharpness", "layer_grad_norm/0.weight", "layer_grad_norm/0.bias", "layer_grad_norm/2.weight", "mine"]
    path = draw_diagnostics(a_run(tmp_path, columns), "a title", edge=True)
    assert sorted(each.name for each in path.parent.glob("diagnostics.*")) == ["diagnostics.png", "diagnostics.svg"]
    figure = drawn["diagnostics"]
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == [
        "largest eigenvalue of the Hessian", "gradient norm of each parameter", "mine",
    ]  # fmt: skip
    assert [legend(axes) for axes in panels] == [["2 / lr"], ["0.weight", "0.bias", "2.weight"], []]
    assert {axes.get_xlabel() for axes in panels} == {"step"}
    value, edge = panels[0].lines
    assert list(value.get_ydata()) == [2.0, 3.0]
    assert list(edge.get_ydata()) == pytest.approx([20.0, np.nan], nan_ok=True)  # 40 is far above what is drawn
    weight, bias, last = panels[1].lines
    assert (weight.get_color(), weight.get_linestyle()) == (bias.get_color(), "-")
    assert (weight.get_color() == last.get_color(), bias.get_linestyle()) == (False, "--")


def test_of_many_layers_some_are_named(tmp_path, drawn):
    columns = [f"layer_grad_norm/{i}.{kind}" for i in range(20) for kind in ("weight", "bias")]
    draw_diagnostics(a_run(tmp_path, columns), "")
    (axes,) = drawn["diagnostics"].axes
    assert (len(axes.lines), len(legend(axes))) == (40, 9)
    assert (legend(axes)[0], legend(axes)[-2:]) == ("0.weight", ["19.weight", "biases"])


def test_an_accuracy_is_titled_and_in_percent(tmp_path, drawn):
    draw_diagnostics(a_run(tmp_path, ["train_accuracy"], ((0, 0.1, 1.0, 0.02), (10, 0.1, 0.5, 0.9))), "")
    (axes,) = drawn["diagnostics"].axes
    assert (axes.get_title(loc="left"), axes.get_yscale()) == ("training accuracy", "linear")
    assert axes.yaxis.get_major_formatter()(0.5, 0) == "50%"


def test_a_run_alone_is_drawn_with_the_edge_of_stability_under_plain_gradient_descent(command, drawn):
    for optimizer in ("sgd", "momentum"):
        status, out, _ = command("diagnostics=[sharpness]", f"optimizer={optimizer}", "lr=0.5", *SMALL)
        assert status == 0
        assert out.splitlines()[-1].startswith("diagnostics outputs")
        assert legend(drawn["diagnostics"].axes[0]) == (["2 / lr"] if optimizer == "sgd" else [])


def test_without_metrics_nothing_is_drawn(tmp_path, drawn):
    assert draw_diagnostics(a_run(tmp_path, ["val_loss"]), "a title") is None
    assert drawn == {}
