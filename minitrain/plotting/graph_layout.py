"""A layered layout of a directed graph: where its boxes and arrows go (Sugiyama, Tagawa, Toda 1981).

Each box stands in the row just above the first of those it points to. An arrow over several rows is led through
empty places in between. Rows are ordered so that few arrows cross, and boxes moved so that arrows are straight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product

GAP, ROW_GAP = 22.0, 26.0  # points between neighbors of a row, and between rows


SWEEPS = 24


Point = tuple[float, float]


Edge = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """Where everything is, in points from the upper left corner.

    centers: the middle of each box
    routes: the points that each edge runs through, from the lower side of a box to the upper side of another
    """

    centers: list[Point]
    routes: list[list[Point]]


def layered(sizes: Sequence[Point], edges: Sequence[Edge]) -> Layout:
    """The layout of boxes of given widths and heights; an edge (i, j) has i < j.

    >>> found = layered([(20, 10), (20, 10), (20, 10)], [(0, 2), (1, 2)])
    >>> found.centers
    [(10.0, 5.0), (52.0, 5.0), (31.0, 41.0)]
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
    x = _places(rows, links, boxes, len(sizes))
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
        route: list[Point] = []
        for i in chain:
            top, bottom = tops[row_of[i]], tops[row_of[i]] + heights[row_of[i]]
            if i == chain[0]:
                across = _port(x[i], boxes[i][0], leaving[i], number)
                route += [(across, y[i] + boxes[i][1] / 2), (across, bottom)]
            elif i == chain[-1]:
                across = _port(x[i], boxes[i][0], arriving[i], number)
                route += [(across, top), (across, y[i] - boxes[i][1] / 2)]
            else:
                route += [(x[i], top), (x[i], bottom)]
        routes.append([*dict.fromkeys(route)])
    return Layout([(x[i], y[i]) for i in range(len(sizes))], routes)


def _rows(count: int, edges: Sequence[Edge]) -> list[int]:
    """The row of each box: as far down as those it points to allow."""
    above_end = [0] * count
    for start, end in sorted(edges, reverse=True):
        above_end[start] = max(above_end[start], above_end[end] + 1)
    return [max(above_end) - n for n in above_end]


def _port(center: float, width: float, arrows: list[tuple[float, int]], number: int) -> float:
    """Where an arrow touches a box that several share: side by side, in the order in which they come."""
    place = [n for _, n in sorted(arrows)].index(number)
    return center + width * 0.6 * ((place + 0.5) / len(arrows) - 0.5)


def _neighbors(links: Sequence[Edge]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Above and below each box."""
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for i, j in links:
        above.setdefault(j, []).append(i)
        below.setdefault(i, []).append(j)
    return above, below


def _with_few_crossings(rows: list[list[int]], links: Sequence[Edge]) -> list[list[int]]:
    """Order each row by the mean place of its neighbors in the next, downwards and upwards; the best is kept."""
    above, below = _neighbors(links)
    best, fewest = rows, _crossings(rows, links)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        neighbors = below if sweep % 2 else above
        rows = [[*row] for row in rows]
        for row in rows[::-1] if sweep % 2 else rows:
            place = {i: float(n) for each in rows for n, i in enumerate(each)}
            middle = {i: _mean([place[k] for k in neighbors.get(i, [i])]) for i in row}
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


def _places(rows: list[list[int]], links: Sequence[Edge], boxes: Sequence[Point], real: int) -> list[float]:
    """The middle of each box: near its neighbors, and none over another.

    Boxes of one line move as one. First all are as far left as they go. Then each line in turn goes towards what it
    is linked to, as far as there is room, with the lines that it pushes along.
    """
    gaps = [(i, j, (boxes[i][0] + boxes[j][0]) / 2 + GAP) for row in rows for i, j in pairwise(row)]
    line, x = _lines(rows, links, gaps, real)
    linked: dict[int, list[int]] = {n: [] for n in line}
    left_of: dict[int, set[tuple[int, float]]] = {n: set() for n in line}
    right_of: dict[int, set[tuple[int, float]]] = {n: set() for n in line}
    for i, j in links:
        if line[i] != line[j]:
            linked[line[i]].append(line[j])
            linked[line[j]].append(line[i])
    for i, j, gap in gaps:
        left_of[line[j]].add((line[i], gap))
        right_of[line[i]].add((line[j], gap))
    for _ in range(2 * SWEEPS):
        for n, (side, beside) in product(linked, ((1, right_of), (-1, left_of))):
            moving = [n]
            for m in moving:  # which grows
                moving += {k for k, gap in beside[m] if side * (x[k] - x[m]) < gap + 1e-6}.difference(moving)
            pulls = [side * (x[k] - x[m]) for m in moving for k in linked[m] if k not in moving]
            room = [side * (x[k] - x[m]) - gap for m in moving for k, gap in beside[m] if k not in moving]
            shift = min([_mean(pulls), *room]) if pulls else 0.0
            if shift > 0:
                for m in moving:
                    x[m] += side * shift
    return [x[n] for n in line]


def _lines(
    rows: list[list[int]], links: Sequence[Edge], gaps: Sequence[tuple[int, int, float]], real: int
) -> tuple[list[int], dict[int, float]]:
    """The number of the straight line that each box is on, and the leftmost place of each line.

    A line goes on from the input with the longest way to it, where that is one. So does a long arrow.
    """
    above, _ = _neighbors(links)
    length: dict[int, int] = {}  # of the longest way to a box
    line = list(range(sum(map(len, rows))))
    x = _packed(line, gaps)
    assert x is not None  # boxes that are lines of their own fit
    for j in (j for row in rows for j in row):
        inputs = above.get(j, [])
        length[j] = max((length[i] for i in inputs), default=0) + (j < real)
        longest = [i for i in inputs if length[i] == length[j] - (j < real)]
        if len({*longest}) == 1 and (j < real) == (longest[0] < real):
            joined = [line[longest[0]] if n == line[j] else n for n in line]
            packed = _packed(joined, gaps)
            if packed is not None:
                line, x = joined, packed
    return line, x


def _packed(line: Sequence[int], gaps: Sequence[tuple[int, int, float]]) -> dict[int, float] | None:
    """Every line as far left as the gaps allow; None where lines cross, and so cannot be straight."""
    x = dict.fromkeys(line, 0.0)
    for _ in range(len(x) + 1):
        moved = False
        for i, j, gap in gaps:
            if x[line[j]] < x[line[i]] + gap:
                x[line[j]] = x[line[i]] + gap
                moved = True
        if not moved:
            return x
    return None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
