"""The perturbed pictures with what each did to links and answer."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.figures.base import figure
from stcg_nb.viz.theme import INK, OPPOSES, SUPPORTS, escape, jpeg, titled, wrap


@figure(
    "perturbations",
    caption="The picture, altered on purpose. ΔW says how far the links moved, Δp what became of the answer.",
)
def perturbation_panel(stcg: STCG) -> go.Figure:
    """The perturbed images with what each did: pixel distance, ΔW, Δp; a changed answer is spelled out."""
    count = stcg.data.sizes["perturbation"] + 1  # with the original
    figure = make_subplots(
        rows=3, cols=count, row_heights=[0.42, 0.29, 0.29], vertical_spacing=0.07, horizontal_spacing=0.012,
        shared_yaxes=True,
        specs=[[{}] * count, [{"colspan": count}, *[None] * (count - 1)], [{"colspan": count}, *[None] * (count - 1)]],
    )  # fmt: skip
    for i, image in enumerate([stcg.image, *stcg.data["thumbnail"].values], 1):
        _add_image(figure, i, jpeg(image, 160))
    _add_bars(figure, stcg, 2, "delta_w", "ΔW")
    _add_bars(figure, stcg, 3, "delta_p", "Δp(answer)")
    figure.update_xaxes(row=3, col=1, ticktext=_labels(stcg))
    note = (
        "ΔW: mean change of word–region links by attention, no unit. Δp: change of the answer's probability. "
        "Hatched vermilion: the model answers something else, given after the arrow."
    )
    titled(figure, stcg, "What each perturbation does", 640, note)
    figure.update_layout(margin={"l": 70, "r": 10, "t": 84, "b": 150}, bargap=0.4)
    figure.layout.annotations[0].yshift = -112
    return figure


def _add_bars(figure: go.Figure, stcg: STCG, row: int, variable: str, label: str) -> None:
    """A bar for each perturbation under its picture, with its value; hatched vermilion where the answer changes."""
    values, flipped = stcg.data[variable].values, stcg.data["flipped"].values
    x = list(range(1, len(values) + 1))
    figure.add_bar(
        x=x, y=np.round(values, 6).tolist(), row=row, col=1, width=0.5, showlegend=False,
        marker={"color": [OPPOSES if f else SUPPORTS for f in flipped], "pattern": {"shape": ["/" if f else "" for f in flipped]}},
        text=[f"{v:+.2g}" if variable == "delta_p" else f"{v:.2g}" for v in values], textposition="outside", cliponaxis=False,
    )  # fmt: skip
    lowest, highest = min(float(values.min(initial=0)), 0), max(float(values.max(initial=0)), 0)
    largest = max(-lowest, highest, 1e-9) * 1.35
    span = [lowest * 1.6, highest * 1.35 if highest > 0 else 0.15 * largest]  # room for the numbers at the bars' ends
    figure.update_yaxes(title_text=label, row=row, col=1, range=span, zeroline=True, zerolinecolor=INK, nticks=4)
    figure.update_xaxes(
        row=row, col=1, range=[-0.5, len(values) + 0.5], showgrid=False, zeroline=False, tickvals=x, showline=False,
        ticktext=[""] * len(x), tickfont={"size": 11}, tickangle=0,
    )  # fmt: skip


def _labels(stcg: STCG) -> list[str]:
    """What stands below each perturbation: its name, strength and pixel distance, and the answer if it is another one."""
    data = stcg.data
    labels = []
    for k, name in enumerate(data["perturbation"].values.tolist()):
        answer = wrap(str(data["perturbed_answer"].values[k]), 15, 3)
        labels.append(
            f"{escape(name, 22).replace('_', '<br>', 1)}<br>strength {float(data['strength'].values[k]):.2g}"
            f"<br>distance {float(data['pixel_distance'].values[k]):.2f}"
            + (f"<br>→ {answer}" if data["flipped"].values[k] else "")
        )
    return labels


def _add_image(figure: go.Figure, col: int, uri: str) -> None:
    """Fill a subplot of the first row with a picture, in its own proportions."""
    figure.add_layout_image(
        source=uri, xref="x domain", yref="y domain", x=0, y=1, sizex=1, sizey=1, sizing="contain", layer="below", row=1, col=col,
    )  # fmt: skip
    figure.add_scatter(x=[None], y=[None], row=1, col=col, showlegend=False, hoverinfo="skip")
    figure.update_xaxes(visible=False, row=1, col=col)
    figure.update_yaxes(visible=False, row=1, col=col)
