"""Networks from their options: layers, training, and bit-identical resumption."""

import os
import zipfile
from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np
import pytest

from minitrain import Tensor, nn
from minitrain import functional as F
from minitrain.components.networks import Lab2Config, LinearConfig, MLPConfig
from minitrain.components.sequential import CNNConfig, SequentialConfig
from minitrain.config.schema import RunConfig, parse_run_config
from minitrain.data import Digits, Moons
from minitrain.errors import ConfigError
from minitrain.optim import AdamRule, MomentumRule, SGDRule
from minitrain.optim.schedules import Constant, Cosine
from minitrain.registry import REGISTRIES
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.experiment import build_experiment
from minitrain.training.loop import train

EVERYTHING = MLPConfig([8, 8], norm="batch", dropout=0.2, residual=True)
SMALL = RunConfig(
    Moons(samples=100), EVERYTHING, MomentumRule(), Cosine(), lr=0.05, steps=40, batch_size=16, eval_every=10,
    log_every=1, checkpoint_every=15,
)  # fmt: skip
IMAGES = replace(SMALL, data=Digits(), network=CNNConfig([2, 3]), steps=4)


class StopError(Exception):
    """Stands for the end of a killed process."""


def run(config, directory, **options):
    directory.mkdir(exist_ok=True)
    return train(build_experiment(config), directory, bar=False, **options)


def contents(directory):
    arrays, meta = load_checkpoint(directory / "checkpoints" / "last.npz")
    best, _ = load_checkpoint(directory / "checkpoints" / "best.npz")
    state = [(directory / "metrics.csv").read_bytes(), meta.best, meta.step]
    return state + [key.encode() + a.tobytes() for group in (arrays, best) for key, a in sorted(group.items())]


# Resuming


