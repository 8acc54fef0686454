"""The graph over the image, on one page read from top to bottom: the question's words, the image, the answer's tokens.

Links run from words and regions down to the answer step that they bear on (and from words to regions for alignment). Width is
|weight|; a blue link supports and a vermilion one opposes. Where edges have verdicts, solid is confirmed, long dashes unclear, short
dashes hidden and dotted grey spurious; else solid supports and dashed opposes. Regions are shaded by their sum over steps. Only the
strongest links are drawn, none that vanishes or changes sign under one of the fills that were tried, and none whose effect does not
matter; the caption says how many are left out, and how far the graph can be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from stcg_nb.graph.groups import merged_labels
from stcg_nb.graph.schema import MATTERS
from stcg_nb.graph.selection import TOGETHER, Shown, View, attention_said, choose, players, totals
from stcg_nb.graph.stcg import STCG, Edge
from stcg_nb.graph.trust import fills_of, trust_said
from stcg_nb.viz.figures.base import figure
from stcg_nb.viz.layout import Layout, Point, lay_out, middle_of, strokes
from stcg_nb.viz.theme import (
    INK,
    NEUTRAL,
    OPPOSES,
    SUPPORTS,
    add_picture,
    escape,
    jpeg,
    note_lines,
    outlines,
    overlay,
    titled,
)

THREE_NOTE = "Three lines from one dot: three together. "
VERDICT_NOTE = (
    f"An effect matters from {MATTERS:g} nats on (p = .50 becomes .62 or .38): solid where attention shows it too, short dashes where "
    "attention does not (hidden), long dashes where that is unclear, dotted grey where attention shows a link without such an effect. "
)
DASHES = {"hidden": "dash", "unclear": "longdash"}  # of links that attention does not show for sure
WIDTHS = (1.2, 2.6, 4.5, 7.0)  # pixels of a link, from weak to strong
DIM = 0.12  # opacity of links that do not touch the chosen node
UNITS = {
    "counterfactual": "nats of log-odds lost without it",
    "alignment": "alignment by {}",
    "interaction": "nats by which losses do not add up",
}


@figure(
    "graph",
    caption="Read from top to bottom: words, image, answer. A thick blue link: without that word or region the token loses much.",
)
def graph_figure(
    stcg: STCG,
    *,
    links: str = "counterfactual",
    top: int = 24,
    step: int | None = None,
    min_effect: float = 0.0,
    node: str | None = None,
) -> go.Figure:
    """The graph over the image.

    Args:
        stcg: What to show.
        links: ``"counterfactual"``: what the answer loses, in nats, without a word or region; ``"alignment"``; or
            ``"interaction"``: two or three that are worth more (blue) or less (vermilion) together than one by one, each at the
            step where it is strongest; only a causal graph has them.
        top: How many links to draw, the strongest first.
        step: The answer's step to show, from 0; all of them if left out.
        min_effect: Links are drawn that lie further from zero than this, in nats, under every fill that was tried.
        node: A word, region or step, such as ``"word:3"``: its links stand out.

    Raises:
        InputError: For other links, fewer than one, interactions where there are none, or a step or node that is not there.
    """
    view = View(links, top, step, min_effect, node)
    shown = choose(stcg, view)
    word_totals, region_totals = totals(stcg, view)
    layout, signed = lay_out(stcg), links != "alignment"

    figure = go.Figure()
    _add_image(figure, stcg, layout, region_totals)
    _add_links(figure, shown, layout.places, signed)
    _add_names(figure, stcg, layout.places, word_totals, signed)

    figure.update_xaxes(visible=False, range=[-layout.half - 0.04, layout.half + 0.04], fixedrange=False)
    figure.update_yaxes(visible=False, range=[layout.last + 0.1, layout.first - 0.09], scaleanchor="x", scaleratio=1)
    pixels = 880 / (2 * layout.half + 0.08) * (layout.last - layout.first + 0.19)
    note = caption(stcg, view, shown)
    below = 24 + 14 * len(note_lines(note))  # pixels
    titled(figure, stcg, headline(stcg, view), int(min(pixels, 900)) + 94 + below, note)
    figure.update_layout(
        margin={"l": 10, "r": 10, "t": 84, "b": below},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom", "font": {"size": 12}},
    )
    return figure


def headline(stcg: STCG, view: View) -> str:
    """What the picture shows, in a few words."""
    return {
        "counterfactual": "What the answer rests on",
        "alignment": "What attention links",
        "interaction": "What works together",
    }[view.links]


def caption(stcg: STCG, view: View, shown: Shown) -> str:
    """How to read the picture, and what it leaves out."""
    strongest = f", at most {shown.strongest:.2g}" if shown.drawn or shown.dimmed else ""
    fills = fills_of(stcg) if view.links != "alignment" else ()
    robust = f"What is drawn keeps its sign under the fills {', '.join(fills)}. " if len(fills) > 1 else ""
    limit = f"within {view.min_effect:g} of zero" if view.min_effect else "changing sign"
    among = " under one of the fills" if robust else ""
    unsure = f", and {shown.unsure} {limit}{among}" if shown.unsure else ""
    unsure += f", and {shown.small} of less than {MATTERS:g} nats" if shown.small else ""
    unsure += f"; {len(shown.spurious)} dotted" if shown.spurious else ""
    verdicts = VERDICT_NOTE if any(e.verdict for e in (*shown.drawn, *shown.spurious)) else ""
    three = THREE_NOTE if any(e.third is not None for e in shown.drawn) else ""
    shade = "sum over steps" if view.step is None else "at this step"
    return (
        f"Link width: {UNITS[view.links].format(stcg.estimator)}{strongest}. {len(shown.drawn)} strongest of {shown.total} "
        f"links drawn, {shown.total - len(shown.drawn)} left out{unsure}. {robust}{three}{verdicts}"
        f"Region shade: {shade}. Number under a token: its probability. {trust_said(stcg)}"
    ).rstrip()


def _add_image(figure: go.Figure, stcg: STCG, layout: Layout, weights: np.ndarray) -> None:
    """The image with its regions outlined and shaded by weight, ``[region]``."""
    w, h, unit = layout.width, layout.height, max(stcg.image.shape[:2])
    shaded = jpeg(overlay(stcg, weights, float(np.abs(weights).max()), 480), 480)
    add_picture(figure, shaded, (-w / 2, 0, w / 2, h))
    xs, ys = outlines(merged_labels(stcg))
    figure.add_scatter(
        x=[None if x is None else round(x / unit - w / 2, 4) for x in xs],
        y=[None if y is None else round(y / unit, 4) for y in ys],
        mode="lines", line={"color": "rgba(60,60,60,0.35)", "width": 0.7}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip


def _add_links(figure: go.Figure, shown: Shown, places: Mapping[str, Point], signed: bool) -> None:
    """Links as a few broken lines, one for each style and width, and markers in their middles that give their numbers."""
    groups: dict[tuple[bool, str, str, str, int], tuple[list[float | None], list[float | None]]] = {}
    for dim, edges in ((True, shown.dimmed), (False, [*shown.spurious, *shown.drawn])):
        for edge in edges:
            size = 0 if edge.verdict == "spurious" else width_class(edge, shown.strongest)
            xs, ys = groups.setdefault((dim, *style(edge, signed), size), ([], []))
            for stroke in strokes(edge, places):
                x, y = _points(stroke)
                xs += [*np.round(x, 4).tolist(), None]
                ys += [*np.round(y, 4).tolist(), None]
    named: set[str] = set()
    for (dim, name, color, dash, size), (xs, ys) in sorted(groups.items(), key=lambda g: (not g[0][0], -g[0][4])):
        figure.add_scatter(
            x=xs, y=ys, mode="lines", name=name, legendgroup=name, showlegend=name not in named, hoverinfo="skip",
            line={"color": color, "width": WIDTHS[size], "dash": dash}, opacity=DIM if dim else 0.45 + 0.15 * size,
        )  # fmt: skip
        named.add(name)
    _add_middles(figure, shown, places, signed)


def _add_middles(figure: go.Figure, shown: Shown, places: Mapping[str, Point], signed: bool) -> None:
    """A marker in the middle of each link, invisible but where three meet, whose hover text gives the link's weight."""
    edges = [*shown.dimmed, *shown.spurious, *shown.drawn]
    middles = [middle_of(edge, places) for edge in edges]
    said = [f" ({edge.verdict}; {attention_said(edge)})" if edge.verdict else "" for edge in edges]
    visible = [edge.third is not None and i >= len(shown.dimmed) for i, edge in enumerate(edges)]
    figure.add_scatter(
        x=[round(float(x), 4) for x, _ in middles], y=[round(float(y), 4) for _, y in middles], mode="markers", showlegend=False,
        marker={
            "size": 12,
            "color": [style(e, signed)[1] if seen else "rgba(0,0,0,0)" for e, seen in zip(edges, visible, strict=True)],
        },
        text=[f"{' → '.join(players(e))}: {e.weight:+.3g}{verdict}" for e, verdict in zip(edges, said, strict=True)],
        hoverinfo="text",
    )  # fmt: skip


