"""The graph of one answer, `STCG`: its schema, building, files, choice of links to show, difference of two, summary in words."""

from stcg_nb.graph.difference import Difference, difference
from stcg_nb.graph.selection import View, choose, link_name
from stcg_nb.graph.stcg import STCG, Edge
from stcg_nb.graph.summary import summary

__all__ = ["STCG", "Difference", "Edge", "View", "choose", "difference", "link_name", "summary"]
