"""Means and bands of groups of runs."""

import numpy as np
import pytest
from factories import make_run

from minitrain.compare.comparison import compare
from minitrain.compare.lines import View, line_of, thin
from minitrain.compare.results import load_runs
from minitrain.errors import ConfigError


def test_line_ends_at_the_mean_of_the_last_values(tmp_path):
    """Runs that stopped early keep their last value; on paper: (0.6 + 0.8 + 0.7) / 3 from step 20 on."""
    curves = ([0.5, 0.6], [0.5, 0.7, 0.8], [0.4, 0.5, 0.7, 0.7])
    for seed, values in enumerate(curves):
        make_run(tmp_path / str(seed), {"seed": seed}, {"val_accuracy": np.array(values)})
    (group,) = compare(load_runs(tmp_path)).groups
    line = line_of(group, "val_accuracy", View(), is_log=False)
    assert line.x.tolist() == [0, 10, 20, 30]
    np.testing.assert_allclose(line.mean, [1.4 / 3, 0.6, 0.7, 0.7])
    assert line.mean[-1] == pytest.approx(group.mean)
    assert line.ended == 2
    log_line = line_of(group, "val_accuracy", View(), is_log=True)
    assert log_line.mean[-1] == pytest.approx(group.mean)


def test_long_lines_keep_their_last_point(tmp_path):
    for seed in range(2):
        make_run(tmp_path / str(seed), {"seed": seed}, {"val_loss": np.linspace(1, 0.1 + seed / 10, 2500)})
    (group,) = compare(load_runs(tmp_path), "val_loss").groups
    line = line_of(group, "val_loss", View(), is_log=False)
    assert len(line.x) <= 1000
    assert (line.x[-1], line.mean[-1]) == (24990, pytest.approx(group.mean))


def test_bands_stay_within_the_range_of_the_metric(tmp_path):
    for seed, value in enumerate((0.99, 1.0, 0.7)):
        metrics = {"val_accuracy": np.full(3, value), "val_loss": np.full(3, [0.0, 0.1, 5.0][seed])}
        make_run(tmp_path / str(seed), {"seed": seed}, metrics)
    (group,) = compare(load_runs(tmp_path)).groups
    assert line_of(group, "val_accuracy", View(), is_log=False).high.max() == 1
    assert line_of(group, "val_loss", View(), is_log=False).low.min() == 0


def test_band_uses_logarithms_on_a_log_axis(tmp_path):
    for seed, loss in enumerate((1.0, 100.0)):
        make_run(tmp_path / str(seed), {"seed": seed}, {"val_loss": np.full(3, loss)})
    (group,) = compare(load_runs(tmp_path), "val_loss").groups
    deviation = np.log(100) / np.sqrt(2)
    line = line_of(group, "val_loss", View(), is_log=True)
    np.testing.assert_allclose(line.mean, 50.5)  # as in the legend and the table
    np.testing.assert_allclose(line.low, 10 * np.exp(-deviation))
    np.testing.assert_allclose(line.high, 10 * np.exp(deviation))
    line = line_of(group, "val_loss", View(), is_log=False)
    np.testing.assert_allclose(line.mean, 50.5)


def test_epochs_are_steps_divided_by_steps_per_epoch(grid):
    line = line_of(compare(grid).groups[0], "val_accuracy", View(x="epoch"), is_log=False)
    assert line.x[-1] == 100 / 20


def test_different_epoch_lengths_in_one_line_are_rejected(tmp_path):
    for i, length in enumerate((20, None, 40)):
        make_run(tmp_path / str(i), {"seed": i}, steps_per_epoch=length)
    runs = load_runs(tmp_path)
    (group,) = compare(runs[:2]).groups
    assert line_of(group, "val_accuracy", View(x="epoch"), is_log=False).x[-1] == 100 / 20
    (group,) = compare(runs).groups
    with pytest.raises(ConfigError, match=r"--x epoch: .* 20 steps in .*0, 40 in .*2; use --x step"):
        line_of(group, "val_accuracy", View(x="epoch"), is_log=False)


@pytest.mark.parametrize("count", [1, 2, 3, 29, 30, 31, 61, 1000, 99_999])
def test_thinned_curves_keep_ends_and_extremes(count):
    values = np.random.default_rng(count).normal(size=count)
    indices = thin(values, 30)
    assert len(indices) <= 30
    assert (np.diff(indices) > 0).all()
    assert {0, count - 1, int(values.argmin()), int(values.argmax())} <= set(indices.tolist())
