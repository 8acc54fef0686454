"""Do pair weights agree with exact 2×2 factorials, also of pairs that the graph did not try?"""

from __future__ import annotations

from stcg_nb.faithfulness import measures
from stcg_nb.faithfulness.card_measures.base import measure
from stcg_nb.faithfulness.context import Context
from stcg_nb.interventions.masking import without

FACTORIALS = 60  # pairs, drawn at random


@measure("interaction_faithfulness", "pairs agree with exact factorials", "ours")
def interaction_faithfulness(context: Context) -> float:
    """Spearman correlation of pair weights with exact factorials, over pairs drawn at random; mean over steps."""
    causes, left_out = context.causes, context.left_out
    drawn = context.draws.pairs[:FACTORIALS]
    pairs = causes.pairs[drawn]
    i, j = pairs.T
    neither = context.game(without(context.game.n_players, pairs))
    exact = measures.factorial(left_out.full, left_out.without[j], left_out.without[i], neither)  # [pair, step]
    return measures.defined_mean(
        measures.interaction_faithfulness(weights[drawn], factorials)
        for weights, factorials in zip(causes.edge, exact.T, strict=True)
    )
