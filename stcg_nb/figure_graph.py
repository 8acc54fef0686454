"""The graph over the image, on one sheet read from top to bottom: the question's words, the image, the answer's tokens.

Links run from words and regions down to the answer step that they bear on (and from words to regions for alignment). Width is
|weight|; a blue link supports and a vermilion one opposes. Where edges have verdicts, solid is confirmed, dashed hidden and dotted
grey spurious; else solid supports and dashed opposes. Regions are shaded by their sum over steps. Only the strongest links are
drawn, and none whose interval holds zero; the caption says how many are left out.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from stcg_nb.errors import InputError
from stcg_nb.graph import STCG, Edge
from stcg_nb.regions import Regions
from stcg_nb.style import INK, NEUTRAL, OPPOSES, SUPPORTS, add_picture, escape, jpeg, outlines, overlay, titled

LINKS = ("counterfactual", "alignment", "interaction")
SPURIOUS = 8  # at most so many are drawn
VERDICT_NOTE = "Solid: attention shows it too; dashed: hidden from attention; dotted grey: attention without effect. "
WIDTHS = (1.2, 2.6, 4.5, 7.0)


def graph_figure(stcg: STCG, *, links: str = "counterfactual", top: int = 24) -> go.Figure:
    """The graph over the image.

    Args:
        stcg: What to show.
        links: ``"counterfactual"``: what the answer loses, in nats, without a word or region; ``"alignment"``; or
            ``"interaction"``: pairs that are worth more (blue) or less (vermilion) together than one by one, each at the step where
            it is strongest; the causal estimator alone finds them.
        top: How many links to draw, the strongest first.

    Raises:
        InputError: For other links, fewer than one, or interactions of an estimator that finds none.
    """
    if links not in LINKS:
        raise InputError(f"{links!r} are no links; valid are {', '.join(LINKS)}.")
    if top < 1:
        raise InputError(f"top is {top}; draw at least one link.")
    data, (height, width) = stcg.data, stcg.image.shape[:2]
    if links == "interaction" and not data.sizes["link"]:
        raise InputError(f"The estimator {stcg.estimator!r} found no interactions; explain with estimator='causal'.")
    causal = links != "alignment"
    totals = data["region_effect" if causal else "step_region"].values.sum(0)
    word_totals = data["word_effect" if causal else "step_word"].values.sum(0)

    # Everything is laid out in units of the image's longer side; its centre is at x = 0.
    unit = max(height, width)
    w, h = width / unit, height / unit
    half = max(w / 2, 0.62)
    rows = _rows(stcg.words, half)
    first = -0.24 - 0.13 * (len({y for _, y in rows}) - 1)
    places: dict[str, tuple[float, float]] = {}
    for i, (x, row) in enumerate(rows):
        places[f"word:{i}"] = (x, first + 0.13 * row)
    step_rows = _rows([f"{t} {p:.2f}" for t, p in zip(stcg.steps, data["p"].values, strict=True)], half)
    for t, (x, row) in enumerate(step_rows):
        places[f"step:{t}"] = (x, h + 0.26 + 0.17 * row)
    for i, (x, y) in enumerate(Regions(data["region_labels"].values, stcg.regions).centers):
        places[f"region:{i}"] = (x / unit - w / 2, y / unit)
    last = max(y for _, y in places.values()) + 0.1

    figure = go.Figure()
    add_picture(figure, jpeg(overlay(stcg, totals, float(np.abs(totals).max()), 480), 480), (-w / 2, 0, w / 2, h))
    xs, ys = outlines(data["region_labels"].values)
    figure.add_scatter(
        x=[None if x is None else round(x / unit - w / 2, 4) for x in xs],
        y=[None if y is None else round(y / unit, 4) for y in ys],
        mode="lines", line={"color": "rgba(60,60,60,0.35)", "width": 0.7}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip

    of_kind = sorted((e for e in stcg.edges() if e.kind == links and e.weight != 0), key=lambda e: -abs(e.weight))
    if links == "interaction":
        of_kind = list({(e.source, e.target): e for e in reversed(of_kind)}.values())[::-1]
        of_kind.sort(key=lambda e: -abs(e.weight))
    every = [e for e in of_kind if _sure(e)]
    drawn = every[:top]
    strongest = abs(drawn[0].weight) if drawn else 1.0
    spurious = [e for e in of_kind if e.verdict == "spurious" and not _sure(e)][:SPURIOUS]
    _add_links(figure, spurious, drawn, places, strongest, causal)
    _add_names(figure, stcg, places, word_totals, bool(causal))

    unit_name = {
        "counterfactual": "nats of log-odds lost without it",
        "alignment": f"alignment by {stcg.estimator}",
        "interaction": "nats by which two losses do not add up",
    }[links]
    unsure = len(of_kind) - len(every)
    note = (
        f"Link width: {unit_name}, at most {strongest:.2g}. {len(drawn)} strongest of {len(every)} links drawn, "
        f"{len(every) - len(drawn)} left out{f', and {unsure} whose interval holds zero' if unsure else ''}. "
        f"{VERDICT_NOTE if any(e.verdict for e in drawn) else ''}"
        f"Region shade: sum over steps. Number under a token: its probability."
    )
    figure.update_xaxes(visible=False, range=[-half - 0.04, half + 0.04], fixedrange=False)
    figure.update_yaxes(visible=False, range=[last, first - 0.09], scaleanchor="x", scaleratio=1)
    pixels = 880 / (2 * half + 0.08) * (last - first + 0.09)
    scale = min(1.0, 900 / pixels)
    what = {
        "counterfactual": "What the answer rests on",
        "alignment": "What the answer is linked with" if stcg.estimator == "causal" else "What attention links",
        "interaction": "What works together",
    }[links]
    titled(figure, stcg, what, int(pixels * scale) + 160, note)
    figure.update_layout(
        margin={"l": 10, "r": 10, "t": 84, "b": 66},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom", "font": {"size": 12}},
    )
    return figure


def _sure(edge: Edge) -> bool:
    """Whether the edge has no interval, or one without zero."""
    return edge.low is None or edge.high is None or edge.low > 0 or edge.high < 0


def _rows(labels: tuple[str, ...] | list[str], half: float) -> list[tuple[float, int]]:
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


def _add_links(
    figure: go.Figure,
    spurious: list[Edge],
    drawn: list[Edge],
    places: dict[str, tuple[float, float]],
    strongest: float,
    causal: bool,
) -> None:
    """Links as a few broken lines, one for each style and width, and invisible markers to point at."""
    groups: dict[tuple[str, str, str, int], tuple[list[float | None], list[float | None]]] = {}
    middles: list[tuple[float, float, str]] = []
    curve = np.linspace(0, 1, 13)
    for edge in (*spurious, *drawn):
        (x0, y0), (x1, y1) = places[edge.source], places[edge.target]
        # Cubic Bézier that leaves and arrives vertically, so that links part near their ends.
        bend = 0.45 * (y1 - y0)
        b = [(1 - curve) ** 3, 3 * (1 - curve) ** 2 * curve, 3 * (1 - curve) * curve**2, curve**3]
        x = b[0] * x0 + b[1] * x0 + b[2] * x1 + b[3] * x1
        y = b[0] * y0 + b[1] * (y0 + bend) + b[2] * (y1 - bend) + b[3] * y1
        size = 0 if edge.verdict == "spurious" else min(3, int(abs(edge.weight) / strongest * 4))
        xs, ys = groups.setdefault((*_style(edge, causal), size), ([], []))
        xs += [*np.round(x, 4).tolist(), None]
        ys += [*np.round(y, 4).tolist(), None]
        said = f" ({edge.verdict})" if edge.verdict else ""
        middles.append(
            (round(float(x[6]), 4), round(float(y[6]), 4), f"{edge.source} → {edge.target}: {edge.weight:+.3g}{said}")
        )
    named: set[str] = set()
    for (name, color, dash, size), (xs, ys) in sorted(groups.items(), key=lambda g: g[0][3], reverse=True):
        figure.add_scatter(
            x=xs, y=ys, mode="lines", name=name, legendgroup=name, showlegend=name not in named, hoverinfo="skip",
            line={"color": color, "width": WIDTHS[size], "dash": dash}, opacity=0.45 + 0.15 * size,
        )  # fmt: skip
        named.add(name)
    figure.add_scatter(
        x=[m[0] for m in middles], y=[m[1] for m in middles], mode="markers", marker={"size": 12, "opacity": 0}, showlegend=False,
        text=[m[2] for m in middles], hoverinfo="text",
    )  # fmt: skip


def _style(edge: Edge, causal: bool) -> tuple[str, str, str]:
    """Name in the legend, colour and dash."""
    if edge.verdict == "spurious":
        return "spurious", NEUTRAL, "dot"
    positive = edge.weight > 0
    name, color = ("supports", SUPPORTS) if positive else ("opposes", OPPOSES)
    if edge.kind == "interaction":
        name = "together" if positive else "instead of each other"
    if not causal:
        name = "link"
    if edge.verdict == "hidden":
        return f"{name}, hidden", color, "dash"
    return name, color, "solid" if positive or edge.verdict else "dash"


def _add_names(
    figure: go.Figure, stcg: STCG, places: dict[str, tuple[float, float]], totals: np.ndarray, signed: bool
) -> None:
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