@pytest.mark.parametrize(
    "network",
    [
        EVERYTHING,
        MLPConfig([8], dropout=0.5),
        MLPConfig([8], norm="batch", frozen=["0.*"]),
        SequentialConfig([{"linear": 8}, "batch_norm", {"residual": [{"linear": 8}, {"dropout": 0.3}]}, "linear"]),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("step", [10, 29])
def test_resumed_run_equals_an_uninterrupted_run_bit_for_bit(tmp_path, monkeypatch, network, dtype, step):
    config = replace(SMALL, network=network, dtype=dtype)
    run(config, tmp_path / "whole")
    update = CompiledEngine.update

    def cut_off(self, k):
        if k == step:
            raise StopError
        update(self, k)

    with monkeypatch.context() as patch:
        patch.setattr(CompiledEngine, "update", cut_off)
        with pytest.raises(StopError):
            run(config, tmp_path / "cut")
    run(config, tmp_path / "cut", resume=True)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_more_steps_continue_a_completed_run(tmp_path):
    config = replace(SMALL, schedule=Constant())
    run(replace(config, steps=60), tmp_path / "whole")
    run(config, tmp_path / "extended")
    run(replace(config, steps=60), tmp_path / "extended", resume=True)
    assert contents(tmp_path / "extended") == contents(tmp_path / "whole")


def test_evaluation_interval_does_not_change_weights(tmp_path):
    for name, every in (("often", 1), ("seldom", 40)):
        run(replace(SMALL, eval_every=every, log_every=every), tmp_path / name)
    often, seldom = (load_checkpoint(tmp_path / name / "checkpoints" / "last.npz")[0] for name in ("often", "seldom"))
    assert all((often[key] == seldom[key]).all() for key in often)
    assert any(key.startswith("buffers/") for key in often)


@pytest.mark.parametrize("engine", ["eager_engine", "engine"])
def test_loss_is_a_function_of_the_step_without_side_effects(engine):
    experiment = build_experiment(SMALL)
    state = getattr(experiment, engine)
    before = experiment.step.buffers.vector.copy()
    losses = [state.loss(step).item() for step in (3, 4, 3)]
    assert losses[0] == losses[2] != losses[1]
    assert (experiment.step.buffers.vector == before).all()
    state.loss(0)
    state.update(0)
    assert (experiment.step.buffers.vector != before).any()


@pytest.mark.parametrize("engine", ["eager_engine", "engine"])
def test_evaluation_uses_evaluation_mode_and_has_no_side_effects(engine):
    experiment = build_experiment(SMALL)
    state = getattr(experiment, engine)
    for step in range(3):
        state.loss(step)
        state.update(step)
    before = experiment.step.buffers.vector.copy()
    loss = state.evaluate()["val_loss"]
    assert (experiment.step.buffers.vector == before).all()
    output = experiment.model.eval()(Tensor(experiment.step.val.x))
    assert loss == experiment.loss(output, Tensor(experiment.data.y_val)).numpy()


def test_dropout_masks_depend_on_the_seed(tmp_path):
    for seed in (0, 1):
        net = MLPConfig([8], dropout=0.5, init="zeros")
        model = build_experiment(replace(SMALL, network=net, seed=seed)).model.train(seed, 0)
        np.save(tmp_path / f"{seed}.npy", model.layers[2](Tensor(np.ones(64))).numpy())
    assert (np.load(tmp_path / "0.npy") != np.load(tmp_path / "1.npy")).any()


# Options


@pytest.mark.parametrize(
    "network",
    [
        LinearConfig(bias=False),
        LinearConfig(init="zeros"),
        MLPConfig([4, 4], bias=False),
        MLPConfig([4, 4], norm="layer"),
        MLPConfig([4, 4], norm="batch"),
        MLPConfig([4, 4], dropout=0.1),
        MLPConfig([4, 4], residual=True),
        MLPConfig([4, 4], residual=True, parametrization="mup_sgd"),
        MLPConfig([4, 8], parametrization="mup_adam", bias=False),
        MLPConfig([], dropout=0.1),
        MLPConfig([4, 4], frozen=["0.weight"]),
        *[MLPConfig([4, 4], init=name, init_scale=0.5) for name in REGISTRIES["init"]],
        SequentialConfig(),
    ],
    ids=str,
)
def test_every_option_trains(tmp_path, network):
    summary = run(replace(SMALL, network=network, steps=4), tmp_path)
    assert summary.status == "completed"
    losses = read_metrics(tmp_path)["train_loss"]
    assert len(set(losses)) > 1
    assert np.isfinite(losses).all()


IMAGE_LAYERS = [
    ({"conv": 2},),
    ({"conv": {"channels": 2, "stride": 2, "padding": 1, "bias": False}}, "relu"),
    ({"conv": 2}, "batch_norm", "activation", "max_pool"),
    ({"avg_pool": {"kernel_size": 2, "stride": 1}}, "layer_norm"),
    ({"reshape": [4, 16]}, {"conv": {"channels": 2, "kernel_size": 5}}, "batch_norm", {"max_pool": 2}, {"avg_pool": 2}),
    ({"residual": [{"conv": {"channels": 1, "padding": 1}}, {"residual": ["tanh"]}]}, {"dropout": 0.5}),
]


@pytest.mark.parametrize("layers", IMAGE_LAYERS, ids=str)
def test_every_layer_of_a_list_trains(tmp_path, layers):
    network = SequentialConfig([{"reshape": [1, 8, 8]}, *layers, "flatten", "linear"], init="he_normal")
    assert run(replace(IMAGES, network=network), tmp_path).status == "completed"


def test_every_registered_layer_is_tested():
    names = {next(iter(e)) if isinstance(e, dict) else e for layers in IMAGE_LAYERS for e in layers}
    assert set(REGISTRIES["layer"]) <= names | {"flatten", "linear", "reshape", "activation"}


# Maximal update parametrization


@pytest.mark.parametrize("parametrization", ["mup_sgd", "mup_adam"])
def test_mup_at_the_base_width_equals_the_standard_parametrization(tmp_path, parametrization):
    results = []
    for name in ("standard", parametrization):
        network = MLPConfig([8, 8], parametrization=name, base_width=8)
        run(replace(SMALL, network=network), tmp_path / name)
        results.append(contents(tmp_path / name))
    assert results[0] == results[1]


RULES = {"mup_sgd": (SGDRule(), 0.03), "mup_adam": (AdamRule(), 0.003)}


def changes_by_width(parametrization, widths, rule, lr):
    """Mean absolute change of the outputs of each linear layer after five steps: [widths, layers]."""
    results = []
    for width in widths:
        network = MLPConfig([width, width], parametrization=parametrization, base_width=widths[0], init="he_normal")
        config = replace(SMALL, network=network, optimizer=rule, lr=lr, schedule=Constant(), dtype="float64")
        experiment = build_experiment(config)
        step, engine = experiment.step, experiment.eager_engine
        before = layer_outputs(step)
        for k in range(5):
            engine.loss(k)
            engine.update(k)
        after = layer_outputs(step)
        results.append([abs(a - b).mean() for a, b in zip(after, before, strict=True)])
    return np.array(results)


def layer_outputs(step):
    x, outputs = Tensor(step.train.x), []
    for layer in step.model.layers:
        x = layer(x)
        outputs += [x.numpy()] if isinstance(layer, nn.Linear) else []
    return outputs


@pytest.mark.parametrize("parametrization", RULES)
def test_mup_updates_are_independent_of_the_width(parametrization):
    """The coordinate check of Yang et al. 2022, appendix D.1."""
    widths = [64, 256, 1024]
    change = changes_by_width(parametrization, widths, *RULES[parametrization])
    assert (change / change[0] < 1.5).all()
    assert (change / change[0] > 0.67).all()
    standard = changes_by_width("standard", widths, *RULES[parametrization])
    assert (standard[-1] / standard[0]).max() > 3.0


def test_mup_scales_initial_weights_of_the_last_layer_with_the_width():
    """Their standard deviation scales with 1 / width, not with 1 / √width; that of the other layers is unchanged."""
    for name in RULES:
        narrow, wide = (
            MLPConfig([width] * 2, parametrization=name, init="he_normal").build(100, 100, nn.ReLU, seed=0)
            for width in (64, 1024)
        )
        ratios = [
            (b.multiplier * b.weight.numpy()).std() / (a.multiplier * a.weight.numpy()).std()
            for a, b in zip(narrow.layers[::2], wide.layers[::2], strict=True)
        ]
        assert ratios == pytest.approx([1, 1 / 4, 1 / 16], rel=0.05)


def names_of(network, inputs=3, outputs=2):
    return list(network.build(inputs, outputs, nn.ReLU, seed=0).named_parameters())


def test_the_layers_of_an_mlp():
    assert names_of(MLPConfig([4], bias=False)) == ["0.weight", "2.weight"]
    assert names_of(MLPConfig([4], norm="layer")) == [
        f"{i}.{name}" for i in (0, 1, 3) for name in ("weight", "bias")
    ]  # fmt: skip
    assert names_of(MLPConfig([4], depth=3)) == names_of(MLPConfig([4, 4, 4]))
    assert MLPConfig([4], depth=3).describe(3, 2, "relu") == "mlp 3-3x4-2, relu"
    net = MLPConfig([4, 4], norm="batch", dropout=0.1, residual=True).build(3, 2, nn.SiLU, seed=0)
    kinds = [type(layer) for layer in net.layers]
    hidden = [nn.Linear, nn.BatchNorm1d, nn.SiLU, nn.Dropout]
    assert kinds == [*hidden, nn.Residual, nn.Linear]
    assert [type(layer) for layer in net.layers[4].inner.layers] == hidden
    assert EVERYTHING.describe(2, 2, "relu") == "mlp 2-8-8-2, relu, batch norm, dropout 0.2, residual"


def test_list_of_layers_builds_the_layers_in_order():
    config = parse_run_config(
        {
            "data": {"name": "digits"}, "optimizer": {"name": "sgd"}, "schedule": {"name": "constant"}, "lr": 0.1,
            "network": {"name": "sequential", "layers": [{"linear": {"units": 4, "bias": False}}, "selu", "linear"]},
        }
    )  # fmt: skip
    net = config.network.build(3, 2, nn.ReLU, seed=0)
    assert [type(layer) for layer in net.layers] == [nn.Linear, nn.SELU, nn.Linear]
    assert [p.shape for p in net.parameters()] == [(4, 3), (2, 4), (2,)]
    assert all(layer.training for layer in net.train().layers)


def test_initial_parameters_from_a_file(tmp_path):
    source = MLPConfig([4], norm="batch").build(2, 2, nn.ReLU, seed=7)
    np.savez(tmp_path / "start.npz", **source.state_dict())
    config = replace(
        SMALL, network=MLPConfig([4], norm="batch", init_file=str(tmp_path / "start.npz")), dtype="float64"
    )
    net = build_experiment(config).model
    assert all((value == source.state_dict()[key]).all() for key, value in net.state_dict().items())
    run(config, tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoints" / "last.npz"
    again = build_experiment(
        replace(config, network=MLPConfig([4], norm="batch", init_file=str(checkpoint)))
    ).model.state_dict()
    arrays = load_checkpoint(checkpoint)[0]
    assert (again["0.weight"] == arrays["parameters/0.weight"]).all()
    assert (again["1.running_var"] == arrays["buffers/1.running_var"]).all()


def test_frozen_parameters_of_a_run_are_unchanged_and_in_its_checkpoint(tmp_path):
    config = replace(SMALL, network=MLPConfig([4], frozen=["0.*"]), dtype="float64")
    before = build_experiment(config).model.state_dict()
    assert "22 parameters, 12 of them frozen" in build_experiment(config).describe()
    run(config, tmp_path)
    arrays, _ = load_checkpoint(tmp_path / "checkpoints" / "last.npz")
    for name, value in before.items():
        assert (arrays[f"parameters/{name}"] == value).all() == name.startswith("0.")
    assert all(a.shape == (4 * 2 + 2,) for key, a in arrays.items() if key.startswith("optimizer/"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": MLPConfig([4, 8], residual=True)}, r"network.residual=true: none of the widths \[4, 8\]"),
        ({"network": MLPConfig([4, 8], depth=3)}, "network.depth=3: needs one width for all layers.* has 2; set"),
        ({"network": MLPConfig(norm="batch", parametrization="mup_sgd")}, "network.norm=batch: not defined for mup"),
        ({"network": MLPConfig(frozen=["9.*"])}, r"network.frozen: 9.\* matches no parameter; there is 0.weight"),
        ({"network": MLPConfig(frozen=["*"])}, r"network.frozen=\['\*'\]: no parameter remains to be trained"),
        ({"network": MLPConfig(init_file="nowhere.npz")}, "network.init_file=nowhere.npz: no such file"),
        ({"network": MLPConfig(norm="batch"), "batch_size": 1}, "network=mlp: BatchNorm1d: one value per channel"),
        ({"network": CNNConfig()}, "network=cnn: takes images; the data does not state their size, and its 2 inputs"),
    ],
)  # fmt: skip
def test_invalid_options_are_reported_on_one_line(changes, message):
    with pytest.raises(ConfigError, match=message) as error:
        build_experiment(replace(SMALL, **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["foo"], r"network.layers\[0\]=foo: expected a name.* of activation, avg_pool"),
        ([3], r"network.layers\[0\]=3: expected a name"),
        ([{"linear": 2, "relu": 1}], r"layers\[0\]={linear: 2, relu: 1}: expected a name"),
        ([{"linear": 0}], r"network.layers\[0\].linear.units=0: expected an integer"),
        (["linear", {"dropout": 2}], r"layers\[1\].dropout.p=2: expected a number"),
        (["dropout"], r"network.layers\[0\].dropout.p=null: expected a number"),
        ([{"conv": {"kernels": 3}}], r"layers\[0\].conv.kernels=3: unknown key; did you mean"),
        ([{"conv": {"kernel": 3}}], r"layers\[0\].conv.kernel=3: renamed; use kernel_size"),
        ([{"dropout": {"rate": 0.1}}], r"layers\[0\].dropout.rate=0.1: renamed; use p"),
        ([{"conv": 3}], r"layers\[0\]={conv: 3}: conv of an example of shape \[2\]: expect"),
        ([{"flatten": 3}], r"layers\[0\]={flatten: 3}: flatten has no options"),
        ([{"reshape": [1, 3]}], r"layers\[0\]={reshape: \[1, 3\]}: reshape: "),
        ([{"residual": [{"linear": 3}]}], r"layers\[0\]={residual: .*Residual: the input"),
        ([{"residual": ["foo"]}], r"network.layers\[0\].residual\[0\]=foo: expected"),
        ([{"linear": 3}], r"the result for an example has shape \[3\]; the data needs \[2\]"),
    ],
)  # fmt: skip
def test_invalid_entry_of_a_list_of_layers_is_named(layers, message):
    with pytest.raises(ConfigError, match=message) as error:
        build_experiment(replace(SMALL, network=SequentialConfig(layers)))
    assert "\n" not in str(error.value)


def test_file_of_another_network_is_reported(tmp_path):
    np.savez(tmp_path / "start.npz", weight=np.ones(3))
    (tmp_path / "text.npz").write_text("no archive")
    for name, message in (("start", "missing 0.weight"), ("text", "text.npz: ")):
        with pytest.raises(ConfigError, match=message):
            build_experiment(replace(SMALL, network=MLPConfig(init_file=str(tmp_path / f"{name}.npz"))))


def unreadable(path, kind):
    """Write a file that is not a valid state."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "empty":
        path.touch()
    elif kind == "one array":
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    elif kind == "pickle":
        np.savez(path, weight=np.array([{}]))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("weight.npy", b"bytes")
        if kind == "compression":
            content = path.read_bytes()
            path.write_bytes(
                content.replace(b"\0\0\0\0", b"\0\0\x4d\0", 1).replace(b"\x14\0\0\0\0\0", b"\x14\0\0\0\x4d\0")
            )


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("pipe", "a pipe, not a regular file; expected the path"),
        ("empty", r"cannot be read \(No data left in file\); expected parameters by name"),
        ("one array", r"cannot be read \(one array, without a name\)"),
        ("pickle", r"cannot be read \(not a file of plain arrays\)"),
        ("bytes", r"cannot be read \(weight is not an array\)"),
        ("compression", r"cannot be read \(That compression method is not supported\)"),
    ],
)
def test_unreadable_file_is_reported_on_one_line(tmp_path, kind, message):
    unreadable(tmp_path / "start.npz", kind)
    with pytest.raises(ConfigError, match=f"^network.init_file=.*start.npz: {message}") as error:
        build_experiment(replace(SMALL, network=MLPConfig(init_file=str(tmp_path / "start.npz"))))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", ["complex128", "U9", "S9"])
def test_file_with_non_numeric_arrays_is_reported(tmp_path, dtype):
    state = LinearConfig().build(2, 2, nn.ReLU, seed=7).state_dict()
    np.savez(tmp_path / "start.npz", **{**state, "bias": state["bias"].astype(dtype)})
    with pytest.raises(ConfigError, match=r"start.npz: load_state_dict: bias of type .*, expected numbers; give"):
        build_experiment(replace(SMALL, network=LinearConfig(init_file=str(tmp_path / "start.npz"))))


def test_cnn_learns_digits(tmp_path):
    # Momentum with a cosine schedule reaches 98.0 to 98.6% from seeds 0, 1 and 2.
    config = RunConfig(
        Digits(), CNNConfig(), MomentumRule(), Cosine(), lr=0.05, steps=400, batch_size=32, eval_every=100
    )
    assert run(config, tmp_path).best.value >= 0.98


@pytest.mark.parametrize(("shape", "kernel_size"), [((3, 8, 12), 3), ((1, 9, 6), 2), ((2, 6, 6), 5)])
def test_cnn_of_color_and_rectangular_images_equals_pytorch(shape, kernel_size):
    torch = pytest.importorskip("torch", reason="the extra peers has PyTorch")
    net = CNNConfig([4, 5], kernel_size, image=shape).build(prod(shape), 3, nn.ReLU, seed=0)
    layers = [torch.nn.Unflatten(1, shape)]
    for before, after in pairwise([shape[0], 4, 5]):
        conv = torch.nn.Conv2d(before, after, kernel_size, padding=kernel_size // 2)
        layers += [conv, torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
    size = [conv_size(conv_size(side, kernel_size), kernel_size) for side in shape[1:]]
    peer = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(5 * prod(size), 3)).double()
    peer.load_state_dict({name: torch.tensor(value) for name, value in net.state_dict().items()})
    x = np.random.default_rng(1).normal(size=(6, prod(shape)))
    y = np.array([0, 1, 2, 0, 1, 2])
    loss = F.cross_entropy(net(Tensor(x)), y)
    loss.backward()
    expected = torch.nn.functional.cross_entropy(peer(torch.tensor(x)), torch.tensor(y))
    expected.backward()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-12)
    for ours, theirs in zip(net.named_parameters().values(), peer.parameters(), strict=True):
        np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


def conv_size(side, kernel_size):
    """The side of an image after a convolution and a pooling by 2."""
    return (side + 2 * (kernel_size // 2) - kernel_size + 1) // 2


def test_cnn_of_images_too_small_names_their_shorter_side():
    for config, message in (
        (CNNConfig([2], kernel_size=5, image=(3, 4, 9)), "network.kernel_size=5: expected at most 4, the shorter side"),
        (CNNConfig([2, 2, 2], image=(3, 4, 9)), r"images of side 4 are too small to be pooled 3 times"),
    ):
        with pytest.raises(ConfigError, match=message):
            config.build(108, 2, nn.ReLU, seed=0)
    assert CNNConfig([2], image=(3, 4, 9)).describe(108, 2, "relu") == "cnn 3x4x9-2-2, relu"
    assert CNNConfig([2]).describe(64, 10, "relu") == "cnn 64-2-10, relu"


@pytest.mark.parametrize("widths", [[], [5], [8, 4, 2]])
def test_mlp_of_any_widths(widths):
    net = MLPConfig(widths).build(3, 2, nn.ReLU, seed=0)
    sizes = [3, *widths, 2]
    shapes = [p.shape for p in net.named_parameters().values()]
    assert shapes[::2] == [(out, inn) for inn, out in pairwise(sizes)]
    assert net(Tensor(np.ones((7, 3)))).shape == (7, 2)


def test_additional_layer_does_not_change_other_initial_weights():
    short = MLPConfig([8]).build(3, 2, nn.ReLU, seed=5).parameters()
    long = MLPConfig([8, 2]).build(3, 2, nn.ReLU, seed=5).parameters()
    assert (short[0].numpy() == long[0].numpy()).all()


def test_linear_network_is_one_layer():
    assert list(LinearConfig().build(3, 2, nn.ReLU, seed=0).named_parameters()) == ["weight", "bias"]


def test_lab2_computes_the_chain_of_the_notebook():
    net = Lab2Config(w1=0.5, w2=-2.0, bias=0.25).build(1, 1, nn.Tanh, seed=0)
    assert list(net.named_parameters()) == ["w1", "w2", "bias"]
    assert net(Tensor([[3.0]])).item() == np.tanh(-2.0 * np.tanh(0.5 * 3 + 0.25) + 0.25)
    with pytest.raises(ConfigError, match="set data=point"):
        Lab2Config().build(64, 10, nn.ReLU, seed=0)
