"""Learning-rate schedules against their formulas and against PyTorch."""

import math

import numpy as np
import pytest

from minitrain.optim.schedules import Cosine, Exponential, Linear, OneCycle, StepDecay, schedule_factor
from minitrain.registry import REGISTRIES

# Schedules


def test_first_and_last_multiplier_of_every_schedule():
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


@pytest.mark.parametrize("schedule", [cls() for cls in REGISTRIES["schedule"].values()], ids=REGISTRIES["schedule"])
def test_warmup_precedes_the_schedule(schedule):
    warm = [schedule_factor(schedule, 10, k, 60) for k in range(61)]
    assert warm[:10] == pytest.approx([schedule.factor(0, 50) * (k + 1) / 10 for k in range(10)], rel=1e-15)
    assert warm[10:] == [schedule.factor(k, 50) for k in range(51)]
    assert [schedule_factor(schedule, None, k, 60) for k in range(61)] == [schedule.factor(k, 60) for k in range(61)]
