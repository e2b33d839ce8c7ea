"""The content of the figures of a run, read from the figure objects."""

import numpy as np
import pytest

from minitrain.plotting import run_curves as plot
from minitrain.plotting.figures import running_mean
from minitrain.plotting.run_curves import draw_run


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


def test_running_mean_preserves_lines_and_reduces_noise():
    line = np.linspace(0, 1, 200)
    assert np.abs(running_mean(line, 6) - line).max() < 0.02
    assert running_mean(np.ones(5), 3).tolist() == [1] * 5
    noise = np.random.default_rng(0).normal(size=3000)
    assert running_mean(noise, 100).std() < 0.15


def test_run_shows_raw_and_smoothed_curves_and_the_best_point(tmp_path, figures):
    table = metrics(100)
    table["val_loss"][70] = 1e-4
    write(tmp_path, table)
    assert draw_run(tmp_path, "lr=0.3", "mlp on digits").exists()
    loss, accuracy = figures[0].axes
    assert labels(loss) == ["training (raw)", "training (smoothed)", "validation", "best 0.0001 at step 700"]
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
