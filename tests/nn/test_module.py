"""Modules: parameters, calls and representation."""

import numpy as np
import pytest

from minitrain import Parameter, Tensor, nn


class Shared(nn.Module):
    def __init__(self):
        self.first = nn.Linear(2, 2, rng=0)
        self.again = self.first
        self.scale = Parameter(2.0)
        self.stack = [nn.Linear(2, 1, rng=1), nn.Tanh()]

    def forward(self, x):
        return self.stack[0](self.again(self.first(x)) * self.scale)


def test_parameters_are_in_order_of_assignment_without_duplicates():
    names = ["first.weight", "first.bias", "scale", "stack.0.weight", "stack.0.bias"]
    assert list(Shared().named_parameters()) == names
    assert len(Shared().parameters()) == 5


def test_gradient_of_a_parameter_that_is_used_twice():
    net = Shared()
    x = Tensor(np.ones((3, 2)))
    net(x).sum().backward()
    w, b, s = net.first.weight.numpy(), net.first.bias.numpy(), 2.0
    v = net.stack[0].weight.numpy()
    hidden = x.numpy() @ w.T + b
    upstream = np.repeat(v * s, 3, axis=0)
    np.testing.assert_allclose(net.first.weight.grad, upstream.T @ hidden + (upstream @ w).T @ x.numpy(), rtol=1e-13)


def test_module_without_forward_is_reported():
    with pytest.raises(NotImplementedError, match=r"Module has no forward\(self, x\)"):
        nn.Module()(Tensor(1.0))


def test_modules_print_their_layers_and_accept_arrays():
    net = nn.Sequential(nn.Linear(2, 3, rng=0), nn.ReLU())
    assert repr(net) == "Sequential(\n  0: Linear(weight [3, 2], bias [3])\n  1: ReLU()\n)"
    assert net(np.ones((4, 2))).shape == (4, 3)
