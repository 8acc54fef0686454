"""The graph over the image as an SVG drawing, quick enough to be drawn anew at each move of a slider, and made to be clicked.

It has the layout of `stcg_nb.viz.figures.graph` and needs neither plotly nor a browser: text in, text out. Everything that can be
chosen carries its name in ``data-pick`` (``word:3``, ``region:7``, ``step:1``, or a link ``word:3>step:1``), a label for screen
readers, and a tooltip with its number and range. What does not depend on the view is prepared once, by `Drawing`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from stcg_nb.graph.difference import Change, Difference
from stcg_nb.graph.selection import Shown, View, choose, node_labels, node_of, totals
from stcg_nb.graph.stcg import STCG, Edge
from stcg_nb.viz.figures.graph import caption, headline
from stcg_nb.viz.layout import lay_out
from stcg_nb.viz.svg_links import LEGEND, legend, link_handle, link_line
from stcg_nb.viz.svg_picture import PictureLayer
from stcg_nb.viz.svg_tags import UNIT, clickable, tag, text
from stcg_nb.viz.theme import HIGHLIGHT, INK, NEUTRAL, OPPOSES, SUPPORTS

HALF, GAP, LINE = 0.78, 0.15, 0.095  # of the layout, in its units
HANDLES = 120  # links; beyond so many none has a handle to click: they would hide the image
FONT = "DejaVu Sans, Verdana, Arial, sans-serif"


def graph_svg(
    stcg: STCG,
    *,
    links: str = "counterfactual",
    top: int = 24,
    step: int | None = None,
    min_effect: float = 0.0,
    node: str | None = None,
    cuts: Collection[str] = (),
) -> str:
    """The graph as a whole SVG file, to be kept or shown.

    Args:
        stcg, links, top, step, min_effect, node: As for `stcg_nb.viz.figures.graph.graph_figure`; `node` may also be a link's name.
        cuts: Names of links that are drawn as cut, such as ``"word:3>step:1"``.

    Raises:
        InputError: As there.
    """
    return Drawing(stcg).svg(View(links, top, step, min_effect, node_of(node)), node, cuts)


@dataclass(frozen=True, eq=False)
class _Content:
    """What a drawing shows.

    Attributes:
        view: How the graph is seen.
        shown: Its links.
        words, regions: What each of them weighs, ``[word]`` and ``[region]``.
        title, note: What it is and how it is read, for screen readers.
    """

    view: View
    shown: Shown
    words: np.ndarray
    regions: np.ndarray
    title: str
    note: str


@dataclass(frozen=True)
class _Marks:
    """What a user marked: the chosen node or link, links that are cut, and boxes over the image (as in `Drawing.svg`)."""

    picked: str | None = None
    cuts: Collection[str] = ()
    boxes: Collection[Sequence[int]] = ()


class Drawing:
    """Draws one graph many times.

    Args:
        stcg: The graph.
    """

    def __init__(self, stcg: STCG) -> None:
        self.stcg = stcg
        self._layout = lay_out(stcg, HALF, GAP, LINE)
        self._labels = node_labels(stcg)
        self._picture = PictureLayer(stcg, self.picture_box)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, width and height of the drawing, in pixels; the middle of the image's upper edge is at 0, 0."""
        at = self._layout
        below = 0.16 * UNIT + LEGEND
        return (
            -at.half * UNIT - 8,
            (at.first - 0.07) * UNIT,
            2 * at.half * UNIT + 16,
            (at.last - at.first) * UNIT + below,
        )

    @property
    def picture_box(self) -> tuple[float, float, float, float]:
        """x, y, width and height of the image in the drawing, in pixels."""
        at = self._layout
        return -at.width / 2 * UNIT, 0.0, at.width * UNIT, at.height * UNIT

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
        title = f"{headline(self.stcg, view)}: {self.stcg.question} → {self.stcg.answer}"
        content = _Content(view, shown, *totals(self.stcg, view), title, caption(self.stcg, view, shown))
        return self._whole(content, _Marks(picked, cuts, boxes))

    def changes(self, found: Difference, kind: str = "counterfactual", top: int = 24) -> str:
        """How another explanation's links of a kind differ from this one's: blue for more, vermilion and dashed for less.

        Args:
            found: From `stcg_nb.graph.difference.difference`; its first graph is this one.
            kind: Of links.
            top: How many links to draw, those that changed most first.
        """
        changed = [c for c in found.of_kind(kind) if c.change]
        sure = [c for c in changed if c.sure or kind == "alignment"]
        drawn = [Edge(c.source, c.target, c.step, c.kind, c.change) for c in sure[:top]]
        strongest = abs(drawn[0].weight) if drawn else 1.0
        unit = "alignment" if kind == "alignment" else "nats"
        note = (
            f"Link width: change in {unit}, at most {strongest:.2g}; blue grew, dashed vermilion shrank. {len(drawn)} of {len(sure)} "
            f"changes drawn; {len(changed) - len(sure)} more are within their ranges."
        )
        shown = Shown(drawn, [], [], strongest, len(sure), len(changed) - len(sure))
        words = _sums(changed, "word", len(self.stcg.words))
        regions = _sums(changed, "region", len(self.stcg.regions))
        return self._whole(_Content(View(kind, top), shown, words, regions, "What differs", note), _Marks())

    def _whole(self, content: _Content, marks: _Marks) -> str:
        shown, places = content.shown, self._layout.places
        strongest, picked, cuts = shown.strongest, marks.picked, marks.cuts
        lines = [link_line(e, places, strongest, picked, cuts, dim=True) for e in shown.dimmed]
        lines += [link_line(e, places, strongest, picked, cuts) for e in (*shown.spurious, *reversed(shown.drawn))]
        links = (*shown.drawn, *shown.spurious)
        handled = (*shown.spurious, *shown.drawn) if len(shown.drawn) <= HANDLES else ()
        x, y, w, h = self.box
        frame = {"x": f"{x:.0f}", "y": f"{y:.0f}", "width": f"{w:.0f}", "height": f"{h:.0f}"}
        return tag(
            "svg",
            tag("rect", **frame, fill="white", data_pick=""),
            self._picture.svg(content.regions, picked, marks.boxes),
            tag("g", *lines, fill="none", pointer_events="none"),
            self._stamp(),
            *(link_handle(e, places, self._labels, picked, cuts) for e in handled),
            self._words(content, picked),
            self._steps(content.view, picked),
            legend(links, cuts, x + 10, x + w, y + h - LEGEND + 6),
            xmlns="http://www.w3.org/2000/svg", viewBox=" ".join(frame.values()), role="group",
            aria_label=f"{content.title}. {content.note}", font_family=FONT, fill=INK,
        )  # fmt: skip

    def _stamp(self) -> str:
        """What a drawing of made-up numbers says on its face."""
        if not self.stcg.synthetic:
            return ""
        y = f"{0.5 * UNIT:.0f}"
        return tag(
            "text", "SYNTHETIC", x=0, y=y, font_size=64, fill=OPPOSES, opacity=0.16, text_anchor="middle",
            transform=f"rotate(-20 0 {y})", pointer_events="none",
        )  # fmt: skip

    def _words(self, content: _Content, picked: str | None) -> str:
        signed = content.view.links != "alignment"
        top = float(np.abs(content.words).max()) or 1.0
        labels = []
        for i, (word, weight) in enumerate(zip(self.stcg.words, content.words.tolist(), strict=True)):
            strong = abs(weight) / top > 0.25
            color = (SUPPORTS if weight > 0 or not signed else OPPOSES) if strong else NEUTRAL
            said = f"word {word}: {weight:+.3g}{' nats' if signed else ''}"
            labels.append(self._label(f"word:{i}", word, said, picked, color=color, strong=strong))
        return "".join(labels)

    def _steps(self, view: View, picked: str | None) -> str:
        labels = []
        for t, (token, p) in enumerate(zip(self.stcg.steps, self.stcg.data["p"].values.tolist(), strict=True)):
            said = f"token {token}: probability {p:.2f}"
            fill = "#f2f2f2" if view.step in (None, t) else "#ffffff"
            strong = view.step == t
            labels.append(self._label(f"step:{t}", token, said, picked, strong=strong, fill=fill, below=f"{p:.2f}"))
        return "".join(labels)

    def _label(
        self, name: str, label: str, said: str, picked: str | None, *, color: str = INK, strong: bool, fill: str = "white",
        below: str = "",
    ) -> str:  # fmt: skip
        """A word or token in its frame, a token with its probability below it."""
        x, y = (v * UNIT for v in self._layout.places[name])
        short = label if len(label) <= 24 else label[:23] + "…"
        width, height = max(8.6 * len(short) + 14, 42 if below else 0), 38 if below else 25
        edge, thick = (HIGHLIGHT, 4.0) if name == picked else (color, 2.2 if strong else 1.2)
        middle = {"x": f"{x:.0f}", "text_anchor": "middle"}
        bold = "bold" if strong or below else None
        return tag(
            "g",
            tag("title", text(said)),
            tag(
                "rect", x=f"{x - width / 2:.0f}", y=f"{y - height / 2:.0f}", width=f"{width:.0f}", height=height, rx=3, fill=fill,
                stroke=edge, stroke_width=thick,
            ),
            tag("text", text(short), **middle, y=f"{y + (1 if below else 5):.0f}", font_size=14, font_weight=bold),
            tag("text", text(below), **middle, y=f"{y + 15:.0f}", font_size=11) if below else "",
            **clickable(name, said, picked),
        )  # fmt: skip


def _sums(changes: Sequence[Change], kind: str, count: int) -> np.ndarray:
    """The sum of all changes at each of `count` nodes of a kind, ``[node]``."""
    sums = np.zeros(count)
    for change in changes:
        for node in {change.source, change.target}:
            name, i = node.split(":")
            if name == kind:
                sums[int(i)] += change.change
    return sums
