"""Optimizers against their formulas written out in NumPy, and the thin class around them."""

import numpy as np
import pytest

from minitrain import Parameter, Tensor, optim
from minitrain.config import TABLES
from minitrain.schedule import Constant, Cosine


def quadratic(p):
    """A loss with another curvature in each direction, and its gradient."""
    scale = np.array([1.0, 10.0, 0.1])
    return (scale * (p - 1) ** 2).sum(), 2 * scale * (p - 1)


def by_hand(name, start, lr, steps):
    p = start.copy()
    v = m = s = np.zeros_like(p)
    for t in range(1, steps + 1):
        g = quadratic(p)[1]
        if name == "sgd":
            p = p - lr * g
        elif name == "momentum":
            v = 0.9 * v + g
            p = p - lr * v
        elif name == "adam":
            m = 0.9 * m + 0.1 * g
            s = 0.999 * s + 0.001 * g**2
            p = p - lr * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
    return p


@pytest.mark.parametrize(
    ("name", "cls", "lr"), [("sgd", optim.SGD, 0.03), ("momentum", optim.Momentum, 0.01), ("adam", optim.Adam, 0.1)]
)
def test_100_steps_follow_the_formula(name, cls, lr):
    start = np.array([3.0, -2.0, 5.0])
    p = Parameter(start)
    opt = cls([p], lr=lr)
    for _ in range(100):
        opt.zero_grad()
        (Tensor([1.0, 10.0, 0.1]) * (p - 1.0) ** 2).sum().backward()
        opt.step()
    np.testing.assert_allclose(p.numpy(), by_hand(name, start, lr, 100), rtol=1e-10)
    assert quadratic(p.numpy())[0] < quadratic(start)[0] / 10


def test_every_optimizer_is_tested():
    assert sorted(TABLES["optimizer"]) == ["adam", "momentum", "sgd"]


@pytest.mark.parametrize("rule", [cls() for cls in TABLES["optimizer"].values()])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rules_are_pure_and_keep_the_type(rule, dtype):
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


def test_a_parameter_without_gradient_stays_under_sgd():
    a, b = Parameter([1.0]), Parameter([5.0])
    opt = optim.SGD([a, b], lr=0.1)
    (a * 2.0).sum().backward()
    opt.step()
    assert (a.numpy().tolist(), b.numpy().tolist()) == ([0.8], [5.0])


def overwritten_before_step():
    optim.SGD([Parameter(1.0)], lr=0.1).step()


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: optim.SGD([], lr=0.1), "no parameters given"),
        (lambda: optim.SGD([Parameter(1.0)], lr=-1), "lr=-1: expected a number at least 0"),
        (lambda: optim.Adam([Parameter(1.0)], lr=float("nan")), "Adam: lr=nan"),
        (lambda: optim.SGD([p := Parameter(1.0), p], lr=0.1), "the same parameter given twice"),
        (lambda: optim.SGD([Parameter(1.0), Parameter(np.ones(2, "float32"))], lr=0.1), "float32 and float64"),
        (overwritten_before_step, "call loss.backward"),
    ],
)
def test_mistakes_have_clear_errors(mistake, message):
    with pytest.raises(ValueError, match=message):
        mistake()


def test_schedules():
    assert {Constant().factor(k, 10) for k in range(11)} == {1.0}
    cosine = [Cosine(final=0.1).factor(k, 10) for k in range(11)]
    assert cosine[0] == 1
    assert cosine[5] == pytest.approx(0.55)
    assert cosine[10] == pytest.approx(0.1)
    assert cosine == sorted(cosine, reverse=True)
