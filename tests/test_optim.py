"""Optimizers against their formulas in NumPy and against PyTorch, what is done to gradients, and schedules."""

import math
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest

from minitrain import Parameter, Tensor, optim
from minitrain.optim.schedules import Cosine, Exponential, Linear, OneCycle, StepDecay, schedule_factor
from minitrain.options import options
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


# PyTorch. Every rule here works on each entry by itself, so that one run of two rows goes from two starts.

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
# Rates small enough that 1,000 steps are a well-posed problem, and large enough that they get somewhere.
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


@pytest.fixture
def torch():
    """PyTorch in float64 throughout: NAdam's running product takes the default type."""
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield torch
    torch.set_default_dtype(before[0])
    torch.set_num_threads(before[1])


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(("name", "peer", "options", "rates"), PEERS, ids=[peer[0] for peer in PEERS])
def test_1000_steps_are_pytorchs(torch, name, peer, options, rates, problem):
    """To 1e-9 of the position's length, at every step; lion, which PyTorch lacks, against its formula."""
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
    # Two correct libraries differ in the last digit of every step. They can agree only where such a difference
    # stays small: where the reference itself, started 1e-14 aside, arrives at the same place.
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
def test_options_are_pytorchs(torch, name, peer, options, peers_options):
    start = STARTS["regression"]
    p, q = Parameter(start), torch.tensor(start, requires_grad=True)
    betas = {"betas": (0.8, 0.99)} if "beta1" in options else {}
    opt = getattr(torch.optim, peer)([q], lr=0.01, **betas, **peers_options)
    ours = by_optimizer(CLASSES[name]([p], lr=0.01, **options), p, lambda p: regression(p, Tensor), 50)
    np.testing.assert_allclose(ours, by_optimizer(opt, q, lambda p: regression(p, torch.tensor), 50), rtol=1e-10)


def test_the_decay_of_adamw_and_lion_is_decoupled_and_of_every_parameter():
    for cls in (optim.AdamW, optim.Lion):
        weight, bias = Parameter([1.0, -4.0], "weight"), Parameter([3.0], "bias")
        opt = cls([weight, bias], lr=0.1, weight_decay=0.5)
        ((weight * 0.0).sum() + (bias * 0.0).sum()).backward()
        opt.step()
        np.testing.assert_allclose(np.concatenate([weight.numpy(), bias.numpy()]), [0.95, -3.8, 2.85], rtol=1e-15)


@pytest.mark.parametrize("decay", [0.004, 1000.0])  # with the second the product is beta1**t, as large as it can be
def test_nadams_product_of_momenta_is_that_of_all_steps(decay):
    """It leaves out only factors that change nothing."""
    rule = optim.NAdamRule(momentum_decay=decay)
    for step in (0, 1, 250, 399, 400, 5000):
        momenta = [0.9 * (1 - 0.5 * 0.96 ** (t * decay)) for t in range(1, step + 3)]
        product = math.prod(momenta[:-1])
        found = rule.coefficients(step)
        root = (1 - 0.999 ** (step + 1)) ** 0.5  # of the correction of the square, in both and in eps
        assert found["floor"] == pytest.approx(1e-8 * root, rel=1e-14)
        assert found["from_gradient"] == pytest.approx(root * (1 - momenta[-2]) / (1 - product), rel=1e-14)
        assert found["from_mean"] == pytest.approx(root * momenta[-1] / (1 - product * momenta[-1]), rel=1e-14)


# Rules


RULES = [cls() for cls in REGISTRIES["optimizer"].values()]


def two_steps(rule, coefficients, grads, params, lr):
    state = rule.init(params)
    for step in range(2):
        params, state = rule.update(grads, state, params, lr, **coefficients(step))
    return [value.numpy() for value in (params, *state.values())]


@pytest.mark.parametrize("rule", RULES, ids=REGISTRIES["optimizer"])
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
    assert np.isfinite(first[0].numpy()).all()


