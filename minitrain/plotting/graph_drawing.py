"""Pictures of computation graphs: of the expression behind a value, and of a network layer by layer."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minitrain.autograd.tensor import Tensor
from minitrain.nn.module import Module
from minitrain.plotting.figures import BLUE, GREEN, GRAY, ORANGE, VERMILION, new_figure, save_figure
from minitrain.plotting.graph_diagram import LARGEST, Frame, Graph, Node, count_of, graph_of, graph_of_network, kind_of
from minitrain.plotting.graph_layout import Layout, Point, layered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(tensor: Tensor, path: str | Path | None = None) -> Figure | list[Path]:
    """Draw the expression behind a value: values, operations and, after `backward`, gradients.

    Blue is a parameter, gray a constant. Small arrays are written out; of larger ones type and shape are told, and
    the length of the gradient. Of more than 40 nodes, those nearest to the value are drawn.

    path: a png or svg file; without an ending, both are written
    Gives the paths of the files; without a path the figure, which a notebook shows.
    Raises ValueError for another ending, TypeError for what is not a Tensor.

    >>> from minitrain import Parameter
    >>> a, b = Parameter(3.0, "a"), Parameter(2.0, "b")
    >>> figure = draw(a * b)
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"draw: expected a Tensor, got a {type(tensor).__name__}; for a network there is draw_network")
    paths = _paths(path)
    return _finished(_figure_of(graph_of(tensor), [], ""), paths)


def draw_network(
    model: Module,
    x: Any,
    loss: Callable[[Tensor, Any], Tensor] | None = None,
    target: Any = None,
    path: str | Path | None = None,
) -> Figure | list[Path]:
    """Draw a network from its input through its layers to its output, or to the loss.

    Of a layer there are its kind, name, options and parameters, and the shape of its output. Layers inside another
    one, such as a Residual, are framed, where no other box stands between. Of more than 40 nodes, modules made of
    layers are one box each.

    x: an example input, [batch, ...]; a copy of the network is run on it, in the mode that the network is in
    loss, target: what compares the output with a target
    path, and what is given and raised: as for `draw`

    >>> from minitrain import nn
    >>> figure = draw_network(nn.Linear(2, 1, rng=0), [[1.0, 1.0]])
    """
    paths = _paths(path)
    graph, frames = graph_of_network(model, x, loss, target)
    heading = ", ".join(filter(None, [kind_of(model), count_of(model)]))
    return _finished(_figure_of(graph, frames, heading), paths)


def _paths(path: str | Path | None) -> list[Path]:
    if path is None:
        return []
    path = Path(path)
    if path.suffix not in (".png", ".svg", ""):
        raise ValueError(f"draw: {path}: expected a path that ends in .png or .svg, or without an ending for both")
    return [path] if path.suffix else [path.with_suffix(".png"), path.with_suffix(".svg")]


def _finished(figure: Figure, paths: list[Path]) -> Figure | list[Path]:
    for path in paths:
        save_figure(figure, path)
    if paths:
        return paths

    def as_png() -> bytes:
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()

    figure._repr_png_ = as_png  # type: ignore[attr-defined]  # what a notebook asks for; without pyplot there is none
    return figure


# Everything is measured in points, 72 to the inch, so that boxes fit their text.
SIZE, LINE, MARGIN = 9.0, 12.5, 9.0


PAD_X, PAD_Y, BESIDE = 9.0, 5.0, 4.0


FILLS = {
    "parameter": ("#E0EEF7", BLUE),
    "constant": ("#F1F1F1", GRAY),
    "operation": ("white", "#404040"),
    "layer": ("#E2F3ED", GREEN),
    "loss": ("#FBE9DF", VERMILION),
    "rest": ("white", "white"),
}


