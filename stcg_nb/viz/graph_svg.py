"""The graph over the image as an SVG drawing, quick enough to be drawn anew at each move of a slider, and made to be clicked.

The same sheet as `stcg_nb.viz.figures.graph`, without plotly: text in, text out, no browser. Everything that can be chosen
carries its name
in ``data-pick`` (``word:3``, ``region:7``, ``step:1``, or a link ``word:3>step:1``), a label for screen readers, and a tooltip with
its number and interval. All text from outside is escaped. What does not depend on the view is prepared once, by `Drawing`.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from functools import cached_property

import cv2
import numpy as np

from stcg_nb.graph.difference import Difference
from stcg_nb.graph.selection import TOGETHER, Shown, View, choose, link_name, node_labels, node_of, players, totals
from stcg_nb.graph.stcg import STCG, Edge
from stcg_nb.inputs.images import thumbnail
from stcg_nb.viz.figures.graph import DIM, WIDTHS, caption, headline, style, width_class
from stcg_nb.viz.layout import bend, lay_out, middle_of
from stcg_nb.viz.theme import HIGHLIGHT, INK, NEUTRAL, OPPOSES, SUPPORTS, jpeg

UNIT = 440  # pixels of the image's longer side
HALF, GAP, LINE = 0.78, 0.15, 0.095  # of the layout, in units
CELLS = 160  # regions are drawn on a grid of so many cells a side
HANDLES = 120  # links beyond so many have no handle to click: they would hide the image
DASHES = {"solid": (0.0, 0.0), "dash": (7.0, 4.0), "dot": (1.5, 4.0)}  # of a line up to 3 pixels wide
LEGEND = 38  # pixels for the legend, two rows
CUT_MARK = "✂"
KINDS = {"word": "word", "region": "region", "step": "token"}


def graph_svg(
    stcg: STCG,
    *,
    links: str = "counterfactual",
    top: int = 24,
    step: int | None = None,
    beyond: float = 0.0,
    node: str | None = None,
    cuts: Collection[str] = (),
) -> str:
    """The graph as a whole SVG file, to be kept or shown.

    Args:
        stcg, links, top, step, beyond, node: As for `stcg_nb.viz.figures.graph.graph_figure`; `node` may also be a link's name.
        cuts: Names of links that are drawn as cut, such as ``"word:3>step:1"``.

    Raises:
        InputError: As there.
    """
    return Drawing(stcg).svg(View(links, top, step, beyond, node_of(node)), node, cuts)


class Drawing:
    """Draws one graph many times.

    Args:
        stcg: The graph.
    """

    def __init__(self, stcg: STCG) -> None:
        self.stcg = stcg
        self._sheet = lay_out(stcg, HALF, GAP, LINE)
        self._labels = node_labels(stcg)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, width and height of the drawing, in pixels; the image's upper left corner is at -width / 2 of it, 0."""
        s = self._sheet
        below = 0.16 * UNIT + LEGEND
        return (-s.half * UNIT - 8, (s.first - 0.07) * UNIT, 2 * s.half * UNIT + 16, (s.last - s.first) * UNIT + below)

    @property
    def picture_box(self) -> tuple[float, float, float, float]:
        """x, y, width and height of the image in the drawing."""
        s = self._sheet
        return (-s.width / 2 * UNIT, 0.0, s.width * UNIT, s.height * UNIT)

    def svg(
        self, view: View, picked: str | None = None, cuts: Collection[str] = (), boxes: Collection[Sequence[int]] = ()
    ) -> str:
        """The drawing.

        Args:
            view: What to show; its node's links stand out.
            picked: The node or link that is marked as chosen.
            cuts: Names of links that are drawn as cut.
            boxes: Rectangles over the image, x0, y0, x1, y1 in its pixels.
        """
        shown = choose(self.stcg, view)
        note = caption(self.stcg, view, shown)
        label = f"{headline(self.stcg, view)}: {self.stcg.question} → {self.stcg.answer}"
        return self._whole(shown, *totals(self.stcg, view), view, label, note, picked, cuts, boxes)

    def changes(self, found: Difference, kind: str = "counterfactual", top: int = 24) -> str:
        """How another explanation's links of a kind differ from this one's: blue for more, vermilion and dashed for less.

        Args:
            found: From `stcg_nb.graph.difference.difference`; its first graph is this one.
            kind: Of links.
            top: How many links to draw, those that changed most first.
        """
        of_kind = [c for c in found.of_kind(kind) if c.change]
        sure = [c for c in of_kind if c.sure or kind == "alignment"]
        drawn = [Edge(c.source, c.target, c.step, c.kind, c.change) for c in sure[:top]]
        weights = {"word": np.zeros(len(self.stcg.words)), "region": np.zeros(len(self.stcg.regions))}
        for c in of_kind:
            for node in {c.source, c.target}:
                name, i = node.split(":")
                if name in weights:
                    weights[name][int(i)] += c.change
        strongest = abs(drawn[0].weight) if drawn else 1.0
        unit = "alignment" if kind == "alignment" else "nats"
        note = (
            f"Link width: change in {unit}, at most {strongest:.2g}; blue grew, dashed vermilion shrank. {len(drawn)} of {len(sure)} "
            f"changes drawn; {len(of_kind) - len(sure)} more are within their intervals."
        )
        shown = Shown(drawn, [], [], strongest, len(sure), len(of_kind) - len(sure))
        view = View(kind, top)
        return self._whole(shown, weights["word"], weights["region"], view, "What differs", note, None, (), ())

    def _whole(
        self, shown: Shown, words: np.ndarray, regions: np.ndarray, view: View, label: str, note: str, picked: str | None,
        cuts: Collection[str], boxes: Collection[Sequence[int]],
    ) -> str:  # fmt: skip
        x, y, w, h = self.box
        links = [
            *(self._link(e, shown.strongest, picked, cuts, dim=True) for e in shown.dimmed),
            *(self._link(e, shown.strongest, picked, cuts) for e in (*shown.spurious, *reversed(shown.drawn))),
        ]
        handled = (*shown.spurious, *shown.drawn) if len(shown.drawn) <= HANDLES else ()
        handles = [self._handle(e, picked, cuts) for e in handled]
        mark = (
            f'<text x="0" y="{0.5 * UNIT:.0f}" font-size="64" fill="{OPPOSES}" opacity="0.16" text-anchor="middle" '
            f'transform="rotate(-20 0 {0.5 * UNIT:.0f})" pointer-events="none">SYNTHETIC</text>'
            if self.stcg.synthetic
            else ""
        )
        signed = view.links != "alignment"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{x:.0f} {y:.0f} {w:.0f} {h:.0f}" role="group" '
            f'aria-label="{_text(f"{label}. {note}")}" font-family="DejaVu Sans, Verdana, Arial, sans-serif" fill="{INK}">'
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{w:.0f}" height="{h:.0f}" fill="white" data-pick=""/>'
            f"{self._picture}{self._regions(regions, picked)}{self._borders}{self._boxes(boxes)}"
            f'<g fill="none" pointer-events="none">{"".join(links)}</g>{mark}'
            f"{''.join(handles)}{self._words(words, signed, picked)}{self._steps(view, picked)}{self._legend(shown, cuts)}</svg>"
        )

    def _legend(self, shown: Shown, cuts: Collection[str]) -> str:
        """What the kinds of lines mean, of those that are drawn."""
        links = (*shown.drawn, *shown.spurious)
        there = dict.fromkeys(style(e, e.kind != "alignment") for e in links)
        if any(link_name(e) in cuts for e in links):
            there[f"{CUT_MARK} cut", NEUTRAL, "dot"] = None
        if any(e.third is not None for e in links):
            there["three at once", NEUTRAL, "solid"] = None
        x, y, w, h = self.box
        left, row, out = x + 10, 0, []
        for name, color, dash in there:
            if left + 7 * len(name) + 40 > x + w:
                left, row = x + 10, row + 1
            at = y + h - LEGEND + 6 + 18 * row
            on, off = DASHES[dash]
            dot = (
                f'<circle cx="{left + 17:.0f}" cy="{at:.0f}" r="7" fill="{color}"/>' if name == "three at once" else ""
            )
            out.append(
                f'{dot}<path d="M{left:.0f},{at:.0f}h34" stroke="{color}" stroke-width="3" '
                f'stroke-dasharray="{f"{on:g} {off:g}" if on else "none"}" fill="none"/>'
                f'<text x="{left + 40:.0f}" y="{at + 4:.0f}" font-size="12">{_text(name)}</text>'
            )
            left += 7 * len(name) + 60
        return f'<g pointer-events="none">{"".join(out)}</g>'

    def _boxes(self, boxes: Collection[Sequence[int]]) -> str:
        height, width = self.stcg.image.shape[:2]
        x, y, w, h = self.picture_box
        return "".join(
            f'<rect x="{x + x0 / width * w:.1f}" y="{y + y0 / height * h:.1f}" width="{(x1 - x0) / width * w:.1f}" '
            f'height="{(y1 - y0) / height * h:.1f}" fill="{HIGHLIGHT}" fill-opacity="0.15" stroke="{HIGHLIGHT}" stroke-width="2.5" '
            'stroke-dasharray="7 4" pointer-events="none"/>'
            for x0, y0, x1, y1 in boxes
        )

    @cached_property
    def _picture(self) -> str:
        x, y, w, h = self.picture_box
        image = thumbnail(np.ascontiguousarray(self.stcg.image), 2 * UNIT)
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        pale = (0.6 * grey + 0.4 * 255).astype(np.uint8)[..., None].repeat(3, -1)
        return (
            f'<image x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" preserveAspectRatio="none" '
            f'href="{jpeg(pale, UNIT)}"/>'
        )

    @cached_property
    def _shapes(self) -> list[str]:
        """Each region's outline as path data, in cells."""
        labels = self._cells
        paths = []
        for i in range(len(self.stcg.regions)):
            contours, _ = cv2.findContours((labels == i).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
            paths.append("".join("M" + " ".join(f"{x},{y}" for x, y in c[:, 0].tolist()) + "z" for c in contours))
        return paths

    @cached_property
    def _cells(self) -> np.ndarray:
        labels = self.stcg.data["region_labels"].values
        height, width = labels.shape
        scale = min(1.0, CELLS / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)

    @cached_property
    def _to_sheet(self) -> str:
        """From cells to the sheet; contours run through the middles of cells."""
        x, y, w, h = self.picture_box
        rows, cols = self._cells.shape
        a, d = w / cols, h / rows
        return f"matrix({a:.4f} 0 0 {d:.4f} {x + a / 2:.3f} {y + d / 2:.3f})"

    @cached_property
    def _borders(self) -> str:
        """Borders between regions, as one path."""
        labels = self._cells
        path = [
            f"M{x + 0.5:g},{y - 0.5:g}v1" for y, x in zip(*np.nonzero(labels[:, 1:] != labels[:, :-1]), strict=True)
        ]
        path += [f"M{x - 0.5:g},{y + 0.5:g}h1" for y, x in zip(*np.nonzero(labels[1:] != labels[:-1]), strict=True)]
        return (
            f'<path d="{"".join(path)}" transform="{self._to_sheet}" fill="none" stroke="#3c3c3c" stroke-opacity="0.4" '
            'stroke-width="0.8" vector-effect="non-scaling-stroke" pointer-events="none"/>'
        )

    def _regions(self, weights: np.ndarray, picked: str | None) -> str:
        most = float(np.abs(weights).max()) or 1.0
        out = []
        for i, (shape, weight) in enumerate(zip(self._shapes, weights.tolist(), strict=True)):
            name = f"region:{i}"
            color, alpha = (SUPPORTS if weight >= 0 else OPPOSES), 0.85 * abs(weight) / most
            chosen = (
                f' stroke="{HIGHLIGHT}" stroke-width="3.5"' if name == picked else f' stroke="{color}" stroke-width="1"'
            )
            said = f"region {self.stcg.regions[i]}: {weight:+.3g}"
            out.append(
                f'<path d="{shape}" fill="{color}" fill-opacity="{alpha:.3f}" fill-rule="evenodd" stroke-linejoin="round"'
                f'{chosen} stroke-opacity="{1 if name == picked else alpha:.3f}" vector-effect="non-scaling-stroke" '
                f"{_pick(name, said, picked)}<title>{_text(said)}</title></path>"
            )
        return f'<g transform="{self._to_sheet}">{"".join(out)}</g>'

    def _link(
        self, edge: Edge, strongest: float, picked: str | None, cuts: Collection[str], *, dim: bool = False
    ) -> str:
        _, color, dash = style(edge, True)
        size = 0 if edge.verdict == "spurious" else width_class(edge, strongest)
        opacity, name = (DIM if dim else 0.5 + 0.15 * size), link_name(edge)
        if name in cuts:
            color, dash, opacity = NEUTRAL, "dot", 0.9
        width = WIDTHS[size]
        if name == picked:
            width, opacity = max(width, 3.0) + 2, 1.0
        on, off = (length * max(1.0, width / 3) for length in DASHES[dash])
        return (
            f'<path d="{self._line(edge)}" stroke="{color}" stroke-width="{width:g}" '
            f'stroke-dasharray="{f"{on:.1f} {off:.1f}" if on else "none"}" opacity="{opacity:.2f}"/>'
        )

    def _line(self, edge: Edge) -> str:
        """A link's path: a curve, or straight lines from the middle of three to each of them."""
        if edge.third is not None:
            x, y = self._middle(edge)
            return "".join(f"M{x:.0f},{y:.0f}L{a:.0f},{b:.0f}" for a, b in map(self._at, players(edge)))
        start, end = self._at(edge.source), self._at(edge.target)
        points = " ".join(f"{x:.0f},{y:.0f}" for x, y in (*bend(start, end), end))
        return f"M{start[0]:.0f},{start[1]:.0f}C{points}"

    def _handle(self, edge: Edge, picked: str | None, cuts: Collection[str]) -> str:
        """A dot in the middle of a link, to point at and to click."""
        x, y = self._middle(edge)
        name, said = link_name(edge), describe(self.stcg, edge)
        _, color, _ = style(edge, True)
        chosen = f' stroke="{HIGHLIGHT}" stroke-width="3"' if name == picked else ' stroke="white" stroke-width="1"'
        r = 4 if edge.third is None else 7
        mark = (
            f'<text x="{x:.0f}" y="{y + 6:.0f}" font-size="18" text-anchor="middle" pointer-events="none">{CUT_MARK}</text>'
            if name in cuts
            else f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{r}" fill="{color}"{chosen} pointer-events="none"/>'
        )
        return (
            f'{mark}<circle cx="{x:.0f}" cy="{y:.0f}" r="9" fill="white" fill-opacity="0" {_pick(name, said, picked)}'
            f"<title>{_text(said)}</title></circle>"
        )

    def _words(self, weights: np.ndarray, signed: bool, picked: str | None) -> str:
        most = float(np.abs(weights).max()) or 1.0
        out = []
        for i, (word, weight) in enumerate(zip(self.stcg.words, weights.tolist(), strict=True)):
            strong = abs(weight) / most > 0.25
            color = (SUPPORTS if weight > 0 or not signed else OPPOSES) if strong else NEUTRAL
            said = f"word {word}: {weight:+.3g}{' nats' if signed else ''}"
            out.append(self._label(f"word:{i}", word, said, color, strong, picked, "white"))
        return "".join(out)

    def _steps(self, view: View, picked: str | None) -> str:
        out = []
        for t, (token, p) in enumerate(zip(self.stcg.steps, self.stcg.data["p"].values.tolist(), strict=True)):
            here = view.step in (None, t)
            said = f"token {token}: probability {p:.2f}"
            out.append(
                self._label(
                    f"step:{t}", token, said, INK, view.step == t, picked, "#f2f2f2" if here else "#ffffff", f"{p:.2f}"
                )
            )
        return "".join(out)

    def _label(
        self, name: str, text: str, said: str, color: str, strong: bool, picked: str | None, fill: str, below: str = ""
    ) -> str:
        """A word or token in its frame."""
        x, y = self._at(name)
        short = text if len(text) <= 24 else text[:23] + "…"
        width, height = max(8.6 * len(short) + 14, 42 if below else 0), 38 if below else 25
        edge, thick = (HIGHLIGHT, 4.0) if name == picked else (color, 2.2 if strong else 1.2)
        weight = ' font-weight="bold"' if strong or below else ""
        under = (
            f'<text x="{x:.0f}" y="{y + 15:.0f}" font-size="11" text-anchor="middle">{_text(below)}</text>'
            if below
            else ""
        )
        return (
            f"<g {_pick(name, said, picked)}<title>{_text(said)}</title>"
            f'<rect x="{x - width / 2:.0f}" y="{y - height / 2:.0f}" width="{width:.0f}" height="{height}" rx="3" fill="{fill}" '
            f'stroke="{edge}" stroke-width="{thick}"/>'
            f'<text x="{x:.0f}" y="{y + (1 if below else 5):.0f}" font-size="14" text-anchor="middle"{weight}>{_text(short)}</text>'
            f"{under}</g>"
        )

    def _middle(self, edge: Edge) -> tuple[float, float]:
        x, y = middle_of(edge, self._sheet.places)
        return x * UNIT, y * UNIT

    def _at(self, node: str) -> tuple[float, float]:
        x, y = self._sheet.places[node]
        return x * UNIT, y * UNIT


def describe(stcg: STCG, edge: Edge) -> str:
    """A link in words: its ends, weight, interval and verdict."""
    labels = node_labels(stcg)
    unit = "" if edge.kind == "alignment" else " nats"
    exact = edge.low is None or edge.high is None or edge.low == edge.high
    span = "" if exact else f" [{edge.low:+.3g}, {edge.high:+.3g}]"
    said = f", {edge.verdict}" if edge.verdict else ""
    named = [f"{KINDS[node.split(':')[0]]} {labels[node]}" for node in players(edge)]
    together = edge.kind in TOGETHER
    tied = f"{' + '.join(named)} at {labels[f'step:{edge.step}']}" if together else " → ".join(named)
    return f"{tied}: {edge.weight:+.3g}{unit}{span}{said}"


def _pick(name: str, said: str, picked: str | None) -> str:
    """The end of the opening tag of something that can be chosen."""
    chosen = "true" if name == picked else "false"
    return f'data-pick="{name}" role="button" tabindex="-1" aria-label="{_text(said)}" aria-pressed="{chosen}">'


def _text(text: str) -> str:
    """Text as text, also between quotes; characters that XML cannot hold become U+FFFD."""
    clean = "".join(c if c == " " or (c.isprintable() and c not in "\ufffe\uffff") else " " for c in text)
    return html.escape(clean)
