"""Plots of a trained network, read from the figure objects; a failing plot does not make the run fail."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.contour import ContourSet

from minitrain import load_model
from minitrain.config import schema
from minitrain.errors import first_line
from minitrain.plotting import prediction_plots as model_plots
from minitrain.storage.summary import read_summary
from minitrain.sweep import workers

FAST = ["steps=60", "eval_every=20", "batch_size=16"]
MOONS = ["data=moons", "data.samples=100", "network.widths=[8]", *FAST]
SPIRALS = ["data=spirals", "network.widths=[16]", *FAST]
IRIS = ["data=iris", "network.widths=[8]", *FAST]
SINE = ["data=sine", "data.extent=50", "data.frequency=0.1", "loss=mse", "network.widths=[8]", "lr=0.05", *FAST]


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, by name."""
    drawn = {}
    save = model_plots.save_figures

    def keep(figure, directory, name):
        drawn[name] = figure
        return save(figure, directory, name)

    monkeypatch.setattr(model_plots, "save_figures", keep)
    return drawn


def are_figures(directory, *names):
    svg = all(ElementTree.parse(directory / f"{name}.svg").getroot().tag.endswith("svg") for name in names)
    return svg and all((directory / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in names)


def offsets(axes, label):
    (collection,) = (c for c in axes.collections if c.get_label() == label)
    return np.asarray(collection.get_offsets())


def lines(axes):
    """The points of the boundary of each class."""
    contours = [c for c in axes.collections if isinstance(c, ContourSet) and not c.filled]
    assert len(contours) >= 2
    return [np.concatenate([path.vertices for path in line.get_paths()]) for line in contours]


def sorted_points(points):
    return points[np.lexsort(points.T)]


def test_config_choices_equal_the_available_plots():
    assert sorted(schema.PLOTS) == sorted(model_plots.PLOTS)


def test_confusion_matrix_counts_validation_examples(command, figures):
    status, out, err = command("data=iris", "plots=[confusion_matrix]", "hydra.run.dir=run", *FAST)
    assert (status, err) == (0, "")
    assert "confusion matrix  run/confusion_matrix.png" in out
    assert are_figures(Path("run"), "confusion_matrix")
    (axes,) = figures["confusion_matrix"].axes
    model = load_model("run")
    predicted = model.predict_scaled(model.config.data.load().x_val).classes
    written = {text.xy: text.get_text() for text in axes.texts if "%" not in text.get_text()}
    shares = {text.xy: text.get_text() for text in axes.texts if "%" in text.get_text()}
    for actual in range(3):
        for taken in range(3):
            count = int(((model.config.data.load().y_val == actual) & (predicted == taken)).sum())
            assert written.get((taken, actual), "0") == str(count)
            share = 100 * count / (model.config.data.load().y_val == actual).sum()
            assert float(shares.get((taken, actual), "0%")[:-1]) == pytest.approx(share, abs=0.051)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["setosa", "versicolor", "virginica"]
    best = read_summary(Path("run")).best.value
    assert (
        figures["confusion_matrix"].get_suptitle().startswith(f"validation accuracy {100 * best:.1f}% (n = 30)\nmlp 4-")
    )


def test_confusion_matrix_of_training_examples_without_validation(command, figures):
    assert command("data=iris", "data.validation=0", "plots=[confusion_matrix]", *FAST)[0] == 0
    assert figures["confusion_matrix"].get_suptitle().startswith("training accuracy ")
    assert "(n = 150)" in figures["confusion_matrix"].get_suptitle()


def test_boundary_of_two_classes_shows_the_probability_in_data_units(command, figures):
    assert command("plots=[decision_boundary]", "hydra.run.dir=run", *MOONS)[0] == 0
    assert are_figures(Path("run"), "decision_boundary")
    (axes,) = figures["decision_boundary"].axes
    (bar,) = axes.child_axes
    model = load_model("run")
    data = model.config.data.load()
    for k in range(2):
        raw = data.preprocessing.x_scale.undo(data.x_train[data.y_train == k])
        np.testing.assert_allclose(sorted_points(offsets(axes, f"class {k}")), sorted_points(raw))
    (image,) = axes.images
    assert image.origin == "lower"  # the first row of its array is at the bottom
    left, right, bottom, top = image.get_extent()
    corners = model.predict([[left, bottom], [right, bottom], [left, top], [right, top]]).probabilities[:, 1]
    drawn = image.get_array()
    np.testing.assert_allclose([drawn[0, 0], drawn[0, -1], drawn[-1, 0], drawn[-1, -1]], corners, rtol=1e-5)
    for line in lines(axes):
        np.testing.assert_allclose(model.predict(line).probabilities, 0.5, atol=0.01)
    assert bar.get_ylabel() == "probability of class 1"


@pytest.mark.parametrize("arguments", [["data=spirals", "data.arms=3"], ["data=circles", "loss=hinge"]], ids=" ".join)
def test_boundary_without_probabilities_fills_a_region_per_class(command, figures, arguments):
    assert command("plots=[decision_boundary]", "hydra.run.dir=run", *arguments, *FAST, "steps=200")[0] == 0
    (axes,) = figures["decision_boundary"].axes
    model = load_model("run")
    regions = [c for c in axes.collections if c.get_alpha() == 0.25]
    assert len(regions) == model.preprocessing.classes
    for line in lines(axes):
        outputs = np.sort(model.predict(line).outputs, axis=1)
        ahead = outputs[:, -1] - (outputs[:, -2] if len(regions) > 2 else 0)
        assert abs(ahead).max() < 0.02 * np.ptp(model.predict_scaled(model.config.data.load().x_train).outputs)


def test_fitted_curve_is_in_data_units_and_extrapolates(command, figures):
    assert command("plots=[fitted_curve]", "hydra.run.dir=run", *SINE)[0] == 0
    assert are_figures(Path("run"), "fitted_curve")
    (axes,) = figures["fitted_curve"].axes
    model = load_model("run")
    raw = np.column_stack(
        [
            model.preprocessing.x_scale.undo(model.config.data.load().x_val),
            model.preprocessing.y_scale.undo(model.config.data.load().y_val),
        ]
    )
    np.testing.assert_allclose(sorted_points(offsets(axes, "validation")), sorted_points(raw))
    x, y = (np.concatenate([getattr(line, f"get_{axis}data")() for line in axes.lines]) for axis in "xy")
    assert (x.min(), x.max()) == (pytest.approx(-62), pytest.approx(62))
    np.testing.assert_allclose(y, model.predict(x[:, None]).values[:, 0])
    best = read_summary(Path("run")).best.value
    rms = np.sqrt(best) * model.preprocessing.y_scale.deviation[0]
    assert figures["fitted_curve"].get_suptitle().startswith(f"validation RMSE {rms:.3g} (n = 100)")


@pytest.mark.parametrize(
    ("network", "heading"),
    [(["network.widths=[70]"], "first 64 of 70 units"), (["network=cnn", "network.channels=[5]"], "all 5 units")],
)
def test_first_layer_weights_share_a_symmetric_scale(command, figures, network, heading):
    assert command("plots=[first_layer_weights]", "hydra.run.dir=run", *network, *FAST)[0] == 0
    assert are_figures(Path("run"), "first_layer_weights")
    axes = figures["first_layer_weights"].axes[0]
    weights = next(iter(load_model("run").network.state_dict().values()))[:64]
    for image, weight in zip(axes.images, weights, strict=True):
        assert (image.get_array().ravel() == weight.ravel()).all()
        assert image.get_array().shape in ((8, 8), (3, 3))
        assert image.get_clim() == (-abs(weights).max(), abs(weights).max())
    assert heading in figures["first_layer_weights"].get_suptitle()


@pytest.mark.parametrize("network", [["network=mlp", "network.widths=[6]"], ["network=cnn", "network.channels=[6]"]])
@pytest.mark.parametrize(("axes", "channels"), [("hw", 1), ("chw", 3), ("chw", 2)])
def test_first_layer_weights_of_rectangular_and_color_images(command, figures, network, axes, channels):
    shape = (24, 5, 8) if axes == "hw" else (24, channels, 5, 8)
    np.savez("x.npz", x=np.random.default_rng(0).integers(0, 256, shape, np.uint8), y=np.arange(24) % 2)
    data = ["data=npz", "data.path=x.npz", f"data.axes={axes}"]
    status, _, err = command("plots=[first_layer_weights]", "hydra.run.dir=run", *data, *network, *FAST)
    if channels == 2:
        assert status == 2
        assert err.endswith("requires gray or color images, but the data has 5 x 8 images of 2 channels\n")
        return
    assert status == 0
    axes = figures["first_layer_weights"].axes[0]
    weights = next(iter(load_model("run").network.state_dict().values())).astype(np.float64)
    weights = weights.reshape(6, channels, *((5, 8) if "network=mlp" in network else (3, 3)))
    limit = abs(weights).max()
    for image, weight in zip(axes.images, weights, strict=True):
        drawn = np.asarray(image.get_array())
        if channels == 1:
            np.testing.assert_array_equal(drawn, weight[0])
            assert image.get_clim() == (-limit, limit)
        else:  # red, green and blue last; gray is 0
            np.testing.assert_allclose((drawn - 0.5) * 2 * limit, np.moveaxis(weight, 0, -1), atol=1e-12)
        left, right, bottom, top = image.get_extent()
        assert (bottom - top) / (right - left) == pytest.approx(weight.shape[1] / weight.shape[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["plots=[foo]"],
            "expected a list of confusion_matrix, decision_boundary, first_layer_weights, fitted_curve",
        ),
        (["plots=decision_boundary"], "plots=decision_boundary: expected a list of confusion_matrix"),
        (["plots=[decision_boundary]"], "plots=[decision_boundary]: requires 2 inputs, but the data has 64"),
        (
            ["-m", "seed=0,1", "plots=[decision_boundary]"],
            "plots=[decision_boundary]: requires 2 inputs, but the data has 64",
        ),
        (
            ["data=diabetes", "loss=mse", "plots=[confusion_matrix]"],
            "plots=[confusion_matrix]: requires one class per example, but the data has 1 number to predict",
        ),
        (["plots=[confusion_matrix,fitted_curve]"], "plots=[fitted_curve]: requires 1 input, but the data has 64"),
        (
            ["data=blobs", "data.features=1", "plots=[fitted_curve]"],
            "requires one number to predict, but the data has 3 classes",
        ),
        (
            ["data=wine", "plots=[first_layer_weights]"],
            "requires images, but the data has 13 inputs, not a square number",
        ),
        (
            ["network=sequential", "network.layers=[layer_norm,linear]", "plots=[first_layer_weights]"],
            "requires a network whose first layer is a linear or conv layer",
        ),
    ],
)
def test_unsuitable_plots_are_reported_before_anything_is_written(command, arguments, message):
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(Path().iterdir()) == []


