"""How links and reliance on the picture change over the answer's tokens."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stcg_nb.study.figures.style import finish, interval_bars, mean
from stcg_nb.viz.theme import NEUTRAL, OPPOSES, SUPPORTS


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
    values = [mean(apart[apart["apart"] == k], "js") for k in steps]
    figure.add_scatter(
        x=[int(k) for k in steps], y=[v[0] for v in values], error_y=interval_bars(values), mode="lines+markers", row=1, col=1,
        line={"color": SUPPORTS, "width": 2.5}, marker={"size": 10}, showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(title_text="tokens apart", dtick=2, col=1)
    figure.update_yaxes(title_text="JS distance of links", rangemode="tozero", col=1)
    counts, edges = np.histogram(null, bins=24)
    figure.add_bar(
        x=np.round((edges[1:] + edges[:-1]) / 2, 1).tolist(), y=counts.tolist(), marker={"color": NEUTRAL}, row=1, col=2,
        showlegend=False,
    )  # fmt: skip
    figure.add_vline(x=round(float(np.mean(closer)), 1), line={"color": OPPOSES, "width": 4}, row=1, col=2)
    figure.update_xaxes(title_text="neighbours closer (%)", col=2)
    figure.update_yaxes(visible=False, col=2)
    return finish(
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
        values = [mean(mine[mine["step"] == s], "nats") for s in steps]
        figure.add_scatter(
            x=[int(s) for s in steps], y=[v[0] for v in values], error_y=interval_bars(values), mode="markers", name=label,
            marker={"size": 11, "symbol": symbol, "color": color},
        )  # fmt: skip
    figure.update_xaxes(title_text="token of the answer", dtick=1)
    figure.update_yaxes(title_text="lost without<br>the picture (nats)", rangemode="tozero")
    return finish(figure, 430, f"n = {len(rows)} answers; places with fewer than five tokens are left out.", top=50)
