"""Curves of groups of runs."""

import numpy as np
import pytest
from factories import curve, make_run

from minitrain.compare.comparison import compare, filter_results
from minitrain.compare.curves_plot import View, draw_curves, group_curve
from minitrain.compare.results import load_runs
from minitrain.errors import ConfigError


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
    assert pane.get_legend().get_title().get_text() == "last value, mean over runs: lr"
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


def test_band_uses_logarithms_on_a_log_axis(tmp_path):
    for seed, loss in enumerate((1.0, 100.0)):
        make_run(tmp_path / str(seed), {"seed": seed}, {"val_loss": np.full(3, loss)})
    (group,) = compare(load_runs(tmp_path), "val_loss").groups
    deviation = np.log(100) / np.sqrt(2)
    line = group_curve(group, "val_loss", View(), is_log=True)
    np.testing.assert_allclose(line.mean, 10)
    np.testing.assert_allclose(line.high, 10 * np.exp(deviation))
    line = group_curve(group, "val_loss", View(), is_log=False)
    np.testing.assert_allclose(line.mean, 50.5)


def test_epochs_are_steps_divided_by_steps_per_epoch(grid):
    line = group_curve(compare(grid).groups[0], "val_accuracy", View(x="epoch"), is_log=False)
    assert line.x[-1] == 100 / 20


def test_different_epoch_lengths_in_one_line_are_rejected(tmp_path):
    for i, length in enumerate((20, None, 40)):
        make_run(tmp_path / str(i), {"seed": i}, steps_per_epoch=length)
    runs = load_runs(tmp_path)
    (group,) = compare(runs[:2]).groups
    assert group_curve(group, "val_accuracy", View(x="epoch"), is_log=False).x[-1] == 100 / 20
    (group,) = compare(runs).groups
    with pytest.raises(ConfigError, match=r"--x epoch: .* 20 steps in .*0, 40 in .*2; use --x step"):
        group_curve(group, "val_accuracy", View(x="epoch"), is_log=False)
