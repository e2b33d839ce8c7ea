"""Contrast and distinctness of the colors of lines."""

import itertools
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from minitrain.compare.report import PAGE
from minitrain.plotting.palette import (
    BLUE,
    COLORS,
    DARK_GROUND,
    DARK_RAMP,
    GRAY,
    LIGHT_RAMP,
    MOST_STYLES,
    PALE_BLUE,
    VERMILION,
    categorical_styles,
    ramp,
    sequential_color,
    sequential_colors,
)


def luminance(color):
    """The relative luminance of WCAG 2.1."""
    channels = np.array(to_rgb(color))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(first, second):
    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_that_of_wcag():
    assert contrast("white", "black") == pytest.approx(21)
    assert contrast("#777777", "white") == pytest.approx(4.48, abs=0.005)


def test_colors_of_lines_have_contrast_on_white_and_on_the_dark_page():
    for color in (*COLORS, GRAY):
        assert contrast(color, "white") >= 3, color
        assert contrast(color, DARK_GROUND) >= 3, color
    for color in (BLUE, PALE_BLUE, VERMILION):  # of the figures of a run
        assert contrast(color, "white") >= 3, color
    for share in np.linspace(0, 1, 101):
        assert contrast(sequential_color(share)[:3], "white") >= 3, share
    for color in ramp(*LIGHT_RAMP):
        assert contrast(color, "white") >= 3, color
    for color in ramp(*DARK_RAMP):
        assert contrast(color, DARK_GROUND) >= 3, color


def test_grounds_are_those_of_the_page():
    style = (PAGE / "report.css").read_text(encoding="utf-8")
    assert re.search(r"--background: light-dark\(#ffffff, (#\w+)\)", style)[1] == DARK_GROUND


def test_many_names_have_distinct_styles():
    styles = categorical_styles(MOST_STYLES)
    assert len(set(styles)) == MOST_STYLES == 28
    for (one, _), (other, _) in itertools.combinations(styles[: len(COLORS)], 2):
        assert np.abs(np.subtract(to_rgb(one), to_rgb(other))).max() > 0.2


def test_numbers_are_placed_by_value_or_logarithm():
    assert sequential_colors([0.01, 0.1, 1.0], is_log=True)[1] == sequential_color(0.5)
    assert sequential_colors([0.0, 1.0, 4.0], is_log=False)[1] == sequential_color(0.25)
    assert sequential_colors([[8], [16], [64]], is_log=True)[1] == sequential_color(0.5)
