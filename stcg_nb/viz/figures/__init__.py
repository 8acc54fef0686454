"""Figures of an STCG: pure functions to `plotly.graph_objects.Figure`, for notebooks, pages and papers.

`graph_figure` is the one to begin with. Every figure is titled with model, question and answer, names its units, and can be read
without hovering; one from the mock says on its face that it is synthetic.

A new figure is a new module here, whose function is decorated with `figure`: it is then in `FIGURES`, and so on every page, after
those that are imported below.
"""

from __future__ import annotations

from stcg_nb.registry import import_all
from stcg_nb.viz.figures.base import FIGURES, Figure, figure
from stcg_nb.viz.figures.graph import graph_figure
from stcg_nb.viz.figures.heatmaps import step_heatmaps, word_heatmaps
from stcg_nb.viz.figures.perturbations import perturbation_panel
from stcg_nb.viz.figures.timeline import timeline
from stcg_nb.viz.figures.trust_curve import trust_curve

__all__ = [
    "FIGURES",
    "Figure",
    "figure",
    "graph_figure",
    "perturbation_panel",
    "step_heatmaps",
    "timeline",
    "trust_curve",
    "word_heatmaps",
]

import_all(__name__)
