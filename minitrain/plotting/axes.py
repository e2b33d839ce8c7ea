"""Axes that all figures share: scales, ticks, ranges, grid lines, and marks of what lies outside."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from minitrain.storage.metric import Metric, format_share
from minitrain.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEARNING_RATES = ("lr",)  # the last part of a key whose values are compared by their ratios
LOG_SPAN = 10  # at least three values with such a ratio, as 0.01, 0.1 and 0.3, are placed by their logarithms
LARGEST_PLAIN = 10_000  # from here on, steps are labeled in thousands
CROPPED = 2.0  # the initial rise is excluded if the range would otherwise be so many times as long
CHARACTER = 0.62  # mean width of a character, in font sizes
GAP = 1.5  # characters between two labels
MOST_LABELED_DECADES = 1.3  # of a log axis whose ticks between powers of ten are labeled
FEWEST_DECADES = 0.5  # of a log axis on which only 2 and 5 are labeled of these


# Scales


def needs_log_scale(*curves: Array) -> bool:
    """Whether all values are positive and span more than a decade and a half."""
    values = np.concatenate([np.empty(0), *curves])
    return bool(len(values) > 1 and values.min() > 0 and values.max() / values.min() > 30)


def suits_log_axis(key: str, values: Sequence[float]) -> bool:
    """Whether the values of a key are placed by their logarithms.

    Those of a learning rate are, and those of any key of which at least three values span a decade; none if a value is
    not positive.

    >>> suits_log_axis("lr", [0.1, 0.2]), suits_log_axis("l2", [0.1, 0.2]), suits_log_axis("l2", [0.1, 1, 2])
    (True, False, True)
    """
    if min(values) <= 0:
        return False
    is_rate = key.rpartition(".")[2] in LEARNING_RATES
    return is_rate or (len(values) > 2 and max(values) / min(values) >= LOG_SPAN)


def scale_metric_axis(axes: Axes, metric: str, *curves: Array) -> None:
    """Format the y-axis for a metric: in percent for a share, else logarithmic where its values need it."""
    if Metric.named(metric).is_share:
        use_percent_labels(axes)
    elif needs_log_scale(*curves):
        use_log_scale(axes)


def use_log_scale(axes: Axes) -> None:
    """Make the y-axis logarithmic, with plain numbers (0.01) rather than powers as labels."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: format_tick(value))
    axes.yaxis.set_minor_formatter(_minor_log_labels(axes.get_ylim))


def _minor_log_labels(limits: Callable[[], tuple[float, float]]) -> Callable[[float, float], str]:
    """Labels of the ticks between powers of ten: none on a long axis, 2 and 5 on a shorter one, all on a short one."""

    def label(value: float, _: float) -> str:
        decades = abs(math.log10(limits()[1] / limits()[0]))
        digit = value / 10 ** math.floor(math.log10(value) + 1e-9)
        is_labeled = decades < FEWEST_DECADES or any(abs(digit - labeled) < 1e-6 for labeled in (2, 5))
        return format_tick(value) if decades < MOST_LABELED_DECADES and is_labeled else ""

    return label


# Ticks


def format_tick(value: float) -> str:
    """A number as the label of a logarithmic axis.

    >>> [format_tick(value) for value in (0.001, 20.0, 10_000.0, 1e5, 2e-7)]
    ['0.001', '20', '10000', '1e5', '2e-7']
    """
    if value and not 1e-4 <= abs(value) < 1e5:
        mantissa, _, exponent = f"{value:e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:g}"


def use_percent_labels(axes: Axes) -> None:
    """Label the y-axis in percent."""
    axes.yaxis.set_major_formatter(lambda value, _: format_share(round(value, 9), digits=4, trim=True))


