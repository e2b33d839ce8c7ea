"""Optimizers against their formulas in NumPy and against PyTorch, and errors of their classes."""

import inspect
from functools import partial

import numpy as np
import pytest

from minitrain import Parameter, Tensor, optim
from minitrain.registry import REGISTRIES

CLASSES = {
    "adagrad": optim.Adagrad,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "lion": optim.Lion,
    "momentum": optim.Momentum,
    "nadam": optim.NAdam,
    "nesterov": optim.Nesterov,
    "rmsprop": optim.RMSprop,
    "sgd": optim.SGD,
}


VARIANTS = {**CLASSES, "adam_hat": partial(optim.Adam, eps_hat=True)}


def test_every_optimizer_is_tested():
    assert sorted(REGISTRIES["optimizer"]) == sorted(CLASSES)
    assert {name: cls.default_lr for name, cls in REGISTRIES["optimizer"].items()} == {
        name: cls([Parameter(1.0)]).lr for name, cls in CLASSES.items()
    }


# The formulas


def by_hand(name, p, gradient, lr, steps):
    """The positions after each step, by the formula of the paper (nadam: PyTorch's) with the default options."""
    v = m = s = np.zeros_like(p)
    product, path = 1.0, []
    for t in range(1, steps + 1):
        g = gradient(p)
        if name in ("adam", "adam_hat", "adamw", "nadam"):
            m = 0.9 * m + 0.1 * g
            s = 0.999 * s + 0.001 * g**2
            root = np.sqrt(s / (1 - 0.999**t)) + 1e-8
        if name == "sgd":
            p = p - lr * g
        elif name == "momentum":
            v = 0.9 * v + g
            p = p - lr * v
        elif name == "nesterov":
            v = 0.9 * v + g
            p = p - lr * (g + 0.9 * v)
        elif name == "adagrad":
            s = s + g**2
            p = p - lr * g / (np.sqrt(s) + 1e-10)
        elif name == "rmsprop":
            s = 0.99 * s + 0.01 * g**2
            p = p - lr * g / (np.sqrt(s) + 1e-8)
        elif name == "adam":
            p = p - lr * (m / (1 - 0.9**t)) / root
        elif name == "adam_hat":
            p = p - lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(s) + 1e-8)
        elif name == "adamw":
            p = p - lr * (0.01 * p) - lr * (m / (1 - 0.9**t)) / root
        elif name == "nadam":
            now, ahead = (0.9 * (1 - 0.5 * 0.96 ** (k * 0.004)) for k in (t, t + 1))
            product *= now
            p = p - lr * ((1 - now) / (1 - product) * g + ahead / (1 - product * ahead) * m) / root
        elif name == "lion":
            p = p - lr * np.sign(0.9 * m + 0.1 * g)
            m = 0.99 * m + 0.01 * g
        path.append(p)
    return np.array(path)


def by_optimizer(opt, p, loss, steps):
    """The positions after each step of an optimizer, ours or PyTorch's."""
    path = []
    for _ in range(steps):
        opt.zero_grad()
        loss(p).backward()
        opt.step()
        path.append(p.data.tolist())
    return np.array(path)


@pytest.mark.parametrize("name", VARIANTS)
def test_100_steps_follow_the_formula(name):
    lr = {"sgd": 0.03, "momentum": 0.01, "nesterov": 0.01, "adagrad": 1.0}.get(name, 0.1)
    start, scale = np.array([3.0, -2.0, 5.0]), np.array([1.0, 10.0, 0.1])
    p = Parameter(start)
    path = by_optimizer(VARIANTS[name]([p], lr=lr), p, lambda p: (Tensor(scale) * (p - 1.0) ** 2).sum(), 100)
    np.testing.assert_allclose(path, by_hand(name, start, lambda p: 2 * scale * (p - 1), lr, 100), rtol=1e-10)
    losses = (scale * (path - 1) ** 2).sum(-1)
    assert losses[-1] < losses[0] / 10


# PyTorch. All rules are elementwise, so that one run of two rows has two starting points.

DATA = np.random.default_rng(0).normal(size=(4, 20))


DATA[3] = 1.0


TARGET = np.array([1.0, -2.0, 0.5, 0.3]) @ DATA + 0.1 * np.random.default_rng(1).normal(size=20)


STARTS = {"rosenbrock": np.array([[-0.5, 0.7]]), "regression": np.array([[3.0, 2.0, -2.0, 1.0]])}


