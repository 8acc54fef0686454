"""The links of a drawing: their lines, the dots to click them by, the legend, and what each says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from stcg_nb.graph.selection import TOGETHER, attention_said, link_name, players
from stcg_nb.graph.stcg import Edge
from stcg_nb.graph.trust import range_said
from stcg_nb.viz.figures.graph import DIM, WIDTHS, style, width_class
from stcg_nb.viz.layout import Point, middle_of, strokes
from stcg_nb.viz.svg_tags import UNIT, clickable, tag, text
from stcg_nb.viz.theme import HIGHLIGHT, NEUTRAL

DASHES = {
    "solid": (0.0, 0.0),
    "longdash": (16.0, 4.0),
    "dash": (7.0, 4.0),
    "dot": (1.5, 4.0),
}  # pixels on and off, of a line up to 3 pixels wide
LEGEND = 38  # pixels for the legend, two rows
CUT_MARK = "✂"
THREE = "three at once"
KINDS = {"word": "word", "region": "region", "step": "token"}  # what a reader calls a node


def link_line(
    edge: Edge, places: Mapping[str, Point], strongest: float, picked: str | None, cuts: Collection[str], dim: bool = False
) -> str:  # fmt: skip
    """A link's line.

    Args:
        edge: The link.
        places: x and y of each node, in the layout's units.
        strongest: The |weight| that is drawn widest.
        picked: The name of the chosen node or link.
        cuts: Names of links that are drawn as cut.
        dim: Whether another node is chosen, so that this link recedes.
    """
    _, color, dash = style(edge, True)
    size = 0 if edge.verdict == "spurious" else width_class(edge, strongest)
    width, opacity, name = WIDTHS[size], (DIM if dim else 0.5 + 0.15 * size), link_name(edge)
    if name in cuts:
        color, dash, opacity = NEUTRAL, "dot", 0.9
    if name == picked:
        width, opacity = max(width, 3.0) + 2, 1.0
    on, off = (length * max(1.0, width / 3) for length in DASHES[dash])
    path = "".join(map(_path, strokes(edge, places)))
    dashes = f"{on:.1f} {off:.1f}" if on else "none"
    # Not by `tag`, which is slower: a graph has thousands of links, and no text from outside is in their lines.
    return f'<path d="{path}" stroke="{color}" stroke-width="{width:g}" stroke-dasharray="{dashes}" opacity="{opacity:.2f}"/>'


def _path(stroke: Sequence[Point]) -> str:
    """Path data of a straight line (two points) or a cubic Bézier curve (four)."""
    start, *rest = [f"{x * UNIT:.0f},{y * UNIT:.0f}" for x, y in stroke]
    return f"M{start}{'L' if len(stroke) == 2 else 'C'}{' '.join(rest)}"


def link_handle(
    edge: Edge, places: Mapping[str, Point], labels: Mapping[str, str], picked: str | None, cuts: Collection[str]
) -> str:
    """A dot in the middle of a link, to point at and to click; scissors where it is cut.

    Args:
        edge: The link.
        places: x and y of each node, in the layout's units.
        labels: The text of each node.
        picked: The name of the chosen node or link.
        cuts: Names of links that are drawn as cut.
    """
    x, y = (v * UNIT for v in middle_of(edge, places))
    name, said = link_name(edge), describe(edge, labels)
    at = {"cx": f"{x:.0f}", "cy": f"{y:.0f}"}
    if name in cuts:
        mark = tag(
            "text", CUT_MARK, x=at["cx"], y=f"{y + 6:.0f}", font_size=18, text_anchor="middle", pointer_events="none"
        )
    else:
        ring = {"stroke": HIGHLIGHT, "stroke_width": 3} if name == picked else {"stroke": "white", "stroke_width": 1}
        color = style(edge, True)[1]
        mark = tag("circle", **at, r=4 if edge.third is None else 7, fill=color, **ring, pointer_events="none")
    title = tag("title", text(said))
    return mark + tag("circle", title, **at, r=9, fill="white", fill_opacity=0, **clickable(name, said, picked))


def legend(links: Sequence[Edge], cuts: Collection[str], left: float, right: float, top: float) -> str:
    """What the kinds of lines mean, of those that are drawn.

    Args:
        links: Those that are drawn.
        cuts: Names of links that are drawn as cut.
        left, right, top: Where the legend lies, in pixels.
    """
    kinds = dict.fromkeys(style(e, e.kind != "alignment") for e in links)
    if any(link_name(e) in cuts for e in links):
        kinds[f"{CUT_MARK} cut", NEUTRAL, "dot"] = None
    if any(e.third is not None for e in links):
        kinds[THREE, NEUTRAL, "solid"] = None
    x, y, entries = left, top, []
    for name, color, dash in kinds:
        if x + 7 * len(name) + 40 > right:
            x, y = left, y + 18
        if name == THREE:
            entries.append(tag("circle", cx=f"{x + 17:.0f}", cy=f"{y:.0f}", r=7, fill=color))
        on, off = DASHES[dash]
        dashes = f"{on:g} {off:g}" if on else "none"
        line = f"M{x:.0f},{y:.0f}h34"
        entries.append(tag("path", d=line, stroke=color, stroke_width=3, stroke_dasharray=dashes, fill="none"))
        entries.append(tag("text", text(name), x=f"{x + 40:.0f}", y=f"{y + 4:.0f}", font_size=12))
        x += 7 * len(name) + 60
    return tag("g", *entries, pointer_events="none") if entries else ""


def describe(edge: Edge, labels: Mapping[str, str]) -> str:
    """A link in words: its ends, weight, range over the fills, verdict and attention; `labels` has the text of each node."""
    unit = "" if edge.kind == "alignment" else " nats"
    one = edge.low is None or edge.high is None or edge.low == edge.high
    span = "" if one else f" ({range_said(edge)} over the fills)"
    verdict = f", {edge.verdict} ({attention_said(edge)})" if edge.verdict else ""
    named = [f"{KINDS[node.split(':')[0]]} {labels[node]}" for node in players(edge)]
    together = edge.kind in TOGETHER
    ends = f"{' + '.join(named)} at {labels[f'step:{edge.step}']}" if together else " → ".join(named)
    return f"{ends}: {edge.weight:+.3g}{unit}{span}{verdict}"