def _points(stroke: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the points that a stroke is drawn through, ``[point]`` each: 13 of a Bézier curve, the two ends of a line."""
    ends = np.array(stroke)
    if len(ends) == 2:
        return ends[:, 0], ends[:, 1]
    u = np.linspace(0, 1, 13)
    weights = [(1 - u) ** 3, 3 * (1 - u) ** 2 * u, 3 * (1 - u) * u**2, u**3]
    x, y = (sum((b * v for b, v in zip(weights, column, strict=True)), np.zeros(len(u))) for column in ends.T)
    return x, y


def width_class(edge: Edge, strongest: float) -> int:
    """Which of `WIDTHS` a link has."""
    return min(3, int(abs(edge.weight) / strongest * 4))


def style(edge: Edge, signed: bool) -> tuple[str, str, str]:
    """A link's name in the legend, its colour and its dash; `signed` is False for alignment, whose weights have no sign."""
    if edge.verdict == "spurious":
        return "spurious", NEUTRAL, "dot"
    positive = edge.weight > 0
    name, color = ("supports", SUPPORTS) if positive else ("opposes", OPPOSES)
    if edge.kind in TOGETHER:
        name = "together" if positive else "instead of each other"
    if not signed:
        name = "link"
    if edge.verdict in DASHES:
        return f"{name}, {edge.verdict}", color, DASHES[edge.verdict]
    return name, color, "solid" if positive or edge.verdict or edge.kind in TOGETHER else "dash"


def _add_names(figure: go.Figure, stcg: STCG, places: Mapping[str, Point], totals: np.ndarray, signed: bool) -> None:
    """Words, bold and coloured where their total, ``[word]``, is large, and the answer's tokens, each with its probability."""
    top = float(np.abs(totals).max()) or 1.0
    shared = {"showarrow": False, "borderpad": 4, "font": {"size": 14, "color": INK}}
    names = []
    for i, word in enumerate(stcg.words):
        x, y = places[f"word:{i}"]
        strong = abs(float(totals[i])) / top > 0.25
        color = (SUPPORTS if totals[i] > 0 or not signed else OPPOSES) if strong else NEUTRAL
        text = f"<b>{escape(word, 24)}</b>" if strong else escape(word, 24)
        box = {"bgcolor": "white", "bordercolor": color, "borderwidth": 2 if strong else 1}
        names.append({**shared, **box, "x": x, "y": y, "text": text})
    for t, (token, p) in enumerate(zip(stcg.steps, stcg.data["p"].values, strict=True)):
        x, y = places[f"step:{t}"]
        text = f"<b>{escape(token, 24)}</b><br><span style='font-size:11px'>{p:.2f}</span>"
        names.append(
            {**shared, "bgcolor": "#f2f2f2", "bordercolor": INK, "borderwidth": 1, "x": x, "y": y, "text": text}
        )
    figure.update_layout(annotations=names)  # at once: one by one takes minutes for hundreds of words
