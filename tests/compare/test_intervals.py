"""Confidence intervals."""

import numpy as np
import pytest

from minitrain.compare.intervals import confidence_interval


@pytest.mark.parametrize("count", [2, 3, 5, 6, 30, 31, 1000])
def test_interval_equals_that_of_scipy(count):
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(count).normal(size=count)
    error = values.std(ddof=1) / np.sqrt(count)
    expected = stats.t.interval(0.95, count - 1, values.mean(), error)
    np.testing.assert_allclose(confidence_interval(values), expected, rtol=1e-9)


def test_single_value_has_no_interval():
    assert np.isnan(confidence_interval(np.array([1.0]))).all()
