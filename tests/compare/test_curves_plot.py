"""Curves of groups of runs."""

import numpy as np
import pytest
from factories import curve, make_run

from minitrain.compare.comparison import compare
from minitrain.compare.curves_plot import draw_curves
from minitrain.compare.filtering import filter_results
from minitrain.compare.lines import View
from minitrain.compare.results import load_runs
from minitrain.plotting.smoothing import Smoothing


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_one_key_determines_colors_and_another_panels(grid):
    panes = draw_curves(compare(grid), "title", View()).axes
    assert [pane.get_title() for pane in panes] == ["activation=relu", "activation=tanh"]
    assert labels(panes[-1]) == ["0.01", "0.1", "1"]
    assert [len(pane.lines) for pane in panes] == [3, 2]
    assert [text.get_text() for text in panes[1].texts] == ["diverged: lr=1"]


def test_legend_lists_the_values_of_one_key(grid):
    (pane,) = draw_curves(compare(filter_results(grid, "activation=relu")), "title", View()).axes
    assert labels(pane) == ["96.0%  0.1", "86.0%  0.01", "86.0%  1"]
    assert pane.get_legend().get_title().get_text() == "last value, mean of 3 seeds: lr"
    assert len(pane.collections) == 3  # bands


def test_legend_title_names_several_keys(tmp_path):
    for i, norm in enumerate(("batch", "layer")):
        for j, activation in enumerate(("relu", "tanh")):
            for k, widths in enumerate(([64, 64, 64], [128])):
                config = {"network": {"name": "mlp", "widths": widths, "norm": norm}, "activation": activation}
                make_run(tmp_path / f"{i}{j}{k}", config, {"val_accuracy": curve(0.9 - 0.1 * i - 0.05 * j - 0.01 * k)})
    (pane,) = draw_curves(compare(load_runs(tmp_path)), "title", View()).axes
    title = pane.get_legend().get_title().get_text().replace("\n", " ")
    assert title == "last value: activation, network.widths, network.norm"
    assert labels(pane)[:3] == [
        "90.0%  relu, [64,64,64], batch", "89.0%  relu, [128], batch", "85.0%  tanh, [64,64,64], batch",
    ]  # fmt: skip


def test_four_panels_form_two_rows(tmp_path):
    for i, activation in enumerate(("relu", "tanh", "silu", "elu")):
        for j, lr in enumerate((0.1, 0.2, 0.3, 0.4, 0.5)):
            make_run(tmp_path / f"{i}{j}", {"activation": activation, "lr": lr})
    panes = draw_curves(compare(load_runs(tmp_path)), "title", View()).axes
    grid = [pane.get_subplotspec().get_gridspec() for pane in panes]
    assert {(spec.nrows, spec.ncols) for spec in grid} == {(2, 2)}
    assert [pane.get_xlabel() for pane in panes] == ["", "", "step", "step"]


def test_only_a_sample_of_many_lines_is_drawn(tmp_path):
    for i in range(40):
        make_run(tmp_path / str(i), {"activation": f"a{i}"}, {"val_accuracy": curve(0.5 + i / 100)})
    figure = draw_curves(compare(load_runs(tmp_path)), "title", View())
    shown = labels(figure.axes[0])
    assert len(shown) == 12
    assert shown[0].endswith("  a39")
    assert shown[-1].endswith("  a0")
    assert "12 of 40 lines drawn: the best, the worst, a sample between" in figure.get_suptitle()


def test_pair_of_keys_that_vary_together_shares_one_panel(tmp_path):
    for i, (lr, widths) in enumerate(((0.1, [256]), (0.3, [32]))):
        make_run(tmp_path / str(i), {"lr": lr, "network": {"name": "mlp", "widths": widths}})
    (pane,) = draw_curves(compare(load_runs(tmp_path)), "title", View()).axes
    assert sorted(labels(pane)) == ["90.0%  0.1, [256]", "90.0%  0.3, [32]"]


def test_many_numbers_have_a_color_bar_and_all_lines(tmp_path):
    for i in range(20):
        make_run(tmp_path / str(i), {"lr": 10 ** (-i / 10)}, {"val_accuracy": curve(0.9 - i / 100)})
    figure = draw_curves(compare(load_runs(tmp_path)), "title", View())
    pane, bar = figure.axes
    assert pane.get_legend() is None
    assert len(pane.lines) == 20
    assert (bar.get_ylabel(), bar.get_yscale()) == ("lr", "log")
    assert "best: 90.0% with lr=1" in figure.get_suptitle()


@pytest.mark.parametrize("count", [1, 12])
def test_legend_and_labels_are_within_the_figure(tmp_path, count):
    for i in range(count):
        config = {"activation": f"an_activation_with_a_very_long_name_{i}", "network": {"name": f"network_{i % 3}"}}
        make_run(tmp_path / str(i), config, {"val_f1": curve(0.9 - i / 100)})
    figure = draw_curves(compare(load_runs(tmp_path), "val_f1"), "title", View())
    figure.get_layout_engine().execute(figure)
    width, height = figure.canvas.get_width_height()
    pane = figure.axes[0]
    for box in (pane.get_legend().get_window_extent(), pane.yaxis.label.get_window_extent()):
        assert box.x0 >= 0
        assert box.x1 <= width
        assert box.y0 >= 0
        assert box.y1 <= height
    assert pane.get_window_extent().width > width / 3


def test_cropped_axis_is_marked_and_stated(tmp_path):
    make_run(tmp_path / "0", metrics={"val_accuracy": np.array([0.1, 0.9, 0.95, 0.96])})
    figure = draw_curves(compare(load_runs(tmp_path)), "title", View())
    assert figure.axes[0].get_ylim()[0] > 0.85
    assert "the y-axis is cropped: lower values, from 10.0%, are not shown" in figure.get_suptitle()
    make_run(tmp_path / "1", {"seed": 1}, {"val_accuracy": np.array([0.85, 0.9, 0.95, 0.96])})
    whole = draw_curves(compare(load_runs(tmp_path / "1")), "title", View())
    assert whole.axes[0].get_ylim()[0] < 0.85
    assert "cropped" not in whole.get_suptitle()


def test_smoothing_is_named_with_its_window(grid):
    figure = draw_curves(compare(grid), "title", View(smoothing=Smoothing(3, "median")))
    assert "lines: median over 7 points; numbers are of the values themselves" in figure.get_suptitle()


def test_seeds_and_runs_that_ended_early_are_stated(tmp_path):
    for seed, steps in enumerate((3, 5, 11)):
        make_run(tmp_path / str(seed), {"seed": seed}, {"val_accuracy": curve(0.9, steps)})
    heading = draw_curves(compare(load_runs(tmp_path)), "title", View()).get_suptitle()
    assert "mean of 3 seeds" in heading
    assert "2 of 3 runs ended before others of their line and keep their last value" in heading
