"""Flat vectors of parameters: order, views, and detection of changes."""

import numpy as np
import pytest

from minitrain import Parameter, Tensor, nn
from minitrain.autograd.flat import FlatParameters
from minitrain.components.networks import MLPConfig


def test_flat_parameters_order_weights_before_biases_and_are_views():
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


def test_assignment_between_forward_and_backward_is_detected():
    w = Parameter([1.0, 2.0], "w")
    flat = FlatParameters({"w": w})
    loss = (w * w).sum()
    flat.assign(np.zeros(2))
    with pytest.raises(RuntimeError, match="w was overwritten"):
        loss.backward()
