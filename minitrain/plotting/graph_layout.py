"""A layered layout of a directed graph: the positions of its boxes and the routes of its arrows.

The method is that of Sugiyama, Tagawa and Toda (1981), Methods for visual understanding of hierarchical system
structures. Each box is in the row above the first of its successors. An arrow that spans several rows is routed through
an empty box in each row between. Rows are ordered to reduce crossings, and boxes are moved to straighten arrows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product

GAP, ROW_GAP = 22.0, 26.0  # points between the boxes of a row, and between rows
SWEEPS = 24  # passes over all rows that reduce crossings
WAYPOINT = (4.0, 0.0)  # the size of the empty box through which a long arrow passes a row
PORT_WIDTH = 0.6  # the share of a box's side over which several arrows are spread
TOLERANCE = 1e-6  # points

Point = tuple[float, float]
Edge = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """Positions in points from the upper left corner.

    Attributes:
        centers: The center of each box.
        routes: The points of each edge, from the lower side of a box to the upper side of another.
    """

    centers: list[Point]
    routes: list[list[Point]]


@dataclass(frozen=True)
class _Grid:
    """Boxes in rows; boxes from number `real` on are waypoints of arrows that span several rows.

    Attributes:
        sizes: The width and height of each box.
        row_of: The row of each box.
        chains: The boxes that each edge passes, both ends included.
        real: The number of boxes that are not waypoints.
    """

    sizes: list[Point]
    row_of: list[int]
    chains: list[list[int]]
    real: int

    @property
    def links(self) -> list[Edge]:
        """The edges between adjacent rows."""
        return [link for chain in self.chains for link in pairwise(chain)]

    @property
    def rows(self) -> list[list[int]]:
        """The boxes of each row, by number."""
        rows: list[list[int]] = [[] for _ in range(max(self.row_of) + 1)]
        for box, row in enumerate(self.row_of):
            rows[row].append(box)
        return rows


def compute_layout(sizes: Sequence[Point], edges: Sequence[Edge]) -> Layout:
    """Compute the layout of a directed graph.

    Args:
        sizes: The width and height of each box.
        edges: Pairs (i, j) of boxes with i < j.

    >>> layout = compute_layout([(20, 10), (20, 10), (20, 10)], [(0, 2), (1, 2)])
    >>> layout.centers
    [(10.0, 5.0), (52.0, 5.0), (31.0, 41.0)]
    """
    grid = _grid(sizes, edges)
    rows = _reduce_crossings(grid.rows, grid.links)
    x = _x_positions(rows, grid)
    left = min(center - width / 2 for center, (width, _) in zip(x, grid.sizes, strict=True))
    x = [center - left for center in x]
    heights = [max(grid.sizes[box][1] for box in row) for row in rows]
    tops = [sum(heights[:row]) + row * ROW_GAP for row in range(len(rows))]
    spans = [(top, top + height) for top, height in zip(tops, heights, strict=True)]
    centers = [(x[box], tops[row] + heights[row] / 2) for box, row in enumerate(grid.row_of)]
    return Layout(centers[: len(sizes)], _routes(grid, centers, spans))


def _grid(sizes: Sequence[Point], edges: Sequence[Edge]) -> _Grid:
    """Assign boxes to rows, and add waypoints for edges that span several rows."""
    row_of = _rows(len(sizes), edges)
    all_sizes = [*sizes]
    chains: list[list[int]] = []
    for first, last in edges:
        between = range(row_of[first] + 1, row_of[last])
        chains.append([first, *range(len(all_sizes), len(all_sizes) + len(between)), last])
        all_sizes += [WAYPOINT] * len(between)
        row_of += between
    return _Grid(all_sizes, row_of, chains, len(sizes))


def _rows(count: int, edges: Sequence[Edge]) -> list[int]:
    """The row of each box: the lowest one above its successors."""
    rows_below = [0] * count
    for start, end in sorted(edges, reverse=True):
        rows_below[start] = max(rows_below[start], rows_below[end] + 1)
    return [max(rows_below) - below for below in rows_below]


# Routes


def _routes(grid: _Grid, centers: Sequence[Point], spans: Sequence[Point]) -> list[list[Point]]:
    """The points of each edge. `spans`: the top and bottom of each row."""
    leaving: dict[int, list[tuple[float, int]]] = {}
    arriving: dict[int, list[tuple[float, int]]] = {}
    for edge, chain in enumerate(grid.chains):
        leaving.setdefault(chain[0], []).append((centers[chain[1]][0], edge))
        arriving.setdefault(chain[-1], []).append((centers[chain[-2]][0], edge))
    routes = []
    for edge, chain in enumerate(grid.chains):
        route: list[Point] = []
        for box in chain:
            top, bottom = spans[grid.row_of[box]]
            (x, y), (width, height) = centers[box], grid.sizes[box]
            if box == chain[0]:
                port = _port(x, width, leaving[box], edge)
                route += [(port, y + height / 2), (port, bottom)]
            elif box == chain[-1]:
                port = _port(x, width, arriving[box], edge)
                route += [(port, top), (port, y - height / 2)]
            else:
                route += [(x, top), (x, bottom)]
        routes.append([*dict.fromkeys(route)])
    return routes


def _port(center: float, width: float, arrows: list[tuple[float, int]], edge: int) -> float:
    """The x at which an arrow touches a box; several arrows are side by side, in the order of their other ends."""
    rank = [number for _, number in sorted(arrows)].index(edge)
    return center + width * PORT_WIDTH * ((rank + 0.5) / len(arrows) - 0.5)


# The order of each row


def _neighbors(links: Sequence[Edge]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """The linked boxes above and below each box."""
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for start, end in links:
        above.setdefault(end, []).append(start)
        below.setdefault(start, []).append(end)
    return above, below


def _reduce_crossings(rows: list[list[int]], links: Sequence[Edge]) -> list[list[int]]:
    """Sort each row by the mean position of its neighbors in the next row, alternately downwards and upwards.

    Returns:
        The order with the fewest crossings of all sweeps.
    """
    above, below = _neighbors(links)
    best, fewest = rows, _count_crossings(rows, links)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        is_upward = sweep % 2 == 1
        rows = [[*row] for row in rows]
        for row in reversed(rows) if is_upward else rows:
            _sort_by_neighbors(row, rows, below if is_upward else above)
        crossings = _count_crossings(rows, links)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _sort_by_neighbors(row: list[int], rows: list[list[int]], neighbors: Mapping[int, list[int]]) -> None:
    position = {box: float(i) for boxes in rows for i, box in enumerate(boxes)}
    barycenter = {box: _mean([position[neighbor] for neighbor in neighbors.get(box, [box])]) for box in row}
    row.sort(key=barycenter.__getitem__)


def _count_crossings(rows: list[list[int]], links: Sequence[Edge]) -> int:
    position = {box: i for row in rows for i, box in enumerate(row)}
    row_of = {box: r for r, row in enumerate(rows) for box in row}
    links_of_row: dict[int, list[Edge]] = {}
    for start, end in links:
        links_of_row.setdefault(row_of[start], []).append((position[start], position[end]))
    pairs = (pair for edges in links_of_row.values() for pair in combinations(edges, 2))
    return sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in pairs)


# Positions within the rows


class _Track:
    """Boxes that move horizontally as one, such as a straight sequence of layers.

    Attributes:
        number: The number of the track.
        x: The center of its boxes.
        linked: The tracks that arrows lead to and come from, one entry for each arrow.
        beside: The tracks to the right (1) and to the left (-1), with their least distances.
    """

    def __init__(self, number: int, x: float) -> None:
        self.number = number
        self.x = x
        self.linked: list[_Track] = []
        self.beside: dict[int, set[tuple[_Track, float]]] = {1: set(), -1: set()}


def _x_positions(rows: list[list[int]], grid: _Grid) -> list[float]:
    """The center of each box: close to its neighbors, without overlaps.

    Initially, all tracks are as far left as possible. Then each track in turn is moved towards the tracks that it is
    linked to, as far as there is room, and pushes the tracks beside it along.
    """
    gaps = [(i, j, (grid.sizes[i][0] + grid.sizes[j][0]) / 2 + GAP) for row in rows for i, j in pairwise(row)]
    track_of = _tracks(rows, grid, gaps)
    tracks = list(dict.fromkeys(track_of))
    for _ in range(2 * SWEEPS):
        for track, side in product(tracks, (1, -1)):
            _move(track, side)
    return [track.x for track in track_of]


def _tracks(rows: list[list[int]], grid: _Grid, gaps: Sequence[tuple[int, int, float]]) -> list[_Track]:
    """The track of each box."""
    number_of, x = _straight_tracks(rows, grid, gaps)
    tracks = {number: _Track(number, x[number]) for number in number_of}
    track_of = [tracks[number] for number in number_of]
    for i, j in grid.links:
        if track_of[i] is not track_of[j]:
            track_of[i].linked.append(track_of[j])
            track_of[j].linked.append(track_of[i])
    for i, j, gap in gaps:
        track_of[j].beside[-1].add((track_of[i], gap))
        track_of[i].beside[1].add((track_of[j], gap))
    return track_of


def _move(track: _Track, side: int) -> None:
    """Move a track and the tracks that it pushes to one side, towards the tracks that they are linked to."""
    moving = _pushed(track, side)
    pulls = [side * (other.x - t.x) for t in moving for other in t.linked if other not in moving]
    room = [side * (other.x - t.x) - gap for t in moving for other, gap in t.beside[side] if other not in moving]
    shift = min([_mean(pulls), *room]) if pulls else 0.0
    if shift > 0:
        for t in moving:
            t.x += side * shift


def _pushed(track: _Track, side: int) -> list[_Track]:
    """The track, and those that it touches on a side, directly or through others."""
    moving = [track]
    position = 0
    while position < len(moving):
        current = moving[position]
        touching = {
            other for other, gap in current.beside[side] if side * (other.x - current.x) < gap + TOLERANCE
        }.difference(moving)
        moving += sorted(touching, key=lambda other: other.number)
        position += 1
    return moving


def _straight_tracks(
    rows: list[list[int]], grid: _Grid, gaps: Sequence[tuple[int, int, float]]
) -> tuple[list[int], dict[int, float]]:
    """The number of the straight track that each box is on, and the leftmost position of each track.

    A box is on the track of its input with the longest path to it, if there is one such input and the track remains
    straight. So are the waypoints of a long arrow.
    """
    number_of = list(range(sum(map(len, rows))))
    x = _pack(number_of, gaps) or {}  # boxes that are tracks by themselves always fit
    for box, main_input in _main_inputs(rows, grid):
        joined = [number_of[main_input] if number == number_of[box] else number for number in number_of]
        packed = _pack(joined, gaps)
        if packed is not None:
            number_of, x = joined, packed
    return number_of, x


def _main_inputs(rows: list[list[int]], grid: _Grid) -> list[Edge]:
    """Pairs of a box and its only input with the longest path to it, if both are waypoints or neither is one."""
    above, _ = _neighbors(grid.links)
    length: dict[int, int] = {}  # of the longest path to a box
    pairs = []
    for box in (box for row in rows for box in row):
        is_real = box < grid.real
        inputs = above.get(box, [])
        longest = max((length[i] for i in inputs), default=0)
        length[box] = longest + 1 if is_real else longest
        candidates = {i for i in inputs if length[i] == longest}
        if len(candidates) == 1 and is_real == (min(candidates) < grid.real):
            pairs.append((box, min(candidates)))
    return pairs


def _pack(number_of: Sequence[int], gaps: Sequence[tuple[int, int, float]]) -> dict[int, float] | None:
    """Move every track as far left as the gaps allow; None if tracks cross and thus cannot be straight."""
    x = dict.fromkeys(number_of, 0.0)
    for _ in range(len(x) + 1):
        has_moved = False
        for i, j, gap in gaps:
            if x[number_of[j]] < x[number_of[i]] + gap:
                x[number_of[j]] = x[number_of[i]] + gap
                has_moved = True
        if not has_moved:
            return x
    return None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
