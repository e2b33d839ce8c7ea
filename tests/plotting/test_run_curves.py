"""The content of the figures of a run, read from the figure objects."""

from itertools import pairwise

import numpy as np
import pytest

from minitrain.plotting import run_curves as plot
from minitrain.plotting.run_curves import draw_run
from minitrain.storage.summary import Best, Status, Summary, write_summary


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, in order."""
    drawn = []
    save = plot.save_figures

    def keep(figure, directory, name):
        drawn.append(figure)
        return save(figure, directory, name)

    monkeypatch.setattr(plot, "save_figures", keep)
    return drawn


def metrics(steps, final_accuracy=0.9):
    loss = np.exp(-np.linspace(0, 6, steps))
    accuracy = np.linspace(0.1, final_accuracy, steps)
    return {"step": np.arange(steps) * 10.0, "train_loss": loss, "val_loss": loss, "val_accuracy": accuracy}


def write(directory, table):
    rows = zip(*table.values(), strict=True)
    text = [",".join(table), *(",".join("" if np.isnan(v) else repr(float(v)) for v in row) for row in rows)]
    (directory / "metrics.csv").write_text("\n".join(text) + "\n")


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_run_shows_raw_and_smoothed_curves_and_the_best_point(tmp_path, figures):
    table = metrics(100)
    table["val_loss"][70] = 1e-4
    write(tmp_path, table)
    assert draw_run(tmp_path, "lr=0.3", "mlp on digits").exists()
    loss, accuracy = figures[0].axes
    assert labels(loss) == [
        "training", "training, exponential mean over 7 points", "validation", "lowest 0.0001 at step 700",
    ]  # fmt: skip
    assert labels(accuracy)[1] == "best 90.0% at step 990"
    assert loss.get_yscale() == "log"
    assert figures[0].get_suptitle() == "lr=0.3\nmlp on digits"


def test_log_axis_requires_positive_losses_that_span_decades(tmp_path, figures):
    table = {"step": np.arange(20.0), "train_loss": np.linspace(1, -0.2, 20)}
    write(tmp_path, table)
    draw_run(tmp_path, "x")
    assert figures[0].axes[0].get_yscale() == "linear"
    assert labels(figures[0].axes[0])[-1] == "best -0.2 at step 19"


@pytest.mark.parametrize("values", [[], [np.nan], [2.0], [2.0, np.inf, np.nan]])
def test_run_with_few_values_is_drawn(tmp_path, values):
    table = {"step": np.arange(float(len(values))), "train_loss": np.array(values)}
    write(tmp_path, table)
    assert draw_run(tmp_path, "diverged").stat().st_size > 5000


@pytest.mark.parametrize("text", [r"data.path=a$\bad$.csv", "log_every=${log_every} b=${c}", "$x$"])
def test_titles_are_not_parsed_as_math(tmp_path, figures, text):
    write(tmp_path, metrics(5))
    draw_run(tmp_path, text)
    assert not figures[0]._suptitle.get_parse_math()


def test_equal_runs_produce_equal_svg_files(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        write(tmp_path / name, metrics(50))
        draw_run(tmp_path / name, "same")
    assert (tmp_path / "a" / "loss.svg").read_bytes() == (tmp_path / "b" / "loss.svg").read_bytes()


def test_diverged_run_shows_the_step_of_the_first_non_finite_loss(tmp_path, figures):
    table = metrics(30)
    table["train_loss"][-1] = np.inf
    text = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
    (tmp_path / "metrics.csv").write_text("\n".join(text) + "\n")
    draw_run(tmp_path, "diverged")
    assert "NaN or Inf at step 290" in labels(figures[0].axes[0])


def write_best(directory, metric, value, step):
    write_summary(directory, Summary(Status.COMPLETED, 40, 40, best=Best(metric, value, step)))


def test_best_is_that_of_the_summary(tmp_path, figures):
    """Without validation data the training loss of an evaluation is the best, not the lowest of all logged ones."""
    write(tmp_path, {"step": np.arange(5.0) * 10, "train_loss": np.array([3.0, 0.5, 2.0, 0.4, 1.0])})
    write_best(tmp_path, "train_loss", 1.0, 40)
    draw_run(tmp_path, "x")
    assert labels(figures[0].axes[0]) == ["training", "best 1 at step 40"]


def test_best_of_the_monitored_metric_is_the_only_best(tmp_path, figures):
    table = metrics(10) | {"val_accuracy": np.linspace(0.9, 0.1, 10)}
    write(tmp_path, table)
    write_best(tmp_path, "val_loss", float(table["val_loss"][-1]), 90)
    draw_run(tmp_path, "x")
    loss, accuracy = figures[0].axes
    assert labels(loss)[-1] == "best 0.00248 at step 90"
    assert labels(accuracy) == ["validation", "highest 90.0% at step 0"]
    assert accuracy.get_ylim()[0] < 0.1 < 0.9 < accuracy.get_ylim()[1]  # the marked point is in view


def test_cropped_axis_is_marked(tmp_path, figures):
    accuracy = np.array([0.1, 0.95, 0.96, 0.97, 0.98])
    write(tmp_path, {"step": np.arange(5.0), "train_loss": np.ones(5), "val_accuracy": accuracy})
    draw_run(tmp_path, "x")
    pane = figures[0].axes[1]
    assert pane.get_ylim()[0] > 0.9
    assert pane.get_title(loc="right") == "lower values, from 10.0%, are not shown"
    assert sum(line.get_transform() == pane.transAxes for line in pane.lines) == 2


def test_many_evaluations_have_no_markers(tmp_path, figures):
    for count, marker in ((40, "o"), (41, "")):
        write(tmp_path, metrics(count))
        draw_run(tmp_path, "x")
        assert figures[-1].axes[1].lines[0].get_marker() == marker


def test_tick_labels_of_long_runs_do_not_overlap(tmp_path, figures):
    table = metrics(100)
    table["step"] = np.linspace(0, 200_000, 100).round()
    write(tmp_path, table)
    draw_run(tmp_path, "x")
    for pane in figures[0].axes:
        boxes = [label.get_window_extent() for label in pane.get_xticklabels() if label.get_text()]
        boxes = sorted((box.x0, box.x1) for box in boxes)
        assert all(right < left for (_, right), (left, _) in pairwise(boxes))
        assert "200k" in [label.get_text() for label in pane.get_xticklabels()]
