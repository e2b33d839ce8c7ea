"""Types of the options of `minitrain compare`: each parses the text of an option, or says what is expected."""

from __future__ import annotations

import argparse
import math

SMALLEST_FIGURE, LARGEST_FIGURE = 2, 60  # inches
SMALLEST_FONT, LARGEST_FONT = 4, 40  # points


def smoothing(text: str) -> tuple[str, int]:
    """The kind of smoothing and the number of points on each side."""
    kind, colon, number = text.rpartition(":")
    if kind not in ("median", "exponential", "") or (colon and not kind):
        raise argparse.ArgumentTypeError(f"{text}: expected N, exponential:N or median:N")
    if not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: expected an integer at least 0, alone or after median:")
    return kind or "exponential", int(number)


def size(text: str) -> tuple[float, float]:
    """Width and height in inches."""
    width, _, height = text.partition("x")
    inches = _number(width), _number(height)
    if not all(SMALLEST_FIGURE <= length <= LARGEST_FIGURE for length in inches):
        raise argparse.ArgumentTypeError(
            f"{text}: expected width and height of {SMALLEST_FIGURE} to {LARGEST_FIGURE} inches, such as 6x4"
        )
    return inches


def font_size(text: str) -> float:
    """A text size in points."""
    points = _number(text)
    if not SMALLEST_FONT <= points <= LARGEST_FONT:
        raise argparse.ArgumentTypeError(f"{text}: expected {SMALLEST_FONT} to {LARGEST_FONT} points")
    return points


def _number(text: str) -> float:
    """The number that a text is; nan if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
