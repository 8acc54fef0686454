"""Attention: alignment by several estimators, alignment of single heads, and attention knockout."""

from stcg_nb.attention.alignment import ESTIMATORS, Alignment, align, needed_sites
from stcg_nb.attention.heads import head_alignment, of_head, sites_of
from stcg_nb.attention.knockout import Cut, can_cut, cut, cut_edges, cut_effects, kinds

__all__ = [
    "ESTIMATORS",
    "Alignment",
    "Cut",
    "align",
    "can_cut",
    "cut",
    "cut_edges",
    "cut_effects",
    "head_alignment",
    "kinds",
    "needed_sites",
    "of_head",
    "sites_of",
]
