"""Figures of the study's findings: pure functions of what `Study.measure` gives to `plotly.graph_objects.Figure`.

They are made for the column of a paper (3.4 inches): 660 pixels wide with letters of at least 17, so that printed at that width
nothing is under 6 points. Means stand with 95 % intervals clustered by image, and n is on the figure. Numbers are rounded to what
is the same on every processor, so that notebooks can be compared exactly.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stcg_nb.findings import NOT_SUPPORTED, SUPPORTED, UNDECIDED, Finding
from stcg_nb.graph import STCG
from stcg_nb.intervals import cluster_bootstrap
from stcg_nb.style import HIGHLIGHT, INK, NEUTRAL, OPPOSES, SUPPORTS, add_picture, escape, jpeg, outlines

WIDTH = 660
FONT = {"family": "DejaVu Sans, Verdana, Arial, sans-serif", "size": 18, "color": INK}
SMALL = 17
VERDICT_COLORS = {SUPPORTED: SUPPORTS, NOT_SUPPORTED: OPPOSES, UNDECIDED: NEUTRAL}
VERDICT_SYMBOLS = {SUPPORTED: "circle", NOT_SUPPORTED: "x", UNDECIDED: "diamond-open"}
CONTROL = "gaussian_noise"


def overview(stcg: STCG) -> go.Figure:
    """The method on one example: structural alignment, counterfactual sensitivity, temporal evolution."""
    data = stcg.data
    words = [escape(word, 10) for word in stcg.words]
    figure = make_subplots(
        rows=3, cols=2, row_heights=[0.36, 0.3, 0.34], vertical_spacing=0.13,
        horizontal_spacing=0.02 + 0.018 * min(10, max(map(len, stcg.words))),  # the words stand between the columns
        subplot_titles=(
            "the picture, in regions", "<b>1</b> words linked to regions", "<b>2</b> perturbed: ΔW (10⁻³)", "and Δp of the answer",
            "<b>3</b> tokens linked to regions", "lost without picture (nats)",
        ),
    )  # fmt: skip
    height, width = stcg.image.shape[:2]
    add_picture(figure, jpeg(stcg.image, 320), (0, 0, width, height))
    xs, ys = outlines(data["region_labels"].values)
    figure.add_scatter(x=xs, y=ys, mode="lines", line={"color": "rgba(40,40,40,0.5)", "width": 1}, row=1, col=1)
    figure.update_xaxes(visible=False, range=[0, width], constraintoward="left", row=1, col=1)
    figure.update_yaxes(visible=False, range=[height, 0], scaleanchor="x", row=1, col=1)
    for row, col, name, labels in (
        (1, 2, "word_region", words),
        (3, 1, "step_region", [escape(s, 10) for s in stcg.steps]),
    ):
        weights = data[name].values
        z = (np.round(weights / weights.max(), 2) + 0.0).tolist()
        y = list(range(len(labels)))
        figure.add_heatmap(
            z=z, y=y, colorscale="Blues", showscale=False, zmin=0, zmax=1, xgap=1, ygap=1, row=row, col=col
        )
        figure.update_yaxes(autorange="reversed", tickvals=y, ticktext=labels, row=row, col=col)
        figure.update_xaxes(showticklabels=False, ticks="", title_text=f"{len(stcg.regions)} regions", row=row, col=col)
    names = [_name(str(k)) for k in data["perturbation"].values][::-1]
    for col, name, scale in ((1, "delta_w", 1000), (2, "delta_p", 1)):
        values = [_round(float(v) * scale) for v in data[name].values[::-1]]
        flipped = data["flipped"].values[::-1]
        figure.add_bar(
            x=values, y=names, orientation="h", row=2, col=col, width=0.6,
            marker={"color": [OPPOSES if f else SUPPORTS for f in flipped], "pattern": {"shape": ["/" if f else "" for f in flipped]}},
        )  # fmt: skip
    figure.update_yaxes(showticklabels=False, row=2, col=2)
    figure.update_xaxes(range=[-1.05, 0.15], tickvals=[-1, -0.5, 0], row=2, col=2)
    steps = list(range(len(stcg.steps)))
    figure.add_scatter(
        x=steps, y=[round(float(v), 1) for v in data["visual_reliance"].values], mode="lines+markers", row=3, col=2,
        line={"color": SUPPORTS, "width": 2.5}, marker={"size": 10},
    )  # fmt: skip
    figure.update_xaxes(
        tickvals=steps, ticktext=[escape(t, 10) for t in stcg.steps], range=[-0.4, len(steps) - 0.6], row=3, col=2
    )
    figure.update_yaxes(rangemode="tozero", row=3, col=2)
    figure.update_annotations(font_size=18)
    note = f"{stcg.model}: “{stcg.question}” → “{stcg.answer}”. Hatched vermilion: the model answers something else."
    return stamped(_finish(figure, 1000, note, 40, 44), stcg.synthetic).update_layout(showlegend=False)


def links_moved(rows: pd.DataFrame) -> go.Figure:
    """H1: ΔW of each perturbation, as its mean and as how often it is the largest, from `measurements.sensitivity`'s rows."""
    n = rows["scene"].nunique()
    wide = rows.pivot(index="scene", columns="perturbation", values="delta_w")
    largest = wide.rank(axis=1, ascending=False).stack().rename("rank").reset_index()
    names = _by_mean(rows, "delta_w")
    claimed = ("patch_shuffle", "peripheral_mask")
    colors = [SUPPORTS if name in claimed else NEUTRAL for name in names]
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06)
    _dots(figure, 1, names, lambda k: _mean(rows[rows["perturbation"] == k], "delta_w", 1000), colors)
    _dots(figure, 2, names, lambda k: _mean(largest[largest["perturbation"] == k], "rank"), colors)
    figure.update_xaxes(title_text="ΔW (10⁻³)", rangemode="tozero", col=1)
    figure.update_xaxes(title_text="rank of ΔW", range=[6.4, 0.6], tickvals=[6, 4, 2, 1], col=2)
    return _finish(figure, 400, f"n = {n} questions. Blue: claimed to be largest. Rank 1 is most.")


