"""The graph of one answer, `STCG`: its schema, building, files, choice of links to show, difference of two, trust and
summary in words."""

from stcg_nb.graph.difference import Difference, difference
from stcg_nb.graph.selection import View, choose, link_name
from stcg_nb.graph.stcg import STCG, Edge
from stcg_nb.graph.summary import summary
from stcg_nb.graph.trust import Trust, trust_said

__all__ = ["STCG", "Difference", "Edge", "Trust", "View", "choose", "difference", "link_name", "summary", "trust_said"]
