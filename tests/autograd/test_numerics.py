"""Values and gradients at extreme points, in float64 and, where it matters, float32."""

import math
import warnings

import numpy as np
import pytest

from minitrain import Parameter, Tensor, check_grads, grad
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
        (F.softplus, 1000.0, 1000, 1),
        (F.softplus, -1000.0, 0, 0),
        (F.logsigmoid, 1000.0, 0, 0),
        (F.logsigmoid, -1000.0, -1000, 1),
        (F.gelu, 1000.0, 1000, 1),
        (F.gelu, -1000.0, 0, 0),
        (lambda x: F.gelu(x, approximate="tanh"), 1000.0, 1000, 1),
        (lambda x: F.gelu(x, approximate="tanh"), -1000.0, 0, 0),
        (F.mish, 1000.0, 1000, 1),
        (F.mish, -1000.0, 0, 0),
        (F.elu, 1000.0, 1000, 1),
        (F.elu, -1000.0, -1, 0),
        (F.hardswish, 1000.0, 1000, 1),
        (F.hardswish, -1000.0, 0, 0),
        (lambda x: F.leaky_relu(x, slope=0.25), 0.0, 0, 0.25),
        (lambda x: F.elu(x, alpha=0.5), 0.0, 0, 0.5),
        (lambda x: F.clip(x, -1.0, 2.0), -1.0, -1, 1),
        (lambda x: F.clip(x, -1.0, 2.0), 2.0, 2, 1),
        (lambda x: F.clip(x, -1.0, 2.0), 2.5, 2, 0),
        (F.log1p, -1.0, -math.inf, math.inf),
        (F.expm1, -1000.0, -1, 0),
        (F.expm1, -50.0, -1, pytest.approx(math.exp(-50.0), rel=1e-6)),
        (F.expm1, 1e-20, pytest.approx(1e-20, rel=1e-6), 1),
        (F.log1p, 1e-20, pytest.approx(1e-20, rel=1e-6), 1),
        (F.erf, 1000.0, 1, 0),
        (F.erf, -1000.0, -1, 0),
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
def test_values_and_gradients_at_extreme_points(fn, x, value, gradient, dtype):
    assert at(fn, x, dtype) == (value, gradient)


@pytest.mark.parametrize(("dtype", "ulps"), [("float64", 4), ("float32", 4)])
def test_sigmoid_of_minus_20_has_a_small_relative_error(dtype, ulps):
    exact = 1 / (1 + math.exp(20.0))
    value, gradient = at(F.sigmoid, -20.0, dtype)
    assert abs(value / exact - 1) <= ulps * np.finfo(dtype).eps
    assert abs(gradient / (exact * (1 - exact)) - 1) <= ulps * np.finfo(dtype).eps


def test_logsumexp():
    value, gradient = at(F.logsumexp, [1000.0, 1000.0])
    assert value == 1000.6931471805599
    assert gradient == [0.5, 0.5]
    value, gradient = at(F.logsumexp, [-math.inf, -math.inf])
    assert value == -math.inf
    assert np.isnan(gradient).all()  # there is none, as in PyTorch; no warning is raised
    assert at(F.logsumexp, [-math.inf, 0.0]) == (0, [0, 1])
    # The walk of `grad` raises none either.
    assert np.isnan(grad(lambda x: F.logsumexp(x))([-math.inf, -math.inf]).numpy()).all()
    assert F.logsumexp([math.inf, 0.0]).item() == math.inf


def test_softmax_of_large_values():
    assert F.softmax([1000.0, 1000.0, -1000.0]).numpy().tolist() == [0.5, 0.5, 0]
    assert F.log_softmax([1000.0, 0.0]).numpy().tolist() == [0, -1000]


def test_cross_entropy_of_a_confident_wrong_prediction():
    value, gradient = at(lambda x: F.cross_entropy(x, np.array([1])), [[1000.0, 0.0]])
    assert value == 1000
    assert gradient == [[1, -1]]


def test_relu_and_maximum_propagate_nan():
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
    value, gradient = at(lambda y: (-2) ** y, [0.0, 2.0, 3.0, -1.0])
    assert value == [1, 4, -8, -0.5]
    assert np.isnan(gradient).all()


def test_powers_of_0():
    base, exponent = Parameter([0.0, 0.0, 0.0]), Parameter([0.0, 1.0, 2.0])
    power = base**exponent
    power.sum().backward()
    assert power.numpy().tolist() == [1, 0, 0]
    assert base.grad.tolist() == [0, 1, 0]
    assert exponent.grad.tolist() == [0, 0, 0]
    assert (2 ** Tensor(3.0)).item() == 8


