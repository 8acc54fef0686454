"""Do region weights, summed over steps, lie on the objects that the answer rests on, and is each of these objects one region?

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


@measure("evidence_recall", "evidence objects among the strongest regions", "ours")
def evidence_recall(context: Context) -> float:
    """Of the k objects of the evidence the share that is among the k regions of largest leave-one-out effect."""
    if context.evidence is None:
        return math.nan
    game = context.game
    effects = context.left_out.effects[:, game.n_words :].sum(0)  # [region]
    return ground_truth.evidence_recall(effects, game.case.regions.labels, context.evidence)


@measure("objects_whole", "objects of the evidence in one region", "context")
def objects_whole(context: Context) -> float:
    """The share of these objects that one region holds."""
    if context.evidence is None:
        return math.nan
    return ground_truth.objects_whole(context.game.case.regions.labels, context.evidence)


def _compared(context: Context, compare: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> float:
    if context.evidence is None:
        return math.nan
    game = context.game
    weights = np.maximum(context.causes.node[:, game.n_words :], 0).sum(0)  # [region]
    return compare(weights, game.case.regions.labels, np.any(context.evidence, axis=0))
