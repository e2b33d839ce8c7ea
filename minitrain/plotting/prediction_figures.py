"""Figures of a trained network and its data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from minitrain.data import Dataset, RowsOnDisk
from minitrain.data.preprocessing import Preprocessing
from minitrain.inference.model import Model, Prediction
from minitrain.nn.module import Module
from minitrain.plotting.axes import add_grid
from minitrain.plotting.figures import new_constrained_figure, truncate
from minitrain.plotting.palette import BLUE, COLORS, GRAY, ORANGE, SKY, VERMILION
from minitrain.storage.metric import format_share
from minitrain.training.experiment import describe_briefly
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle


MOST_POINTS = 2000  # drawn of the training examples, and of the validation examples
MOST_UNITS = 64  # drawn of a layer
MOST_NUMBERED_CLASSES = 20  # up to which a confusion matrix contains numbers
RESOLUTION = 300  # points of a plane or a curve, on each axis
DARK_BLUE, DARK_RED = "#00334f", "#662c00"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


class _MarkerStyle(TypedDict, total=False):
    color: str
    edgecolors: str
    linewidths: float
    label: str


# What figures share


def _set_title(figure: Figure, model: Model, heading: str) -> None:
    width = int(figure.get_figwidth() * 12)
    note = truncate(f"{describe_briefly(model.config, model.preprocessing)}, step {model.step:,}", width)
    figure.suptitle(f"{heading}\n{note}", fontsize=11)


def _evaluated(data: Dataset) -> tuple[Array | RowsOnDisk, Array, str]:
    """The inputs and targets that the network is evaluated on: validation examples, or training if there are none."""
    has_validation = len(data.x_val) > 0
    x, y = (data.x_val, data.y_val) if has_validation else (data.x_train, data.y_train)
    assert y is not None  # check_plots has refused other data
    return x, y, "validation" if has_validation else "training"


def _predicted_classes(model: Model, x: Array | RowsOnDisk) -> Array:
    classes = model.predict_scaled(x).classes
    assert classes is not None  # check_plots has refused other data
    return classes


def _accuracy(model: Model, data: Dataset) -> str:
    """The accuracy as a heading: `validation accuracy 98.3% (n = 359)`."""
    x, y, subset = _evaluated(data)
    is_correct = _predicted_classes(model, x) == y
    return f"{subset} accuracy {format_share(is_correct.mean())} (n = {len(is_correct):,})"


def _sample(x: Array | RowsOnDisk, y: Array | None, data: Dataset) -> tuple[Array, Array]:
    """Evenly spaced examples in the units of the data: inputs [examples, inputs] and targets."""
    assert y is not None  # check_plots has refused other data
    rows = np.arange(0, len(x), max(1, math.ceil(len(x) / MOST_POINTS)))
    preprocessing = data.preprocessing
    targets = y[rows] if preprocessing.classes is not None else preprocessing.y_scale.undo(y[rows])
    return preprocessing.x_scale.undo(x[rows]), targets


def _samples(data: Dataset) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Training examples and validation examples."""
    return _sample(data.x_train, data.y_train, data), _sample(data.x_val, data.y_val, data)


def _color_map(*colors: str) -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("gradient", colors)


def _add_color_bar(figure: Figure, axes: Axes, image: ScalarMappable, label: str) -> None:
    """Add a color bar of the height of the axes, whatever their aspect."""
    bar = figure.colorbar(image, cax=axes.inset_axes((1.02, 0, 0.035, 1)), label=label)
    bar.ax.spines["outline"].set_visible(False)


# Classification


