"""What all figures share: colours, sizes, and how axes and files are written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minitrain.storage.files import write_atomically
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Okabe and Ito's colours (2008), which colour-blind people can tell apart.
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


GREY = "#8c8c8c"


STYLES = ("-", "--", ":")


MOST_LINES = 12  # of a panel: more cannot be told apart


NAMES = {
    "train_loss": "training loss",
    "train_accuracy": "training accuracy",
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
}


def new_figure(width: float, height: float) -> Figure:
    # Not pyplot: no global state, no display, and a third of its start-up.
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "minitrain"  # equal figures give equal bytes
    rcParams["text.parse_math"] = False  # a file may be called a$b$.csv
    rcParams["axes.spines.top"] = rcParams["axes.spines.right"] = False
    return Figure(figsize=(width, height), dpi=120)


def save_figure(figure: Figure, path: Path) -> None:
    metadata: dict[str, Any] = {"Date": None} if path.suffix == ".svg" else {}
    write_atomically(
        path, lambda file: figure.savefig(file, format=path.suffix[1:], metadata=metadata, facecolor="white")
    )


def save_figures(figure: Figure, directory: Path, name: str) -> Path:
    """Write NAME.png and NAME.svg, in this order, and give the path of the first; the layout is found once."""
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    for suffix in ("png", "svg"):
        save_figure(figure, directory / f"{name}.{suffix}")
    return directory / f"{name}.png"


def smooth(values: Array, reach: int) -> Array:
    """A running mean over so many points on each side; less near the curve's ends, as much on either side.

    >>> smooth(np.array([1.0, 2.0, 6.0, 4.0]), 1)
    array([1., 3., 4., 4.])
    """
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    around = np.minimum(np.minimum(at, at[::-1]), min(reach, len(values)))
    low, high = at - around, at + around + 1
    return np.asarray((total[high] - total[low]) / (high - low))


def log_helps(*curves: Array) -> bool:
    """Whether positive values span more than a decade and a half."""
    values = np.concatenate([np.empty(0), *curves])
    return bool(len(values) > 1 and values.min() > 0 and values.max() / values.min() > 30)


def whole_steps(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 2.5, 5, 10]))


def log_scale(axes: Axes) -> None:
    """A log axis with plain numbers: 0.01, not a power."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


def spans_decades(values: Sequence[float]) -> bool:
    """Whether positive numbers, as learning rates do, ask for a logarithmic axis."""
    return len(values) > 2 and min(values) > 0 and max(values) / min(values) >= 10


def ordered_colors(values: Sequence[Any]) -> list[Any]:
    """From dark to light, a colour for each of some numbers in order: by their logarithms where they span a decade.

    Values that are no numbers are evenly spaced.
    """
    from matplotlib import colormaps

    if not all(isinstance(value, (int, float)) for value in values):
        values = range(len(values))
    at = np.array(values, np.float64)  # whole numbers may be too large for NumPy's
    at = np.log(at) if spans_decades(values) else at
    share = (at - at[0]) / (at[-1] - at[0] or 1.0)
    return [colormaps["viridis"](0.88 * each) for each in share.tolist()]  # the end is too light on white


def named_colors(count: int) -> list[tuple[Any, str]]:
    """Colour and line style for so many things without an order."""
    return [(COLORS[i % len(COLORS)], STYLES[i // len(COLORS) % len(STYLES)]) for i in range(count)]


def legend_beside(axes: Axes, labels: Sequence[str], styles: Sequence[tuple[Any, Any]], title: str) -> None:
    """A legend at the right of the axes; styles: colour and line style of each label."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=color, linestyle=style, linewidth=1.7) for color, style in styles]
    axes.legend(
        lines, [shortened(label, 80) for label in labels], title=title, fontsize=9, title_fontsize=9, frameon=False,
        loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0, alignment="left",
    )  # fmt: skip


def head(figure: Figure, title: str, notes: Sequence[str]) -> None:
    """Title and notes, a line each, at the left."""
    text = shortened(title, int(figure.get_figwidth() * 11))
    figure.suptitle("\n".join([text, *notes] if title else notes), fontsize=10, x=0.01, ha="left")


def title_of(metric: str) -> str:
    """A metric in words, where it has some."""
    return NAMES.get(metric, metric)


def percent(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")


def shortened(text: str, width: int) -> str:
    """A heading in a line of so many characters; the end of a longer one is left out."""
    return text if len(text) <= width else text[: width - 1] + "…"


def focus(axes: Axes, means: list[Array], leave_out: float) -> None:
    """Leave the first climb out of sight: it would press all the rest together at the top."""
    if max(map(len, means)) < 2:
        axes.set_ylim(0, 1)
        return
    after = np.concatenate([mean[1:] if len(mean) > 2 else mean for mean in means])
    if len(after):
        last = min(mean[-1] for mean in means)
        low, high = float(min(np.quantile(after, leave_out), last)), float(after.max())
        margin = max(high - low, 0.01) * 0.1
        axes.set_ylim(low - margin, high + margin)
