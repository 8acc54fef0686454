"""The perturbed pictures with what each did to links and answer."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.theme import INK, OPPOSES, SUPPORTS, escape, jpeg, titled, wrap


def perturbation_panel(stcg: STCG) -> go.Figure:
    """The perturbed images with what each did: pixel distance, delta W, delta p; a changed answer is spelled out."""
    data = stcg.data
    names = data["perturbation"].values.tolist()
    count = len(names) + 1
    figure = make_subplots(
        rows=3, cols=count, row_heights=[0.42, 0.29, 0.29], vertical_spacing=0.07, horizontal_spacing=0.012,
        shared_yaxes=True,
        specs=[[{}] * count, [{"colspan": count}, *[None] * (count - 1)], [{"colspan": count}, *[None] * (count - 1)]],
    )  # fmt: skip
    ticks = []
    for i, name in enumerate(["original", *names]):
        image = stcg.image if i == 0 else data["thumbnail"].values[i - 1]
        _picture(figure, 1, i + 1, jpeg(image, 160))
        if i:
            k = i - 1
            changed = (
                f"<br>→ {wrap(str(data['perturbed_answer'].values[k]), 15, 3)}" if data["flipped"].values[k] else ""
            )
            strength, distance = float(data["strength"].values[k]), float(data["pixel_distance"].values[k])
            ticks.append(
                f"{escape(name, 22).replace('_', '<br>', 1)}<br>strength {strength:.2g}<br>distance {distance:.2f}{changed}"
            )
    x = list(range(1, count))
    colors = [OPPOSES if f else SUPPORTS for f in data["flipped"].values]
    for row, variable, label in ((2, "delta_w", "ΔW"), (3, "delta_p", "Δp(answer)")):
        values = data[variable].values
        figure.add_bar(
            x=x, y=np.round(values, 6).tolist(), row=row, col=1, width=0.5, showlegend=False,
            marker={"color": colors, "pattern": {"shape": ["/" if f else "" for f in data["flipped"].values]}},
            text=[f"{v:+.2g}" if variable == "delta_p" else f"{v:.2g}" for v in values], textposition="outside", cliponaxis=False,
        )  # fmt: skip
        largest = max(float(np.abs(values).max(initial=0)), 1e-9) * 1.35
        low, high = min(float(values.min(initial=0)), 0) * 1.6, max(float(values.max(initial=0)), 0) * 1.35
        span = [low if low < 0 else 0, high if high > 0 else 0.15 * largest]
        figure.update_yaxes(title_text=label, row=row, col=1, range=span, zeroline=True, zerolinecolor=INK, nticks=4)
        figure.update_xaxes(
            row=row, col=1, range=[-0.5, count - 0.5], showgrid=False, zeroline=False, tickvals=x, showline=False,
            ticktext=ticks if row == 3 else [""] * len(x), tickfont={"size": 11}, tickangle=0,
        )  # fmt: skip
    note = (
        "ΔW: mean change of word–region links by attention, no unit. Δp: change of the answer's probability. "
        "Hatched vermilion: the model answers something else, given after the arrow."
    )
    titled(figure, stcg, "What each perturbation does", 640, note)
    figure.update_layout(margin={"l": 70, "r": 10, "t": 84, "b": 150}, bargap=0.4)
    figure.layout.annotations[0].yshift = -112
    return figure


def _picture(figure: go.Figure, row: int, col: int, uri: str) -> None:
    """Fill one subplot with a picture, in its own proportions."""
    figure.add_layout_image(
        source=uri,
        xref="x domain",
        yref="y domain",
        x=0,
        y=1,
        sizex=1,
        sizey=1,
        sizing="contain",
        layer="below",
        row=row,
        col=col,
    )
    figure.add_scatter(x=[None], y=[None], row=row, col=col, showlegend=False, hoverinfo="skip")
    figure.update_xaxes(visible=False, row=row, col=col)
    figure.update_yaxes(visible=False, row=row, col=col)
