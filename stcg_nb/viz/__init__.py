"""Figures, drawings and pages of an `STCG`: pure functions that only read it.

`stcg_nb.viz.figures` holds the figures, one module each; `write_html` puts all of them on one page.
"""

from stcg_nb.viz.card import card_figure
from stcg_nb.viz.figure_files import DrawingError, save_figure
from stcg_nb.viz.figures import (
    FIGURES,
    figure,
    graph_figure,
    perturbation_panel,
    step_heatmaps,
    timeline,
    trust_curve,
    word_heatmaps,
)
from stcg_nb.viz.graph_svg import graph_svg
from stcg_nb.viz.report import write_html
from stcg_nb.viz.theme import CONFIG

__all__ = [
    "CONFIG",
    "FIGURES",
    "DrawingError",
    "card_figure",
    "figure",
    "graph_figure",
    "graph_svg",
    "perturbation_panel",
    "save_figure",
    "step_heatmaps",
    "timeline",
    "trust_curve",
    "word_heatmaps",
    "write_html",
]