@pytest.mark.parametrize("rule", RULES, ids=REGISTRIES["optimizer"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_given_as_tensors_make_the_same_bits(rule, dtype):
    def tensor(number):
        return Tensor(np.asarray(number, dtype))

    rng = np.random.default_rng(0)
    params, grads = (Tensor(rng.normal(size=50).astype(dtype)) for _ in range(2))
    fed = replace(rule, **{f.name: tensor(getattr(rule, f.name)) for f in fields(rule)})
    coefficients = {k: {key: tensor(v) for key, v in rule.coefficients(k).items()} for k in range(2)}
    expected = two_steps(rule, rule.coefficients, grads, params, 0.07)
    found = two_steps(fed, coefficients.get, grads, params, tensor(0.07))
    assert [a.tobytes() for a in found] == [a.tobytes() for a in expected]


# Classes for hand-written loops


@pytest.mark.parametrize("name", REGISTRIES["optimizer"])
def test_options_have_their_limits(name):
    for key, option in options(REGISTRIES["optimizer"][name]).items():
        default, limits = option.default, option.range
        assert limits.admits(default)
        if option.type is bool:
            continue
        assert limits.admits(0.0)
        assert not limits.admits(-1e-9)
        assert limits.admits(1.0) == (key not in ("momentum", "alpha", "beta1", "beta2")), key


@pytest.mark.parametrize("cls", CLASSES.values())
def test_a_rate_of_0_changes_nothing(cls):
    w = Parameter([1.0, -2.0])
    opt = cls([w], lr=0)
    (w * w).sum().backward()
    opt.step()
    assert w.numpy().tolist() == [1, -2]


def test_a_parameter_without_gradient_stays_under_sgd():
    a, b = Parameter([1.0]), Parameter([5.0])
    opt = optim.SGD([a, b], lr=0.1)
    (a * 2.0).sum().backward()
    opt.step()
    assert (a.numpy().tolist(), b.numpy().tolist()) == ([0.8], [5.0])


@pytest.mark.parametrize("cls", CLASSES.values())
def test_mistakes_have_clear_errors(cls):
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


# Gradients


@pytest.mark.parametrize("limit", [1e-3, 1.0, 5.0, 100.0])
def test_clipping_is_pytorchs(torch, limit):
    grads = np.random.default_rng(0).normal(size=30)  # of length 4.6
    p = torch.zeros(30)
    p.grad = torch.tensor(grads)
    torch.nn.utils.clip_grad_norm_([p], limit)
    clipped = optim.clip_by_global_norm(Tensor(grads), limit).numpy()
    np.testing.assert_allclose(clipped, p.grad.numpy(), rtol=1e-14)
    assert (clipped == grads).all() == (limit >= 5)


def test_clipping_zero_and_the_types():
    assert optim.clip_by_global_norm(Tensor(np.zeros(3)), 1.0).numpy().tolist() == [0, 0, 0]
    grads = Tensor(np.array([3.0, 4.0], "float32"))
    clipped = optim.clip_by_global_norm(grads, 0.5)
    assert clipped.dtype == "float32"
    fed = optim.clip_by_global_norm(grads, Tensor(np.float32(0.5)))
    assert (fed.numpy() == clipped.numpy()).all()


def test_the_l2_gradient_is_that_of_the_penalty():
    p = Parameter(np.random.default_rng(0).normal(size=7))
    optim.l2_penalty(p, 0.3, 5).backward()
    np.testing.assert_allclose(optim.l2_gradient(p, 0.3, 5).numpy(), p.grad, rtol=1e-15)
    assert optim.l2_penalty(p, 0.3, 7).item() == pytest.approx(0.3 * (p.numpy() ** 2).sum(), rel=1e-15)


# Schedules


def test_every_schedule_starts_and_ends_where_it_says():
    ends = {"constant": 1.0, "linear": 0.0, "step": 1e-3, "exponential": 0.998**1000, "cosine": 0.0, "one_cycle": 4e-6}
    assert sorted(ends) == sorted(REGISTRIES["schedule"])
    for name, end in ends.items():
        schedule = REGISTRIES["schedule"][name]()
        factors = [schedule.factor(step, 1000) for step in range(1001)]
        assert factors[0] == (0.04 if name == "one_cycle" else 1)
        assert max(factors) == 1
        assert factors[-1] == pytest.approx(end, rel=1e-12, abs=1e-16)


@pytest.mark.parametrize(
    ("schedule", "peer", "options"),
    [
        (Linear(final=0.1), "LinearLR", {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 50}),
        (StepDecay(every=7, gamma=0.3), "StepLR", {"step_size": 7, "gamma": 0.3}),
        (Exponential(gamma=0.95), "ExponentialLR", {"gamma": 0.95}),
        (Cosine(final=0.1), "CosineAnnealingLR", {"T_max": 50, "eta_min": 0.1 * 0.2}),
    ],
)
def test_schedules_are_pytorchs(torch, schedule, peer, options):
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    theirs = getattr(torch.optim.lr_scheduler, peer)(opt, **options)
    expected = []
    for _ in range(51):
        expected.append(opt.param_groups[0]["lr"])
        opt.step()
        theirs.step()
    np.testing.assert_allclose([0.2 * schedule.factor(step, 50) for step in range(51)], expected, rtol=1e-12)


def test_linear_gives_the_rates_of_a_line_to_the_bit():
    assert [Linear(final=0.1).factor(k, 100) for k in range(101)] == [1 - 0.9 * k / 100 for k in range(101)]


def test_one_cycle():
    schedule = OneCycle(start=0.1, rise=0.25, final=0.01)
    up = [0.1 + 0.9 * k / 25 for k in range(25)]
    down = [0.01 + 0.99 * (1 + math.cos(math.pi * k / 75)) / 2 for k in range(76)]
    assert [schedule.factor(k, 100) for k in range(101)] == pytest.approx(up + down, rel=1e-12)
    assert OneCycle(rise=0.0).factor(0, 100) == 1


@pytest.mark.parametrize("schedule", [cls() for cls in REGISTRIES["schedule"].values()], ids=REGISTRIES["schedule"])
def test_a_warm_up_rises_to_the_schedule_which_counts_its_own_steps(schedule):
    warm = [schedule_factor(schedule, 10, k, 60) for k in range(61)]
    assert warm[:10] == pytest.approx([schedule.factor(0, 50) * (k + 1) / 10 for k in range(10)], rel=1e-15)
    assert warm[10:] == [schedule.factor(k, 50) for k in range(51)]
    assert [schedule_factor(schedule, None, k, 60) for k in range(61)] == [schedule.factor(k, 60) for k in range(61)]
