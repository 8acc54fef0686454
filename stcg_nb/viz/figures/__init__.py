"""Figures of an STCG: pure functions to `plotly.graph_objects.Figure`, for notebooks, pages and papers.

`graph_figure` is the one to begin with. Every figure is titled with model, question and answer, names its units, and can be read
without hovering; one from the mock says on its face that it is synthetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import plotly.graph_objects as go

from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.figures.graph import graph_figure
from stcg_nb.viz.figures.heatmaps import step_heatmaps, word_heatmaps
from stcg_nb.viz.figures.perturbations import perturbation_panel
from stcg_nb.viz.figures.timeline import timeline

__all__ = ["ALL", "graph_figure", "perturbation_panel", "step_heatmaps", "timeline", "word_heatmaps"]

ALL: Mapping[str, Callable[[STCG], go.Figure]] = MappingProxyType(
    {
        "graph": graph_figure,
        "words": word_heatmaps,
        "steps": step_heatmaps,
        "perturbations": perturbation_panel,
        "timeline": timeline,
    }
)
