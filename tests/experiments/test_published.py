"""Small training runs whose numbers were published, reproduced with Tensors."""

import random

import numpy as np
import pytest
from published import MAZUR_ERROR, MAZUR_FIRST_LAYER, MAZUR_SECOND_LAYER, MICROGRAD

from minitrain import Parameter, Tensor, nn, no_grad, optim
from minitrain import functional as F


def micrograd_network():
    """2-16-16-1 with ReLU in the hidden layers; weights are drawn neuron by neuron from Python's generator."""
    random.seed(1337)
    layers = []
    for fan_in, fan_out in ((2, 16), (16, 16), (16, 1)):
        layer = nn.Linear(fan_in, fan_out, rng=0)
        layer.weight = Parameter([[random.uniform(-1, 1) for _ in range(fan_in)] for _ in range(fan_out)])
        layer.bias = Parameter(np.zeros(fan_out))
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_micrograd_demo(dtype, tolerance):
    datasets = pytest.importorskip("sklearn.datasets", reason="the demo's data are scikit-learn's moons")
    np.random.seed(1337)  # noqa: NPY002  # as the demo does
    x, labels = datasets.make_moons(n_samples=100, noise=0.1)
    y = (labels * 2 - 1)[:, None].astype(dtype)
    net = micrograd_network()
    for p in net.parameters():
        p.rebind(p.numpy().astype(dtype))
    opt = optim.SGD(net.parameters(), lr=1.0)
    assert sum(p.size for p in net.parameters()) == 337
    for k in range(100):
        score = net(Tensor(x.astype(dtype)))
        penalty = sum((p * p).sum() for p in net.parameters()) * 1e-4
        loss = F.relu(1.0 - score * y).mean() + penalty
        if k in MICROGRAD:
            expected, percent = MICROGRAD[k]
            assert loss.item() == pytest.approx(expected, rel=tolerance)
            assert (np.sign(score.numpy()) == y).sum() == percent
        opt.zero_grad()
        loss.backward()
        opt.lr = 1 - 0.9 * k / 100
        opt.step()


def test_mazur_backpropagation_example():
    """Matt Mazur, A Step by Step Backpropagation Example: 2-2-2, sigmoid, learning rate 0.5, fixed biases."""
    x, target = Tensor([[0.05, 0.10]]), np.array([[0.01, 0.99]])
    first, second = Parameter([[0.15, 0.20], [0.25, 0.30]]), Parameter([[0.40, 0.45], [0.50, 0.55]])

    def error():
        hidden = F.sigmoid(F.linear(x, first) + 0.35)
        return ((F.sigmoid(F.linear(hidden, second) + 0.60) - target) ** 2).sum() * 0.5

    opt = optim.SGD([first, second], lr=0.5)
    loss = error()
    assert loss.item() == pytest.approx(MAZUR_ERROR, abs=5e-10)
    loss.backward()
    opt.step()
    np.testing.assert_allclose(second.numpy(), MAZUR_SECOND_LAYER, rtol=0, atol=5e-9)
    np.testing.assert_allclose(first.numpy(), MAZUR_FIRST_LAYER, rtol=0, atol=5e-9)
    with no_grad():
        assert error().item() < loss.item()