def probability_changed(rows: pd.DataFrame) -> go.Figure:
    """H2: mean |Δp| for each perturbation and kind of question, a heat map with its numbers in it."""
    size = rows.assign(size=rows["delta_p"].abs())
    table = size.pivot_table(index="kind", columns="perturbation", values="size", aggfunc="mean")
    counts = rows.groupby("kind")["scene"].nunique()
    kinds = list(dict.fromkeys(rows["kind"]))
    kinds = [*(k for k in kinds if k != "color"), *(k for k in kinds if k == "color")]  # drawn upwards: colour on top
    names = list(dict.fromkeys(rows["perturbation"]))
    z = np.round(table.loc[kinds, names].to_numpy(), 2) + 0.0
    figure = go.Figure(
        go.Heatmap(
            z=z.tolist(), x=[_name(k) for k in names], y=[f"{k} ({counts[k]})" for k in kinds], zmin=0, zmax=1,
            colorscale="Blues", xgap=2, ygap=2, showscale=False,
        )
    )  # fmt: skip
    for i, kind in enumerate(kinds):
        for j, name in enumerate(names):
            figure.add_annotation(
                x=_name(name), y=f"{kind} ({counts[kind]})", text=f"{z[i][j]:.2f}", showarrow=False,
                font={"size": SMALL, "color": "white" if z[i][j] > 0.6 else INK},
            )  # fmt: skip
    figure.update_xaxes(side="top", tickangle=-40, tickfont={"size": SMALL})
    _finish(
        figure, 190 + 36 * len(kinds), "Mean |Δp| of the answer, 0 to 1; in brackets the number of questions.", 8, 130
    )
    figure.update_layout(margin={"r": 76})
    return figure


