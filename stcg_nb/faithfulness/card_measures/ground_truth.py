"""Do positive region weights, summed over steps, lie on the objects that the answer rests on?

Undefined for questions that rest on an absence, and for pictures whose evidence is not known.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from stcg_nb.faithfulness import ground_truth
from stcg_nb.faithfulness.card_measures.base import measure
from stcg_nb.faithfulness.context import Context


@measure("pointing", "strongest region on the evidence", "ours")
def pointing(context: Context) -> float:
    """Pointing game."""
    return _compared(context, ground_truth.pointing)


@measure("relevance_mass", "share of relevance on the evidence", "ours")
def relevance_mass(context: Context) -> float:
    """Relevance mass accuracy."""
    return _compared(context, ground_truth.relevance_mass)


@measure("relevance_rank", "most relevant pixels on the evidence", "ours")
def relevance_rank(context: Context) -> float:
    """Relevance rank accuracy."""
    return _compared(context, ground_truth.relevance_rank)


def _compared(context: Context, compare: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> float:
    if context.truth is None:
        return math.nan
    game = context.game
    weights = np.maximum(context.causes.node[:, game.n_words :], 0).sum(0)  # [region]
    return compare(weights, game.case.regions.labels, context.truth)
