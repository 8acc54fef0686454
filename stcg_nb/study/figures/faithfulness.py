"""H5: attention against the causal graph."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from stcg_nb.study.figures.style import add_intervals, finish, mean, span
from stcg_nb.viz.theme import INK, OPPOSES, SUPPORTS


def faithful_and_stable(rows: pd.DataFrame) -> go.Figure:
    """H5: attention against the causal graph on the same questions: LDS, seed faithfulness, stability."""
    measures = (
        ("predicts masks<br>(LDS)", "lds_attention", "lds_graph"),
        ("leave-one-out<br>(Pearson)", "attention_seed_faithfulness", "seed_faithfulness"),
        ("stability<br>(Jaccard)", "attention_jaccard_noise", "jaccard_noise"),
    )
    figure = go.Figure()
    for label, column, color, symbol, shift in (
        ("causal graph", 2, SUPPORTS, "circle", 0.13), ("attention", 1, OPPOSES, "square-open", -0.13),
    ):  # fmt: skip
        values = [mean(rows, m[column]) for m in measures[::-1]]
        add_intervals(figure, values, [i + shift for i in range(len(measures))], label, color, symbol)
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    figure.update_yaxes(tickvals=list(range(len(measures))), ticktext=[m[0] for m in measures[::-1]], range=[-0.5, 2.5])
    figure.update_xaxes(title_text="mean, 95 % interval (1 is best, 0 is chance)", range=[-0.45, 1.05])
    counts = [int(rows[list(m[1:])].notna().all(axis=1).sum()) for m in measures]
    return finish(figure, 370, f"n = {span(counts)} questions, the same for both.", top=50)
