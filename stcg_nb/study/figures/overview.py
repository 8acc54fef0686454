"""The method on one example."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stcg_nb.graph.stcg import STCG
from stcg_nb.study.figures.style import finish, perturbation_label, rounded, stamped
from stcg_nb.viz.theme import OPPOSES, SUPPORTS, add_picture, escape, jpeg, outlines


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
        weights = getattr(stcg.links(), name)
        z = (np.round(weights / weights.max(), 2) + 0.0).tolist()
        y = list(range(len(labels)))
        figure.add_heatmap(
            z=z, y=y, colorscale="Blues", showscale=False, zmin=0, zmax=1, xgap=1, ygap=1, row=row, col=col
        )
        figure.update_yaxes(autorange="reversed", tickvals=y, ticktext=labels, row=row, col=col)
        figure.update_xaxes(showticklabels=False, ticks="", title_text=f"{len(stcg.regions)} regions", row=row, col=col)
    names = [perturbation_label(str(k)) for k in data["perturbation"].values][::-1]
    for col, name, scale in ((1, "delta_w", 1000), (2, "delta_p", 1)):
        values = [rounded(float(v) * scale) for v in data[name].values[::-1]]
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
    return stamped(finish(figure, 1000, note, 40, 44), stcg.synthetic).update_layout(showlegend=False)