def colour_against_others(rows: pd.DataFrame) -> go.Figure:
    """H2: |Δp| of each perturbation on colour questions and on all others, with intervals."""
    size = rows.assign(size=rows["delta_p"].abs())
    names = list(dict.fromkeys(rows["perturbation"]))[::-1]
    figure = go.Figure()
    for label, group, color, symbol, shift in (
        ("colour questions", size[size["kind"] == "color"], OPPOSES, "circle", 0.14),
        ("other questions", size[size["kind"] != "color"], SUPPORTS, "square-open", -0.14),
    ):
        values = [_mean(group[group["perturbation"] == k], "size") for k in names]
        n = group["scene"].nunique()
        _interval(figure, values, [i + shift for i in range(len(names))], f"{label}, n = {n}", color, symbol)
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=[_name(k) for k in names])
    figure.update_xaxes(title_text="mean |Δp|, 95 % interval", range=[-0.02, 1.02])
    figure = _finish(figure, 430, top=50)
    return figure.update_layout(legend={"x": 0.3})


def dissociation(rows: pd.DataFrame) -> go.Figure:
    """H3: at one pixel distance, how far links move against how often the answer changes, a point with intervals a perturbation."""
    figure = go.Figure()
    names = list(dict.fromkeys(rows["perturbation"]))
    symbols = ("circle", "square", "diamond", "triangle-up", "pentagon", "star")
    palette = (SUPPORTS, "#009E73", "#CC79A7", HIGHLIGHT, "#56B4E9", OPPOSES)
    others = [k for k in names if k != CONTROL]
    for i, name in enumerate([*others, *(k for k in names if k == CONTROL)]):
        mine = rows[rows["perturbation"] == name].assign(flip=lambda r: r["flipped"].astype(float))
        x, y = _mean(mine, "delta_w", 1000), _mean(mine, "flip", 100)
        figure.add_scatter(
            x=[x[0]], y=[y[0]], mode="markers", name=f"{_name(name)} ({mine['scene'].nunique()})",
            marker={"size": 17, "symbol": symbols[i % 5] if name != CONTROL else "star", "color": palette[i % 5] if name != CONTROL
                    else OPPOSES, "line": {"width": 1, "color": INK}},
            error_x=_error(x), error_y=_error(y),
        )  # fmt: skip
    figure.update_xaxes(title_text="ΔW (10⁻³)", rangemode="tozero")
    figure.update_yaxes(title_text="answers changed (%)", range=[-4, 104])
    mean = round(float(rows["distance"].mean()), 2)
    figure = _finish(
        figure, 560, f"All at pixel distance {mean:.2f}; in brackets the number of questions that reach it.", top=100
    )
    return figure.update_layout(legend={"x": 0.45})


def word_classes(rows: pd.DataFrame) -> go.Figure:
    """H4: strength, entropy and effect of content and function words, means of each question's words."""
    measures = (
        ("strength", "strength<br>of links"),
        ("entropy", "entropy of<br>links (nats)"),
        ("effect", "lost without<br>(nats)"),
    )
    figure = make_subplots(rows=1, cols=3, shared_yaxes=True, horizontal_spacing=0.07)
    for column, (key, label) in enumerate(measures, 1):
        each = rows.groupby(["scene", "content"])[key].mean().reset_index()
        values = [_mean(each[each["content"] == c], key) for c in (False, True)]
        _interval(figure, values, [0, 1], "", [NEUTRAL, SUPPORTS], ["square", "circle"], col=column)
        figure.update_xaxes(title_text=label, col=column, nticks=4)
    figure.update_yaxes(tickvals=[0, 1], ticktext=["function", "content"], range=[-0.6, 1.6])
    content = int(rows["content"].sum())
    return _finish(
        figure,
        290,
        f"n = {rows['scene'].nunique()} questions, {content} content and {len(rows) - content} function words.",
        84,
    )