# Failures and resume


def test_failing_plot_is_reported_and_the_others_are_drawn(command, monkeypatch):
    def fail(model, data):
        raise RuntimeError("a bug\nin lines")

    misfit, _ = model_plots.PLOTS["confusion_matrix"]
    monkeypatch.setitem(model_plots.PLOTS, "confusion_matrix", (misfit, fail))
    both = "plots=[confusion_matrix,decision_boundary]"
    status, out, _ = command(both, "hydra.run.dir=run", *MOONS)
    line = "plots: confusion_matrix not drawn: RuntimeError: a bug"
    assert status == 0
    assert out.count(line) == 1
    assert "in lines" not in out
    assert read_summary(Path("run")).status == "completed"
    assert are_figures(Path("run"), "decision_boundary", "loss")
    assert not Path("run/confusion_matrix.png").exists()
    assert command("-m", "seed=0,1", both, "hydra.sweep.dir=swept", *MOONS)[0] == 0
    for name in "01":
        assert line in Path(f"swept/{name}/minitrain.log").read_text()
        assert are_figures(Path(f"swept/{name}"), "decision_boundary")


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError("\n  \na\nb"), "a"), (AssertionError(), "AssertionError"), (KeyError("k"), "'k'")],
)
def test_first_line_of_an_error_skips_empty_lines(error, line):
    assert first_line(error) == line


