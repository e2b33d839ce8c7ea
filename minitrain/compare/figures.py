"""All figures of a comparison, and its report page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from minitrain.compare.comparison import Comparison
from minitrain.compare.curves_plot import View, draw_curves
from minitrain.compare.report import write_report
from minitrain.compare.values_plot import draw_heatmap, draw_values
from minitrain.plotting.figures import save_figures
from minitrain.storage.directories import claim_directory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Drawn = dict[str, tuple[str, Figure]]


def write_comparison(
    comparison: Comparison, directory: Path | None, title: str, view: View | None = None
) -> dict[str, Path]:
    """All figures that say something of these runs, as PNG and SVG, and a page; name -> PNG or page.

    directory: None takes a new one, when nothing can be wrong any more

    comparison: the curves; heatmap: the judged value over two keys; values: against one key that is a number
    report: a page with all of it, to look into each run
    """
    return write_figures(comparison, draw_comparison(comparison, title, view), directory, title)


def draw_comparison(comparison: Comparison, title: str, view: View | None = None) -> Drawn:
    """Name -> caption and figure, for all figures that say something of these runs."""
    figures = {
        "comparison": ("Curves", draw_curves(comparison, title, view or View())),
        "heatmap": ("Over two keys", draw_heatmap(comparison, title)),
        "values": ("Against one key", draw_values(comparison, title)),
    }
    return {name: (caption, figure) for name, (caption, figure) in figures.items() if figure is not None}


def write_figures(comparison: Comparison, figures: Drawn, directory: Path | None, title: str) -> dict[str, Path]:
    if directory is None:
        directory = claim_directory(Path("outputs", "comparisons"))
    written, pictures = {}, {}
    for name, (caption, figure) in figures.items():
        written[name] = pictures[caption] = save_figures(figure, directory, name)
    written["report"] = directory / "report.html"
    write_report(comparison, pictures, written["report"], title)
    return written
