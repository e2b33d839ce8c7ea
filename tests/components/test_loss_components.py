"""Losses by their config names: values, number of outputs, options and errors."""

import numpy as np
import pytest

from minitrain import Tensor
from minitrain import functional as F
from minitrain.components.losses import build_loss
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
    total = build_loss(name, "sum")(output, target).item()
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
