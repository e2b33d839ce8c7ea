"""Modules, layers, networks and losses."""

from itertools import pairwise

import numpy as np
import pytest

from minitrain import Parameter, Tensor, nn
from minitrain import functional as F
from minitrain.autograd.flat import FlatParameters
from minitrain.components.losses import build_loss
from minitrain.components.networks import Lab2Config, LinearConfig, MLPConfig
from minitrain.data import Dataset
from minitrain.errors import ConfigError
from minitrain.registry import REGISTRIES


class Shared(nn.Module):
    def __init__(self):
        self.first = nn.Linear(2, 2, rng=0)
        self.again = self.first
        self.scale = Parameter(2.0)
        self.stack = [nn.Linear(2, 1, rng=1), nn.Tanh()]

    def forward(self, x):
        return self.stack[0](self.again(self.first(x)) * self.scale)


def test_parameters_in_the_order_of_assignment_each_once():
    names = ["first.weight", "first.bias", "scale", "stack.0.weight", "stack.0.bias"]
    assert list(Shared().named_parameters()) == names
    assert len(Shared().parameters()) == 5


def test_a_parameter_used_twice_gets_both_parts_of_its_gradient():
    net = Shared()
    x = Tensor(np.ones((3, 2)))
    net(x).sum().backward()
    w, b, s = net.first.weight.numpy(), net.first.bias.numpy(), 2.0
    v = net.stack[0].weight.numpy()
    hidden = x.numpy() @ w.T + b
    upstream = np.repeat(v * s, 3, axis=0)
    np.testing.assert_allclose(net.first.weight.grad, upstream.T @ hidden + (upstream @ w).T @ x.numpy(), rtol=1e-13)


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match=r"Module has no forward\(self, x\)"):
        nn.Module()(Tensor(1.0))


def test_linear_starts_uniform_within_its_bound_and_depends_on_its_seed_alone():
    layer = nn.Linear(100, 50, rng=3)
    w = layer.weight.numpy()
    assert w.shape == (50, 100)
    assert abs(w).max() <= 0.1
    assert abs(w.std() - 0.1 / np.sqrt(3)) < 0.002
    assert (nn.Linear(100, 50, rng=3).weight.numpy() == w).all()
    assert (nn.Linear(100, 50, rng=4).weight.numpy() != w).any()


@pytest.mark.parametrize(
    ("layer", "x", "message"),
    [
        (nn.Linear(3, 2, rng=0), np.ones((4, 5)), r"expected an input of shape \[batch, 3\].*in_features=5"),
        (nn.Linear(3, 2, rng=0), np.ones(3), r"expected an input of shape \[batch, 3\]"),
    ],
)
def test_a_wrong_input_is_named(layer, x, message):
    with pytest.raises(ValueError, match=message):
        layer(Tensor(x))


def test_layers_need_at_least_one_unit():
    with pytest.raises(ValueError, match="in_features=0"):
        nn.Linear(0, 3, rng=0)


@pytest.mark.parametrize("name", sorted(REGISTRIES["activation"]))
def test_activation_layers_are_the_functions_of_their_name(name):
    x = Tensor([-2.0, 0.5, 3.0])
    layer = REGISTRIES["activation"][name]()
    assert (layer(x).numpy() == getattr(F, name)(x).numpy()).all()
    assert layer.parameters() == []


@pytest.mark.parametrize("widths", [[], [5], [8, 4, 2]])
def test_mlp_of_any_widths(widths):
    net = MLPConfig(widths).build(3, 2, nn.ReLU, seed=0)
    sizes = [3, *widths, 2]
    shapes = [p.shape for p in net.named_parameters().values()]
    assert shapes[::2] == [(out, inn) for inn, out in pairwise(sizes)]
    assert net(Tensor(np.ones((7, 3)))).shape == (7, 2)