def rosenbrock(p, constant):
    x, y = p[:, 0], p[:, 1]
    return ((1.0 - x) ** 2 + 100.0 * (y - x**2) ** 2).sum()


def regression(p, constant):
    return ((p @ constant(DATA) - constant(TARGET)) ** 2).mean(-1).sum()


def rosenbrock_gradient(p):
    x, y = p[:, 0], p[:, 1]
    return np.stack([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)], -1)


def regression_gradient(p):
    return 2 / 20 * (p @ DATA - TARGET) @ DATA.T


PROBLEMS = {"rosenbrock": (rosenbrock, rosenbrock_gradient), "regression": (regression, regression_gradient)}


# Learning rates for which 1,000 steps are a well-posed problem and make progress.
PEERS = [
    ("sgd", "SGD", {}, {"rosenbrock": 1e-3, "regression": 3e-3}),
    ("momentum", "SGD", {"momentum": 0.9}, {"rosenbrock": 3e-4, "regression": 3e-4}),
    ("nesterov", "SGD", {"momentum": 0.9, "nesterov": True}, {"rosenbrock": 3e-4, "regression": 3e-4}),
    ("adagrad", "Adagrad", {}, {"rosenbrock": 0.1, "regression": 0.1}),
    ("rmsprop", "RMSprop", {}, {"rosenbrock": 2e-3, "regression": 1e-3}),
    ("adam", "Adam", {}, {"rosenbrock": 1e-2, "regression": 3e-3}),
    ("adamw", "AdamW", {}, {"rosenbrock": 1e-2, "regression": 3e-3}),
    ("nadam", "NAdam", {}, {"rosenbrock": 1e-2, "regression": 3e-3}),
    ("lion", None, {}, {"rosenbrock": 1e-3, "regression": 3e-3}),
]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(("name", "peer", "options", "rates"), PEERS, ids=[peer[0] for peer in PEERS])
def test_1000_steps_match_pytorch(torch, name, peer, options, rates, problem):
    """Relative difference of positions at most 1e-9 at every step; lion, which PyTorch lacks, against its formula."""
    (loss, gradient), lr, start = PROBLEMS[problem], rates[problem], STARTS[problem]
    p = Parameter(start)
    ours = by_optimizer(CLASSES[name]([p], lr=lr), p, lambda p: loss(p, Tensor), 1000)[:, 0]
    starts = np.concatenate([start, start + 1e-14])
    if peer is None:
        theirs = by_hand(name, starts, gradient, lr, 1000)
    else:
        q = torch.tensor(starts, requires_grad=True)
        opt = getattr(torch.optim, peer)([q], lr=lr, **options)
        theirs = by_optimizer(opt, q, lambda p: loss(p, torch.tensor), 1000)
    # Two correct implementations differ by rounding at every step. They agree only if such differences stay small: if
    # the reference, started at a distance of 1e-14, reaches the same position.
    assert abs(theirs[:, 0] - theirs[:, 1]).max() < 5e-11
    reference = theirs[:, 0]
    assert abs(reference[-1] - start[0]).max() > 0.1
    assert (np.linalg.norm(ours - reference, axis=-1) <= 1e-9 * np.linalg.norm(reference, axis=-1)).all()


@pytest.mark.parametrize(
    ("name", "peer", "options", "peers_options"),
    [
        ("adamw", "AdamW", {"beta1": 0.8, "beta2": 0.99, "weight_decay": 0.3}, {"weight_decay": 0.3}),
        ("nadam", "NAdam", {"beta1": 0.8, "beta2": 0.99, "momentum_decay": 0.05}, {"momentum_decay": 0.05}),
        ("rmsprop", "RMSprop", {"alpha": 0.9, "eps": 1e-3}, {"alpha": 0.9, "eps": 1e-3}),
        ("adagrad", "Adagrad", {"eps": 1e-2}, {"eps": 1e-2}),
    ],
)  # fmt: skip
def test_options_match_pytorch(torch, name, peer, options, peers_options):
    start = STARTS["regression"]
    p, q = Parameter(start), torch.tensor(start, requires_grad=True)
    betas = {"betas": (0.8, 0.99)} if "beta1" in options else {}
    opt = getattr(torch.optim, peer)([q], lr=0.01, **betas, **peers_options)
    ours = by_optimizer(CLASSES[name]([p], lr=0.01, **options), p, lambda p: regression(p, Tensor), 50)
    np.testing.assert_allclose(ours, by_optimizer(opt, q, lambda p: regression(p, torch.tensor), 50), rtol=1e-10)


