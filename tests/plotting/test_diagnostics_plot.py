"""Figures of diagnostics: a panel for each diagnostic, and a curve for each layer."""

import numpy as np
import pytest

from minitrain.plotting import diagnostics as diagnostics_plot
from minitrain.plotting.diagnostics import draw_diagnostics

SMALL = ["data=moons", "data.samples=50", "network.widths=[6]", "batch_size=10", "steps=6", "eval_every=2"]
SMALL += ["network.norm=batch", "network.dropout=0.2", "network.bias=false"]


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved, by name."""
    saved = {}
    save = diagnostics_plot.save_figures

    def keep_and_save(figure, directory, name):
        saved[name] = figure
        return save(figure, directory, name)

    monkeypatch.setattr(diagnostics_plot, "save_figures", keep_and_save)
    return saved


def write_metrics(directory, columns, rows=((0, 0.1, 1.0, 2.0), (10, 0.05, 0.5, 3.0))):
    lines = [["step", "lr", "train_loss", *columns]]
    lines += [[*row[:3], *[row[3]] * len(columns)] for row in rows]
    (directory / "metrics.csv").write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    return directory


def legend(axes):
    return [] if axes.get_legend() is None else [text.get_text() for text in axes.get_legend().get_texts()]


def test_each_diagnostic_has_a_panel_and_each_layer_a_curve(tmp_path, figures):
    columns = ["sharpness", "layer_grad_norm/0.weight", "layer_grad_norm/0.bias", "layer_grad_norm/2.weight", "mine"]
    path = draw_diagnostics(write_metrics(tmp_path, columns), "a title", edge=True)
    assert sorted(file.name for file in path.parent.glob("diagnostics.*")) == ["diagnostics.png", "diagnostics.svg"]
    figure = figures["diagnostics"]
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == [
        "largest eigenvalue of the Hessian", "gradient norm of each parameter", "mine",
    ]  # fmt: skip
    assert [legend(axes) for axes in panels] == [["2 / lr"], ["0.weight", "0.bias", "2.weight"], []]
    assert {axes.get_xlabel() for axes in panels} == {"step"}
    value, edge = panels[0].lines
    assert list(value.get_ydata()) == [2.0, 3.0]
    assert list(edge.get_ydata()) == pytest.approx([20.0, np.nan], nan_ok=True)  # 2 / 0.05 = 40 is outside the axes
    weight, bias, last = panels[1].lines
    assert (weight.get_color(), weight.get_linestyle()) == (bias.get_color(), "-")
    assert (weight.get_color() == last.get_color(), bias.get_linestyle()) == (False, "--")


def test_the_legend_names_some_of_many_layers(tmp_path, figures):
    columns = [f"layer_grad_norm/{i}.{kind}" for i in range(20) for kind in ("weight", "bias")]
    draw_diagnostics(write_metrics(tmp_path, columns), "")
    (axes,) = figures["diagnostics"].axes
    assert (len(axes.lines), len(legend(axes))) == (40, 9)
    assert (legend(axes)[0], legend(axes)[-2:]) == ("0.weight", ["19.weight", "biases"])


def test_accuracies_are_formatted_as_percentages(tmp_path, figures):
    draw_diagnostics(write_metrics(tmp_path, ["train_accuracy"], ((0, 0.1, 1.0, 0.02), (10, 0.1, 0.5, 0.9))), "")
    (axes,) = figures["diagnostics"].axes
    assert (axes.get_title(loc="left"), axes.get_yscale()) == ("training accuracy", "linear")
    assert axes.yaxis.get_major_formatter()(0.5, 0) == "50%"


def test_the_edge_of_stability_is_drawn_under_plain_gradient_descent(command, figures):
    for optimizer in ("sgd", "momentum"):
        status, out, _ = command("diagnostics=[sharpness]", f"optimizer={optimizer}", "lr=0.5", *SMALL)
        assert status == 0
        assert out.splitlines()[-1].startswith("diagnostics outputs")
        assert legend(figures["diagnostics"].axes[0]) == (["2 / lr"] if optimizer == "sgd" else [])


def test_without_diagnostics_nothing_is_drawn(tmp_path, figures):
    assert draw_diagnostics(write_metrics(tmp_path, ["val_loss"]), "a title") is None
    assert figures == {}
