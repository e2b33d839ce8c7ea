"""Smoothing of curves."""

import numpy as np
import pytest

from minitrain.plotting.smoothing import Smoothing

BOTH = pytest.mark.parametrize("kind", ["exponential", "median"])


@BOTH
def test_smoothing_preserves_constants_and_lines_and_reduces_noise(kind):
    smoothing = Smoothing(6, kind)
    line = np.linspace(0, 1, 200)
    assert np.abs(smoothing.apply(line) - line).max() < 0.035
    assert np.abs(np.diff(smoothing.apply(line))).max() < 0.01  # no kink at the ends
    np.testing.assert_allclose(smoothing.apply(np.full(5, 3.0)), 3.0, rtol=1e-12)
    noise = np.random.default_rng(0).normal(size=3000)
    assert Smoothing(100, kind).apply(noise).std() < 0.15


def test_exponential_mean_equals_its_definition():
    """In the middle, the weights are (reach / (reach + 1)) ** distance."""
    values = np.random.default_rng(1).normal(size=400)
    distance = np.abs(np.arange(400) - 200)
    weights = (5 / 6) ** distance
    assert Smoothing(5).apply(values)[200] == pytest.approx((weights * values).sum() / weights.sum(), rel=1e-12)


def test_exponential_mean_begins_at_the_first_value_and_does_not_end_at_the_last():
    values = np.ones(200)
    values[0], values[-1] = 2.0, 2.0
    smooth = Smoothing(10).apply(values)
    assert smooth[0] == 2
    assert smooth[-1] < 1.1


@BOTH
def test_one_spike_makes_no_plateau(kind):
    values = np.ones(201)
    values[100] = 1e6
    smooth = Smoothing(5, kind).apply(values)
    if kind == "median":
        np.testing.assert_array_equal(smooth, 1)
    else:
        assert (np.diff(smooth[100:140]) < 0).all()  # a running mean would be constant over its window


def test_medians_equal_those_of_each_window():
    values = np.random.default_rng(2).normal(size=30)
    expected = [np.median(values[max(0, i - 4) : i + 5]) for i in range(30)]
    np.testing.assert_allclose(Smoothing(4, "median").apply(values), expected, rtol=1e-12)
    np.testing.assert_allclose(Smoothing(99, "median").apply(values), np.median(values), rtol=1e-12)


def test_logarithms_are_smoothed_for_a_log_axis():
    values = np.tile([1e-4, 1.0], 50)
    assert Smoothing(20).apply(values, is_log=True)[50] == pytest.approx(1e-2, rel=0.3)
    assert Smoothing(20).apply(values)[50] == pytest.approx(0.5, rel=0.1)


def test_long_curves_with_a_huge_value_stay_exact():
    """A running mean by cumulative sums loses all digits behind the huge value."""
    values = np.full(200_000, 0.5)
    values[1000] = 1e90
    assert Smoothing(3).apply(values)[-1] == 0.5
    np.testing.assert_array_equal(Smoothing(3, "median").apply(values), 0.5)
