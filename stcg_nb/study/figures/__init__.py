"""Figures of the study's findings: pure functions from what `Study.measure` gives to `plotly.graph_objects.Figure`."""

from stcg_nb.study.figures.colour import colour_against_others, probability_changed
from stcg_nb.study.figures.dissociation import dissociation
from stcg_nb.study.figures.faithfulness import faithful_and_stable
from stcg_nb.study.figures.links import links_moved
from stcg_nb.study.figures.overview import overview
from stcg_nb.study.figures.time import evolution, reliance
from stcg_nb.study.figures.verdicts import verdicts
from stcg_nb.study.figures.words import word_classes, word_maps
from stcg_nb.viz.theme import stamped

__all__ = [
    "colour_against_others",
    "dissociation",
    "evolution",
    "faithful_and_stable",
    "links_moved",
    "overview",
    "probability_changed",
    "reliance",
    "stamped",
    "verdicts",
    "word_classes",
    "word_maps",
]
