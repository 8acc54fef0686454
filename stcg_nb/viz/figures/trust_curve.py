"""How well the graph predicts with few links and with all of them."""

from __future__ import annotations

import plotly.graph_objects as go

from stcg_nb.graph.stcg import STCG
from stcg_nb.graph.trust import trust_said
from stcg_nb.viz.figures.base import figure
from stcg_nb.viz.theme import INK, NEUTRAL, SUPPORTS, titled

WITHOUT = "This graph was made with masks=0, so nothing says how well it predicts; explain with masks=256, say."
UNDEFINED = "Trust is not defined, since the answer is the same whatever is removed."
NOTE = (
    "From the left: words and regions alone, then with so many links of two or three at each token, the most telling first. 1: inputs "
    "that were not seen are put in the right order; 0: the order is no better than chance. Estimated, without more forward passes. "
)


@figure(
    "trust",
    caption="How far the graph can be trusted: how well it predicts the model on inputs not seen before, with few links and with all.",
)
def trust_curve(stcg: STCG) -> go.Figure:
    """Estimated LDS of the graph by its number of links at a step, with the trust in all that was learnt and its 95 % interval."""
    figure, title = go.Figure(), "How far it can be trusted"
    if stcg.trust is None:
        said = UNDEFINED if stcg.causal else WITHOUT
        figure.add_annotation(text=said, xref="paper", yref="paper", x=0.5, y=0.5, showarrow=False, font={"size": 14})
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        return titled(figure, stcg, title, 310)
    value, low, high = stcg.trust
    sizes, lds = stcg.data["curve_links"].values.tolist(), stcg.data["curve_lds"].values.round(4).tolist()
    ends = [-0.4, len(sizes) - 0.6]
    figure.add_scatter(
        x=[*ends, *ends[::-1]], y=[low, low, high, high], mode="lines", fill="toself", line={"width": 0},
        fillcolor="rgba(153,153,153,0.25)", name="trust, 95 % interval", hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        x=ends, y=[value, value], mode="lines", name="trust: all that was learnt",
        line={"color": NEUTRAL, "dash": "dash", "width": 2},
    )  # fmt: skip
    figure.add_scatter(
        x=list(range(len(sizes))), y=lds, mode="lines+markers+text", name="the graph with so many links", cliponaxis=False,
        text=[f"{v:.2f}" for v in lds], textposition="bottom center", line={"color": SUPPORTS}, marker={"size": 9},
    )  # fmt: skip
    figure.update_xaxes(
        tickvals=list(range(len(sizes))), ticktext=[str(k) for k in sizes], range=ends, showgrid=False, zeroline=False,
        title={"text": "links at a token", "font": {"size": 12}, "standoff": 8},
    )  # fmt: skip
    figure.update_yaxes(
        range=[min(0.0, low, *lds) - 0.12, 1.04], gridcolor="#e5e5e5", zeroline=True, zerolinecolor=INK,
        title={"text": "rank correlation (LDS)", "font": {"size": 12}},
    )  # fmt: skip
    titled(figure, stcg, title, 470, NOTE + trust_said(stcg))
    figure.update_layout(
        margin={"l": 70, "r": 20, "t": 100, "b": 140},
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
    )
    figure.layout.annotations[0].yshift = -62
    return figure