def use_integer_ticks(axes: Axes) -> None:
    """Place the ticks of the x-axis at round integers; from 10,000 on, they are labeled in thousands: 15k."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: format_step(value, axes.get_xlim()[1]))


def format_step(step: float, largest: float) -> str:
    """A number of steps as the label of an axis that extends to `largest`.

    >>> [format_step(step, 1e4) for step in (0, 2500, 10_000)], format_step(500, 900), format_step(2.5e6, 5e6)
    (['0', '2.5k', '10k'], '500', '2.5M')
    """
    if largest < LARGEST_PLAIN or step == 0:
        return f"{step:.0f}"
    scale, unit = (1e6, "M") if largest >= 1e6 else (1e3, "k")
    return f"{step / scale:g}{unit}" if largest < 1e12 else f"{step:g}"


def set_value_ticks(axes: Axes, values: Sequence[float], labels: Sequence[str], is_log: bool, inches: float) -> None:
    """Scale the x-axis for the values of a key, and label each value if the labels do not overlap.

    Args:
        axes: The axes.
        values: The values in ascending order.
        labels: The text of each.
        is_log: Whether the axis is logarithmic.
        inches: The approximate width of the axes.
    """
    if is_log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: format_tick(value))
        axes.xaxis.set_minor_formatter(_minor_log_labels(axes.get_xlim))
    positions = np.array(values, np.float64)
    if labels_fit(np.log(positions) if is_log else positions, labels, inches):
        axes.set_xticks(values, labels)
        axes.set_xticks([], minor=True)


def labels_fit(positions: Array, labels: Sequence[str], inches: float) -> bool:
    """Whether labels at ascending positions do not overlap on an axis that is so many inches long."""
    if len(labels) < 2:
        return True
    span = float(positions[-1] - positions[0]) or 1.0
    distances = np.diff(positions) / span * inches * 0.9  # of the axis, which has margins
    widths = np.array([text_width(label) for label in labels])
    return bool((distances > (widths[1:] + widths[:-1]) / 2 + text_width("0") * GAP).all())


def text_width(text: str, size: float = 1.0) -> float:
    """The approximate width of a text in inches, for a size relative to the font size of the figure."""
    return max(map(len, text.split("\n"))) * CHARACTER * text_size(size) / 72


def text_size(relative: float) -> float:
    """A text size in points, relative to the font size of the figure."""
    from matplotlib import rcParams

    return float(rcParams["font.size"]) * relative


# Ranges


def fit_step_axis(axes: Axes, steps: Array) -> None:
    """Let the x-axis span all steps of a run, with integer ticks."""
    end = max(steps.max(initial=0), 1)
    axes.set_xlim(-0.02 * end, 1.02 * end)
    use_integer_ticks(axes)


def exclude_initial_transient(axes: Axes, curves: Sequence[Array], quantile: float) -> bool:
    """Set the y-range without the initial rise of accuracies, which would compress all later values.

    The highest value and the end of each curve are always within the range. A crop is marked at the axis.

    Args:
        axes: The axes to scale.
        curves: The values of each line.
        quantile: The share of the later values that may lie below the range.

    Returns:
        Whether values lie below the range.
    """
    if max(map(len, curves)) < 2:
        axes.set_ylim(-0.02, 1.02)
        return False
    low, high, is_cropped = useful_range(curves, quantile)
    margin = max(high - low, 0.01) * 0.1
    axes.set_ylim(low - margin, high + margin)
    if is_cropped:
        mark_crop(axes)
    return is_cropped


def useful_range(curves: Sequence[Array], quantile: float) -> tuple[float, float, bool]:
    """The range of accuracies without their initial rise, and whether it excludes values.

    >>> useful_range([np.array([0.1, 0.9, 1.0])], 0.0), useful_range([np.array([0.8, 0.9, 1.0])], 0.0)
    ((0.9, 1.0, True), (0.8, 1.0, False))
    """
    later = np.concatenate([curve[1:] if len(curve) > 2 else curve for curve in curves])
    everything = np.concatenate(curves)
    lowest, high = float(everything.min()), float(everything.max())
    low = float(min(np.quantile(later, quantile), *(curve[-1] for curve in curves if len(curve))))
    if high - lowest <= CROPPED * max(high - low, 0.01):
        return lowest, high, False
    return low, high, low > lowest


def mark_crop(axes: Axes) -> None:
    """Mark the lower end of the y-axis by two strokes: values lie below it."""
    for height in (0.015, 0.035):
        axes.plot(
            [-0.012, 0.012], [height - 0.01, height + 0.01], color="black", linewidth=1.0, clip_on=False,
            transform=axes.transAxes, scalex=False, scaley=False, zorder=5,
        )  # fmt: skip


def add_grid(axes: Axes) -> None:
    """Add thin grid lines."""
    axes.grid(alpha=0.25, linewidth=0.6)
