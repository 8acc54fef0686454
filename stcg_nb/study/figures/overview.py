"""The method on one example."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stcg_nb.graph.stcg import STCG
from stcg_nb.study.figures.style import finish, perturbation_label, rounded
from stcg_nb.viz.theme import OPPOSES, SUPPORTS, add_picture, escape, jpeg, outlines, stamped


def overview(stcg: STCG) -> go.Figure:
    """The method on one example: structural alignment, counterfactual sensitivity, temporal evolution."""
    tokens = [escape(token, 10) for token in stcg.steps]
    figure = make_subplots(
        rows=3, cols=2, row_heights=[0.36, 0.3, 0.34], vertical_spacing=0.13,
        horizontal_spacing=0.02 + 0.018 * min(10, max(map(len, stcg.words))),  # the words stand between the columns
        subplot_titles=(
            "the picture, in regions", "<b>1</b> words linked to regions", "<b>2</b> perturbed: ΔW (10⁻³)", "and Δp of the answer",
            "<b>3</b> tokens linked to regions", "lost without picture (nats)",
        ),
    )  # fmt: skip
    _add_regions(figure, stcg)
    _add_links(figure, stcg.links().word_region, [escape(word, 10) for word in stcg.words], 1, 2)
    _add_links(figure, stcg.links().step_region, tokens, 3, 1)
    _add_perturbations(figure, stcg)
    _add_reliance(figure, stcg, tokens)
    figure.update_annotations(font_size=18)
    note = f"{stcg.model}: “{stcg.question}” → “{stcg.answer}”. Hatched vermilion: the model answers something else."
    return stamped(finish(figure, 1000, note, 40, 44), stcg.synthetic).update_layout(showlegend=False)


def _add_regions(figure: go.Figure, stcg: STCG) -> None:
    """The picture with its regions outlined."""
    height, width = stcg.image.shape[:2]
    add_picture(figure, jpeg(stcg.image, 320), (0, 0, width, height))
    xs, ys = outlines(stcg.data["region_labels"].values)
    figure.add_scatter(x=xs, y=ys, mode="lines", line={"color": "rgba(40,40,40,0.5)", "width": 1}, row=1, col=1)
    figure.update_xaxes(visible=False, range=[0, width], constraintoward="left", row=1, col=1)
    figure.update_yaxes(visible=False, range=[height, 0], scaleanchor="x", row=1, col=1)


def _add_links(figure: go.Figure, weights: np.ndarray, labels: Sequence[str], row: int, col: int) -> None:
    """Links of words or tokens with regions as a heat map, ``[label, region]``, on the scale of the largest."""
    z = (np.round(weights / weights.max(), 2) + 0.0).tolist()
    y = list(range(len(labels)))
    figure.add_heatmap(z=z, y=y, colorscale="Blues", showscale=False, zmin=0, zmax=1, xgap=1, ygap=1, row=row, col=col)
    figure.update_yaxes(autorange="reversed", tickvals=y, ticktext=labels, row=row, col=col)
    figure.update_xaxes(showticklabels=False, ticks="", title_text=f"{weights.shape[1]} regions", row=row, col=col)


def _add_perturbations(figure: go.Figure, stcg: STCG) -> None:
    """ΔW and Δp of each perturbation; hatched vermilion where the answer changes."""
    data = stcg.data
    names = [perturbation_label(str(k)) for k in data["perturbation"].values][::-1]
    flipped = data["flipped"].values[::-1]
    marker = {
        "color": [OPPOSES if f else SUPPORTS for f in flipped],
        "pattern": {"shape": ["/" if f else "" for f in flipped]},
    }
    for col, name, scale in ((1, "delta_w", 1000), (2, "delta_p", 1)):
        values = [rounded(float(v) * scale) for v in data[name].values[::-1]]
        figure.add_bar(x=values, y=names, orientation="h", row=2, col=col, width=0.6, marker=marker)
    figure.update_yaxes(showticklabels=False, row=2, col=2)
    figure.update_xaxes(range=[-1.05, 0.15], tickvals=[-1, -0.5, 0], row=2, col=2)


def _add_reliance(figure: go.Figure, stcg: STCG, tokens: Sequence[str]) -> None:
    """What each token loses without the picture, in nats."""
    steps = list(range(len(tokens)))
    figure.add_scatter(
        x=steps, y=[round(float(v), 1) for v in stcg.data["visual_reliance"].values], mode="lines+markers", row=3, col=2,
        line={"color": SUPPORTS, "width": 2.5}, marker={"size": 10},
    )  # fmt: skip
    figure.update_xaxes(tickvals=steps, ticktext=tokens, range=[-0.4, len(steps) - 0.6], row=3, col=2)
    figure.update_yaxes(rangemode="tozero", row=3, col=2)
