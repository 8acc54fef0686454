"""The answer in time, step by step."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.figures.base import figure
from stcg_nb.viz.theme import HIGHLIGHT, INK, NEUTRAL, SUPPORTS, escape, titled

ROWS = (
    ("p", "probability", SUPPORTS),
    ("visual_reliance", "lost without the<br>image (nats)", SUPPORTS),
    ("entropy", "spread of links<br>(nats)", NEUTRAL),
    ("js_previous", "moved since the<br>last token (0–1)", HIGHLIGHT),
)
MANY = 12  # tokens; beyond, their names are slanted


@figure(
    "timeline",
    caption="Token by token: how sure the model is, how much of that is the image, and how the links move.",
)
def timeline(stcg: STCG) -> go.Figure:
    """The answer in time: probability, reliance on the image, spread of the links and their movement, step by step."""
    figure = make_subplots(rows=len(ROWS), cols=1, shared_xaxes=True, vertical_spacing=0.045)
    for row, (variable, label, color) in enumerate(ROWS, 1):
        _add_bars(figure, stcg, row, variable, label, color)
    count = len(stcg.steps)
    figure.update_xaxes(
        tickvals=list(range(count)), ticktext=[escape(s, 16 if count <= 8 else 9) for s in stcg.steps], showgrid=False,
        zeroline=False, range=[-0.6, count - 0.4],
    )  # fmt: skip
    letters = (
        {"tickfont": {"size": 14}, "tickangle": 0} if count <= MANY else {"tickfont": {"size": 10}, "tickangle": -60}
    )
    figure.update_xaxes(row=len(ROWS), col=1, **letters)
    note = (
        "Lost without the image: log-odds of the token less those with the image blanked. Spread: entropy of the token's region "
        f"links, at most {np.log(len(stcg.regions)):.2f}. Moved: Jensen–Shannon distance of those links to the token before."
        f"{_orders_note(stcg)}"
    )
    titled(figure, stcg, "How the answer unfolds", 640, note)
    figure.update_layout(margin={"l": 95, "r": 10, "t": 84, "b": 110})
    figure.layout.annotations[0].yshift = -40 if count <= MANY else -62
    return figure


def _add_bars(figure: go.Figure, stcg: STCG, row: int, variable: str, label: str, color: str) -> None:
    """A bar for each token, with its value if there is room; none where the value is not defined."""
    values = stcg.data[variable].values
    shown = [None if np.isnan(v) else round(float(v), 4) for v in values]
    numbers = ["–" if v is None else f"{v:.2f}" for v in shown] if len(shown) <= 14 else None
    figure.add_bar(
        x=list(range(len(shown))), y=shown, row=row, col=1, width=0.55, marker={"color": color}, showlegend=False, cliponaxis=False,
        text=numbers, textposition="outside", textangle=0,
    )  # fmt: skip
    high, low = float(np.nanmax(values, initial=0)), float(np.nanmin(values, initial=0))
    limit = {"p": 1.0, "js_previous": 1.0, "entropy": float(np.log(len(stcg.regions)))}.get(variable, high)
    span = max(limit, high) - low or 1.0
    figure.update_yaxes(
        title={"text": label, "font": {"size": 11}}, row=row, col=1, range=[low - 0.25 * span * (low < 0), low + span * 1.3],
        nticks=4, zeroline=True, zerolinecolor=INK, gridcolor="#e5e5e5",
    )  # fmt: skip


def _orders_note(stcg: STCG) -> str:
    """How the answer's order compares with other orders of its tokens; nothing for fewer than three tokens."""
    attrs = stcg.data.attrs
    names = ("order_p", "persistence_p", "reliance_trend_p", "entropy_trend_p")
    order, persistence, reliance, entropy = (float(attrs.get(name, np.nan)) for name in names)
    if len(stcg.steps) < 3 or not np.isfinite([order, persistence, reliance, entropy]).all():
        return ""
    return (
        f" Among {int(attrs['orders'])} orders of the same tokens: links of neighbours closer, p = {order:.2f}; "
        f"strongest effects last, p = {persistence:.2f}; trend of reliance, p = {reliance:.2f}; of spread, p = {entropy:.2f}."
    )