def test_an_added_layer_leaves_the_others_initial_weights_alone():
    short = MLPConfig([8]).build(3, 2, nn.ReLU, seed=5).parameters()
    long = MLPConfig([8, 2]).build(3, 2, nn.ReLU, seed=5).parameters()
    assert (short[0].numpy() == long[0].numpy()).all()


def test_linear_network_is_one_layer():
    assert list(LinearConfig().build(3, 2, nn.ReLU, seed=0).named_parameters()) == ["weight", "bias"]


def test_lab2_is_the_notebooks_chain():
    net = Lab2Config(w1=0.5, w2=-2.0, bias=0.25).build(1, 1, nn.Tanh, seed=0)
    assert list(net.named_parameters()) == ["w1", "w2", "bias"]
    assert net(Tensor([[3.0]])).item() == np.tanh(-2.0 * np.tanh(0.5 * 3 + 0.25) + 0.25)
    with pytest.raises(ConfigError, match="set data=point"):
        Lab2Config().build(64, 10, nn.ReLU, seed=0)


def test_losses():
    logits, target = np.array([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5]]), np.array([0, 2])
    loss = REGISTRIES["loss"]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(p[[0, 1], target]).mean()
    assert loss["cross_entropy"](Tensor(logits), target).item() == pytest.approx(expected, rel=1e-14)
    assert loss["mse"](Tensor(logits), target).item() == pytest.approx(((logits - np.eye(3)[target]) ** 2).mean())
    assert loss["mse"](Tensor([[1.0], [3.0]]), np.array([[0.0], [0.0]])).item() == 5
    assert loss["mse"](Tensor([[1.0], [3.0]]), np.array([0.0, 0.0])).item() == 5
    assert loss["mae"](Tensor([[1.0], [3.0]]), np.array([0.0, 0.0])).item() == 2
    assert loss["mae"](Tensor(logits), target).item() == pytest.approx(abs(logits - np.eye(3)[target]).mean())
    assert loss["huber"](Tensor([[1.0], [3.0]]), np.array([0.0, 0.0])).item() == 1.5
    assert loss["huber"](Tensor(logits), target).item() == F.huber_loss(logits, np.eye(3)[target]).item()
    assert loss["hinge"](Tensor(logits), target).item() == F.multi_margin_loss(logits, target).item()
    assert loss["hinge"](Tensor([[0.5], [0.5]]), np.array([1, 0])).item() == (0.5 + 1.5) / 2
    one = loss["binary_cross_entropy"](Tensor([[0.5], [-2.0]]), np.array([1, 0])).item()
    assert one == pytest.approx(np.log1p(np.exp([-0.5, -2.0])).mean(), rel=1e-14)
    two = loss["cross_entropy"](Tensor([[0.0, 0.5], [0.0, -2.0]]), np.array([1, 0])).item()
    assert one == pytest.approx(two, rel=1e-14)
    assert loss["output"](Tensor(logits), None).item() == logits.mean()


def four_examples(target, classes=None):
    return Dataset(np.ones((4, 3)), target, np.ones((0, 3)), None, classes)


DATA = [
    four_examples(np.array([0, 1, 1, 0]), classes=10),
    four_examples(np.array([0, 1, 1, 0]), classes=2),
    four_examples(np.ones((4, 1))),
    four_examples(None),
]
OUTPUTS = {  # for 10 classes, for 2 classes, for numbers, without a target; None where it does not fit
    "cross_entropy": (10, 2, None, None),
    "binary_cross_entropy": (None, 1, None, None),
    "hinge": (10, 1, None, None),
    "mse": (10, 2, 1, None),
    "mae": (10, 2, 1, None),
    "huber": (10, 2, 1, None),
    "output": (None, None, None, 1),
}