def word_maps(image: np.ndarray, words: Sequence[str], content: Sequence[bool], links: np.ndarray) -> go.Figure:
    """H4: where each word of one question is linked.

    Args:
        image: The picture, uint8 ``[height, width, 3]``.
        words: ``[word]``.
        content: Whether each is a content word, ``[word]``.
        links: S, ``[word, row, column]``.
    """
    count, columns = len(words) + 1, 4
    rows = -(-count // columns)
    titles = [
        "the picture",
        *(f"<b>{escape(w, 12)}</b>" if c else escape(w, 12) for w, c in zip(words, content, strict=True)),
    ]
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=titles, horizontal_spacing=0.015, vertical_spacing=0.13 / rows * 2
    )
    side = links.shape[1]
    add_picture(figure, jpeg(image, 160), (0, 0, 1, 1))
    figure.update_xaxes(range=[0, 1], row=1, col=1)
    figure.update_yaxes(range=[1, 0], row=1, col=1)
    top = float(links.max())
    for i, weights in enumerate(links, 1):
        place = i // columns + 1, i % columns + 1
        heat = go.Heatmap(
            z=(np.round(weights / top, 2) + 0.0).tolist(), zmin=0, zmax=1, colorscale="Blues", showscale=False
        )
        figure.add_trace(heat, *place)
        figure.update_yaxes(range=[side - 0.5, -0.5], row=place[0], col=place[1])
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_annotations(font_size=SMALL)
    _finish(figure, 60 + 178 * rows, "Bold: content words. All on one scale, the darkest is the strongest link.", 6, 30)
    return figure.update_layout(margin={"l": 6, "r": 6})