def confusion_matrix(model: Model, data: Dataset) -> Figure:
    """Draw how many examples of each class (rows) are predicted as each class (columns), and the share of the row."""
    x, y, _ = _evaluated(data)
    labels, count = model.preprocessing.labels, len(model.preprocessing.labels)
    counts = np.zeros((count, count), np.int64)
    np.add.at(counts, (y, _predicted_classes(model, x)), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    side = min(max(4.6, 0.56 * count + 1.2), 14)
    figure = new_constrained_figure(side, side + 0.3)
    axes = figure.subplots()
    axes.imshow(shares, cmap=_color_map("white", BLUE), vmin=0, vmax=1)
    if count <= MOST_NUMBERED_CLASSES:
        _write_counts(axes, counts, shares)
    _label_classes(axes, labels)
    _set_title(figure, model, _accuracy(model, data))
    return figure


def _write_counts(axes: Axes, counts: Array, shares: Array) -> None:
    """Write the count and the share of each cell that is not 0."""
    for row, column in np.argwhere(counts).tolist():
        color = "white" if shares[row, column] > 0.45 else "black"
        share = format_share(shares[row, column], trim=True)
        for text, offset, size, va in ((f"{counts[row, column]:,}", -1, 11, "bottom"), (share, -3, 8, "top")):
            axes.annotate(
                text, (column, row), (0, offset), textcoords="offset points", fontsize=size, ha="center", va=va,
                color=color,
            )  # fmt: skip


def _label_classes(axes: Axes, labels: Sequence[str]) -> None:
    count = len(labels)
    is_long = max(map(len, labels)) > 5
    axes.set_xticks(range(count), labels, rotation=40 if is_long else 0, ha="right" if is_long else "center")
    axes.set_yticks(range(count), labels)
    for edge in np.arange(count + 1) - 0.5:
        axes.axhline(edge, color="#d9d9d9", linewidth=0.6, clip_on=False)
        axes.axvline(edge, color="#d9d9d9", linewidth=0.6, clip_on=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")


def decision_boundary(model: Model, data: Dataset) -> Figure:
    """Draw the predicted class at each point of the plane, of two classes the probability, and the examples."""
    preprocessing = model.preprocessing
    train, val = _samples(data)
    points = np.concatenate([train[0], val[0]])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * np.where(high > low, high - low, 1.0)
    x, y = np.linspace(low - margin, high + margin, RESOLUTION).T
    prediction = model.predict(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))

    aspect = np.ptp(y) / np.ptp(x)
    has_equal_units = 1 / 3 < aspect < 3  # most likely, both inputs are measured in the same unit
    figure = new_constrained_figure(6.6, 4.9 * min(aspect, 1.4) + 1.4 if has_equal_units else 5.6)
    axes = figure.subplots()
    labels = preprocessing.labels
    colors = [BLUE, ORANGE] if len(labels) == 2 else [COLORS[k % len(COLORS)] for k in range(len(labels))]
    names = [f"class {label}" if label.isdigit() else label for label in labels]
    probabilities = prediction.probabilities if preprocessing.classes == 2 else None
    if probabilities is not None:
        _draw_probability(figure, axes, x, y, probabilities[:, 1], names[1])
    _draw_boundaries(axes, x, y, prediction, colors, fills_regions=probabilities is None)
    for k, (name, color) in enumerate(zip(names, colors, strict=True)):
        _scatter_class(axes, train, k, {"color": color, "edgecolors": "white", "linewidths": 0.5, "label": name})
        _scatter_class(axes, val, k, {"color": "white", "edgecolors": color, "linewidths": 1.6})
    axes.set_aspect("equal" if has_equal_units else "auto")
    axes.set_xlabel(preprocessing.input_names[0])
    axes.set_ylabel(preprocessing.input_names[1])
    _add_legend_of_classes(figure, axes, has_validation=len(data.x_val) > 0)
    _set_title(figure, model, _accuracy(model, data))
    return figure


def _draw_probability(figure: Figure, axes: Axes, x: Array, y: Array, probability: Array, name: str) -> None:
    """Draw the probability of a class as a background. `probability`: [y * x]."""
    image = axes.imshow(
        probability.reshape(RESOLUTION, RESOLUTION), cmap=_color_map(BLUE, "white", ORANGE),
        vmin=0, vmax=1, extent=(x[0], x[-1], y[0], y[-1]), origin="lower",
        interpolation="bilinear", alpha=0.5,
    )  # fmt: skip
    _add_color_bar(figure, axes, image, f"probability of {name}")


def _draw_boundaries(
    axes: Axes, x: Array, y: Array, prediction: Prediction, colors: Sequence[str], fills_regions: bool
) -> None:
    """Draw the boundary of each class, and optionally fill its region."""
    for color, lead in zip(colors, _leads(prediction.outputs), strict=True):
        plane = lead.reshape(RESOLUTION, RESOLUTION)
        if fills_regions:
            axes.contourf(x, y, plane, levels=[0, np.inf], colors=[color], alpha=0.25)
        if plane.min() < 0 < plane.max():
            axes.contour(x, y, plane, levels=[0], colors="black", linewidths=1.0)


def _leads(outputs: Array) -> list[Array]:
    """The margin of each class over the best other class: [points, outputs] -> [points] for each class."""
    if outputs.shape[1] == 1:
        return [-outputs[:, 0], outputs[:, 0]]
    return [outputs[:, k] - np.delete(outputs, k, axis=1).max(axis=1) for k in range(outputs.shape[1])]


def _scatter_class(axes: Axes, examples: tuple[Array, Array], k: int, style: _MarkerStyle) -> None:
    """Draw the examples of class k."""
    x, y = examples
    axes.scatter(x[y == k, 0], x[y == k, 1], s=26, marker=MARKERS[k % len(MARKERS)], **style)


def _add_legend_of_classes(figure: Figure, axes: Axes, has_validation: bool) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if has_validation:
        handles.append(axes.scatter([], [], s=26, color="white", edgecolors="black", linewidths=1.6))
        labels.append("outlined: validation")
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9)


