"""Helpers that all figures share: style, sizes, legends, headings, and writing of files."""

from __future__ import annotations

import math
import os
import sys
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from minitrain.errors import printable
from minitrain.plotting.axes import format_tick, text_size, text_width
from minitrain.plotting.palette import LIGHT_RAMP, LineStyle, ramp
from minitrain.storage.files import write_atomically
from minitrain.storage.metrics_file import LARGEST, finite_points
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
DEFAULT_FORMATS = ("png", "svg")
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

Size: TypeAlias = tuple[float, float]  # of a figure: width and height in inches
FONT_SIZE = 10.0  # points
MOST_LISTED_NUMBERS = 10  # in a legend; more of them have a color bar
LONGEST_LABEL = 60  # characters of an entry of a legend
SMALLEST_AXES = 0.4  # inches
TOLERANCE = 0.05  # inches by which a text may extend beyond the figure
PANEL_SHARE = 0.8  # of the width of a figure, which is not taken by the legend
WORDS = 1.15  # characters of words for each digit of equal width
MOST_HEADING_LINES = 2  # of the title, and of each note


# Figures and files


@contextmanager
def own_style(font_size: float = FONT_SIZE) -> Iterator[None]:
    """Draw with Matplotlib's defaults, whatever the user's environment and rc file say; figures need no display.

    It decorates every function that creates or writes a figure. The user's settings are restored afterwards.

    Args:
        font_size: The size in points that all texts are relative to.
    """
    import_matplotlib()
    from matplotlib import rc_context, rcParams, rcParamsDefault

    with rc_context():
        rcParams.update({key: value for key, value in rcParamsDefault.items() if key != "backend"})
        rcParams["font.size"] = font_size
        rcParams["svg.hashsalt"] = "minitrain"  # equal figures produce equal bytes
        rcParams["svg.fonttype"] = "none"  # texts can be searched and edited
        rcParams["pdf.fonttype"] = 42  # TrueType, for the same reason
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


def content_fits(figure: Figure) -> bool:
    """Whether the heading, the axes and the legend of a figure have enough room; computes its layout."""
    layout = figure.get_layout_engine()
    if layout is not None:
        with warnings.catch_warnings(action="ignore"):  # Matplotlib warns of a layout that it cannot apply
            layout.execute(figure)
    width, height = figure.get_size_inches()
    everything = figure.get_tightbbox()
    panes = [axes for axes in figure.axes if axes.get_visible() and axes.get_subplotspec() is not None]
    sizes = [(box.width * width, box.height * height) for box in (axes.get_position() for axes in panes)]
    headings = [text for text in figure.texts if text.get_text()]
    bottom = min((text.get_window_extent().y0 for text in headings), default=math.inf)
    tops = [box.y1 for axes in panes if (box := axes.get_tightbbox()) is not None]
    is_inside = min(everything.x0, everything.y0) > -TOLERANCE and everything.x1 < width + TOLERANCE
    is_large = min(min(size) for size in sizes) > SMALLEST_AXES
    return is_inside and is_large and max(tops) < bottom + TOLERANCE * figure.dpi


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF, chosen by the suffix of the path; equal figures produce equal bytes."""
    undated: dict[str, dict[str, str | None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    metadata = undated.get(path.suffix, {})
    write_atomically(
        path,
        lambda file: figure.savefig(file, format=path.suffix[1:], metadata=metadata, facecolor="white"),
    )


def save_figures(figure: Figure, directory: Path, name: str, formats: Sequence[str] = DEFAULT_FORMATS) -> Path:
    """Write NAME.png and NAME in other formats, and return the path of the PNG; the layout is computed once."""
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    for suffix in formats:
        save_figure(figure, directory / f"{name}.{suffix}")
    return directory / f"{name}.png"


def remove_figures(directory: Path, name: str, kept: Sequence[str] = ()) -> None:
    """Remove the files of a figure that `save_figures` wrote, except those of the formats to be kept."""
    for suffix in FORMATS:
        if suffix not in kept:
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


# Legends


def add_side_legend(
    axes: Axes, labels: Sequence[str], styles: Sequence[LineStyle], title: str, is_of_points: bool = False
) -> None:
    """Add a legend to the right of the axes, of lines or of points."""
    from matplotlib.lines import Line2D

    lines = [
        Line2D(
            [],
            [],
            color=color,
            linestyle="" if is_of_points else dashes,
            linewidth=1.7,
            marker="o" if is_of_points else "",
        )
        for color, dashes in styles
    ]
    axes.legend(
        lines, [shorten(label, LONGEST_LABEL) for label in labels], title=title, fontsize=text_size(0.9),
        title_fontsize=text_size(0.9), frameon=False, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0,
        alignment="left", handlelength=2.4,
    )  # fmt: skip


def legend_size(labels: Sequence[str], title: str) -> Size:
    """The approximate size in inches of what `add_side_legend` adds."""
    lines = [shorten(label, LONGEST_LABEL) for label in labels]
    width = max(text_width(title, 0.9), *(text_width(line, 0.9) + 0.5 for line in lines), 0.0)
    return width + 0.3, (len(lines) + title.count("\n") + 2) * text_size(0.9) * 1.45 / 72


def add_value_bar(axes: Axes | Sequence[Axes], key: str, values: Sequence[float], is_log: bool) -> None:
    """Add a color bar to the right of the axes that says which color of `sequential_colors` stands for which value."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize

    norm = (LogNorm if is_log else Normalize)(min(values), max(values))
    colors = LinearSegmentedColormap.from_list("values", ramp(*LIGHT_RAMP))
    figure = (axes[0] if isinstance(axes, Sequence) else axes).get_figure(root=True)
    if figure is None:
        raise RuntimeError("add_value_bar: expected axes of a figure")
    bar = figure.colorbar(ScalarMappable(norm, colors), ax=axes, pad=0.02, label=key)
    bar.ax.yaxis.set_major_formatter(lambda value, _: format_tick(value))


