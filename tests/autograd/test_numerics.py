"""What a value and its gradient are at the hard places, in float64 and, where it matters, float32."""

import math
import warnings

import numpy as np
import pytest

from minitrain import Parameter, Tensor
from minitrain import functional as F


def at(fn, x, dtype="float64"):
    """Value and gradient at a point."""
    p = Parameter(np.array(x, dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = fn(p)
        value.sum().backward()
    return value.numpy().tolist(), p.grad.tolist()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("fn", "x", "value", "gradient"),
    [
        (F.sigmoid, 1000.0, 1, 0),
        (F.sigmoid, -1000.0, 0, 0),
        (F.silu, 1000.0, 1000, 1),
        (F.silu, -1000.0, 0, 0),
        (F.tanh, 1000.0, 1, 0),
        (F.tanh, -1000.0, -1, 0),
        (F.relu, 0.0, 0, 0),
        (F.abs, 0.0, 0, 0),
        (F.sqrt, 0.0, 0, math.inf),
        (F.log, 0.0, -math.inf, math.inf),
        (lambda x: x**0, 0.0, 1, 0),
        (lambda x: x**2, 0.0, 0, 0),
        (lambda x: x**1, 0.0, 0, 1),
        (lambda x: 1 / x, 0.0, math.inf, -math.inf),
        (F.exp, 1000.0, math.inf, math.inf),
    ],
)
def test_hard_places(fn, x, value, gradient, dtype):
    assert at(fn, x, dtype) == (value, gradient)


@pytest.mark.parametrize(("dtype", "ulps"), [("float64", 4), ("float32", 4)])
def test_sigmoid_of_minus_20_is_right_in_relative_terms(dtype, ulps):
    exact = 1 / (1 + math.exp(20.0))
    found = F.sigmoid(np.array(-20.0, dtype)).item()
    assert abs(found / exact - 1) <= ulps * np.finfo(dtype).eps


def test_logsumexp():
    value, gradient = at(F.logsumexp, [1000.0, 1000.0])
    assert value == 1000.6931471805599
    assert gradient == [0.5, 0.5]
    assert F.logsumexp([-math.inf, -math.inf]).item() == -math.inf
    assert F.logsumexp([math.inf, 0.0]).item() == math.inf


def test_softmax_of_large_values():
    assert F.softmax([1000.0, 1000.0, -1000.0]).numpy().tolist() == [0.5, 0.5, 0]
    assert F.log_softmax([1000.0, 0.0]).numpy().tolist() == [0, -1000]


def test_cross_entropy_of_a_sure_mistake():
    value, gradient = at(lambda x: F.cross_entropy(x, np.array([1])), [[1000.0, 0.0]])
    assert value == 1000
    assert gradient == [[1, -1]]


def test_relu_and_maximum_pass_nan_forward():
    assert math.isnan(F.relu(math.nan).item())
    assert math.isnan(F.maximum(math.nan, 1.0).item())
    assert math.isnan(F.max([1.0, math.nan]).item())


def test_equal_values_share_the_gradient_evenly():
    a, b = Parameter(2.0), Parameter(2.0)
    F.maximum(a, b).backward()
    assert (a.grad, b.grad) == (0.5, 0.5)
    assert at(F.max, [1.0, 3.0, 3.0]) == (3, [0, 0.5, 0.5])


def test_a_negative_base():
    base, exponent = Parameter(-2.0), Parameter(3.0)
    power = base**exponent
    power.backward()
    assert power.item() == -8
    assert base.grad == 12
    assert math.isnan(exponent.grad)


def test_powers_of_0():
    base, exponent = Parameter([0.0, 0.0, 0.0]), Parameter([0.0, 1.0, 2.0])
    power = base**exponent
    power.sum().backward()
    assert power.numpy().tolist() == [1, 0, 0]
    assert base.grad.tolist() == [0, 1, 0]
    assert exponent.grad.tolist() == [0, 0, 0]
    assert (2 ** Tensor(3.0)).item() == 8


def test_where_keeps_the_nan_of_the_branch_not_taken_unless_its_argument_is_safe():
    x = Parameter([0.0, 1.0])
    F.where(x > 0, F.log(x), 0.0).sum().backward()
    assert math.isnan(x.grad[0])
    x.zero_grad()
    F.where(x > 0, F.log(F.where(x > 0, x, 1.0)), 0.0).sum().backward()
    assert x.grad.tolist() == [0, 1]


@pytest.mark.parametrize("fn", [F.sum, F.mean, lambda x: F.exp(x).sum(), lambda x: (x @ np.ones((3, 2))).sum()])
def test_empty_arrays(fn):
    x = Parameter(np.empty((0, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fn(x).backward()
    assert x.grad.shape == (0, 3)
