"""Scores over one key."""

from itertools import pairwise

import numpy as np
import pytest
from factories import curve, make_run

from minitrain.compare.comparison import compare
from minitrain.compare.heatmap_plot import draw_heatmap
from minitrain.compare.results import load_runs
from minitrain.compare.values_plot import draw_values


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_scores_are_drawn_over_a_numeric_key(grid):
    figure = draw_values(compare(grid), "title")
    (pane,) = figure.axes
    assert pane.get_xscale() == "log"
    assert labels(pane) == ["relu", "tanh"]
    assert sum(line.get_marker() == "x" for line in pane.lines) == 1
    assert [len(line.get_xdata()) for line in pane.lines if line.get_marker() == "None"] == [3, 2]


@pytest.mark.parametrize("draw", [draw_heatmap, draw_values])
def test_no_figure_if_too_few_values_vary(tmp_path, draw):
    make_run(tmp_path / "0", {"activation": "relu"})
    make_run(tmp_path / "1", {"activation": "tanh"})
    assert draw(compare(load_runs(tmp_path)), "title") is None


def joined(pane):
    return [line for line in pane.lines if line.get_marker() == "None" and len(line.get_xdata()) > 2]


def test_sampled_numbers_are_not_joined_by_lines(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(12):
        lr = float(f"{10 ** rng.uniform(-3, 0):.4g}")
        make_run(tmp_path / str(i), {"lr": lr, "activation": ["relu", "tanh"][i % 2]})
    (pane,) = draw_values(compare(load_runs(tmp_path)), "title").axes
    assert pane.get_xscale() == "log"
    assert not joined(pane)
    assert labels(pane) == ["relu", "tanh"]


def test_learning_rates_have_a_log_axis_even_if_they_are_close(tmp_path):
    for i, lr in enumerate((0.1, 0.2, 0.3)):
        make_run(tmp_path / str(i), {"lr": lr})
    (pane,) = draw_values(compare(load_runs(tmp_path)), "title").axes
    assert pane.get_xscale() == "log"
    assert [label.get_text() for label in pane.get_xticklabels()] == ["0.1", "0.2", "0.3"]
    assert len(joined(pane)) == 1


def test_keys_that_vary_together_share_one_line(tmp_path):
    for i, (lr, widths) in enumerate(((0.1, [8]), (0.2, [16]), (0.3, [32]))):
        make_run(tmp_path / str(i), {"lr": lr, "network": {"name": "mlp", "widths": widths}})
    figure = draw_values(compare(load_runs(tmp_path)), "title")
    assert len(figure.axes) == 1
    assert len(joined(figure.axes[0])) == 1


def test_names_have_points_and_confidence_intervals(tmp_path):
    scipy = pytest.importorskip("scipy.stats")
    finals = {"relu": [0.7, 0.8, 0.9], "tanh": [0.5, 0.6, 0.4]}
    for name, values in finals.items():
        for seed, final in enumerate(values):
            config = {"activation": name, "seed": seed}
            make_run(tmp_path / f"{name}{seed}", config, {"val_accuracy": curve(final)})
    figure = draw_values(compare(load_runs(tmp_path)), "title")
    (pane,) = figure.axes
    assert [label.get_text() for label in pane.get_xticklabels()] == ["relu", "tanh"]
    assert "means of 3 seeds with 95% confidence intervals" in figure.get_suptitle()
    for container, values in zip(pane.containers, finals.values(), strict=True):
        (segment,) = container.lines[2][0].get_segments()
        mean, error = np.mean(values), np.std(values, ddof=1) / np.sqrt(3)
        expected = np.clip(scipy.t.interval(0.95, 2, mean, error), 0, 1)
        np.testing.assert_allclose(segment[:, 1], expected, rtol=1e-9)


@pytest.mark.parametrize(("metric", "edge"), [("val_accuracy", 0.03), ("val_loss", 0.97)])
@pytest.mark.parametrize("by", ["last", "max"])
def test_diverged_runs_are_marked_at_the_edge_that_they_left_by(tmp_path, metric, edge, by):
    for i, lr in enumerate((0.1, 1.0, 10.0)):
        status = "diverged" if lr == 10 else "completed"
        make_run(tmp_path / str(i), {"lr": lr}, {metric: curve(0.9)}, status)
    (pane,) = draw_values(compare(load_runs(tmp_path), metric, by), "title").axes
    (cross,) = [line for line in pane.lines if line.get_marker() == "x"]
    assert cross.get_ydata()[0] == edge


def test_labels_that_would_overlap_are_left_to_round_ticks(tmp_path):
    for i, lr in enumerate((0.1, 0.101, 0.102, 0.5, 10.0)):
        make_run(tmp_path / str(i), {"lr": lr})
    figure = draw_values(compare(load_runs(tmp_path)), "title")
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels(which="both") if label.get_text()]
    spans = sorted((box.x0, box.x1) for box in boxes)
    assert all(right < left for (_, right), (left, _) in pairwise(spans))