# Regression


def fitted_curve(model: Model, data: Dataset) -> Figure:
    """Draw the prediction at each input, dashed where it is extrapolated, and the examples."""
    preprocessing = model.preprocessing
    train, val = _samples(data)
    figure = new_constrained_figure(6.6, 4.6)
    axes = figure.subplots()
    axes.scatter(train[0][:, 0], train[1][:, 0], s=14, color=SKY, alpha=0.8, linewidths=0, label="training")
    if len(val[0]):
        axes.scatter(
            val[0][:, 0], val[1][:, 0], s=18, facecolors="white", edgecolors=VERMILION, linewidths=1.1,
            label="validation",
        )  # fmt: skip
    _draw_prediction(axes, model, np.concatenate([train[0], val[0]]))
    add_grid(axes)
    axes.set_xlabel(preprocessing.input_names[0])
    axes.set_ylabel(preprocessing.target or "target")
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    x, y, subset = _evaluated(data)
    error = preprocessing.y_scale.undo(y) - model.predict_scaled(x).values
    _set_title(figure, model, f"{subset} RMSE {np.sqrt(np.square(error).mean()):.3g} (n = {len(y):,})")
    return figure


def _draw_prediction(axes: Axes, model: Model, inputs: Array) -> None:
    """Draw the prediction over the range of the inputs, and beyond it on both sides."""
    low, high = inputs.min(), inputs.max()
    margin = 0.12 * (high - low or 1.0)
    for start, end, style, label in (
        (low - margin, low, "--", None),
        (low, high, "-", "network"),
        (high, high + margin, "--", "extrapolation"),
    ):
        x = np.linspace(start, end, RESOLUTION)
        values = model.predict(x[:, None]).values
        assert values is not None  # check_plots has refused other data
        axes.plot(x, values, linestyle=style, color=BLUE, linewidth=2, label=label)


# Weights


def first_weights(network: Module, preprocessing: Preprocessing) -> Array | None:
    """The weights of the first layer as images: [units, channels, height, width]; None if they do not form images."""
    inputs = preprocessing.inputs
    side = math.isqrt(inputs)
    shape = (1, side, side) if preprocessing.image is None else preprocessing.image.shape
    weights = (p.numpy() for name, p in network.named_parameters().items() if name.endswith("weight"))
    first = next(weights, None)
    if first is None:
        return None
    if first.shape[1:] == (inputs,):
        return first.reshape(len(first), *shape)
    return first if first.ndim == 4 and first.shape[1] == shape[0] else None


def first_layer_weights(model: Model, data: Dataset) -> Figure:
    """Draw the weights of each unit of the first layer as an image; all share one scale, in which 0 is white.

    Those of color images are drawn in colors, in which 0 is gray.
    """
    weights = first_weights(model.network, model.preprocessing)
    assert weights is not None  # check_plots has refused other networks
    units = len(weights)
    drawn = weights[:MOST_UNITS].astype(np.float64)
    limit = np.abs(drawn).max() or 1.0
    columns = next((c for c in range(math.ceil(math.sqrt(len(drawn))), 13) if len(drawn) % c == 0), 8)
    rows = math.ceil(len(drawn) / columns)
    height = drawn.shape[2] / drawn.shape[3]  # of an image of width 1
    color_map = _color_map(DARK_BLUE, BLUE, "white", VERMILION, DARK_RED)
    has_colors = drawn.shape[1] == 3

    figure = new_constrained_figure(6.6, 5.5 * height * rows / columns + 0.7)
    axes = figure.subplots()
    for i, weight in enumerate(drawn):
        row, column = divmod(i, columns)
        extent = (column + 0.04, column + 0.96, height * (row + 0.96), height * (row + 0.04))
        pixels = (0.5 + 0.5 * weight / limit).transpose(1, 2, 0) if has_colors else weight[0]
        image = axes.imshow(pixels, cmap=color_map, vmin=-limit, vmax=limit, extent=extent)
        axes.add_patch(_outline(extent))
    axes.set(xlim=(0, columns), ylim=(height * rows, 0), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if not has_colors:
        _add_color_bar(figure, axes, image, "weight")
    drawn_units = f"first {len(drawn)} of {units:,} units" if units > len(drawn) else f"all {units} units"
    meaning = f"; gray is 0, full colors are ±{limit:.2g}" if has_colors else ""
    _set_title(figure, model, f"weights of the first layer, {drawn_units}{meaning}")
    return figure


def _outline(extent: tuple[float, float, float, float]) -> Rectangle:
    """A thin border around an image."""
    from matplotlib.patches import Rectangle

    left, right, bottom, top = extent
    return Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=GRAY, linewidth=0.5)
