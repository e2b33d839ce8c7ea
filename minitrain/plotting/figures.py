"""Helpers that all figures share: colors, line styles, axes, legends, headings, and writing of files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from minitrain.errors import printable
from minitrain.storage.files import write_atomically
from minitrain.storage.metric import Metric, format_share
from minitrain.storage.metrics_file import LARGEST, finite_points
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The color-blind-safe palette of Okabe and Ito (2008).
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, YELLOW = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
    "#F0E442",
)
COLORS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, "#000000", YELLOW)
GRAY = "#8c8c8c"
SUFFIXES = ("png", "svg")  # of the files of a figure
VIRIDIS_END = 0.88  # the last part of viridis is too light on white
MOST_LINES = 12  # lines in one panel that can be distinguished
METRIC_TITLES = {
    "train_loss": "training loss",
    "train_accuracy": "training accuracy",
    "train_balanced_accuracy": "balanced training accuracy",
    "train_exact_match": "training examples with all labels right",
    "train_f1": "training F1 score, mean of the classes",
    "train_auc": "area under the ROC curve, training",
    "train_rmse": "root mean squared training error",
    "train_mae": "mean absolute training error",
    "train_r2": "R² of the training",
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
    "val_balanced_accuracy": "balanced validation accuracy",
    "val_exact_match": "validation examples with all labels right",
    "val_f1": "validation F1 score, mean of the classes",
    "val_auc": "area under the ROC curve, validation",
    "val_rmse": "root mean squared validation error",
    "val_mae": "mean absolute validation error",
    "val_r2": "R² of the validation",
}

Color: TypeAlias = str | tuple[float, float, float, float]
Dashes: TypeAlias = Literal["-", "--", ":"]
LineStyle: TypeAlias = tuple[Color, Dashes]
DASHES: tuple[Dashes, ...] = ("-", "--", ":")


# Figures and files


@contextmanager
def own_style() -> Iterator[None]:
    """Draw with Matplotlib's defaults, whatever the user's environment and rc file say; figures need no display.

    It decorates every function that creates or writes a figure. The user's settings are restored afterwards.
    """
    import_matplotlib()
    from matplotlib import rc_context, rcParams, rcParamsDefault

    with rc_context():
        rcParams.update({key: value for key, value in rcParamsDefault.items() if key != "backend"})
        rcParams["svg.hashsalt"] = "minitrain"  # equal figures produce equal bytes
        rcParams["text.parse_math"] = False  # a file may be called a$b$.csv
        rcParams["axes.spines.top"] = rcParams["axes.spines.right"] = False
        yield


def import_matplotlib() -> None:
    """Import Matplotlib even if `MPLBACKEND` names a backend that is not installed, such as that of a notebook."""
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend is not None:
        with suppress(ValueError):  # it is not installed
            matplotlib.rcParams["backend"] = backend


def new_figure(width: float, height: float) -> Figure:
    """An empty figure; sizes in inches."""
    # pyplot is avoided: it keeps global state, may need a display, and takes three times as long to import.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120)


def new_constrained_figure(width: float, height: float) -> Figure:
    """An empty figure whose margins are computed by constrained layout; sizes in inches."""
    figure = new_figure(width, height)
    figure.set_layout_engine("constrained")
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG or SVG, chosen by the suffix of the path."""
    metadata: dict[str, str | None] = {"Date": None} if path.suffix == ".svg" else {}
    write_atomically(
        path,
        lambda file: figure.savefig(file, format=path.suffix[1:], metadata=metadata, facecolor="white"),
    )


def save_figures(figure: Figure, directory: Path, name: str) -> Path:
    """Write NAME.png, then NAME.svg, and return the path of the PNG; the layout is computed once."""
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    for suffix in SUFFIXES:
        save_figure(figure, directory / f"{name}.{suffix}")
    return directory / f"{name}.png"


def remove_figures(directory: Path, name: str) -> None:
    """Remove the files of a figure that `save_figures` wrote, if there are any."""
    for suffix in SUFFIXES:
        (directory / f"{name}.{suffix}").unlink(missing_ok=True)


# Values


def drawable_points(metrics: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    """The points of a metric's curve that can be drawn: finite, and not so large that an axis would overflow.

    Returns:
        Steps and values, [points] each; empty if there is no such column.
    """
    steps, values = finite_points(metrics, name)
    is_drawable = np.abs(values) <= LARGEST
    return steps[is_drawable], values[is_drawable]


def running_mean(values: Array, reach: int) -> Array:
    """The mean over a window of `reach` points on each side; the window shrinks symmetrically near the ends.

    >>> running_mean(np.array([1.0, 2.0, 6.0, 4.0]), 1)
    array([1., 3., 4., 4.])
    """
    total = np.concatenate([[0.0], np.cumsum(values)])
    indices = np.arange(len(values))
    around = np.minimum(np.minimum(indices, indices[::-1]), min(reach, len(values)))
    low, high = indices - around, indices + around + 1
    return np.asarray((total[high] - total[low]) / (high - low))


def evenly_spaced(count: int, most: int) -> list[int]:
    """At most `most` indices of `count` items, evenly spaced, the first and the last included.

    >>> evenly_spaced(9, 3)
    [0, 4, 8]
    """
    return [int(index) for index in np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))]


