"""Colors and line styles of lines: every one has a contrast of at least 3:1 with its ground, white or dark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

# From the color-blind-safe palette of Okabe and Ito (2008).
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
# Their colors that are dark enough for lines on white and light enough for lines on the dark report page, and others
# that remain distinct from them in simulations of protanopia and deuteranopia.
COLORS = (BLUE, VERMILION, GREEN, PURPLE, "#5544FF", "#DD0044", "#447777")
GRAY = "#8c8c8c"
PALE_BLUE = "#6B97BE"  # a line behind a blue one
DARK_GROUND = "#15171b"  # of the report page
LIGHT_RAMP = (0.0, 0.59)  # the part of viridis that is dark enough on white
DARK_RAMP = (0.34, 1.0)  # the part of viridis that is light enough on the dark ground
RAMP_COLORS = 33  # from which the report page interpolates

Color: TypeAlias = str | tuple[float, float, float, float]
Dashes: TypeAlias = Literal["-", "--", ":", "-."]
LineStyle: TypeAlias = tuple[Color, Dashes]
DASHES: tuple[Dashes, ...] = ("-", "--", ":", "-.")
MOST_STYLES = len(COLORS) * len(DASHES)


def categorical_styles(count: int) -> list[LineStyle]:
    """Colors and line styles for things without an order; beyond `MOST_STYLES` they repeat."""
    return [(COLORS[i % len(COLORS)], DASHES[i // len(COLORS) % len(DASHES)]) for i in range(count)]


def sequential_color(share: float) -> Color:
    """A color between dark (0) and light (1)."""
    from matplotlib import colormaps

    low, high = LIGHT_RAMP
    red, green, blue, alpha = colormaps["viridis"](low + (high - low) * share)
    return red, green, blue, alpha


def sequential_colors(values: Sequence[object], is_log: bool) -> list[Color]:
    """A color for each of several sorted values, from dark to light.

    Args:
        values: Numbers, which are placed by their value; values of other kinds are evenly spaced.
        is_log: Whether numbers are placed by their logarithm.
    """
    numbers = [value for value in values if isinstance(value, (int, float))]
    if len(numbers) < len(values):
        numbers = list(range(len(values)))
        is_log = False
    positions = np.array(numbers, np.float64)  # Python's integers may be too large for NumPy's
    if is_log:
        positions = np.log(positions)
    shares = (positions - positions[0]) / (positions[-1] - positions[0] or 1.0)
    return [sequential_color(share) for share in shares.tolist()]


def ramp(low: float, high: float) -> list[str]:
    """Evenly spaced colors of a part of viridis, as hexadecimal texts."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(color) for color in colormaps["viridis"](np.linspace(low, high, RAMP_COLORS))]
