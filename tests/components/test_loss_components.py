"""Losses by their config names: values, number of outputs, options and errors."""

import numpy as np
import pytest
from sklearn import metrics

from minitrain import Parameter, Tensor
from minitrain import functional as F
from minitrain.components.losses import build_loss, class_weights
from minitrain.data import Preprocessing
from minitrain.errors import ConfigError
from minitrain.registry import REGISTRIES


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


DATA = [
    (Preprocessing(3, classes=10), np.array([0, 1, 1, 0])),
    (Preprocessing(3, classes=2), np.array([0, 1, 1, 0])),
    (Preprocessing(3, targets=1), np.ones((4, 1))),
    (Preprocessing(3), None),
]


OUTPUTS = {  # for 10 classes, for 2 classes, for numbers, without a target; None if unsuitable
    "cross_entropy": (10, 2, None, None),
    "binary_cross_entropy": (None, 1, None, None),
    "hinge": (10, 1, None, None),
    "mse": (10, 2, 1, None),
    "half_mse": (10, 2, 1, None),
    "mae": (10, 2, 1, None),
    "huber": (10, 2, 1, None),
    "output": (None, None, None, 1),
}


@pytest.mark.parametrize("name", sorted(REGISTRIES["loss"]))
def test_outputs_that_a_loss_requires(name):
    loss = REGISTRIES["loss"][name]
    for (data, target), outputs in zip(DATA, OUTPUTS[name], strict=True):
        if outputs is None:
            with pytest.raises(ConfigError, match=f"loss={name}: .*; set loss=") as error:
                loss.outputs(data)
            assert REGISTRIES["loss"][str(error.value).rpartition("=")[2]].outputs(data)
        else:
            assert loss.outputs(data) == outputs
            value = loss(Tensor(np.zeros((4, outputs), "float32")), target)
            assert (value.shape, value.dtype) == ((), "float32")


@pytest.mark.parametrize("name", sorted(REGISTRIES["loss"]))
def test_reduction_of_a_loss(name):
    output, target = Tensor([[0.5], [-2.0], [0.1]]), np.array([0, 0, 0])
    total = build_loss(name, reduction="sum")(output, target).item()
    assert total == pytest.approx(3 * build_loss(name)(output, target).item(), rel=1e-14)


def test_only_cross_entropy_has_label_smoothing():
    smoothed = build_loss("cross_entropy", label_smoothing=0.1)
    logits, target = Tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5]]), np.array([0, 2])
    assert smoothed(logits, target).item() == F.cross_entropy(logits, target, label_smoothing=0.1).item()
    assert smoothed(logits, target).item() > build_loss("cross_entropy")(logits, target).item()
    for name in sorted(REGISTRIES["loss"].keys() - {"cross_entropy"}):
        for share in (0.0, 0.1):
            with pytest.raises(ConfigError, match=f"label_smoothing={share:g}: loss={name} has none"):
                build_loss(name, label_smoothing=share)


def test_options_of_regression_losses_against_pytorch():
    # torch.nn.functional.huber_loss(p, t, delta=d) and 0.5 * mse_loss(p, t) of PyTorch 2.13, float64
    prediction, target = Tensor([[0.2], [-1.5], [4.0]]), Tensor([[0.0], [0.5], [0.25]])
    by_delta = {0.5: 0.8816666666666667, 1.0: 1.59, 2.0: 2.5066666666666664, 10.0: 3.0170833333333333}
    for delta, expected in by_delta.items():
        assert build_loss("huber", huber_delta=delta)(prediction, target).item() == pytest.approx(expected, rel=1e-12)
    assert build_loss("huber")(prediction, target).item() == pytest.approx(1.59, rel=1e-12)
    half = build_loss("half_mse")(prediction, target).item()
    assert half == pytest.approx(3.0170833333333333, rel=1e-12)
    assert half == build_loss("mse", loss_scale=0.5)(prediction, target).item()
    assert build_loss("half_mse", reduction="sum")(prediction, target).item() == pytest.approx(3 * half, rel=1e-14)


@pytest.mark.parametrize("name", sorted(REGISTRIES["loss"]))
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_scale_is_a_factor_of_every_loss_and_of_its_gradient(name, reduction):
    values, gradients = [], []
    for scale in (None, 1.0, 3.0):
        output = Parameter([[0.5], [-2.0], [0.1]])
        loss = build_loss(name, reduction=reduction, loss_scale=scale)(output, np.array([0, 0, 0]))
        loss.backward()
        values.append(loss.item())
        gradients.append(output.grad)
    assert values[0] == values[1]
    assert values[2] == pytest.approx(3 * values[0], rel=1e-14)
    np.testing.assert_allclose(gradients[2], 3 * gradients[0], rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mse", {"huber_delta": 2.0}, "huber_delta=2: loss=mse has none; set loss=huber, or huber_delta=null"),
        ("mae", {"label_smoothing": 0.0}, "label_smoothing=0: loss=mae has none; set loss=cross_entropy, or"),
        (
            "plain",
            {"reduction": "sum"},
            "reduction=sum: loss=plain has none; set loss=.* reduction=mean",
        ),
        ("plain", {"label_smoothing": 0.1}, "label_smoothing=0.1: loss=plain has none; set loss=cross_entropy, or"),
    ],
)
def test_an_option_that_the_loss_does_not_have_is_an_error(monkeypatch, name, options, message):
    monkeypatch.setitem(REGISTRIES["loss"], "plain", lambda output, target: (output - target).abs().mean())
    with pytest.raises(ConfigError, match=message):
        build_loss(name, **options)
    build_loss(name, **{key: "mean" if key == "reduction" else None for key in options})


