"""Pictures of a trained network: each a figure, from a Model alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from minitrain.data import Dataset, RowsOnDisk
from minitrain.inference.model import Model
from minitrain.plotting.figures import BLUE, COLORS, GREY, ORANGE, SKY, VERMILION, new_figure, shortened
from minitrain.training.experiment import Experiment
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MOST_POINTS = 2000  # drawn of training, and of validation


MOST_UNITS = 64  # drawn of a layer


NUMBERED = 20  # classes up to which a confusion matrix has its numbers


RESOLUTION = 300  # points of a plane or a curve, on each axis


DARK_BLUE, DARK_RED = "#00334f", "#662c00"


MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def _new_figure(width: float, height: float) -> Figure:
    figure = new_figure(width, height)
    figure.set_layout_engine("constrained")
    return figure


def _title(figure: Figure, model: Model, heading: str) -> None:
    note, width = f"{model.experiment.describe_briefly()}, step {model.step:,}", int(figure.get_figwidth() * 12)
    figure.suptitle(f"{heading}\n{shortened(note, width)}", fontsize=11)


def _judged(data: Dataset) -> tuple[Array | RowsOnDisk, Any, str]:
    """The validation examples, or those of training where none is held out; their targets; which these are."""
    return (data.x_val, data.y_val, "validation") if len(data.x_val) else (data.x_train, data.y_train, "training")


def _classes(model: Model, x: Array | RowsOnDisk) -> Array:
    found = model.predict_scaled(x).classes
    assert found is not None
    return found


def _accuracy(model: Model) -> str:
    x, y, which = _judged(model.data)
    right = _classes(model, x) == y
    return f"{right.mean():.1%} of {len(right):,} {which} examples right"


def _some(x: Array | RowsOnDisk, y: Array | None, data: Dataset) -> tuple[Array, Array]:
    """Examples and targets in their own units; of many, some from all parts of the data."""
    assert y is not None
    rows = np.arange(0, len(x), max(1, math.ceil(len(x) / MOST_POINTS)))
    return data.x_scale.undo(x[rows]), y[rows] if data.classes is not None else data.y_scale.undo(y[rows])


def _gradient(*colors: str) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("gradient", colors)


def _color_bar(figure: Figure, axes: Axes, image: Any, label: str) -> None:
    """A colour bar as high as the axes, whatever their aspect."""
    bar = figure.colorbar(image, cax=axes.inset_axes((1.02, 0, 0.035, 1)), label=label)
    bar.outline.set_visible(False)


def confusion_matrix(model: Model) -> Figure:
    """How many examples of each class (rows) are taken for each (columns), and what shares of the row these are."""
    x, y, _ = _judged(model.data)
    labels, count = model.data.labels, len(model.data.labels)
    counts = np.zeros((count, count), np.int64)
    np.add.at(counts, (y, _classes(model, x)), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    side = min(max(4.6, 0.56 * count + 1.2), 14)
    figure = _new_figure(side, side + 0.3)
    axes = figure.subplots()
    axes.imshow(shares, cmap=_gradient("white", BLUE), vmin=0, vmax=1)
    for row, column in np.argwhere(counts).tolist() if count <= NUMBERED else ():
        style: Any = {"ha": "center", "color": "white" if shares[row, column] > 0.45 else "black"}
        style |= {"xy": (column, row), "textcoords": "offset points"}
        axes.annotate(f"{counts[row, column]:,}", xytext=(0, -1), fontsize=11, va="bottom", **style)
        axes.annotate(f"{round(100 * shares[row, column], 1):g}%", xytext=(0, -3), fontsize=8, va="top", **style)
    turned = max(map(len, labels)) > 5
    axes.set_xticks(range(count), labels, rotation=40 * turned, ha="right" if turned else "center")
    axes.set_yticks(range(count), labels)
    for edge in np.arange(count + 1) - 0.5:
        axes.axhline(edge, color="#d9d9d9", linewidth=0.6, clip_on=False)
        axes.axvline(edge, color="#d9d9d9", linewidth=0.6, clip_on=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    _title(figure, model, _accuracy(model))
    return figure


def decision_boundary(model: Model) -> Figure:
    """Which class the network tells at each point of the plane, of two how probably, and the examples."""
    data = model.data
    train, val = (_some(x, y, data) for x, y in ((data.x_train, data.y_train), (data.x_val, data.y_val)))
    points = np.concatenate([train[0], val[0]])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * np.where(high > low, high - low, 1.0)
    across, up = np.linspace(low - margin, high + margin, RESOLUTION).T
    plane = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    prediction = model.predict(plane)

    shape = np.ptp(up) / np.ptp(across)
    alike = 1 / 3 < shape < 3  # both inputs are measured in one unit, most likely
    figure = _new_figure(6.6, 4.9 * min(shape, 1.4) + 1.4 if alike else 5.6)
    axes = figure.subplots()
    colors = [BLUE, ORANGE] if data.classes == 2 else [COLORS[k % len(COLORS)] for k in range(len(data.labels))]
    names = [f"class {label}" if label.isdigit() else label for label in data.labels]
    shaded = data.classes == 2 and prediction.probabilities is not None
    if shaded:
        assert prediction.probabilities is not None
        image = axes.imshow(
            prediction.probabilities[:, 1].reshape(RESOLUTION, RESOLUTION), cmap=_gradient(BLUE, "white", ORANGE),
            vmin=0, vmax=1, extent=(across[0], across[-1], up[0], up[-1]), origin="lower",
            interpolation="bilinear", alpha=0.5,
        )  # fmt: skip
        _color_bar(figure, axes, image, f"probability of {names[1]}")
    for color, lead in zip(colors, _leads(prediction.outputs), strict=True):
        ahead = lead.reshape(RESOLUTION, RESOLUTION)
        if not shaded:
            axes.contourf(across, up, ahead, levels=[0, np.inf], colors=[color], alpha=0.25)
        if ahead.min() < 0 < ahead.max():
            axes.contour(across, up, ahead, levels=[0], colors="black", linewidths=1.0)
    for k, (name, color) in enumerate(zip(names, colors, strict=True)):
        _scatter(axes, train, k, color=color, edgecolors="white", linewidths=0.5, label=name)
        _scatter(axes, val, k, color="white", edgecolors=color, linewidths=1.6)
    axes.set_aspect("equal" if alike else "auto")
    axes.set_xlabel(data.input_names[0])
    axes.set_ylabel(data.input_names[1])
    handles, labels = axes.get_legend_handles_labels()
    if len(data.x_val):
        handles.append(axes.scatter([], [], s=26, color="white", edgecolors="black", linewidths=1.6))
        labels.append("outlined: validation")
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    _title(figure, model, _accuracy(model))
    return figure


def _leads(outputs: Array) -> list[Array]:
    """By how much each class is ahead of the others: [points, outputs] -> [points] for each class."""
    if outputs.shape[1] == 1:
        return [-outputs[:, 0], outputs[:, 0]]
    return [outputs[:, k] - np.delete(outputs, k, axis=1).max(axis=1) for k in range(outputs.shape[1])]


def _scatter(axes: Axes, examples: tuple[Array, Array], k: int, **style: Any) -> None:
    """The examples of class k."""
    x, y = examples
    axes.scatter(x[y == k, 0], x[y == k, 1], s=26, marker=MARKERS[k % len(MARKERS)], **style)


def fitted_curve(model: Model) -> Figure:
    """What the network predicts at each input, dashed beyond the examples, and the examples."""
    data = model.data
    train, val = (_some(x, y, data) for x, y in ((data.x_train, data.y_train), (data.x_val, data.y_val)))
    inputs = np.concatenate([train[0], val[0]])
    low, high = inputs.min(), inputs.max()
    margin = 0.12 * (high - low or 1.0)
    figure = _new_figure(6.6, 4.6)
    axes = figure.subplots()
    style: Any = {"facecolors": "white", "edgecolors": VERMILION, "linewidths": 1.1, "label": "validation"}
    axes.scatter(train[0][:, 0], train[1][:, 0], s=14, color=SKY, alpha=0.8, linewidths=0, label="training")
    if len(val[0]):
        axes.scatter(val[0][:, 0], val[1][:, 0], s=18, **style)
    for start, end, line in ((low - margin, low, "--"), (low, high, "-"), (high, high + margin, "--")):
        along = np.linspace(start, end, RESOLUTION)
        values = model.predict(along[:, None]).values
        assert values is not None
        label = {"-": "network", "--": "beyond the examples" if start > low else None}[line]
        axes.plot(along, values, linestyle=line, color=BLUE, linewidth=2, label=label)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_xlabel(data.input_names[0])
    axes.set_ylabel(data.target or "target")
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    x, y, which = _judged(data)
    error = data.y_scale.undo(y) - model.predict_scaled(x).values
    _title(figure, model, f"off by {np.sqrt(np.square(error).mean()):.3g} (RMS) on {len(y):,} {which} examples")
    return figure


def first_weights(experiment: Experiment) -> Array | None:
    """The weights of the first layer as images: [units, height, width]; None where they are no such."""
    inputs = experiment.data.inputs
    side = math.isqrt(inputs)
    first = next((t.numpy() for n, t in experiment.model.named_parameters().items() if n.endswith("weight")), None)
    if first is not None and first.shape[1:] == (inputs,):
        return first.reshape(len(first), side, side)
    return first[:, 0] if first is not None and first.ndim == 4 and first.shape[1] == 1 else None


def first_layer_weights(model: Model) -> Figure:
    """The weights of each unit of the first layer as an image, 0 white, all on one scale."""
    weights = first_weights(model.experiment)
    assert weights is not None
    units = len(weights)
    shown = weights[:MOST_UNITS].astype(np.float64)
    limit = np.abs(shown).max() or 1.0
    columns = next((c for c in range(math.ceil(math.sqrt(len(shown))), 13) if len(shown) % c == 0), 8)
    rows = math.ceil(len(shown) / columns)
    cmap = _gradient(DARK_BLUE, BLUE, "white", VERMILION, DARK_RED)

    figure = _new_figure(6.6, 5.5 * rows / columns + 0.7)
    axes = figure.subplots()
    for i, weight in enumerate(shown):
        row, column = divmod(i, columns)
        extent = (column + 0.04, column + 0.96, row + 0.96, row + 0.04)
        image = axes.imshow(weight, cmap=cmap, vmin=-limit, vmax=limit, extent=extent)
        axes.add_patch(_outline(extent))
    axes.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    _color_bar(figure, axes, image, "weight")
    heading = f"the first {len(shown)} of {units:,} units" if units > len(shown) else f"all {units} units"
    _title(figure, model, f"weights of the first layer, {heading}")
    return figure


def _outline(extent: tuple[float, float, float, float]) -> Any:
    from matplotlib.patches import Rectangle

    left, right, bottom, top = extent
    return Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=GREY, linewidth=0.5)
