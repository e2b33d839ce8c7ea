"""Figures of computation graphs: of the expression that computes a value, and of a network layer by layer."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from minitrain.autograd.tensor import Tensor
from minitrain.data import RowsOnDisk
from minitrain.nn.module import Module
from minitrain.plotting.figures import new_figure, own_style, save_figure
from minitrain.plotting.graph_diagram import (
    MOST_NODES,
    Frame,
    Graph,
    Node,
    count_of,
    graph_of,
    graph_of_network,
    kind_of,
)
from minitrain.plotting.graph_layout import Layout, Point, compute_layout
from minitrain.plotting.palette import BLUE, GRAY, GREEN, ORANGE, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@own_style()
def draw(tensor: Tensor, path: str | Path | None = None) -> Figure | list[Path]:
    """Draw the expression that computes a value: values, operations and, after `backward`, gradients.

    Parameters are blue, constants gray. The entries of small arrays are written out; for larger arrays, the data type,
    the shape and the norm of the gradient. Of more than 40 nodes, those nearest to the value are drawn.

    Args:
        tensor: The value.
        path: A PNG or SVG file; without a suffix, both are written.

    Returns:
        The paths of the files; without a path, the figure, which a notebook displays.

    Raises:
        ValueError: The path has another suffix.
        TypeError: `tensor` is not a Tensor.

    >>> from minitrain import Parameter
    >>> a, b = Parameter(3.0, "a"), Parameter(2.0, "b")
    >>> figure = draw(a * b)
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"draw: expected a Tensor, got a {type(tensor).__name__}; to draw a network, use draw_network")
    paths = _output_paths(path)
    return _save_or_return(_draw_graph(graph_of(tensor), [], ""), paths)


@own_style()
def draw_network(
    model: Module,
    x: ArrayLike | RowsOnDisk,
    loss: Callable[[Tensor, Any], Tensor] | None = None,
    target: Any = None,
    path: str | Path | None = None,
) -> Figure | list[Path]:
    """Draw a network from its input through its layers to its output, or to the loss.

    Each layer is drawn with its type, name, options, parameters and the shape of its output. A module that contains
    layers, such as a Residual, has a frame, unless the frame would overlap other boxes. Of more than 40 nodes, modules
    that contain layers are one box each.

    Args:
        model: The network; a copy of it is run, in its current mode.
        x: An example input: [batch, ...]
        loss: A function of output and target.
        target: The target.
        path: As for `draw`.

    Returns:
        As for `draw`.

    Raises:
        ValueError: The path has another suffix than .png or .svg.

    >>> from minitrain import nn
    >>> figure = draw_network(nn.Linear(2, 1, rng=0), [[1.0, 1.0]])
    """
    paths = _output_paths(path)
    graph, frames = graph_of_network(model, x, loss, target)
    heading = ", ".join(filter(None, [kind_of(model), count_of(model)]))
    return _save_or_return(_draw_graph(graph, frames, heading), paths)


def _output_paths(path: str | Path | None) -> list[Path]:
    if path is None:
        return []
    path = Path(path)
    if path.suffix not in (".png", ".svg", ""):
        raise ValueError(f"draw: {path}: expected a path that ends in .png or .svg, or without a suffix for both")
    return [path] if path.suffix else [path.with_suffix(".png"), path.with_suffix(".svg")]


def _save_or_return(figure: Figure, paths: list[Path]) -> Figure | list[Path]:
    for path in paths:
        save_figure(figure, path)
    if paths:
        return paths

    @own_style()
    def as_png() -> bytes:
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()

    figure._repr_png_ = as_png  # type: ignore[attr-defined]  # notebooks call it; only pyplot would set it
    return figure


# Drawing. All sizes are in points, 72 to the inch, so that boxes fit their text.

