"""DOC"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stcg_nb.graph.selection import players
from stcg_nb.graph.stcg import STCG, Edge
from stcg_nb.inputs.regions import Regions

LEVEL, SAG = (
    0.03,
    0.1,
)  # of the image's longer side: heights that differ by less count as one; how far links between them sag


@dataclass(frozen=True, eq=False)
class Sheet:
    """Where everything lies.

    Attributes:
        places: x and y of each node.
        width, height: Of the image.
        half: Half of the sheet's width.
        first, last: y of the first row of words and of the last row of tokens.
    """

    places: dict[str, tuple[float, float]]
    width: float
    height: float
    half: float
    first: float
    last: float


def lay_out(stcg: STCG, half: float = 0.62, gap: float = 0.24, line: float = 0.13) -> Sheet:
    """Lay a graph out.

    Args:
        stcg: The graph.
        half: Half of the sheet's width, at least.
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
    return Sheet(places, w, h, half, first, max(y for _, y in places.values()))


def bend(start: tuple[float, float], end: tuple[float, float]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The two control points of a link's cubic Bézier curve: it leaves and arrives vertically, so that links part near their ends.

    Between two at one height it sags, so that it does not run behind what stands between them.
    """
    (x0, y0), (x1, y1) = start, end
    if abs(y1 - y0) < LEVEL:
        sag = min(SAG, 0.3 * abs(x1 - x0)) / 0.75
        return (x0, y0 + sag), (x1, y1 + sag)
    rise = 0.45 * (y1 - y0)
    return (x0, y0 + rise), (x1, y1 - rise)


def middle_of(edge: Edge, places: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """The middle of a link's line; of a link of three the point where its three lines meet."""
    if edge.third is not None:
        spots = [places[player] for player in players(edge)]
        x, y = sum(x for x, _ in spots) / 3, sum(y for _, y in spots) / 3
        return x, y + (SAG if max(y for _, y in spots) - min(y for _, y in spots) < LEVEL else 0)
    start, end = places[edge.source], places[edge.target]
    (x1, y1), (x2, y2) = bend(start, end)
    return (start[0] + 3 * x1 + 3 * x2 + end[0]) / 8, (start[1] + 3 * y1 + 3 * y2 + end[1]) / 8


def _rows(labels: Sequence[str], half: float) -> list[tuple[float, int]]:
    """x and row of each label, in rows that are centred and filled by the labels' lengths."""
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