# Texts


def set_heading(figure: Figure, title: str, notes: Sequence[str]) -> None:
    """Write the title and the notes left-aligned above the figure; long lines are wrapped."""
    characters = int(figure.get_figwidth() / text_width("0") * WORDS)
    lines = [*_wrap(title, characters), *(line for note in notes for line in _wrap(note, characters))]
    figure.suptitle("\n".join(lines), fontsize=text_size(1.0), x=0.01, ha="left")


def _wrap(text: str, width: int) -> list[str]:
    """The lines of a text; what does not fit into two of them is cut off."""
    lines = textwrap.wrap(printable(text), max(width, 20), break_on_hyphens=False)
    if len(lines) > MOST_HEADING_LINES:
        lines[MOST_HEADING_LINES - 1 :] = [truncate(" ".join(lines[MOST_HEADING_LINES - 1 :]), width)]
    return lines


def set_centered_heading(figure: Figure, title: str, note: str) -> None:
    """Write the title and the note, one line each, centered above the figure; an empty text is omitted."""
    lines = [truncate(text, int(figure.get_figwidth() * 9)) for text in (title, note) if text]
    figure.suptitle("\n".join(lines), fontsize=text_size(1.1))


def set_metric_label(axes: Axes, metric: str, inches: float, prefix: str = "") -> None:
    """Label the y-axis with the title of a metric, in several lines if the axis is shorter than the text."""
    text = f"{prefix} {metric_title(metric)}".strip()
    width = max(12, int(inches / text_width("0")))
    axes.set_ylabel("\n".join(textwrap.wrap(printable(text), width, break_on_hyphens=False)))


def set_panel_title(axes: Axes, key: str, value: str) -> None:
    """Write `key=value` above a panel of a figure, or, if it is too narrow, as much of it as fits."""
    figure, place = axes.get_figure(root=True), axes.get_subplotspec()
    if figure is None or place is None:
        raise RuntimeError("set_panel_title: expected axes of a grid in a figure")
    inches = figure.get_figwidth() * PANEL_SHARE / place.get_gridspec().ncols
    characters = max(4, int(inches / text_width("0")))
    text = f"{key}={value}"
    axes.set_title(shorten(text if len(text) <= characters else value, characters), fontsize=text_size(1.0))


def metric_title(metric: str) -> str:
    """A metric in words if it has a common name, else its column name."""
    return METRIC_TITLES.get(metric, metric)


def truncate(text: str, width: int) -> str:
    """The text as it can be drawn, cut off with an ellipsis if it has more than `width` characters."""
    text = printable(text)
    return text if len(text) <= width else text[: width - 1] + "…"


def shorten(text: str, width: int) -> str:
    """The text as it can be drawn, with an ellipsis in its middle if it has more than `width` characters.

    Both ends are kept, since names often differ at their ends.

    >>> shorten("an_activation_0", 9), shorten("relu", 9)
    ('an_a…on_0', 'relu')
    """
    text = printable(text)
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"
