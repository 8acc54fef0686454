"""Does what is robust under two fills keep its sign under a third, which had no part in the choice?"""

from __future__ import annotations

import math

import numpy as np

from stcg_nb.faithfulness.card_measures.base import measure
from stcg_nb.faithfulness.context import Context
from stcg_nb.graph.schema import MATTERS
from stcg_nb.interventions.robust import Ranges

CHOSEN_BY, JUDGED_BY = "blur", "inpaint"


@measure("sign_fills", "effects and links keep their sign under three fills", "context")
def sign_fills(context: Context) -> float:
    """Share of effects and links of `MATTERS` nats or more that have one sign under three fills."""
    weight = _flat(context, context.causes.node, context.causes.weight)
    return _share(_same(context, CHOSEN_BY) & _same(context, JUDGED_BY), np.abs(weight) >= MATTERS)


@measure("sign_robust", "sign that holds under two fills holds under a third", "ours")
def sign_robust(context: Context) -> float:
    """Of those that have one sign, and `MATTERS` nats or more, under two fills, the share that keeps it under the third."""
    low, high = _ends(context, CHOSEN_BY)
    return _share(_same(context, JUDGED_BY), (low >= MATTERS) | (high <= -MATTERS))


def _same(context: Context, fill: str) -> np.ndarray:
    """Whether effects and links have one sign under the graph's fill and this one, bool ``[effect or link]``."""
    low, high = _ends(context, fill)
    return (low > 0) | (high < 0)


def _ends(context: Context, fill: str) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest values under the graph's fill and this one, nats, ``[effect or link]`` each."""
    ranges: Ranges = context.under(fill)
    return _flat(context, ranges.node_low, ranges.low), _flat(context, ranges.node_high, ranges.high)


def _flat(context: Context, nodes: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Values of all nodes ``[step, player]`` and of the graph's links, of ``[step, link]``, in one row."""
    return np.concatenate([nodes.ravel(), links[context.causes.in_graph]])


def _share(kept: np.ndarray, of: np.ndarray) -> float:
    """The share of `of` that is kept; NaN if there is none."""
    return float(kept[of].mean()) if of.any() else math.nan
