"""A layered layout of a directed graph: where its boxes and arrows go (Sugiyama, Tagawa, Toda 1981).

Each box stands in the row just above the first of those it points to. An arrow over several rows is led through
empty places in between. Rows are ordered so that few arrows cross, and boxes moved so that arrows are straight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

GAP, ROW_GAP = 16.0, 26.0  # points between neighbours of a row, and between rows
SWEEPS = 24

Point = tuple[float, float]
Edge = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """Where everything is, in points from the upper left corner.

    centres: the middle of each box
    routes: the points that each edge runs through, from the lower side of a box to the upper side of another
    """

    centres: list[Point]
    routes: list[list[Point]]


def layered(sizes: Sequence[Point], edges: Sequence[Edge]) -> Layout:
    """The layout of boxes of given widths and heights; an edge (i, j) has i < j.

    >>> found = layered([(20, 10), (20, 10), (20, 10)], [(0, 2), (1, 2)])
    >>> found.centres
    [(10.0, 5.0), (46.0, 5.0), (28.0, 41.0)]
    """
    row_of = _rows(len(sizes), edges)
    boxes = [*sizes]
    chains: list[list[int]] = []
    for first, last in edges:
        between = range(row_of[first] + 1, row_of[last])
        chains.append([first, *range(len(boxes), len(boxes) + len(between)), last])
        boxes += [(4.0, 0.0)] * len(between)
        row_of += between
    links = [link for chain in chains for link in pairwise(chain)]
    rows: list[list[int]] = [[] for _ in range(max(row_of) + 1)]
    for i, row in enumerate(row_of):
        rows[row].append(i)
    rows = _with_few_crossings(rows, links)
    x = _with_straight_arrows(_straightened(rows, links, boxes, len(sizes)), rows, boxes, chains)
    left = min(place - box[0] / 2 for place, box in zip(x, boxes, strict=True))
    x = [place - left for place in x]

    heights = [max(boxes[i][1] for i in row) for row in rows]
    tops = [sum(heights[:r]) + r * ROW_GAP for r in range(len(rows))]
    y = [tops[row] + heights[row] / 2 for row in row_of]
    leaving: dict[int, list[tuple[float, int]]] = {}
    arriving: dict[int, list[tuple[float, int]]] = {}
    for number, chain in enumerate(chains):
        leaving.setdefault(chain[0], []).append((x[chain[1]], number))
        arriving.setdefault(chain[-1], []).append((x[chain[-2]], number))
    routes = []
    for number, chain in enumerate(chains):
        start, *bends, end = chain
        route = [(_port(x[start], boxes[start][0], leaving[start], number), y[start] + boxes[start][1] / 2)]
        for i in bends:
            route += [(x[i], tops[row_of[i]]), (x[i], tops[row_of[i]] + heights[row_of[i]])]
        route.append((_port(x[end], boxes[end][0], arriving[end], number), y[end] - boxes[end][1] / 2))
        routes.append(route)
    return Layout([(x[i], y[i]) for i in range(len(sizes))], routes)


def _rows(count: int, edges: Sequence[Edge]) -> list[int]:
    """The row of each box: as far down as those it points to allow."""
    above_end = [0] * count
    for start, end in sorted(edges, reverse=True):
        above_end[start] = max(above_end[start], above_end[end] + 1)
    return [max(above_end) - n for n in above_end]


def _port(centre: float, width: float, arrows: list[tuple[float, int]], number: int) -> float:
    """Where an arrow touches a box that several share: side by side, in the order in which they come."""
    place = [n for _, n in sorted(arrows)].index(number)
    return centre + width * 0.6 * ((place + 0.5) / len(arrows) - 0.5)


def _neighbours(links: Sequence[Edge]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Above and below each box."""
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for i, j in links:
        above.setdefault(j, []).append(i)
        below.setdefault(i, []).append(j)
    return above, below


def _with_few_crossings(rows: list[list[int]], links: Sequence[Edge]) -> list[list[int]]:
    """Order each row by the mean place of its neighbours in the next, downwards and upwards; the best is kept."""
    above, below = _neighbours(links)
    best, fewest = rows, _crossings(rows, links)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        neighbours = below if sweep % 2 else above
        rows = [[*row] for row in rows]
        for row in rows[::-1] if sweep % 2 else rows:
            place = {i: float(n) for each in rows for n, i in enumerate(each)}
            middle = {i: _mean([place[k] for k in neighbours.get(i, [i])]) for i in row}
            row.sort(key=middle.__getitem__)
        crossings = _crossings(rows, links)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _crossings(rows: list[list[int]], links: Sequence[Edge]) -> int:
    place = {i: n for row in rows for n, i in enumerate(row)}
    row_of = {i: r for r, row in enumerate(rows) for i in row}
    by_row: dict[int, list[Edge]] = {}
    for i, j in links:
        by_row.setdefault(row_of[i], []).append((place[i], place[j]))
    return sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for each in by_row.values() for a, b in combinations(each, 2))


def _straightened(rows: list[list[int]], links: Sequence[Edge], boxes: Sequence[Point], real: int) -> list[float]:
    """The middle of each box: near its neighbours, and none over another.

    Of what a box is reached from, only the longest line pulls it: that one is straight, and leaves stand beside it.
    """
    above, below = _neighbours(links)
    length = [0] * len(boxes)  # of the longest line to it
    for row in rows:
        for i in row:
            length[i] = max((length[k] + (i < real) for k in above.get(i, [])), default=0)

    def straight(i: int, j: int) -> bool:
        return j < real and length[i] == max(length[k] for k in above[j])

    pulls = []
    for i in range(len(boxes)):
        onward = below.get(i, [])
        lines = [k for k in onward if straight(i, k)]
        pulls.append((lines or onward) + [k for k in above.get(i, []) if i >= real or straight(k, i)])
    x = [0.0] * len(boxes)
    for sweep in range(4 * SWEEPS):
        for row in rows[::-1] if sweep % 2 else rows:
            wanted = [_mean([x[k] for k in pulls[i]] or [0.0]) for i in row]
            for i, place in zip(row, _apart(wanted, _gaps(row, boxes)), strict=True):
                x[i] = place
    return x


def _with_straight_arrows(
    x: list[float], rows: list[list[int]], boxes: Sequence[Point], chains: Sequence[Sequence[int]]
) -> list[float]:
    """Each long arrow moved as a whole to the place of its outermost point, on the side where there is room."""
    for _, *between, _ in chains:
        for outermost in (max, min):
            moved = [*x]
            for i in between:
                moved[i] = outermost(x[k] for k in between)
            if all(
                moved[j] - moved[i] >= gap - 1e-6
                for row in rows
                for (i, j), gap in zip(pairwise(row), _gaps(row, boxes), strict=True)
            ):
                x = moved
                break
    return x


def _gaps(row: Sequence[int], boxes: Sequence[Point]) -> list[float]:
    """How far apart the middles of neighbours are at least."""
    return [(boxes[i][0] + boxes[j][0]) / 2 + GAP for i, j in pairwise(row)]


def _apart(wanted: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The places nearest to those wanted, in squares, that keep the gaps: isotonic regression, by pooling."""
    offsets = [sum(gaps[:i]) for i in range(len(wanted))]
    pools: list[list[float]] = []
    for place, offset in zip(wanted, offsets, strict=True):
        pools.append([place - offset])
        while len(pools) > 1 and _mean(pools[-2]) > _mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    return [_mean(pool) + offset for pool, offset in zip([p for p in pools for _ in p], offsets, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