@pytest.mark.parametrize("name", sorted(REGISTRIES["loss"]))
def test_how_many_outputs_a_loss_wants_and_that_it_takes_these(name):
    loss = REGISTRIES["loss"][name]
    for data, outputs in zip(DATA, OUTPUTS[name], strict=True):
        if outputs is None:
            with pytest.raises(ConfigError, match=f"loss={name}: .*; set loss=") as error:
                loss.outputs(data)
            assert REGISTRIES["loss"][str(error.value).rpartition("=")[2]].outputs(data)
        else:
            assert loss.outputs(data) == outputs
            value = loss(Tensor(np.zeros((4, outputs), "float32")), data.y_train)
            assert (value.shape, value.dtype) == ((), "float32")


@pytest.mark.parametrize("name", sorted(REGISTRIES["loss"]))
def test_a_loss_of_a_config_has_its_reduction(name):
    output, target = Tensor([[0.5], [-2.0], [0.1]]), np.array([0, 0, 0])
    total = build_loss(name, "sum")(output, target).item()
    assert total == pytest.approx(3 * build_loss(name)(output, target).item(), rel=1e-14)


def test_label_smoothing_is_an_option_of_the_cross_entropy_alone():
    smoothed = build_loss("cross_entropy", label_smoothing=0.1)
    logits, target = Tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5]]), np.array([0, 2])
    assert smoothed(logits, target).item() == F.cross_entropy(logits, target, label_smoothing=0.1).item()
    assert smoothed(logits, target).item() > build_loss("cross_entropy")(logits, target).item()
    for name in sorted(REGISTRIES["loss"].keys() - {"cross_entropy"}):
        for share in (0.0, 0.1):
            with pytest.raises(ConfigError, match=f"label_smoothing={share:g}: loss={name} has none"):
                build_loss(name, label_smoothing=share)


@pytest.mark.parametrize(
    ("mistake", "error", "message"),
    [
        (lambda: F.cross_entropy(Tensor([[1.0, 2.0]]), np.array([0, 1])), ValueError, "one integer class per row"),
        (lambda: F.cross_entropy(Tensor([[1.0, 2.0]]), np.array([0.5])), ValueError, "one integer class per row"),
        (lambda: F.mse_loss(Tensor([[1.0], [2.0]]), np.ones(2)), ValueError, "expected equal shapes"),
        (lambda: F.concatenate([]), ValueError, "no tensors given"),
        (lambda: F.concatenate([Tensor([[1.0]]), Tensor([[1.0, 2.0]])]), ValueError, "expected equal sizes"),
        (lambda: F.concatenate([Tensor([1.0])], axis=1), ValueError, "axis 1 of shape"),
    ],
)
def test_mistakes_have_clear_errors(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()


def test_flat_parameters_are_weights_then_biases_and_views_both_ways():
    net = MLPConfig([4]).build(3, 2, nn.ReLU, seed=0)
    flat = FlatParameters(net.named_parameters(), "float32")
    assert list(flat.tensors) == ["0.weight", "2.weight", "0.bias", "2.bias"]
    assert flat.vector.dtype == "float32"
    first = net.named_parameters()["0.weight"]
    flat.assign(np.arange(len(flat.vector)))
    assert first.numpy().tolist() == np.arange(12.0).reshape(4, 3).tolist()
    first.data[0, 0] = 99.0
    assert flat.vector[0] == 99
    loss = net(Tensor(np.ones((2, 3), "float32"))).sum()
    g = flat.gradient(loss)
    loss.backward()
    assert (flat.split(g.numpy())["2.weight"] == net.named_parameters()["2.weight"].grad).all()


def test_assigning_parameters_between_use_and_derivative_is_found():
    w = Parameter([1.0, 2.0], "w")
    flat = FlatParameters({"w": w})
    loss = (w * w).sum()
    flat.assign(np.zeros(2))
    with pytest.raises(RuntimeError, match="w was overwritten"):
        loss.backward()


def test_modules_print_their_layers_and_take_arrays():
    net = nn.Sequential(nn.Linear(2, 3, rng=0), nn.ReLU())
    assert repr(net) == "Sequential(\n  0: Linear(weight [3, 2], bias [3])\n  1: ReLU()\n)"
    assert net(np.ones((4, 2))).shape == (4, 3)
