"""Learning-rate schedules against their formulas and against PyTorch."""

import math

import numpy as np
import pytest

from minitrain.optim.schedules import (
    Cosine,
    Exponential,
    Linear,
    OneCycle,
    Plateau,
    StepDecay,
    schedule_factor,
    schedule_for_run,
)
from minitrain.registry import REGISTRIES

# Schedules


def test_first_and_last_multiplier_of_every_schedule():
    ends = {"constant": 1.0, "linear": 0.0, "step": 1e-3, "exponential": 0.998**1000, "cosine": 0.0, "one_cycle": 4e-6}
    ends["plateau"] = 1.0  # without an evaluation
    assert sorted(ends) == sorted(REGISTRIES["schedule"])
    for name, end in ends.items():
        schedule = schedule_for_run(REGISTRIES["schedule"][name](), lr=0.1)
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
def test_schedules_match_pytorch(torch, schedule, peer, options):
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    theirs = getattr(torch.optim.lr_scheduler, peer)(opt, **options)
    expected = []
    for _ in range(51):
        expected.append(opt.param_groups[0]["lr"])
        opt.step()
        theirs.step()
    np.testing.assert_allclose([0.2 * schedule.factor(step, 50) for step in range(51)], expected, rtol=1e-12)


def test_linear_decay_is_exact():
    assert [Linear(final=0.1).factor(k, 100) for k in range(101)] == [1 - 0.9 * k / 100 for k in range(101)]


def test_one_cycle():
    schedule = OneCycle(start=0.1, rise=0.25, final=0.01)
    up = [0.1 + 0.9 * k / 25 for k in range(25)]
    down = [0.01 + 0.99 * (1 + math.cos(math.pi * k / 75)) / 2 for k in range(76)]
    assert [schedule.factor(k, 100) for k in range(101)] == pytest.approx(up + down, rel=1e-12)
    assert OneCycle(rise=0.0).factor(0, 100) == 1


@pytest.mark.parametrize(
    "schedule", [schedule_for_run(cls(), lr=0.1) for cls in REGISTRIES["schedule"].values()], ids=REGISTRIES["schedule"]
)
def test_warmup_precedes_the_schedule(schedule):
    warm = [schedule_factor(schedule, 10, k, 60) for k in range(61)]
    assert warm[:10] == pytest.approx([schedule.factor(0, 50) * (k + 1) / 10 for k in range(10)], rel=1e-15)
    assert warm[10:] == [schedule.factor(k, 50) for k in range(51)]
    assert [schedule_factor(schedule, None, k, 60) for k in range(61)] == [schedule.factor(k, 60) for k in range(61)]


# Plateau


def rates(schedule, values, lr, higher_is_better=False):
    """The learning rate after each evaluation."""
    run = schedule.for_run(lr)
    result = []
    for step, value in enumerate(values):
        run.observe(10 * step, value, higher_is_better)
        result.append(lr * schedule_factor(run, None, 10 * step, 1000))
    return result


@pytest.mark.parametrize("higher_is_better", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {}, {"factor": 0.5, "patience": 0}, {"patience": 1, "threshold": 0.2}, {"patience": 0, "threshold": 0.0},
        {"factor": 0.3, "patience": 2, "min_lr": 0.01}, {"patience": 0, "min_lr": 1.0},
    ],
    ids=str,
)  # fmt: skip
def test_plateau_matches_pytorch(torch, options, higher_is_better):
    for seed in range(20):
        random = np.random.default_rng(seed)
        values = random.normal(size=60).round(1) + random.choice([-3.0, 0.0, 3.0])  # ties, and both signs
        values[random.integers(60, size=3)] = np.nan
        opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        mode = "max" if higher_is_better else "min"
        theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, mode, **{"patience": 3, **options})
        expected = []
        for value in values:
            theirs.step(value)
            expected.append(opt.param_groups[0]["lr"])
        np.testing.assert_allclose(rates(Plateau(**options), values, 0.1, higher_is_better), expected, rtol=1e-12)


def test_plateau_reduces_the_rate_after_more_than_patience_evaluations():
    losses = [1.0, 1.0, 1.0, 0.9999, 0.5, 0.5, 0.6, math.nan, 0.4]
    # torch.optim.lr_scheduler.ReduceLROnPlateau(factor=0.5, patience=1, min_lr=0.03) at lr=0.1, PyTorch 2.13
    expected = [0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.03, 0.03, 0.03]
    assert rates(Plateau(factor=0.5, patience=1, min_lr=0.03), losses, 0.1) == pytest.approx(expected, rel=1e-15)
    assert rates(Plateau(patience=0), [1.0] * 5, 0.0) == [0.0] * 5
    assert rates(Plateau(patience=0), [1.0, 1.0, 1.0], 1e-8) == [1e-8] * 3  # PyTorch's eps: smaller steps are ignored


def test_plateau_ignores_a_repeated_evaluation_and_resumes_from_its_array():
    run, resumed = (Plateau(patience=1).for_run(0.1) for _ in range(2))
    for step in (0, 10, 10, 10):
        run.observe(step, 1.0, higher_is_better=False)
    assert run.factor(11, 100) == 1.0
    resumed.array[...] = run.array
    for state in (run, resumed):
        state.observe(20, 1.0, higher_is_better=False)
        assert state.factor(20, 100) == 0.1
