"""Whether an explanation predicts the model, and comes out the same again: measures, removal curves, ground truth, the card."""

from stcg_nb.faithfulness.card import KEYS, measure_card, measure_game, measure_question
from stcg_nb.faithfulness.ground_truth import pointing, relevance_mass, relevance_rank
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
    "KEYS",
    "RemovalCurves",
    "answer_probability",
    "factorial",
    "held_out_masks",
    "interaction_faithfulness",
    "lds",
    "lds_per_step",
    "measure_card",
    "measure_game",
    "measure_question",
    "pointing",
    "relevance_mass",
    "relevance_rank",
    "removal_curves",
    "seed_faithfulness",
]
