"""Heat maps of scores over two keys."""

import pytest
from factories import curve, make_run

from minitrain.compare.comparison import compare
from minitrain.compare.heatmap_plot import draw_heatmap
from minitrain.compare.results import load_runs


def test_heat_map_has_a_score_in_each_cell(grid):
    pane = draw_heatmap(compare(grid), "title").axes[0]
    texts = [text.get_text() for text in pane.texts]
    assert texts == ["86.0%", "96.0%", "86.0%", "81.0%", "91.0%", "diverged"]
    assert [tick.get_text() for tick in pane.get_xticklabels()] == ["0.01", "0.1", "1"]
    outline = pane.lines[-1].get_xydata()
    assert outline.min(axis=0).tolist() == [1, 0]  # lr=0.1, relu


@pytest.mark.parametrize("count", [40, 41])
def test_heat_map_has_at_most_forty_columns_and_one_font_size(tmp_path, count):
    for i in range(count):
        for j in range(2):
            make_run(tmp_path / f"{i}-{j}", {"lr": 0.1 + i, "seed": j})
    figure = draw_heatmap(compare(load_runs(tmp_path), keys=["lr", "seed"]), "title")
    assert (figure is None) == (count > 40)
    if figure is not None:
        assert {text.get_fontsize() for text in figure.axes[0].texts} == {9}


def test_random_search_has_no_heat_map(tmp_path):
    for i in range(6):
        make_run(tmp_path / str(i), {"lr": 0.1 + i, "l2": 0.2 + i})
    assert draw_heatmap(compare(load_runs(tmp_path)), "title") is None
    make_run(tmp_path / "6", {"lr": 0.1, "l2": 1.2})
    assert draw_heatmap(compare(load_runs(tmp_path)), "title") is not None


def test_heat_map_uses_the_best_value_of_other_keys(tmp_path):
    rows = [(0.1, 1, 0.0, 0.5), (0.1, 1, 0.1, 0.7), (0.2, 1, 0.0, 0.6), (0.1, 2, 0.0, 0.6), (0.2, 2, 0.0, 0.5)]
    rows += [(0.3, 1, 0.0, 0.5), (0.3, 2, 0.0, 0.5), (0.1, 3, 0.0, 0.2)]
    for i, (lr, steps, l2, final) in enumerate(rows):
        make_run(tmp_path / str(i), {"lr": lr, "steps": steps, "l2": l2}, {"val_accuracy": curve(final)})
    figure = draw_heatmap(compare(load_runs(tmp_path)), "title")
    assert "70.0%" in [text.get_text() for text in figure.axes[0].texts]
    assert "best over l2" in figure.get_suptitle()


def test_best_cell_is_that_of_the_best_group(tmp_path):
    for i, (lr, activation, final, status) in enumerate([
        (0.1, "relu", 0.7, "completed"), (0.2, "relu", 0.8, "completed"), (0.1, "tanh", 0.6, "completed"),
        (0.2, "tanh", 0.9, "completed"), (0.2, "tanh", 0.9, "diverged"),
    ]):  # fmt: skip
        config = {"lr": lr, "activation": activation, "seed": i}
        make_run(tmp_path / str(i), config, {"val_accuracy": curve(final)}, status)
    runs = load_runs(tmp_path)
    for allowed, corner in ((False, [1, 0]), (True, [1, 1])):
        pane = draw_heatmap(compare(runs, allow_diverged=allowed), "title").axes[0]
        assert "90.0%\n1 diverged" in [text.get_text() for text in pane.texts]
        assert pane.lines[-1].get_xydata().min(axis=0).tolist() == corner


def test_long_names_of_columns_are_rotated(tmp_path):
    for i in range(3):
        for j in range(2):
            make_run(tmp_path / f"{i}{j}", {"activation": f"leaky_relu_{i}", "optimizer": {"name": f"o{j}"}})
    figure = draw_heatmap(compare(load_runs(tmp_path)), "title")
    assert {label.get_rotation() for label in figure.axes[0].get_xticklabels()} == {90}
