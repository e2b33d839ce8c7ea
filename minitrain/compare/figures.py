"""All figures of a comparison and its report page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from minitrain.compare.comparison import Comparison
from minitrain.compare.curves_plot import draw_curves
from minitrain.compare.heatmap_plot import draw_heatmap
from minitrain.compare.lines import View
from minitrain.compare.report import write_report
from minitrain.compare.results import MISSING, value_of
from minitrain.compare.values_plot import draw_values
from minitrain.errors import ConfigError, plural
from minitrain.plotting.figures import (
    DEFAULT_FORMATS,
    FONT_SIZE,
    Size,
    content_fits,
    metric_title,
    own_style,
    remove_figures,
    save_figures,
)
from minitrain.storage.directories import claim_directory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    CaptionedFigures = Mapping[str, tuple[str, Figure]]  # name -> caption and figure

FIGURES = ("comparison", "heatmap", "values")  # the names of all figures
MOST_NAMED_KEYS = 4  # in a title


@dataclass(frozen=True)
class FigureOptions:
    """How figures look, as the user may request.

    Attributes:
        title: The title of all figures and of the page; None for `default_title`.
        size: The width and height of each figure in inches; None for sizes that fit their content.
        font_size: The size in points that all texts are relative to.
        formats: The formats of the files; PNG is one of them, since the page contains the figures as PNG.
    """

    title: str | None = None
    size: Size | None = None
    font_size: float = FONT_SIZE
    formats: tuple[str, ...] = DEFAULT_FORMATS


def default_title(comparison: Comparison) -> str:
    """What is compared: `Validation accuracy by lr and activation (mlp on digits)`."""
    metric = metric_title(comparison.ranking.metric)
    if metric != comparison.ranking.metric:  # words, not the name of a column
        metric = metric[:1].upper() + metric[1:]
    keys = list(comparison.keys)
    if len(keys) > MOST_NAMED_KEYS:
        keys = [*keys[: MOST_NAMED_KEYS - 1], f"{len(keys) - MOST_NAMED_KEYS + 1} other keys"]
    by = " and ".join([", ".join(keys[:-1]), keys[-1]] if len(keys) > 1 else keys)
    subject = f" by {by}" if by else f" of {plural(len(comparison.results), 'run')}"
    network, data = (_common_value(comparison, key) for key in ("network", "data"))
    setting = " on ".join(name for name in (network, data) if name)
    return f"{metric}{subject}" + (f" ({setting})" if setting else "")


def _common_value(comparison: Comparison, key: str) -> str:
    """The value of a key that all runs share; empty if they differ."""
    values = {str(value_of(run, key)) for run in comparison.results} - {MISSING}
    return values.pop() if len(values) == 1 else ""


def write_comparison(
    comparison: Comparison,
    directory: Path | None,
    command: str = "",
    view: View | None = None,
    options: FigureOptions | None = None,
) -> dict[str, Path]:
    """Draw and write the figures of a comparison, and the report page.

    The figures are `comparison` (curves), `heatmap` (scores over two keys) and `values` (scores over one key); a figure
    that would not be informative is omitted.

    Args:
        comparison: The groups of runs.
        directory: Where to write; None creates a new directory below outputs/comparisons.
        command: Where the runs come from, such as the command of a sweep; the page states it.
        view: How curves are displayed.
        options: How figures look.

    Returns:
        The path of each PNG by the name of its figure, and of the page as `report`.
    """
    options = options or FigureOptions()
    return write_figures(comparison, draw_comparison(comparison, view, options), directory, command, options)


def draw_comparison(
    comparison: Comparison, view: View | None = None, options: FigureOptions | None = None
) -> dict[str, tuple[str, Figure]]:
    """Draw the informative figures of a comparison: name -> caption and figure.

    Raises:
        ConfigError: The size of the options is too small.
    """
    options = options or FigureOptions()
    title = default_title(comparison) if options.title is None else options.title
    with own_style(options.font_size):
        figures = {
            "comparison": ("Curves", draw_curves(comparison, title, view or View(), options.size)),
            "heatmap": ("Scores over two keys", draw_heatmap(comparison, title, options.size)),
            "values": ("Scores over one key", draw_values(comparison, title, options.size)),
        }
        informative = {name: (text, figure) for name, (text, figure) in figures.items() if figure is not None}
        if options.size is not None:
            for name, (_, figure) in informative.items():
                _require_room(figure, name, options)
    return informative


def _require_room(figure: Figure, name: str, options: FigureOptions) -> None:
    """Raise ConfigError if the requested size is too small for the content of a figure."""
    if not content_fits(figure):
        width, height = figure.get_size_inches()
        raise ConfigError(
            f"--size {width:g}x{height:g}: too small for {name}.png with texts of {options.font_size:g} points; "
            "choose a larger size, or a smaller --font-size"
        )


def write_figures(
    comparison: Comparison,
    figures: CaptionedFigures,
    directory: Path | None,
    command: str = "",
    options: FigureOptions | None = None,
) -> dict[str, Path]:
    """Write drawn figures and the report page, and remove earlier ones that are not informative or of other formats."""
    options = options or FigureOptions()
    if directory is None:
        directory = claim_directory(Path("outputs", "comparisons"))
    for name in FIGURES:
        remove_figures(directory, name, kept=options.formats if name in figures else ())
    paths, path_of_caption = {}, {}
    with own_style(options.font_size):
        for name, (caption, figure) in figures.items():
            paths[name] = path_of_caption[caption] = save_figures(figure, directory, name, options.formats)
    paths["report"] = directory / "report.html"
    title = default_title(comparison) if options.title is None else options.title
    write_report(comparison, path_of_caption, paths["report"], title, command)
    return paths