def evolution(rows: pd.DataFrame, closer: np.ndarray, null: np.ndarray) -> go.Figure:
    """Time: links of steps that are further apart differ more; and by how much neighbours are closer than in other orders.

    Args:
        rows: `measurements.evolution`'s.
        closer: Of each question, in %, ``[question]``.
        null: The study's mean under orders that were drawn, in %, ``[draw]``.
    """
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.16, column_widths=[0.5, 0.5])
    apart = pd.DataFrame(
        {"scene": scene, "apart": k, "js": float(np.mean(np.diagonal(np.asarray(d), k)))}
        for scene, d in zip(rows["scene"], rows["distance"], strict=True)
        for k in range(1, len(d))
    )
    steps = [k for k in sorted(apart["apart"].unique()) if (apart["apart"] == k).sum() >= 5]
    values = [_mean(apart[apart["apart"] == k], "js") for k in steps]
    figure.add_scatter(
        x=[int(k) for k in steps], y=[v[0] for v in values], error_y=_errors(values), mode="lines+markers", row=1, col=1,
        line={"color": SUPPORTS, "width": 2.5}, marker={"size": 10}, showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(title_text="tokens apart", dtick=2, col=1)
    figure.update_yaxes(title_text="JS distance of links", rangemode="tozero", col=1)
    counts, edges = np.histogram(null, bins=24)
    figure.add_bar(
        x=np.round((edges[1:] + edges[:-1]) / 2, 1).tolist(), y=counts.tolist(), marker={"color": NEUTRAL}, row=1, col=2,
        showlegend=False,
    )  # fmt: skip
    mean = round(float(np.mean(closer)), 1)
    figure.add_vline(x=mean, line={"color": OPPOSES, "width": 4}, row=1, col=2)
    figure.update_xaxes(title_text="neighbours closer (%)", col=2)
    figure.update_yaxes(visible=False, col=2)
    return _finish(
        figure,
        420,
        f"n = {len(rows)} answers. Right: vermilion, the real order; grey, the same mean with steps in random order.",
    )


def reliance(rows: pd.DataFrame) -> go.Figure:
    """Time: what each token loses without the picture, by its place in the answer, and by whether it names or joins."""
    each = pd.DataFrame(
        {"scene": scene, "step": t + 1, "nats": nats, "naming": token not in ("a", "an", "then")}
        for scene, tokens, values in zip(rows["scene"], rows["tokens"], rows["reliance"], strict=True)
        for t, (token, nats) in enumerate(zip(tokens, values, strict=True))
    )
    figure = go.Figure()
    for label, naming, color, symbol in (
        ("naming tokens (red, car)", True, SUPPORTS, "circle"), ("joining tokens (a, then)", False, OPPOSES, "square-open"),
    ):  # fmt: skip
        mine = each[each["naming"] == naming]
        steps = [s for s in sorted(mine["step"].unique()) if (mine["step"] == s).sum() >= 5]
        values = [_mean(mine[mine["step"] == s], "nats") for s in steps]
        figure.add_scatter(
            x=[int(s) for s in steps], y=[v[0] for v in values], error_y=_errors(values), mode="markers", name=label,
            marker={"size": 11, "symbol": symbol, "color": color},
        )  # fmt: skip
    figure.update_xaxes(title_text="token of the answer", dtick=1)
    figure.update_yaxes(title_text="lost without<br>the picture (nats)", rangemode="tozero")
    return _finish(figure, 430, f"n = {len(rows)} answers; places with fewer than five tokens are left out.", top=50)


def faithful_and_stable(rows: pd.DataFrame) -> go.Figure:
    """H5: attention against the causal graph on the same questions: LDS, seed faithfulness, stability."""
    measures = (
        ("predicts masks<br>(LDS)", "lds_attention", "lds_graph"),
        ("leave-one-out<br>(Pearson)", "attention_seed_faithfulness", "seed_faithfulness"),
        ("stability<br>(Jaccard)", "attention_jaccard_noise", "jaccard_noise"),
    )
    figure = go.Figure()
    for label, column, color, symbol, shift in (
        ("causal graph", 2, SUPPORTS, "circle", 0.13), ("attention", 1, OPPOSES, "square-open", -0.13),
    ):  # fmt: skip
        values = [_mean(rows, m[column]) for m in measures[::-1]]
        _interval(figure, values, [i + shift for i in range(len(measures))], label, color, symbol)
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    figure.update_yaxes(tickvals=list(range(len(measures))), ticktext=[m[0] for m in measures[::-1]], range=[-0.5, 2.5])
    figure.update_xaxes(title_text="mean, 95 % interval (1 is best, 0 is chance)", range=[-0.45, 1.05])
    counts = [int(rows[list(m[1:])].notna().all(axis=1).sum()) for m in measures]
    return _finish(figure, 370, f"n = {_span(counts)} questions, the same for both.", top=50)


def verdicts(findings: Sequence[Finding]) -> go.Figure:
    """All findings: how far each one's weakest comparison lies from what was claimed, in units of its interval's half width."""
    figure = go.Figure()
    for i, finding in enumerate(reversed(findings)):
        shown = float(np.round(np.clip(finding.weakest.distance, -8, 8), 2))
        color = VERDICT_COLORS[finding.verdict]
        figure.add_scatter(
            x=[shown], y=[i], mode="markers", showlegend=False,
            marker={"size": 14, "color": color, "symbol": VERDICT_SYMBOLS[finding.verdict], "line": {"width": 2, "color": color}},
            error_x={"type": "data", "array": [1], "color": color, "thickness": 2.5, "width": 6},
        )  # fmt: skip
    figure.add_vline(x=0, line={"color": INK, "width": 1.5, "dash": "dot"})
    names = [f"<b>{f.key}</b><br>{f.verdict}" for f in reversed(findings)]
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names, range=[-0.6, len(names) - 0.4])
    figure.update_xaxes(
        title_text="distance from the claim's limit<br>(half widths of the 95 % interval)", range=[-9.4, 9.4]
    )
    n = _span([f.weakest.n for f in findings])
    return _finish(
        figure,
        150 + 56 * len(names),
        f"Right of 0: as claimed. n = {n} questions a finding. Beyond 8 is drawn at 8.",
        86,
    )


def stamped(figure: go.Figure, synthetic: bool) -> go.Figure:
    """The figure; one from the mock says on its face that its numbers are made up."""
    if synthetic:
        figure.add_annotation(
            text="SYNTHETIC", xref="paper", yref="paper", x=0.5, y=0.5, showarrow=False, textangle=-25, opacity=0.2,
            font={"size": 80, "color": OPPOSES},
        )  # fmt: skip
    return figure


