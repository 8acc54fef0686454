"""What the picture of a graph shows and where: shared by the figure for papers (`figure_graph`) and the drawing that can be
clicked (`drawing`).

One sheet, read from top to bottom: the question's words, the image, the answer's tokens. Places are in units of the image's longer
side, y downwards; the image's centre is at x = 0 and its upper edge at y = 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.graph import STCG, Edge
from stcg_nb.regions import Regions

LINKS = ("counterfactual", "alignment", "interaction")
TOGETHER = ("interaction", "joint")  # kinds of edges between what works together: two, or three
SPURIOUS = 8  # at most so many are drawn
LEVEL, SAG = (
    0.03,
    0.1,
)  # of the image's longer side: heights that differ by less count as one; how far links between them sag


@dataclass(frozen=True)
class View:
    """What to show of a graph.

    Attributes:
        links: ``"counterfactual"``: what the answer loses, in nats, without a word or region; ``"alignment"``; or
            ``"interaction"``: two or three that are worth more or less together than one by one; the causal estimator alone
            finds them.
        top: How many links to draw, the strongest first.
        step: The answer's step to show, from 0; all of them if left out.
        beyond: Links count whose whole interval lies further from zero than this, nats; the weight itself where there is no interval.
        node: A word, region or step, such as ``"word:3"``: its links stand out from all others.

    Raises:
        InputError: For other links, fewer than one, or a negative `beyond`.
    """

    links: str = "counterfactual"
    top: int = 24
    step: int | None = None
    beyond: float = 0.0
    node: str | None = None

    def __post_init__(self) -> None:
        if self.links not in LINKS:
            raise InputError(f"{self.links!r} are no links; valid are {', '.join(LINKS)}.")
        if self.top < 1:
            raise InputError(f"top is {self.top}; draw at least one link.")
        if not self.beyond >= 0:
            raise InputError(f"beyond is {self.beyond}; give 0 or more.")

    def check(self, stcg: STCG) -> View:
        """The view itself, if that graph can be seen so.

        Raises:
            InputError: For interactions of an estimator that finds none, or a step or node that the graph does not have.
        """
        if self.links == "interaction" and not stcg.data.sizes["link"]:
            raise InputError(
                f"The estimator {stcg.estimator!r} found no interactions; explain with estimator='causal'."
            )
        if self.step is not None and not 0 <= self.step < len(stcg.steps):
            raise InputError(f"There is no step {self.step}; valid are 0 to {len(stcg.steps) - 1}.")
        if self.node is not None and self.node not in node_labels(stcg):
            raise InputError(f"There is no node {self.node!r}; valid are such as 'word:0', 'region:0' and 'step:0'.")
        return self


@dataclass(frozen=True)
class Shown:
    """The links of a view.

    Attributes:
        drawn: The strongest, of the view's node alone if it has one.
        dimmed: With a node: the strongest of the others, for context.
        spurious: Some that attention shows and that have no effect.
        strongest: The largest |weight| of all drawn and dimmed; 1 if there are none.
        total: How many there are to draw from.
        unsure: How many more there would be if their intervals were narrower, besides the spurious ones shown.
    """

    drawn: list[Edge] = field(default_factory=list)
    dimmed: list[Edge] = field(default_factory=list)
    spurious: list[Edge] = field(default_factory=list)
    strongest: float = 1.0
    total: int = 0
    unsure: int = 0


def choose(stcg: STCG, view: View) -> Shown:
    """The links that a view shows, strongest first."""
    view.check(stcg)
    of_kind = [e for e in stcg.edges() if shows(view, e) and e.weight != 0]
    of_kind.sort(key=lambda e: -abs(e.weight))
    if view.links == "interaction":  # of the same players the step where they are strongest
        of_kind = list({players(e): e for e in reversed(of_kind)}.values())
        of_kind.sort(key=lambda e: -abs(e.weight))
    sure = [e for e in of_kind if surely_beyond(e, view.beyond)]
    spurious = [e for e in of_kind if e.verdict == "spurious" and not surely_beyond(e)]
    own = [e for e in sure if touches(e, view.node)]
    others = [e for e in sure[: view.top] if not touches(e, view.node)]
    drawn = own[: view.top]
    strongest = max((abs(e.weight) for e in (*drawn[:1], *others[:1])), default=1.0)
    dotted = [e for e in spurious if touches(e, view.node)][:SPURIOUS]
    return Shown(drawn, others, dotted, strongest, len(own), len(of_kind) - len(sure) - len(dotted))


def shows(view: View, edge: Edge) -> bool:
    """Whether a link is of the kind and the step that a view shows; what works together is links of two and of three."""
    kind = "interaction" if edge.kind in TOGETHER else edge.kind
    return kind == view.links and (view.step is None or edge.step in (None, view.step))


def players(edge: Edge) -> tuple[str, ...]:
    """The nodes that a link ties together: its two ends, or three.

    >>> players(Edge("word:0", "region:1", 0, "joint", 1.0, third="region:2"))
    ('word:0', 'region:1', 'region:2')
    """
    return (edge.source, edge.target, *((edge.third,) if edge.third is not None else ()))


def surely_beyond(edge: Edge, nats: float = 0.0) -> bool:
    """Whether the whole interval lies further from zero than `nats`; without an interval, whether the weight does.

    >>> surely_beyond(Edge("word:0", "step:0", 0, "counterfactual", 1.0, 0.5, 1.5), 0.4)
    True
    """
    if edge.low is None or edge.high is None:
        return abs(edge.weight) >= nats
    return edge.low > nats or edge.high < -nats


def touches(edge: Edge, node: str | None) -> bool:
    """Whether a link has this end, or belongs to this step; any link if no node is given."""
    return node is None or node in players(edge) or (edge.step is not None and node == f"step:{edge.step}")


def node_labels(stcg: STCG) -> dict[str, str]:
    """Every node and its text: words, regions, then the answer's tokens."""
    kinds: tuple[tuple[str, Sequence[str]], ...] = (
        ("word", stcg.words),
        ("region", stcg.regions),
        ("step", stcg.steps),
    )
    return {f"{kind}:{i}": text for kind, texts in kinds for i, text in enumerate(texts)}


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


def totals(stcg: STCG, view: View) -> tuple[np.ndarray, np.ndarray]:
    """What words and regions weigh in a view, ``[word]`` and ``[region]``: at its step, else summed over steps."""
    causal = view.links != "alignment"
    steps = slice(None) if view.step is None else slice(view.step, view.step + 1)
    words = stcg.data["word_effect" if causal else "step_word"].values[steps].sum(0)
    return words, stcg.data["region_effect" if causal else "step_region"].values[steps].sum(0)


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
