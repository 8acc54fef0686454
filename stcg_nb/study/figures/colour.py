"""H2: what perturbations do to the answer's probability, on colour questions and on others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stcg_nb.study.figures.style import SMALL, add_intervals, finish, mean, perturbation_label
from stcg_nb.viz.theme import INK, OPPOSES, SUPPORTS


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
            z=z.tolist(), x=[perturbation_label(k) for k in names], y=[f"{k} ({counts[k]})" for k in kinds], zmin=0, zmax=1,
            colorscale="Blues", xgap=2, ygap=2, showscale=False,
        )
    )  # fmt: skip
    for i, kind in enumerate(kinds):
        for j, name in enumerate(names):
            figure.add_annotation(
                x=perturbation_label(name), y=f"{kind} ({counts[kind]})", text=f"{z[i][j]:.2f}", showarrow=False,
                font={"size": SMALL, "color": "white" if z[i][j] > 0.6 else INK},
            )  # fmt: skip
    figure.update_xaxes(side="top", tickangle=-40, tickfont={"size": SMALL})
    finish(
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
        values = [mean(group[group["perturbation"] == k], "size") for k in names]
        n = group["scene"].nunique()
        add_intervals(figure, values, [i + shift for i in range(len(names))], f"{label}, n = {n}", color, symbol)
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=[perturbation_label(k) for k in names])
    figure.update_xaxes(title_text="mean |Δp|, 95 % interval", range=[-0.02, 1.02])
    figure = finish(figure, 430, top=50)
    return figure.update_layout(legend={"x": 0.3})