def _span(counts: Sequence[int]) -> str:
    """Numbers as one, or as the least to the largest.

    >>> _span([220, 219, 220]), _span([5, 5])
    ('219 to 220', '5')
    """
    least, most = min(counts), max(counts)
    return f"{most}" if least == most else f"{least} to {most}"


def _by_mean(rows: pd.DataFrame, key: str) -> list[str]:
    """Perturbations in ascending order of their mean."""
    return [str(k) for k in rows.groupby("perturbation")[key].mean().sort_values().index]


Values = tuple[float, float, float]


def _mean(rows: pd.DataFrame, key: str, scale: float = 1.0) -> Values:
    """Mean, low, high, clustered by scene, rounded."""
    found = cluster_bootstrap(rows[key].to_numpy(dtype=float) * scale, rows["scene"].to_numpy())
    return _round(found.value), _round(found.low), _round(found.high)


def _round(value: float) -> float:
    return round(value, 2) + 0.0


def _error(value: Values) -> dict[str, object]:
    return _errors([value])


def _errors(values: Sequence[Values]) -> dict[str, object]:
    """Plotly's error bars; none where the interval cannot be known."""
    return {
        "type": "data", "symmetric": False, "thickness": 2.5, "width": 6,
        "array": [_round(np.nan_to_num(high - mean)) for mean, _, high in values],
        "arrayminus": [_round(np.nan_to_num(mean - low)) for mean, low, _ in values],
    }  # fmt: skip


def _interval(
    figure: go.Figure,
    values: Sequence[Values],
    y: Sequence[float],
    name: str,
    color: str | Sequence[str],
    symbol: str | Sequence[str],
    col: int | None = None,
) -> None:
    """Points with horizontal intervals."""
    colors = [color] * len(values) if isinstance(color, str) else list(color)
    symbols = [symbol] * len(values) if isinstance(symbol, str) else list(symbol)
    where = {} if col is None else {"row": 1, "col": col}
    for i, value in enumerate(values):
        figure.add_scatter(
            x=[value[0]], y=[y[i]], mode="markers", name=name, legendgroup=name, showlegend=bool(name) and i == 0,
            marker={"size": 9, "color": colors[i], "symbol": symbols[i], "line": {"width": 2, "color": colors[i]}},
            error_x={**_error(value), "color": colors[i]}, **where,
        )  # fmt: skip


def _dots(
    figure: go.Figure, col: int, names: Sequence[str], value: Callable[[str], Values], colors: Sequence[str]
) -> None:
    symbols = ["circle" if c == SUPPORTS else "square" for c in colors]
    _interval(figure, [value(k) for k in names], list(range(len(names))), "", colors, symbols, col)
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=[_name(k) for k in names], col=col)


def _name(perturbation: str) -> str:
    """A perturbation's name as it is drawn, without its underscores."""
    return escape(perturbation.replace("saliency_patch", "saliency").replace("_", " "), 20)


def _finish(figure: go.Figure, height: int, note: str = "", below: int = 64, top: int = 16) -> go.Figure:
    """Size, letters, axes, and a note that begins so many pixels below the axes."""
    lines = [escape(line) for line in textwrap.wrap(note, 66)]
    figure.update_layout(
        template="none", width=WIDTH, height=height, font=FONT, paper_bgcolor="white", plot_bgcolor="white",
        margin={"l": 60, "r": 22, "t": top, "b": below + 12 + 22 * len(lines)},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.5, "xanchor": "center", "font": {"size": SMALL}},
    )  # fmt: skip
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(showgrid=True, gridcolor="#E5E5E5", zeroline=False, tickfont={"size": SMALL}, automargin=True)
        update(title_font={"size": 18}, title_standoff=8)
    if note:
        figure.add_annotation(
            text="<br>".join(lines), xref="paper", yref="paper", x=0.5, y=0, xanchor="center", yanchor="top", showarrow=False,
            yshift=-below, font={"size": 16, "color": "#444444"}, align="center",
        )  # fmt: skip
    return figure