def test_weight_decay_of_adamw_and_lion_is_decoupled_and_includes_biases():
    for cls in (optim.AdamW, optim.Lion):
        weight, bias = Parameter([1.0, -4.0], "weight"), Parameter([3.0], "bias")
        opt = cls([weight, bias], lr=0.1, weight_decay=0.5)
        ((weight * 0.0).sum() + (bias * 0.0).sum()).backward()
        opt.step()
        np.testing.assert_allclose(np.concatenate([weight.numpy(), bias.numpy()]), [0.95, -3.8, 2.85], rtol=1e-15)


@pytest.mark.parametrize("cls", CLASSES.values())
def test_learning_rate_0_changes_nothing(cls):
    w = Parameter([1.0, -2.0])
    opt = cls([w], lr=0)
    (w * w).sum().backward()
    opt.step()
    assert w.numpy().tolist() == [1, -2]


def test_sgd_keeps_a_parameter_without_gradient():
    a, b = Parameter([1.0]), Parameter([5.0])
    opt = optim.SGD([a, b], lr=0.1)
    (a * 2.0).sum().backward()
    opt.step()
    assert (a.numpy().tolist(), b.numpy().tolist()) == ([0.8], [5.0])


@pytest.mark.parametrize("cls", CLASSES.values())
def test_invalid_arguments_are_reported(cls):
    p = Parameter(1.0)
    for mistake, message in [
        (lambda: cls([]), "no parameters given"),
        (lambda: cls([p], lr=-1), f"{cls.__name__}: lr=-1: expected a number at least 0"),
        (lambda: cls([p], lr=float("nan")), f"{cls.__name__}: lr=nan"),
        (lambda: cls([p, p]), "the same parameter given twice"),
        (lambda: cls([p, Parameter(np.ones(2, "float32"))]), "float32 and float64"),
        (lambda: cls([p]).step(), "call loss.backward"),
        (lambda: cls([Tensor(1.0)]), f"{cls.__name__}: a Tensor among the parameters, expected a list of Parameters"),
        (lambda: cls([np.ones(2)]), f"{cls.__name__}: a ndarray among the parameters"),
        (lambda: cls(p), f"{cls.__name__}: a Parameter given, expected a list"),
        (lambda: cls(3.0), f"{cls.__name__}: a float given, expected a list"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            mistake()


def test_signature_and_docstring_list_the_options_of_the_rule():
    assert str(inspect.signature(optim.Adam)) == "(params, lr=0.003, beta1=0.9, beta2=0.999, eps=1e-08, eps_hat=False)"
    assert str(inspect.signature(optim.SGD)) == "(params, lr=0.3)"
    documented = inspect.getdoc(optim.NAdam).partition("Args:")[2]
    for name in ("params", "lr", "beta1", "beta2", "eps", "momentum_decay"):
        assert f"\n    {name}: The " in documented


def test_options_are_accepted_by_position_and_by_name():
    p = Parameter(1.0)
    expected = optim.AdamWRule(beta1=0.8, beta2=0.9, eps=1e-6, weight_decay=0.5)
    assert optim.AdamW([p], 0.1, 0.8, 0.9, 1e-6, 0.5).rule == expected
    assert optim.AdamW([p], lr=0.1, beta1=0.8, beta2=0.9, eps=1e-6, weight_decay=0.5).rule == expected
    assert optim.NAdam([p], 0.1, 0.9, 0.999, 1e-8, 0.5).rule == optim.NAdamRule(momentum_decay=0.5)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (
            lambda p: optim.Adam([p], beta3=0.9),
            "Adam: unknown option beta3; did you mean beta[12]. valid options: ",
        ),
        (lambda p: optim.SGD([p], momentum=0.9), "SGD: unknown option momentum; valid options: none"),
        (
            lambda p: optim.Adam([p], default_lr=0.9),
            "Adam: unknown option default_lr; .*valid options: beta1, beta2",
        ),
        (lambda p: optim.Momentum([p], 0.1, 0.9, 0.9), "Momentum: 2 options after lr; valid options: momentum"),
        (lambda p: optim.Momentum([p], 0.1, 0.9, momentum=0.9), "Momentum: option momentum is given twice"),
    ],
)
def test_invalid_options_raise_type_error(mistake, message):
    with pytest.raises(TypeError, match=message):
        mistake(Parameter(1.0))