def _figure_of(graph: Graph, frames: Sequence[Frame], heading: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.font_manager import FontProperties

    ruler = FigureCanvasAgg(new_figure(1, 1)).get_renderer()  # type: ignore[no-untyped-call]

    def width(text: str, weight: str = "normal") -> float:
        font = FontProperties(size=SIZE, weight=weight)
        pixels: float = ruler.get_text_width_height_descent(text, font, ismath=False)[0]
        return pixels * 72 / ruler.dpi

    boxes = []
    for node in graph.nodes:
        widest = max([width(node.title, "bold"), *map(width, node.notes)])
        boxes.append((widest + 2 * PAD_X, LINE * (1 + len(node.notes)) + 2 * PAD_Y))
    layout = layered(boxes, graph.edges)
    outlines = _outlines(frames, graph, boxes, layout)
    if graph.count > LARGEST:
        heading += f"{', ' if heading else ''}the {LARGEST} nodes nearest to the result, of {graph.count:,}"

    corners = [
        (x + side * w / 2, y + side * h / 2)
        for (x, y), (w, h) in zip(layout.centers, boxes, strict=True)
        for side in (-1, 1)
    ]
    corners += [corner for _, *ends in outlines for corner in ends]
    corners += [point for route in layout.routes for point in route]
    (left, right), (top, bottom) = _extent(corners)
    short = width(heading, "bold") - (right - left)
    left, right = left - MARGIN - max(0, short / 2), right + MARGIN + max(0, short / 2)
    top, bottom = top - MARGIN - (2 * LINE if heading else 0), bottom + MARGIN
    figure = new_figure((right - left) / 72, (bottom - top) / 72)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    axes.text((left + right) / 2, top + MARGIN, heading, size=SIZE, ha="center", va="top", weight="bold")
    for frame, upper, lower in outlines:
        _outline(axes, frame.title, upper, lower)
    for route in layout.routes:
        _arrow(axes, route)
    for node, center, size in zip(graph.nodes, layout.centers, boxes, strict=True):
        _box(axes, node, center, size)
    return figure


def _outlines(
    frames: Sequence[Frame], graph: Graph, boxes: Sequence[Point], layout: Layout
) -> list[tuple[Frame, Point, Point]]:
    """The upper left and lower right corner of frames, the inner before the outer.

    A frame goes around the frames, boxes and arrows inside, with room for its title. One that would touch another
    box is left out.
    """
    sides = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in zip(layout.centers, boxes, strict=True)]
    outlines: list[tuple[Frame, Point, Point]] = []
    for frame in frames:
        points = [corner for inner, *corners in outlines if inner.members <= frame.members for corner in corners]
        points += [corner for i in frame.members for corner in (sides[i][:2], sides[i][2:])]
        for (_, end), route in zip(graph.edges, layout.routes, strict=True):
            points += route[1:-1] if end in frame.members else []
        (left, right), (top, bottom) = _extent(points)
        left, top, right, bottom = left - LINE - BESIDE, top - BESIDE, right + BESIDE, bottom + BESIDE
        others = [side for i, side in enumerate(sides) if i not in frame.members]
        if all(r <= left or right <= x or b <= top or bottom <= y for x, y, r, b in others):
            outlines.append((frame, (left, top), (right, bottom)))
    return outlines


def _extent(points: Sequence[Point]) -> tuple[Point, Point]:
    """From where to where points lie, along x and y."""
    across, down = zip(*points, strict=True)
    return (min(across), max(across)), (min(down), max(down))


def _outline(axes: Axes, title: str, upper: Point, lower: Point) -> None:
    from matplotlib.patches import Rectangle

    size = lower[0] - upper[0], lower[1] - upper[1]
    axes.add_patch(Rectangle(upper, *size, fill=False, edgecolor=ORANGE, linewidth=1.0, linestyle=(0, (4, 3))))
    at = upper[0] + BESIDE, (upper[1] + lower[1]) / 2
    axes.text(*at, title, size=SIZE, rotation=90, ha="left", va="center")


def _arrow(axes: Axes, route: Sequence[Point]) -> None:
    """A curve that leaves and enters each point vertically."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    points = [route[0]]
    for (x, y), (to_x, to_y) in pairwise(route):
        points += [(x, (y + to_y) / 2), (to_x, (y + to_y) / 2), (to_x, to_y)]
    curve = Curve(points, [Curve.MOVETO] + [Curve.CURVE4] * (len(points) - 1))
    axes.add_patch(FancyArrowPatch(path=curve, arrowstyle="-|>", mutation_scale=8, linewidth=0.9, color="#404040"))


def _box(axes: Axes, node: Node, center: Point, size: Point) -> None:
    """Rounded for what is computed, square for what is given."""
    from matplotlib.patches import FancyBboxPatch

    fill, edge = FILLS[node.kind]
    (x, y), (w, h) = center, size
    rounding = 5.0 if node.inputs else 0.0
    shape = f"round,pad=0,rounding_size={rounding}" if rounding else "square,pad=0"
    axes.add_patch(FancyBboxPatch((x - w / 2, y - h / 2), w, h, shape, facecolor=fill, edgecolor=edge, linewidth=1.0))
    for i, text in enumerate([node.title, *node.notes]):
        weight, color = "normal" if i else "bold", VERMILION if text.startswith("grad ") else "black"
        at = y - h / 2 + PAD_Y + LINE * (i + 0.5)
        axes.text(x, at, text, size=SIZE, color=color, weight=weight, ha="center", va="center_baseline")
