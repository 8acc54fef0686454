"""Does the same graph come out again with other masks, and of slightly disturbed pictures?"""

from __future__ import annotations

import numpy as np

from stcg_nb.faithfulness.card_measures.base import measure
from stcg_nb.faithfulness.context import Context
from stcg_nb.faithfulness.measures import defined_mean
from stcg_nb.interventions.causal_graph import pair_weights
from stcg_nb.interventions.masking import Game
from stcg_nb.stats.overlap import jaccard_top


@measure("jaccard_masks", "same strongest pairs with other masks", "ours")
def jaccard_masks(context: Context) -> float:
    """Chance-corrected Jaccard of the strongest 10 % of pairs between two draws of masks."""
    return _overlap(context.causes.edge, pair_weights(context.game, context.n_masks, context.graph_seed + 1))


@measure("jaccard_noise", "… with noise, JPEG, brightness", "ours")
def jaccard_noise(context: Context) -> float:
    """The same between the picture and its disturbed copies, where the answer stays; undefined if it never does."""
    case = context.game.case
    return defined_mean(
        _overlap(context.causes.edge, pair_weights(Game(case.of(picture)), context.n_masks, context.graph_seed))
        for picture, kept in context.disturbed
        if kept
    )


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over steps of the overlap of two graphs' pair weights ``[step, pair]``."""
    return defined_mean(jaccard_top(x, y) for x, y in zip(a, b, strict=True))
