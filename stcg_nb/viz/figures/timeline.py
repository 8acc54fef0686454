"""The answer in time, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.theme import HIGHLIGHT, INK, NEUTRAL, SUPPORTS, escape, titled


def timeline(stcg: STCG) -> go.Figure:
    """The answer in time: probability, reliance on the image, spread of the links and their movement, step by step."""
    data = stcg.data
    rows: Sequence[tuple[str, str, str]] = (
        ("p", "probability", SUPPORTS),
        ("visual_reliance", "lost without the<br>image (nats)", SUPPORTS),
        ("entropy", "spread of links<br>(nats)", NEUTRAL),
        ("js_previous", "moved since the<br>last token (0–1)", HIGHLIGHT),
    )
    figure = make_subplots(rows=len(rows), cols=1, shared_xaxes=True, vertical_spacing=0.045)
    x = list(range(len(stcg.steps)))
    for row, (variable, label, color) in enumerate(rows, 1):
        values = data[variable].values
        shown = [None if np.isnan(v) else round(float(v), 4) for v in values]
        few = len(x) <= 14
        figure.add_bar(
            x=x, y=shown, row=row, col=1, width=0.55, marker={"color": color}, showlegend=False, cliponaxis=False,
            text=["–" if v is None else f"{v:.2f}" for v in shown] if few else None, textposition="outside", textangle=0,
        )  # fmt: skip
        high, low = float(np.nanmax(values, initial=0)), float(np.nanmin(values, initial=0))
        ceiling = (
            1.0
            if variable in ("p", "js_previous")
            else float(np.log(len(stcg.regions)))
            if variable == "entropy"
            else high
        )
        span = max(ceiling, high) - low or 1.0
        figure.update_yaxes(
            title={"text": label, "font": {"size": 11}}, row=row, col=1, range=[low - 0.25 * span * (low < 0), low + span * 1.3],
            nticks=4, zeroline=True, zerolinecolor=INK, gridcolor="#e5e5e5",
        )  # fmt: skip
    width = 16 if len(x) <= 8 else 9
    figure.update_xaxes(
        tickvals=x,
        ticktext=[escape(s, width) for s in stcg.steps],
        showgrid=False,
        zeroline=False,
        range=[-0.6, len(x) - 0.4],
    )
    figure.update_xaxes(
        row=len(rows), col=1, tickfont={"size": 14 if len(x) <= 12 else 10}, tickangle=0 if len(x) <= 12 else -60
    )
    chances = [
        float(data.attrs.get(f"{k}_p", np.nan)) for k in ("order", "persistence", "reliance_trend", "entropy_trend")
    ]
    moved = (
        f" Among {int(data.attrs['orders'])} orders of the same tokens: links of neighbours closer, p = {chances[0]:.2f}; "
        f"strongest effects last, p = {chances[1]:.2f}; trend of reliance, p = {chances[2]:.2f}; of spread, p = {chances[3]:.2f}."
        if len(x) >= 3 and np.isfinite(chances).all()
        else ""
    )
    note = (
        "Lost without the image: log-odds of the token less those with the image blanked. Spread: entropy of the token's region "
        f"links, at most {np.log(len(stcg.regions)):.2f}. Moved: Jensen–Shannon distance of those links to the token before.{moved}"
    )
    titled(figure, stcg, "How the answer unfolds", 640, note)
    figure.update_layout(margin={"l": 95, "r": 10, "t": 84, "b": 110})
    figure.layout.annotations[0].yshift = -40 if len(x) <= 12 else -62
    return figure