# PyTorch 2.13: cross_entropy(weight=WEIGHTS), multi_margin_loss(weight=WEIGHTS) and, for two classes, cross_entropy of
# the logits (0, x)
WEIGHTS, LOGITS, TARGET = (
    (0.5, 2.0, 1.25),
    [[2.0, 0.0, -1.0], [0.0, 1.0, 0.5], [0.3, -0.2, 0.1], [1.0] * 3],
    [0, 2, 1, 0],
)
WEIGHTED = {
    "cross_entropy": (WEIGHTS, LOGITS, TARGET, 1.1485752653532417, 4.881444877751277),
    "binary_cross_entropy": ((0.5, 2.0), [[0.5], [-2.0], [0.1]], [1, 0, 0], 0.46127210130616164, 1.3838163039184852),
    "hinge": (WEIGHTS, LOGITS, TARGET, 3.033333333333333 / 4.25, 3.033333333333333),
    "hinge, binary": ((0.5, 2.0), [[0.5], [-2.0], [0.1]], [1, 0, 0], (2 * 0.5 + 0.5 * 1.1) / 3, 2 * 0.5 + 0.5 * 1.1),
}


@pytest.mark.parametrize(("weights", "output", "target", "mean", "total"), WEIGHTED.values(), ids=WEIGHTED)
def test_weights_of_classes(request, weights, output, target, mean, total):
    name = request.node.callspec.id.partition(",")[0]
    for reduction, expected in (("mean", mean), ("sum", total)):
        loss = build_loss(name, reduction=reduction, class_weight=weights)
        assert loss(Tensor(output), Tensor(np.array(target))).item() == pytest.approx(expected, rel=1e-12)
        equal = build_loss(name, reduction=reduction, class_weight=[1.0] * len(weights))(
            Tensor(output), np.array(target)
        )
        assert equal.item() == pytest.approx(
            build_loss(name, reduction=reduction)(Tensor(output), np.array(target)).item()
        )


def test_weighted_mean_is_that_of_scikit_learn():
    # The mean is divided by the sum of the weights; PyTorch's binary_cross_entropy(weight=...) divides by their number.
    random = np.random.default_rng(0)
    scores, target, weights = random.normal(size=(40, 1)), random.integers(2, size=40), [0.5, 3.0]
    sample_weight = np.array(weights)[target]
    expected = {
        "binary_cross_entropy": metrics.log_loss(target, 1 / (1 + np.exp(-scores[:, 0])), sample_weight=sample_weight),
        "hinge": metrics.hinge_loss(2 * target - 1, scores[:, 0], sample_weight=sample_weight),
    }
    for name, value in expected.items():
        loss = build_loss(name, class_weight=weights)
        assert loss(Tensor(scores), Tensor(target)).item() == pytest.approx(value, rel=1e-12)


def test_weights_and_smoothing_of_cross_entropy():
    loss = build_loss("cross_entropy", class_weight=WEIGHTS, label_smoothing=0.1)
    assert loss(Tensor(LOGITS), Tensor(np.array(TARGET))).item() == pytest.approx(1.1965020710689347, rel=1e-12)


def test_balanced_weights_of_classes():
    # sklearn.utils.class_weight.compute_class_weight("balanced", classes=[0, 1, 2], y=...)
    counts = [6, 3, 1]
    assert class_weights("balanced", "abc", counts) == pytest.approx((0.5555555555555556, 1.1111111111111112, 10 / 3))
    assert class_weights("balanced", "abcd", [*counts, 0])[3] == 1
    assert class_weights([1, 2.0, 3], "abc", counts) == (1.0, 2.0, 3.0)
    for weights in ([1.0, 2.0], [1.0] * 4, []):
        with pytest.raises(ConfigError, match=r"class_weight=\[.*\]: expected 3 numbers, one for each class: a, b, c"):
            class_weights(weights, "abc", counts)


def test_a_registered_function_has_the_options_that_it_takes(monkeypatch):
    def power(output, target, reduction="mean", huber_delta=1.0):
        return (output - target).abs().sum() * huber_delta

    monkeypatch.setitem(REGISTRIES["loss"], "power", power)
    assert build_loss("power", huber_delta=3.0, loss_scale=2.0)(Tensor([[1.0]]), Tensor([[3.0]])).item() == 12


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
def test_invalid_arguments_of_functions_are_reported(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()
