"""H1: how far links move under each perturbation."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stcg_nb.study.figures.style import add_dots, by_mean, finish, mean
from stcg_nb.viz.theme import NEUTRAL, SUPPORTS


def links_moved(rows: pd.DataFrame) -> go.Figure:
    """H1: ΔW of each perturbation, as its mean and as how often it is the largest, from `measurements.sensitivity`'s rows."""
    n = rows["scene"].nunique()
    wide = rows.pivot(index="scene", columns="perturbation", values="delta_w")
    largest = wide.rank(axis=1, ascending=False).stack().rename("rank").reset_index()
    names = by_mean(rows, "delta_w")
    claimed = ("patch_shuffle", "peripheral_mask")
    colors = [SUPPORTS if name in claimed else NEUTRAL for name in names]
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06)
    add_dots(figure, 1, names, lambda k: mean(rows[rows["perturbation"] == k], "delta_w", 1000), colors)
    add_dots(figure, 2, names, lambda k: mean(largest[largest["perturbation"] == k], "rank"), colors)
    figure.update_xaxes(title_text="ΔW (10⁻³)", rangemode="tozero", col=1)
    figure.update_xaxes(title_text="rank of ΔW", range=[6.4, 0.6], tickvals=[6, 4, 2, 1], col=2)
    return finish(figure, 400, f"n = {n} questions. Blue: claimed to be largest. Rank 1 is most.")
