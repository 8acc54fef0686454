"""Does the causal graph predict masks that it was not fitted on? LDS on held-out masks, beside baselines and sanity checks.

The sanity checks must fail: predictions compared with the same architecture whose weights were shuffled (Adebayo et al. 2018,
arXiv 1810.03292), and a surrogate fitted to masks that were shuffled against their values.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stcg_nb.faithfulness.card_measures.base import measure
from stcg_nb.faithfulness.context import Context
from stcg_nb.faithfulness.measures import lds
from stcg_nb.interventions.masking import Game
from stcg_nb.interventions.surrogate import Surrogate


@measure("lds", "predicts unseen masks: all that was learnt", "ours")
def surrogate_lds(context: Context) -> float:
    """LDS of the surrogate's score."""
    return _lds(context, context.causes.surrogate.score(context.held_out.masks))


@measure("lds_graph", "… its few links alone", "ours")
def graph_lds(context: Context) -> float:
    """LDS of the sparse graph alone."""
    return _lds(context, context.causes.predict(context.held_out.masks))


@measure("lds_loo", "… sum of exact leave-one-out effects", "baseline")
def leave_one_out_lds(context: Context) -> float:
    """LDS of the sum of the present players' exact leave-one-out effects."""
    return _lds(context, context.held_out.masks @ context.left_out.effects.T)


@measure("lds_attention", "… raw attention", "baseline")
def attention_lds(context: Context) -> float:
    """LDS of the sum of raw attention to the present words and regions."""
    return _lds(context, context.held_out.masks @ context.attention.step_player.T)


@measure("lds_random", "… random weights", "baseline")
def random_lds(context: Context) -> float:
    """LDS of the sum of random weights of the present players."""
    return _lds(context, context.held_out.masks @ context.draws.weights)


@measure("lds_randomised_weights", "… of a model with shuffled weights", "sanity check")
def randomised_weights_lds(context: Context) -> float:
    """LDS of the sparse graph against the model with its weights shuffled; chance is 0."""
    held_out = context.held_out
    other = Game(replace(context.game.case, model=context.shuffled))
    return lds(context.causes.predict(held_out.masks), other(held_out.masks), held_out.rate)


@measure("lds_shuffled_masks", "… when learnt from shuffled masks", "sanity check")
def shuffled_masks_lds(context: Context) -> float:
    """LDS of a surrogate fitted to masks out of step with their values; chance is 0."""
    learnt = Surrogate(context.draws.masks, context.causes.values)
    return _lds(context, learnt.score(context.held_out.masks))


def _lds(context: Context, predicted: np.ndarray) -> float:
    """LDS of predictions of the held-out masks, ``[mask, step]``."""
    return lds(predicted, context.held_out.values, context.held_out.rate)
