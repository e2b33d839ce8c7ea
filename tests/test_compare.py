"""Comparing runs: groups, what judges them, the table, the figures, and the command."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from factories import curve, make_grid, make_run

from minitrain.compare.comparison import common_metric, compare, filtered
from minitrain.compare.curves_plot import View, draw_curves, line_of
from minitrain.compare.figures import draw_comparison, write_comparison
from minitrain.compare.results import form, load_runs
from minitrain.compare.table import format_table, groups_as_csv, groups_as_json, sparklines
from minitrain.compare.values_plot import draw_heatmap, draw_values
from minitrain.errors import ConfigError


@pytest.fixture
def grid(tmp_path):
    return load_runs(make_grid(tmp_path / "grid"))


# Groups


def test_runs_that_differ_in_their_seed_are_one_group_and_the_best_is_first(grid):
    comparison = compare(grid)
    assert [group.label for group in comparison.groups] == [
        "lr=0.1, activation=relu", "lr=0.1, activation=tanh", "lr=0.01, activation=relu",
        "lr=1, activation=relu", "lr=0.01, activation=tanh", "lr=1, activation=tanh",
    ]  # fmt: skip
    best, worst = comparison.groups[0], comparison.groups[-1]
    assert best.mean == pytest.approx(0.96)
    assert best.deviation == pytest.approx(0.01)
    assert best.best == (pytest.approx(0.97), 100)
    assert np.isnan(worst.mean)
    assert worst.count("diverged") == 3


def test_min_max_and_last_judge_otherwise(tmp_path):
    make_run(tmp_path / "0", {"lr": 1.0}, {"val_loss": np.array([1.0, 0.2, 0.9])})
    make_run(tmp_path / "1", {"lr": 2.0}, {"val_loss": np.array([1.0, 0.8, 0.5])})
    runs = load_runs(tmp_path)
    judged = {by: [group.values["lr"] for group in compare(runs, by=by).groups] for by in ("last", "min", "max")}
    assert judged == {"last": [2.0, 1.0], "min": [1.0, 2.0], "max": [1.0, 2.0]}
    assert compare(runs, by="min").groups[0].mean == 0.2


def test_the_metric_is_one_that_all_runs_have(tmp_path):
    make_run(tmp_path / "0")
    assert common_metric(load_runs(tmp_path).runs) == "val_accuracy"
    make_run(tmp_path / "1", metrics={"val_loss": curve(0.5)})
    assert common_metric(load_runs(tmp_path).runs) == "train_loss"


def test_groups_can_be_chosen(grid):
    comparison = compare(grid, keys=["activation"])
    assert [(group.label, len(group.runs)) for group in comparison.groups] == [
        ("activation=relu", 9),
        ("activation=tanh", 9),
    ]


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("lr<0.5", 12), ("lr>=0.1", 12), ("lr=1e-2", 6), ("lr!=0.1", 12), ("activation=relu", 9),
        ("status=diverged", 3), ("seed>1", 6), ("network.widths=[64,32]", 18),
    ],
)  # fmt: skip
def test_filters_leave_the_runs_for_which_they_hold(grid, condition, left):
    assert len(filtered(grid, condition)) == left


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("lr=<0.1", "cannot be read; expected KEY<VALUE"),
        ("lr<fast", "--filter lr<fast: expected a number after <; = and != take names too"),
        ("lr>=true", "expected a number after >="),
        ("lr=2026-99-99", "holds for none of 18 runs"),
        ("activation<3", "activation<3: holds for none of 18 runs; activation is relu, tanh"),
        ("lr>5", "lr>5: holds for none of 18 runs; lr is 0.01, 0.1, 1"),
        ("status=failed", "status is completed, diverged"),
    ],
)
def test_a_filter_that_leaves_nothing_tells_what_there_is(grid, condition, told):
    with pytest.raises(ConfigError) as error:
        filtered(grid, condition)
    assert told in str(error.value)


def test_values_that_are_equal_to_python_are_two(tmp_path):
    for i, value in enumerate((True, 1, "a", [2], 0)):
        make_run(tmp_path / str(i), {"activation": value})
    comparison = compare(load_runs(tmp_path))
    assert [form(value) for value in comparison.values("activation")] == ["0", "1", "[2]", "a", "true"]
    write_comparison(comparison, tmp_path, "title")


@pytest.mark.parametrize("value", [10**22, 10**400, float("inf"), -1e308])
def test_numbers_beyond_what_can_be_drawn_are_drawn_too(tmp_path, value):
    for i, seed in enumerate((value, 1, 2)):
        for j, lr in enumerate((value, 0.1, 0.2)):
            make_run(tmp_path / f"{i}{j}", {"seed": seed, "lr": lr})
    for keys in (None, ["seed"], ["seed", "lr"]):
        comparison = compare(load_runs(tmp_path), keys=keys)
        assert "comparison" in draw_comparison(comparison, "title")
        format_table(comparison)
    write_comparison(comparison, tmp_path, "title")


def test_curves_of_damaged_files_are_drawn(tmp_path):
    damaged = [1e299, 1e301, -1e308, np.nan, 1e299, 5.0]
    for i in range(3):
        make_run(tmp_path / str(i), {"seed": i}, {"val_loss": np.array([*damaged, 1e299 * i])})
    file = tmp_path / "0" / "metrics.csv"
    rows = file.read_text().splitlines()
    file.write_text("\n".join([*rows, rows[2], rows[-1], ""]))
    comparison = compare(load_runs(tmp_path), "val_loss")
    format_table(comparison)
    json.loads(groups_as_json(comparison), parse_constant=pytest.fail)
    for view in (View(smooth=10**30), View(smooth=3)):
        written = write_comparison(comparison, tmp_path, "title", view)
    assert written["comparison"].stat().st_size > 5000


# The table


def test_the_table_marks_the_best_and_counts_what_was_lost(grid):
    lines = format_table(compare(grid)).splitlines()
    assert lines[0].split() == [
        "lr",
        "activation",
        "runs",
        "last",
        "val_accuracy",
        "best",
        "at",
        "step",
        "seconds",
        "curve",
    ]
    assert lines[1].split()[:9] == ["*", "0.1", "relu", "3", "96.00%", "±", "1.00%", "97.00%", "100"]
    assert lines[-1].split()[:6] == ["1", "tanh", "3", "(3", "diverged)", "none"]
    assert format_table(compare(grid), rows=2).splitlines()[-1] == "and 4 more"


def test_sparklines_share_a_scale(grid):
    best, *_, worst, lost = sparklines(compare(grid).groups, "val_accuracy")
    assert best[0] == "▁"
    assert best[-1] == "█"
    assert worst[-1] < "█"
    assert lost == ""


# Figures


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_one_key_colours_lines_and_another_makes_panels(grid):
    panes = draw_curves(compare(grid), "title", View()).axes
    assert [pane.get_title() for pane in panes] == ["activation=relu", "activation=tanh"]
    assert labels(panes[-1]) == ["0.01", "0.1", "1"]
    assert [len(pane.lines) for pane in panes] == [3, 2]
    assert [text.get_text() for text in panes[1].texts] == ["diverged: lr=1"]


def test_one_key_has_its_values_in_the_legend(grid):
    (pane,) = draw_curves(compare(filtered(grid, "activation=relu")), "title", View()).axes
    assert labels(pane) == ["96.0%  0.1", "86.0%  0.01", "86.0%  1"]
    assert pane.get_legend().get_title().get_text() == "last value, mean over runs: lr"
    assert len(pane.collections) == 3  # bands


def test_the_title_of_a_legend_names_many_keys_once(tmp_path):
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


def test_four_panels_are_two_by_two(tmp_path):
    for i, activation in enumerate(("relu", "tanh", "silu", "elu")):
        for j, lr in enumerate((0.1, 0.2, 0.3, 0.4, 0.5)):
            make_run(tmp_path / f"{i}{j}", {"activation": activation, "lr": lr})
    panes = draw_curves(compare(load_runs(tmp_path)), "title", View()).axes
    grid = [pane.get_subplotspec().get_gridspec() for pane in panes]
    assert {(each.nrows, each.ncols) for each in grid} == {(2, 2)}
    assert [pane.get_xlabel() for pane in panes] == ["", "", "step", "step"]


def test_of_many_lines_the_best_the_worst_and_a_sample_are_drawn(tmp_path):
    for i in range(40):
        make_run(tmp_path / str(i), {"activation": f"a{i}"}, {"val_accuracy": curve(0.5 + i / 100)})
    figure = draw_curves(compare(load_runs(tmp_path)), "title", View())
    shown = labels(figure.axes[0])
    assert len(shown) == 12
    assert shown[0].endswith("  a39")
    assert shown[-1].endswith("  a0")
    assert "12 of 40 lines" in figure.get_suptitle()


def test_a_band_is_of_logarithms_on_a_log_axis(tmp_path):
    for seed, loss in enumerate((1.0, 100.0)):
        make_run(tmp_path / str(seed), {"seed": seed}, {"val_loss": np.full(3, loss)})
    (group,) = compare(load_runs(tmp_path), "val_loss").groups
    deviation = np.log(100) / np.sqrt(2)
    line = line_of(group, "val_loss", View(), is_log=True)
    np.testing.assert_allclose(line.mean, 10)
    np.testing.assert_allclose(line.high, 10 * np.exp(deviation))
    line = line_of(group, "val_loss", View(), is_log=False)
    np.testing.assert_allclose(line.mean, 50.5)


def test_epochs_are_steps_over_their_length(grid):
    line = line_of(compare(grid).groups[0], "val_accuracy", View(x="epoch"), is_log=False)
    assert line.x[-1] == 100 / 20


def test_epochs_of_one_line_have_one_length(tmp_path):
    for i, length in enumerate((20, None, 40)):
        make_run(tmp_path / str(i), {"seed": i}, steps_per_epoch=length)
    runs = load_runs(tmp_path)
    (group,) = compare(runs[:2]).groups
    assert line_of(group, "val_accuracy", View(x="epoch"), is_log=False).x[-1] == 100 / 20
    (group,) = compare(runs).groups
    with pytest.raises(ConfigError, match=r"--x epoch: .* 20 steps in .*0, 40 in .*2; use --x step"):
        line_of(group, "val_accuracy", View(x="epoch"), is_log=False)


def test_the_heat_map_has_a_number_in_each_cell(grid):
    pane = draw_heatmap(compare(grid), "title").axes[0]
    texts = [text.get_text() for text in pane.texts]
    assert texts == ["86.0%", "96.0%", "86.0%", "81.0%", "91.0%", "diverged"]
    assert [tick.get_text() for tick in pane.get_xticklabels()] == ["0.01", "0.1", "1"]
    outline = pane.lines[-1].get_xydata()
    assert outline.min(axis=0).tolist() == [1, 0]  # lr=0.1, relu


@pytest.mark.parametrize("count", [40, 41])
def test_a_heat_map_has_forty_columns_at_most_and_one_size_of_text(tmp_path, count):
    for i in range(count):
        for j in range(2):
            make_run(tmp_path / f"{i}-{j}", {"lr": 0.1 + i, "seed": j})
    figure = draw_heatmap(compare(load_runs(tmp_path), keys=["lr", "seed"]), "title")
    assert (figure is None) == (count > 40)
    if figure is not None:
        assert {text.get_fontsize() for text in figure.axes[0].texts} == {9}


def test_a_random_search_has_no_heat_map(tmp_path):
    for i in range(6):
        make_run(tmp_path / str(i), {"lr": 0.1 + i, "l2": 0.2 + i})
    assert draw_heatmap(compare(load_runs(tmp_path)), "title") is None
    make_run(tmp_path / "6", {"lr": 0.1, "l2": 1.2})
    assert draw_heatmap(compare(load_runs(tmp_path)), "title") is not None


def test_other_keys_count_by_their_best_in_the_heat_map(tmp_path):
    rows = [(0.1, 1, 0.0, 0.5), (0.1, 1, 0.1, 0.7), (0.2, 1, 0.0, 0.6), (0.1, 2, 0.0, 0.6), (0.2, 2, 0.0, 0.5)]
    rows += [(0.3, 1, 0.0, 0.5), (0.3, 2, 0.0, 0.5), (0.1, 3, 0.0, 0.2)]
    for i, (lr, steps, l2, final) in enumerate(rows):
        make_run(tmp_path / str(i), {"lr": lr, "steps": steps, "l2": l2}, {"val_accuracy": curve(final)})
    figure = draw_heatmap(compare(load_runs(tmp_path)), "title")
    assert "70.0%" in [text.get_text() for text in figure.axes[0].texts]
    assert "the best over l2" in figure.get_suptitle()


def test_values_are_drawn_against_a_key_that_is_a_number(grid):
    figure = draw_values(compare(grid), "title")
    (pane,) = figure.axes
    assert pane.get_xscale() == "log"
    assert labels(pane) == ["relu", "tanh"]
    assert sum(line.get_marker() == "x" for line in pane.lines) == 1
    assert [len(line.get_xdata()) for line in pane.lines if line.get_marker() == "None"] == [3, 2]


@pytest.mark.parametrize("draw", [draw_heatmap, draw_values])
def test_there_is_no_figure_where_too_little_varies(tmp_path, draw):
    make_run(tmp_path / "0", {"activation": "relu"})
    make_run(tmp_path / "1", {"activation": "tanh"})
    assert draw(compare(load_runs(tmp_path)), "title") is None


@pytest.mark.parametrize("status", ["diverged", "running"])
def test_runs_without_a_value_are_drawn_too(tmp_path, status):
    for i, lr in enumerate((0.1, 0.2, 0.3)):
        for j, activation in enumerate(("relu", "tanh")):
            empty = {"val_accuracy": np.empty(0)}
            make_run(tmp_path / f"{i}{j}", {"lr": lr, "activation": activation}, empty, status)
    written = write_comparison(compare(load_runs(tmp_path)), tmp_path, "title")
    assert written["comparison"].stat().st_size > 5000


# The command


def test_the_command_prints_a_table_and_leaves_figures(command, tmp_path):
    make_grid(tmp_path / "grid")
    status, out, err = command("compare", "grid", "--output", "here")
    assert (status, err) == (0, "")
    assert out.startswith("18 runs in 6 groups: 15 completed, 3 diverged\n\n")
    assert {path.name for path in Path("here").iterdir()} >= {
        f"{name}.{suffix}" for name in ("comparison", "heatmap", "values") for suffix in ("png", "svg")
    }


def test_a_foreign_directory_is_named_and_the_others_are_compared(command, tmp_path):
    make_grid(tmp_path / "grid")
    (tmp_path / "photos").mkdir()
    status, out, err = command("compare", "photos", "grid", "--csv", "-")
    assert status == 0
    assert err == "skipped  photos: no run in it\n"
    assert out.startswith("lr,activation,runs,")


def test_only_a_plain_comparison_takes_the_place_of_the_sweep_s_own(command, tmp_path):
    make_grid(tmp_path / "grid")
    (tmp_path / "grid" / "multirun.yaml").write_text("hydra: {overrides: {task: [lr=1]}}")
    command("compare", "grid", "--filter", "lr<1")
    assert not (tmp_path / "grid" / "comparison.png").exists()
    assert len(list((tmp_path / "outputs" / "comparisons").glob("*/*/comparison.png"))) == 1
    command("compare", "grid")
    assert (tmp_path / "grid" / "comparison.png").exists()


def test_csv_and_json_have_a_row_for_each_group(command, tmp_path):
    make_grid(tmp_path / "grid")
    _, out, _ = command("compare", "grid", "--csv", "-")
    rows = list(csv.DictReader(out.splitlines()))
    assert [(row["lr"], row["activation"], row["diverged"]) for row in rows][::5] == [
        ("0.1", "relu", "0"),
        ("1", "tanh", "3"),
    ]
    assert float(rows[0]["last val_accuracy"]) == pytest.approx(0.96)
    assert rows[-1]["best"] == ""
    _, out, _ = command("compare", "grid", "--json", "-")
    told = json.loads(out)
    assert told["judged_by"] == "last val_accuracy"
    assert [len(group["directories"]) for group in told["groups"]] == [3] * 6


def test_a_value_that_looks_like_a_formula_is_quoted_as_text(tmp_path):
    make_run(tmp_path / "0", {"activation": 'a,"b\nc'})
    make_run(tmp_path / "1")
    rows = list(csv.DictReader(groups_as_csv(compare(load_runs(tmp_path))).splitlines(keepends=True)))
    assert {row["activation"] for row in rows} == {'a,"b\nc', "relu"}


def test_a_keys_null_is_written_out(tmp_path):
    make_run(tmp_path / "0", {"max_grad_norm": None})
    make_run(tmp_path / "1", {"max_grad_norm": 1}, status="diverged")
    rows = list(csv.DictReader(groups_as_csv(compare(load_runs(tmp_path))).splitlines()))
    assert [(row["max_grad_norm"], row["last val_accuracy"]) for row in rows] == [("null", "0.9"), ("1", "")]


def test_one_run_is_one_run(command, tmp_path):
    make_run(tmp_path / "run")
    assert command("compare", "run")[1].startswith("1 run in 1 group: 1 completed\n")


def test_tables_and_figures_are_both_written(command, tmp_path):
    make_grid(tmp_path / "grid")
    status, out, _ = command("compare", "grid", "--csv", "new/a.csv", "--json", "new/a.json", "--output", "here")
    assert status == 0
    assert Path("new/a.csv").read_text() == command("compare", "grid", "--csv", "-")[1]
    assert Path("new/a.json").read_text() == command("compare", "grid", "--json", "-")[1]
    assert out.endswith("csv         new/a.csv\njson        new/a.json\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "arguments are required: DIR"),
        (["none"], "compare: none: no such directory"),
        (["grid", "none"], "compare: none: no such directory"),
        (["grid", ""], "compare: '': no such directory"),
        (["file"], "compare: file: not a directory"),
        (["grid", "--csv", "-", "--json", "a.json"], "--csv -: prints this table alone; leave out --json"),
        (["grid", "--csv", "a.csv", "--json", "-"], "--json -: prints this table alone; leave out --csv"),
        (["grid", "--csv", "grid"], "--csv grid: expected a file to write, not a directory"),
        (["grid", "--csv", "a.csv", "--json", "file/in/a.json"], "--json file/in/a.json: file is a file"),
        (["grid", "--csv", "a.csv", "--output", "file"], "--output file: file is a file; expected a directory"),
        (["old", "--csv", "a.csv", "--x", "epoch"], "does not tell how long"),
        (["grid", "--csv", "a.csv", "--filter", "lr>9"], "lr>9: holds for none of 18 runs; lr is 0.01, 0.1, 1"),
        (["grid", "--smooth", "²"], "²: expected an integer"),
        (["grid", "--metric", "accuracy"], "there is train_loss, val_accuracy"),
        (["grid", "--group-by", "rate"], "rate: no run has this key"),
        (["grid", "--filter", "lr"], "expected KEY<VALUE"),
        (["grid", "--filter", "rl<3"], "rl: no run has this key"),
        (["grid", "--best", "first"], "invalid choice: 'first'"),
        (["grid", "--smooth", "-1"], "expected an integer"),
        (["old", "--x", "epoch"], "does not tell how long an epoch is"),
        (["grid", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_a_mistake_is_told_in_a_line(command, tmp_path, arguments, told):
    make_grid(tmp_path / "grid")
    make_run(tmp_path / "old", steps_per_epoch=None)
    (tmp_path / "file").touch()
    status, out, err = command("compare", *arguments)
    assert (status, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"grid", "old", "file"}


def test_a_sweep_ends_with_its_comparison(command):
    small = ["data=moons", "data.samples=60", "network.widths=[4]", "steps=20", "eval_every=10", "batch_size=10"]
    status, out, _ = command("-m", "lr=0.1,0.2,0.3", "activation=relu,tanh", *small, "hydra.sweep.dir=swept")
    assert status == 0
    assert {path.name for path in Path("swept").glob("*.png")} == {"comparison.png", "heatmap.png", "values.png"}
    table = command("compare", "swept")[1].partition("\n\n")[2].partition("\n\n")[0]
    assert len(table.splitlines()) == 7
    assert table in out
