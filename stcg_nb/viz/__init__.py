"""Figures and pages of an `STCG`: pure functions that only read it."""

from stcg_nb.viz.card import card_figure
from stcg_nb.viz.figure_files import DrawingError, save_figure
from stcg_nb.viz.figures import ALL, graph_figure, perturbation_panel, step_heatmaps, timeline, word_heatmaps
from stcg_nb.viz.graph_svg import graph_svg
from stcg_nb.viz.report import write_html
from stcg_nb.viz.theme import CONFIG

__all__ = [
    "ALL",
    "CONFIG",
    "DrawingError",
    "card_figure",
    "graph_figure",
    "graph_svg",
    "perturbation_panel",
    "save_figure",
    "step_heatmaps",
    "timeline",
    "word_heatmaps",
    "write_html",
]