LOGITS = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
SPREAD = np.array([-5.0, -0.7, 0.0, 0.4, 3.0])  # both sides of the bends, and 0
SMOOTH = {
    "sigmoid": (F.sigmoid, SPREAD),
    "silu": (F.silu, SPREAD),
    "softplus": (F.softplus, SPREAD),
    "logsigmoid": (F.logsigmoid, SPREAD),
    "tanh": (F.tanh, SPREAD),
    "gelu": (F.gelu, SPREAD),
    "gelu, tanh": (lambda x: F.gelu(x, approximate="tanh"), SPREAD),
    "logsumexp": (F.logsumexp, LOGITS),
    "cross-entropy": (lambda x: F.cross_entropy(x, [1, 2]), LOGITS),
    "binary cross-entropy": (lambda x: F.binary_cross_entropy_with_logits(x, [1.0, 0.0, 1.0, 0.0, 0.5]), SPREAD),
    "sqrt": (F.sqrt, [0.3, 2.0]),
    "log": (F.log, [0.3, 2.0]),
    "norm": (F.norm, [0.5, -2.0, 0.0]),
    "std": (F.std, [0.5, -2.0, 0.0]),
    "prod": (F.prod, [0.0, 2.0, 3.0]),
    "x**0": (lambda x: x**0, SPREAD),
    "x**2": (lambda x: x**2, SPREAD),
    "2**y": (lambda y: 2**y, SPREAD),
    "safe where": (lambda x: F.where(x > 0, F.log(F.where(x > 0, x, 1.0)), 0.0), [-1.0, 0.5]),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_second_derivatives_are_accurate_to_1e_6(name):
    fn, x = SMOOTH[name]
    # atol covers the error of the differences themselves for values near 0.
    check_grads(fn, x, order=2, rtol=1e-6, atol=1e-9)


def test_softplus_is_exact_for_large_x():
    value, gradient = at(F.softplus, 25.0)
    assert value == 25 + 1.388794386486758e-11
    assert gradient == pytest.approx(1 - 1.3887943864771144e-11, abs=2.3e-16)  # two units in the last place
    assert at(F.softplus, 0.0) == (math.log(2.0), 0.5)


def test_logsigmoid_of_a_large_value_is_minus_0():
    assert math.copysign(1.0, F.logsigmoid(1000.0).item()) == -1


@pytest.mark.parametrize(("dtype", "ulps"), [("float64", 4), ("float32", 5)])
def test_erf_is_accurate_to_a_few_units_in_the_last_place(dtype, ulps):
    x = np.concatenate([np.linspace(-7, 7, 20001), np.geomspace(1e-30, 1, 1001), [0.0, math.inf, -math.inf]])
    x = x.astype(dtype)
    exact = np.array([math.erf(entry) for entry in x.tolist()])
    apart = np.abs(F.erf(x).numpy().astype("float64") - exact)
    assert (apart <= ulps * np.spacing(np.abs(exact).astype(dtype))).all()
    assert math.isnan(F.erf(math.nan).item())


def test_equal_values_share_the_gradient_of_minimum_evenly():
    a, b = Parameter(2.0), Parameter(2.0)
    F.minimum(a, b).backward()
    assert (a.grad, b.grad) == (0.5, 0.5)
    assert at(F.min, [1.0, 3.0, 1.0]) == (1, [0.5, 0, 0.5])
    assert math.isnan(F.minimum(math.nan, 1.0).item())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_norm_of_zeros_and_std_of_equal_values(dtype):
    assert at(F.norm, [0.0, 0.0, 0.0], dtype) == (0, [0, 0, 0])
    # The mean of three times 0.1 is not 0.1 in floating point.
    assert at(F.std, [0.1, 0.1, 0.1], dtype) == (0, [0, 0, 0])
    value, gradient = at(lambda x: F.std(x, axis=1), [[0.1, 0.1, 0.1], [1.0, 2.0, 3.0]], dtype)
    assert value == [0, 1]
    assert gradient == [[0, 0, 0], pytest.approx([-0.5, 0, 0.5])]
    assert at(lambda x: grad(lambda y: F.norm(y))(x).sum(), [0.0, 0.0], dtype) == (0, [0, 0])


def test_products_with_zeros():
    assert at(F.prod, [0.0, 2.0, 3.0]) == (0, [6, 0, 0])
    assert at(F.prod, [0.0, 2.0, 0.0]) == (0, [0, 0, 0])
    check_grads(F.prod, np.array([0.0, 2.0, 3.0]))
    check_grads(F.prod, np.array([0.0, 2.0, 0.0, 5.0, 3.0]))
    # The second derivative in the two zeros is the product of the others.
    slope = grad(lambda y: F.prod(y))
    assert at(lambda x: slope(x)[0], [0.0, 2.0, 0.0, 5.0])[1] == [0, 0, 10, 0]


def test_clip_propagates_nan_and_the_high_bound_takes_precedence():
    assert math.isnan(F.clip(math.nan, 0.0, 1.0).item())
    assert F.clip(5.0, low=3.0, high=1.0).item() == 1


def test_where_propagates_nan_of_the_other_branch_unless_its_argument_is_safe():
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