def edge_of_stability(lr: Array) -> Array:
    """The sharpness `2 / lr` above which gradient descent is unstable; inf where lr is 0.

    References:
        Cohen et al. (2021), Gradient descent on neural networks typically occurs at the edge of stability.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(2 / lr)


# Axes


def needs_log_scale(*curves: Array) -> bool:
    """Whether all values are positive and span more than a decade and a half."""
    values = np.concatenate([np.empty(0), *curves])
    return bool(len(values) > 1 and values.min() > 0 and values.max() / values.min() > 30)


def is_log_spaced(values: Sequence[float]) -> bool:
    """Whether at least three positive values, such as learning rates, span a decade and suit a log axis."""
    return len(values) > 2 and min(values) > 0 and max(values) / min(values) >= 10


def scale_metric_axis(axes: Axes, metric: str, *curves: Array) -> None:
    """Format the y-axis for a metric: in percent for a share, else logarithmic where its values need it."""
    if Metric.named(metric).is_share:
        use_percent_labels(axes)
    elif needs_log_scale(*curves):
        use_log_scale(axes)


def use_log_scale(axes: Axes) -> None:
    """Make the y-axis logarithmic, with plain numbers (0.01) rather than powers as labels."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


def use_percent_labels(axes: Axes) -> None:
    """Label the y-axis in percent."""
    axes.yaxis.set_major_formatter(lambda value, _: format_share(round(value, 9), digits=4, trim=True))


def use_integer_ticks(axes: Axes) -> None:
    """Place the ticks of the x-axis at round integers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 2.5, 5, 10]))


def fit_step_axis(axes: Axes, steps: Array) -> None:
    """Let the x-axis span all steps of a run, with integer ticks."""
    end = max(steps.max(initial=0), 1)
    axes.set_xlim(-0.02 * end, 1.02 * end)
    use_integer_ticks(axes)


def add_grid(axes: Axes) -> None:
    """Add thin grid lines."""
    axes.grid(alpha=0.25, linewidth=0.6)


def exclude_initial_transient(axes: Axes, curves: Sequence[Array], quantile: float) -> None:
    """Set the y-range without the initial rise of accuracies, which would compress all later values.

    Args:
        axes: The axes to scale.
        curves: The values of each line.
        quantile: The share of the later values that may lie below the range.
    """
    if max(map(len, curves)) < 2:
        axes.set_ylim(0, 1)
        return
    later = np.concatenate([curve[1:] if len(curve) > 2 else curve for curve in curves])
    if len(later):
        lowest_end = min(curve[-1] for curve in curves)
        low, high = float(min(np.quantile(later, quantile), lowest_end)), float(later.max())
        margin = max(high - low, 0.01) * 0.1
        axes.set_ylim(low - margin, high + margin)


# Colors and legends


def sequential_color(share: float) -> Color:
    """A color between dark (0) and light (1)."""
    from matplotlib import colormaps

    red, green, blue, alpha = colormaps["viridis"](VIRIDIS_END * share)
    return red, green, blue, alpha


def sequential_colors(values: Sequence[object]) -> list[Color]:
    """A color for each of several sorted values, from dark to light.

    Numbers are placed by their value, or by its logarithm if they span a decade; other values are evenly spaced.
    """
    numbers = [value for value in values if isinstance(value, (int, float))]
    if len(numbers) < len(values):
        numbers = list(range(len(values)))
    positions = np.array(numbers, np.float64)  # Python's integers may be too large for NumPy's
    if is_log_spaced(numbers):
        positions = np.log(positions)
    shares = (positions - positions[0]) / (positions[-1] - positions[0] or 1.0)
    return [sequential_color(share) for share in shares.tolist()]


def categorical_styles(count: int) -> list[LineStyle]:
    """Distinct colors and line styles for things without an order."""
    return [(COLORS[i % len(COLORS)], DASHES[i // len(COLORS) % len(DASHES)]) for i in range(count)]


def add_side_legend(axes: Axes, labels: Sequence[str], styles: Sequence[LineStyle], title: str) -> None:
    """Add a legend to the right of the axes."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=color, linestyle=dashes, linewidth=1.7) for color, dashes in styles]
    axes.legend(
        lines, [truncate(label, 80) for label in labels], title=title, fontsize=9, title_fontsize=9, frameon=False,
        loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0, alignment="left",
    )  # fmt: skip


# Texts


def set_heading(figure: Figure, title: str, notes: Sequence[str]) -> None:
    """Write the title and the notes, one line each, left-aligned above the figure."""
    width = figure.get_figwidth()
    lines = [truncate(title, int(width * 11))] if title else []
    lines += [truncate(note, int(width * 13)) for note in notes]
    figure.suptitle("\n".join(lines), fontsize=10, x=0.01, ha="left")


def set_centered_heading(figure: Figure, title: str, note: str) -> None:
    """Write the title and the note, one line each, centered above the figure; an empty text is omitted."""
    lines = [truncate(text, int(figure.get_figwidth() * 9)) for text in (title, note) if text]
    figure.suptitle("\n".join(lines), fontsize=11)


def metric_title(metric: str) -> str:
    """A metric in words if it has a common name, else its column name."""
    return METRIC_TITLES.get(metric, metric)


def truncate(text: str, width: int) -> str:
    """The text as it can be drawn, cut off with an ellipsis if it has more than `width` characters."""
    text = printable(text)
    return text if len(text) <= width else text[: width - 1] + "…"
