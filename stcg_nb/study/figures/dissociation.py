"""H3: links against answers at one pixel distance."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from stcg_nb.study.figures.style import finish, interval_bars, mean, perturbation_label
from stcg_nb.viz.theme import HIGHLIGHT, INK, OPPOSES, SUPPORTS

CONTROL = "gaussian_noise"


def dissociation(rows: pd.DataFrame) -> go.Figure:
    """H3: at one pixel distance, how far links move against how often the answer changes, a point with intervals a perturbation."""
    figure = go.Figure()
    names = list(dict.fromkeys(rows["perturbation"]))
    symbols = ("circle", "square", "diamond", "triangle-up", "pentagon", "star")
    palette = (SUPPORTS, "#009E73", "#CC79A7", HIGHLIGHT, "#56B4E9", OPPOSES)
    others = [k for k in names if k != CONTROL]
    for i, name in enumerate([*others, *(k for k in names if k == CONTROL)]):
        mine = rows[rows["perturbation"] == name].assign(flip=lambda r: r["flipped"].astype(float))
        x, y = mean(mine, "delta_w", 1000), mean(mine, "flip", 100)
        figure.add_scatter(
            x=[x[0]], y=[y[0]], mode="markers", name=f"{perturbation_label(name)} ({mine['scene'].nunique()})",
            marker={"size": 17, "symbol": symbols[i % 5] if name != CONTROL else "star", "color": palette[i % 5] if name != CONTROL
                    else OPPOSES, "line": {"width": 1, "color": INK}},
            error_x=interval_bars([x]), error_y=interval_bars([y]),
        )  # fmt: skip
    figure.update_xaxes(title_text="ΔW (10⁻³)", rangemode="tozero")
    figure.update_yaxes(title_text="answers changed (%)", range=[-4, 104])
    distance = round(float(rows["distance"].mean()), 2)
    figure = finish(
        figure,
        560,
        f"All at pixel distance {distance:.2f}; in brackets the number of questions that reach it.",
        top=100,
    )
    return figure.update_layout(legend={"x": 0.45})
