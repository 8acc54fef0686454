"""Where the words, regions and tokens of a graph lie on the page, and how the links between them run.

Read from top to bottom: the question's words, the image, the answer's tokens. The unit is the image's longer side and y runs
downwards; the image's centre is at x = 0 and its upper edge at y = 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stcg_nb.graph.selection import players
from stcg_nb.graph.stcg import STCG, Edge
from stcg_nb.inputs.regions import Regions

Point = tuple[float, float]
LEVEL = 0.03  # heights that differ by less count as one
SAG = 0.1  # how far a link between two at one height sags


@dataclass(frozen=True, eq=False)
class Layout:
    """Where everything lies, in units of the image's longer side.

    Attributes:
        places: x and y of each node.
        width, height: Of the image.
        half: Half of the layout's width.
        first, last: y of the first row of words and of the last row of tokens.
    """

    places: dict[str, Point]
    width: float
    height: float
    half: float
    first: float
    last: float


def lay_out(stcg: STCG, half: float = 0.62, gap: float = 0.24, line: float = 0.13) -> Layout:
    """Lay a graph out.

    Args:
        stcg: The graph.
        half: Half of the layout's width, at least.
        gap: Between the image and the rows above and below it.
        line: From one row of words to the next; tokens, which have a number below them, take 1.3 times that.
    """
    height, width = stcg.image.shape[:2]
    unit = max(height, width)
    w, h = width / unit, height / unit
    half = max(w / 2, half)
    rows = _rows(stcg.words, half)
    first = -gap - line * (len({y for _, y in rows}) - 1)
    places = {f"word:{i}": (x, first + line * row) for i, (x, row) in enumerate(rows)}
    token_rows = _rows([f"{t} {p:.2f}" for t, p in zip(stcg.steps, stcg.data["p"].values, strict=True)], half)
    for t, (x, row) in enumerate(token_rows):
        places[f"step:{t}"] = (x, h + gap + 0.02 + 1.3 * line * row)
    for i, (x, y) in enumerate(Regions(stcg.data["region_labels"].values, stcg.regions).centers):
        places[f"region:{i}"] = (x / unit - w / 2, y / unit)
    return Layout(places, w, h, half, first, max(y for _, y in places.values()))


def strokes(edge: Edge, places: Mapping[str, Point]) -> list[tuple[Point, ...]]:
    """The strokes of a link's line: one cubic Bézier curve by its four points, or straight lines by their two ends.

    A link of three is three straight lines from the point where they meet.
    """
    if edge.third is not None:
        return [(middle_of(edge, places), places[player]) for player in players(edge)]
    start, end = places[edge.source], places[edge.target]
    return [(start, *bend(start, end), end)]


def bend(start: Point, end: Point) -> tuple[Point, Point]:
    """The two inner control points of a link's cubic Bézier curve.

    The curve leaves and arrives vertically, so that links part near their ends. Between two nodes at one height it sags, so that it
    does not run behind what stands between them.
    """
    (x0, y0), (x1, y1) = start, end
    if abs(y1 - y0) < LEVEL:
        sag = min(SAG, 0.3 * abs(x1 - x0)) / 0.75
        return (x0, y0 + sag), (x1, y1 + sag)
    rise = 0.45 * (y1 - y0)
    return (x0, y0 + rise), (x1, y1 - rise)


def middle_of(edge: Edge, places: Mapping[str, Point]) -> Point:
    """The middle of a link's line; of a link of three the point where its three lines meet."""
    if edge.third is not None:
        spots = [places[player] for player in players(edge)]
        x, y = sum(x for x, _ in spots) / 3, sum(y for _, y in spots) / 3
        return x, y + (SAG if max(y for _, y in spots) - min(y for _, y in spots) < LEVEL else 0)
    ((start, first, second, end),) = strokes(edge, places)
    return (start[0] + 3 * first[0] + 3 * second[0] + end[0]) / 8, (
        start[1] + 3 * first[1] + 3 * second[1] + end[1]
    ) / 8


def _rows(labels: Sequence[str], half: float) -> list[tuple[float, int]]:
    """x and row of each label: rows are centred, and hold as many labels as their lengths allow."""
    room = 2 * half
    sizes = [0.022 * min(len(label), 24) + 0.06 for label in labels]
    rows: list[list[int]] = [[]]
    for i, size in enumerate(sizes):
        if rows[-1] and sum(sizes[j] for j in rows[-1]) + size > room:
            rows.append([])
        rows[-1].append(i)
    out: list[tuple[float, int]] = []
    for number, row in enumerate(rows):
        total = sum(sizes[i] for i in row)
        gap = min((room - total) / max(len(row), 1), 0.12)
        x = -(total + gap * len(row)) / 2
        for i in row:
            out.append((round(x + (sizes[i] + gap) / 2, 4), number))
            x += sizes[i] + gap
    return out