def test_plots_of_a_diverged_run_use_the_best_checkpoint(command, figures):
    assert command("plots=[decision_boundary]", "lr=1e30", *MOONS)[0] == 0
    assert figures["decision_boundary"].get_suptitle().endswith("step 0")


def test_damaged_checkpoint_is_reported_in_one_line(tmp_path, command):
    assert command("hydra.run.dir=run", *MOONS)[0] == 0
    model = load_model("run")
    Path("run/checkpoints/best.npz").write_bytes(b"junk")
    (line,) = model_plots.draw_plots(replace(model.config, plots=["confusion_matrix"]), Path("run"))
    assert line.startswith("plots: not drawn: run/checkpoints/best.npz: not a usable checkpoint")


@pytest.mark.parametrize("worth", [pytest.param(0.0, marks=pytest.mark.slow), 1e9])
def test_plots_in_a_sweep_equal_those_of_a_single_run(command, monkeypatch, worth):
    monkeypatch.setattr(workers, "SECONDS_WORTH_WORKERS", worth)  # in worker processes, and in this one
    assert command("-m", "seed=0,1", "plots=[confusion_matrix]", "hydra.sweep.dir=swept", *MOONS)[0] == 0
    assert command("seed=1", "plots=[confusion_matrix]", "hydra.run.dir=alone", *MOONS)[0] == 0
    assert Path("swept/0/confusion_matrix.svg").exists()
    for suffix in ("svg", "png"):
        alone, swept = (Path(f"{d}/confusion_matrix.{suffix}").read_bytes() for d in ("alone", "swept/1"))
        assert alone == swept


@pytest.mark.slow
def test_resume_draws_missing_plots(command):
    plots = "plots=[confusion_matrix,first_layer_weights]"
    assert command(plots, "hydra.run.dir=run", *IRIS)[0] == 0
    assert command("-m", "seed=0,1", plots, "hydra.sweep.dir=swept", *IRIS)[0] == 0
    for run, directory in (("run", "run"), ("swept/1", "swept")):
        before = Path(run, "confusion_matrix.svg").read_bytes()
        for name in ("confusion_matrix.svg", "confusion_matrix.png", "first_layer_weights.svg"):
            Path(run, name).unlink()
        status, out, _ = command("resume", directory)
        assert status == 0
        assert "nothing left to do" in out
        assert Path(run, "confusion_matrix.svg").read_bytes() == before
        assert are_figures(Path(run), "confusion_matrix", "first_layer_weights")


def test_resumed_run_is_drawn_again(command, figures):
    assert command("plots=[decision_boundary]", "hydra.run.dir=run", *SPIRALS)[0] == 0
    before = figures["decision_boundary"].get_suptitle()
    assert command("resume", "run", "steps=400")[0] == 0
    after = figures["decision_boundary"].get_suptitle()
    assert before != after
    assert after.endswith(f"step {read_summary(Path('run')).best.step:,}")
