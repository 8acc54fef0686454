"""How faithful an explanation is: whether it predicts the model, and comes out the same again.

`measures`, `removal_curves` and `ground_truth` are functions of arrays. The card (`measure_card`) runs a model and takes every
measure that is registered in `card_measures`.
"""

from stcg_nb.faithfulness.card import measure_card, measure_game, measure_question
from stcg_nb.faithfulness.card_measures import MEASURES, measure
from stcg_nb.faithfulness.ground_truth import (
    evidence_recall,
    objects_whole,
    pointing,
    relevance_mass,
    relevance_rank,
)
from stcg_nb.faithfulness.measures import (
    factorial,
    held_out_masks,
    interaction_faithfulness,
    lds,
    lds_per_step,
    seed_faithfulness,
)
from stcg_nb.faithfulness.removal_curves import RemovalCurves, answer_probability, removal_curves

__all__ = [
    "MEASURES",
    "RemovalCurves",
    "answer_probability",
    "evidence_recall",
    "factorial",
    "held_out_masks",
    "interaction_faithfulness",
    "lds",
    "lds_per_step",
    "measure",
    "measure_card",
    "measure_game",
    "measure_question",
    "objects_whole",
    "pointing",
    "relevance_mass",
    "relevance_rank",
    "removal_curves",
    "seed_faithfulness",
]
