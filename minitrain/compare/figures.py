"""All figures of a comparison and its report page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from minitrain.compare.comparison import Comparison
from minitrain.compare.curves_plot import View, draw_curves
from minitrain.compare.report import write_report
from minitrain.compare.values_plot import draw_heatmap, draw_values
from minitrain.plotting.figures import own_style, remove_figures, save_figures
from minitrain.storage.directories import claim_directory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    CaptionedFigures = Mapping[str, tuple[str, Figure]]  # name -> caption and figure

FIGURES = ("comparison", "heatmap", "values")  # the names of all figures


def write_comparison(
    comparison: Comparison, directory: Path | None, title: str, view: View | None = None
) -> dict[str, Path]:
    """Draw and write the figures of a comparison as PNG and SVG, and the report page.

    The figures are `comparison` (curves), `heatmap` (scores over two keys) and `values` (scores over a numeric key);
    a figure that would not be informative is omitted.

    Args:
        comparison: The groups of runs.
        directory: Where to write; None creates a new directory below outputs/comparisons.
        title: What was compared, such as the command of a sweep.
        view: How curves are displayed.

    Returns:
        The path of each PNG by the name of its figure, and of the page as `report`.
    """
    return write_figures(comparison, draw_comparison(comparison, title, view), directory, title)


@own_style()
def draw_comparison(comparison: Comparison, title: str, view: View | None = None) -> dict[str, tuple[str, Figure]]:
    """Draw the informative figures of a comparison: name -> caption and figure."""
    figures = {
        "comparison": ("Curves", draw_curves(comparison, title, view or View())),
        "heatmap": ("Scores over two keys", draw_heatmap(comparison, title)),
        "values": ("Scores over one key", draw_values(comparison, title)),
    }
    return {name: (caption, figure) for name, (caption, figure) in figures.items() if figure is not None}


@own_style()
def write_figures(
    comparison: Comparison, figures: CaptionedFigures, directory: Path | None, title: str
) -> dict[str, Path]:
    """Write drawn figures and the report page, and remove figures of fewer runs that would not be informative now."""
    if directory is None:
        directory = claim_directory(Path("outputs", "comparisons"))
    for name in FIGURES:
        if name not in figures:
            remove_figures(directory, name)
    paths, path_of_caption = {}, {}
    for name, (caption, figure) in figures.items():
        paths[name] = path_of_caption[caption] = save_figures(figure, directory, name)
    paths["report"] = directory / "report.html"
    write_report(comparison, path_of_caption, paths["report"], title)
    return paths
