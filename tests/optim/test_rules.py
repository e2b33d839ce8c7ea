"""Update rules as pure functions: types, bits, coefficients and the ranges of their options."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from minitrain import Tensor, optim
from minitrain.options import options
from minitrain.registry import REGISTRIES


@pytest.mark.parametrize("decay", [0.004, 1000.0])  # with the second the product is beta1**t, as large as it can be
def test_truncated_momentum_product_of_nadam_equals_the_full_product(decay):
    """Only factors without effect are omitted."""
    rule = optim.NAdamRule(momentum_decay=decay)
    for step in (0, 1, 250, 399, 400, 5000):
        momenta = [0.9 * (1 - 0.5 * 0.96 ** (t * decay)) for t in range(1, step + 3)]
        product = math.prod(momenta[:-1])
        coefficients = rule.coefficients(step)
        root = (1 - 0.999 ** (step + 1)) ** 0.5  # of the correction of the square, in both and in eps
        assert coefficients["floor"] == pytest.approx(1e-8 * root, rel=1e-14)
        assert coefficients["from_gradient"] == pytest.approx(root * (1 - momenta[-2]) / (1 - product), rel=1e-14)
        assert coefficients["from_mean"] == pytest.approx(root * momenta[-1] / (1 - product * momenta[-1]), rel=1e-14)


# Rules


RULES = [cls() for cls in REGISTRIES["optimizer"].values()]


def two_steps(rule, coefficients, grads, params, lr):
    state = rule.init(params)
    for step in range(2):
        params, state = rule.update(grads, state, params, lr, **coefficients(step))
    return [value.numpy() for value in (params, *state.values())]


@pytest.mark.parametrize("rule", RULES, ids=REGISTRIES["optimizer"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rules_are_pure_and_preserve_the_dtype(rule, dtype):
    params, grads = Tensor(np.ones(3, dtype)), Tensor(np.array([1.0, -2.0, 0.0], dtype))
    state = rule.init(params)
    before = {key: value.numpy() for key, value in state.items()}
    first = rule.update(grads, state, params, 0.1, **rule.coefficients(0))
    second = rule.update(grads, state, params, 0.1, **rule.coefficients(0))
    assert (first[0].numpy() == second[0].numpy()).all()
    assert (params.numpy() == 1).all()
    assert all((state[key].numpy() == before[key]).all() for key in before)
    assert first[0].dtype == dtype
    assert all(value.dtype == dtype for value in first[1].values())
    assert np.isfinite(first[0].numpy()).all()


@pytest.mark.parametrize("rule", RULES, ids=REGISTRIES["optimizer"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_passed_as_tensors_produce_equal_bits(rule, dtype):
    def tensor(number):
        return Tensor(np.asarray(number, dtype))

    rng = np.random.default_rng(0)
    params, grads = (Tensor(rng.normal(size=50).astype(dtype)) for _ in range(2))
    fed = replace(rule, **{f.name: tensor(getattr(rule, f.name)) for f in fields(rule)})
    coefficients = {k: {key: tensor(v) for key, v in rule.coefficients(k).items()} for k in range(2)}
    expected = two_steps(rule, rule.coefficients, grads, params, 0.07)
    actual = two_steps(fed, coefficients.get, grads, params, tensor(0.07))
    assert [a.tobytes() for a in actual] == [a.tobytes() for a in expected]


# Classes for hand-written loops


@pytest.mark.parametrize("name", REGISTRIES["optimizer"])
def test_ranges_of_options(name):
    for key, option in options(REGISTRIES["optimizer"][name]).items():
        default, limits = option.default, option.range
        assert limits.admits(default)
        if option.type is bool:
            continue
        assert limits.admits(0.0)
        assert not limits.admits(-1e-9)
        assert limits.admits(1.0) == (key not in ("momentum", "alpha", "beta1", "beta2")), key
