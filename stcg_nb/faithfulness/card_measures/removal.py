"""Does removing the strongest players first hurt p(answer) sooner than removing the weakest first?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stcg_nb.faithfulness.card_measures.base import measure
from stcg_nb.faithfulness.context import Context
from stcg_nb.faithfulness.measures import defined_mean
from stcg_nb.faithfulness.removal_curves import answer_probability, removal_curves
from stcg_nb.interventions.masking import Game

FILLS = ("median", "blur", "inpaint")


@measure("srg", "removal: weakest first less strongest first", "ours")
def symmetric_relevance_gain(context: Context) -> float:
    """LeRF − MoRF area of p(answer), mean over `FILLS`."""
    order = np.argsort(-context.causes.node.sum(0), kind="stable")
    games = (Game(context.game.case, fill) for fill in FILLS)
    return defined_mean(float(removal_curves(order, _probability(game)).srg) for game in games)


def _probability(game: Game) -> Callable[[np.ndarray], np.ndarray]:
    """From masks bool ``[mask, player]`` to p(answer) ``[mask]``."""
    return lambda masks: answer_probability(game(masks))