FONT_SIZE, LINE_HEIGHT, MARGIN = 9.0, 12.5, 9.0
PAD_X, PAD_Y = 9.0, 5.0  # between a box and its text
FRAME_PAD = 4.0  # between a frame and what it contains
COLORS_OF_KIND = {  # fill and edge
    "parameter": ("#E0EEF7", BLUE),
    "constant": ("#F1F1F1", GRAY),
    "operation": ("white", "#404040"),
    "layer": ("#E2F3ED", GREEN),
    "loss": ("#FBE9DF", VERMILION),
    "omitted": ("white", "white"),
}


@dataclass(frozen=True)
class _Outline:
    """The rectangle of a frame, by its upper left and lower right corner."""

    frame: Frame
    upper: Point
    lower: Point


class _TextRuler:
    """Measures the width of texts."""

    def __init__(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        self._renderer = FigureCanvasAgg(new_figure(1, 1)).get_renderer()  # type: ignore[no-untyped-call]

    def width(self, text: str, weight: str = "normal") -> float:
        from matplotlib.font_manager import FontProperties

        font = FontProperties(size=FONT_SIZE, weight=weight)
        pixels: float = self._renderer.get_text_width_height_descent(text, font, ismath=False)[0]
        return pixels * 72 / self._renderer.dpi

    def box_size(self, node: Node) -> Point:
        """The width and height of a node's box."""
        widest = max([self.width(node.title, "bold"), *map(self.width, node.notes)])
        return widest + 2 * PAD_X, LINE_HEIGHT * (1 + len(node.notes)) + 2 * PAD_Y


def _draw_graph(graph: Graph, frames: Sequence[Frame], heading: str) -> Figure:
    ruler = _TextRuler()
    sizes = [ruler.box_size(node) for node in graph.nodes]
    layout = compute_layout(sizes, graph.edges)
    outlines = _outlines(frames, graph, sizes, layout)
    if graph.count > MOST_NODES:
        heading += f"{', ' if heading else ''}{MOST_NODES} of {graph.count:,} nodes drawn: the nearest to the result"
    axes = _new_axes(_content_extent(sizes, layout, outlines), heading, ruler.width(heading, "bold"))
    for outline in outlines:
        _draw_frame(axes, outline)
    for route in layout.routes:
        _draw_arrow(axes, route)
    for node, center, size in zip(graph.nodes, layout.centers, sizes, strict=True):
        _draw_box(axes, node, center, size)
    figure: Figure = axes.get_figure(root=True)  # type: ignore[assignment]  # it has just been made
    return figure


def _content_extent(sizes: Sequence[Point], layout: Layout, outlines: Sequence[_Outline]) -> tuple[Point, Point]:
    """The extent of boxes, frames and arrows along x and along y."""
    corners = [
        (x + side * width / 2, y + side * height / 2)
        for (x, y), (width, height) in zip(layout.centers, sizes, strict=True)
        for side in (-1, 1)
    ]
    corners += [corner for outline in outlines for corner in (outline.upper, outline.lower)]
    corners += [point for route in layout.routes for point in route]
    return _extent(corners)


def _new_axes(extent: tuple[Point, Point], heading: str, heading_width: float) -> Axes:
    """The axes of a new figure that fits the graph and its heading."""
    (left, right), (top, bottom) = extent
    missing_width = max(0, (heading_width - (right - left)) / 2)
    left, right = left - MARGIN - missing_width, right + MARGIN + missing_width
    top, bottom = top - MARGIN - (2 * LINE_HEIGHT if heading else 0), bottom + MARGIN
    figure = new_figure((right - left) / 72, (bottom - top) / 72)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    axes.text((left + right) / 2, top + MARGIN, heading, size=FONT_SIZE, ha="center", va="top", weight="bold")
    return axes


def _outlines(frames: Sequence[Frame], graph: Graph, sizes: Sequence[Point], layout: Layout) -> list[_Outline]:
    """The outlines of frames, inner ones before outer ones.

    An outline encloses the outlines, boxes and arrows of its members and its title. A frame that would overlap other
    boxes is omitted.
    """
    corners = [
        ((x - width / 2, y - height / 2), (x + width / 2, y + height / 2))
        for (x, y), (width, height) in zip(layout.centers, sizes, strict=True)
    ]
    outlines: list[_Outline] = []
    for frame in frames:
        points = [
            corner
            for outline in outlines
            if outline.frame.members <= frame.members
            for corner in (outline.upper, outline.lower)
        ]
        points += [corner for i in frame.members for corner in corners[i]]
        points += _inner_points(frame, graph, layout)
        (left, right), (top, bottom) = _extent(points)
        upper = left - LINE_HEIGHT - FRAME_PAD, top - FRAME_PAD
        lower = right + FRAME_PAD, bottom + FRAME_PAD
        others = [box for i, box in enumerate(corners) if i not in frame.members]
        if not any(_overlap((upper, lower), box) for box in others):
            outlines.append(_Outline(frame, upper, lower))
    return outlines


def _inner_points(frame: Frame, graph: Graph, layout: Layout) -> list[Point]:
    """The points of the arrows to the members of a frame, without their ends."""
    points: list[Point] = []
    for (_, end), route in zip(graph.edges, layout.routes, strict=True):
        if end in frame.members:
            points += route[1:-1]
    return points


def _overlap(first: tuple[Point, Point], second: tuple[Point, Point]) -> bool:
    """Whether two rectangles, by their upper left and lower right corners, overlap."""
    (left, top), (right, bottom) = first
    (other_left, other_top), (other_right, other_bottom) = second
    return left < other_right and other_left < right and top < other_bottom and other_top < bottom


def _extent(points: Sequence[Point]) -> tuple[Point, Point]:
    """The least and the largest x, and the least and the largest y."""
    x, y = zip(*points, strict=True)
    return (min(x), max(x)), (min(y), max(y))


def _draw_frame(axes: Axes, outline: _Outline) -> None:
    from matplotlib.patches import Rectangle

    (left, top), (right, bottom) = outline.upper, outline.lower
    axes.add_patch(
        Rectangle(
            outline.upper, right - left, bottom - top, fill=False, edgecolor=ORANGE, linewidth=1.0,
            linestyle=(0, (4, 3)),
        )
    )  # fmt: skip
    axes.text(
        left + FRAME_PAD, (top + bottom) / 2, outline.frame.title, size=FONT_SIZE, rotation=90, ha="left", va="center"
    )


def _draw_arrow(axes: Axes, route: Sequence[Point]) -> None:
    """Draw a curve that enters and leaves each point vertically."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    points = [route[0]]
    for (x, y), (next_x, next_y) in pairwise(route):
        points += [(x, (y + next_y) / 2), (next_x, (y + next_y) / 2), (next_x, next_y)]
    curve = Curve(points, [Curve.MOVETO] + [Curve.CURVE4] * (len(points) - 1))
    axes.add_patch(FancyArrowPatch(path=curve, arrowstyle="-|>", mutation_scale=8, linewidth=0.9, color="#404040"))


def _draw_box(axes: Axes, node: Node, center: Point, size: Point) -> None:
    """Draw a rounded box for a computed value, a square one for a parameter or constant."""
    from matplotlib.patches import FancyBboxPatch

    fill, edge = COLORS_OF_KIND[node.kind]
    (x, y), (width, height) = center, size
    shape = "round,pad=0,rounding_size=5.0" if node.inputs else "square,pad=0"
    corner = x - width / 2, y - height / 2
    axes.add_patch(FancyBboxPatch(corner, width, height, shape, facecolor=fill, edgecolor=edge, linewidth=1.0))
    for i, text in enumerate([node.title, *node.notes]):
        weight, color = "normal" if i else "bold", "black" if i == 0 or not text.startswith("grad") else VERMILION
        text_y = y - height / 2 + PAD_Y + LINE_HEIGHT * (i + 0.5)
        axes.text(x, text_y, text, size=FONT_SIZE, color=color, weight=weight, ha="center", va="center_baseline")
