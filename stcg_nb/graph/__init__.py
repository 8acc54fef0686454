"""The one noun, `STCG`: what it holds, how it is saved, which of its links are shown, how two differ, what it says in words."""

from stcg_nb.graph.difference import Difference, difference
from stcg_nb.graph.selection import View, choose, link_name
from stcg_nb.graph.stcg import STCG, Edge
from stcg_nb.graph.summary import summary

__all__ = ["STCG", "Difference", "Edge", "View", "choose", "difference", "link_name", "summary"]
