"""Does attention show what the answer rests on? The verdicts on words and regions (`stcg_nb.interventions.verdicts`), with exact
leave-one-out effects.

An edge joins a word or a region with a step. Of the edges that attention links, some have an effect that matters; of the edges whose
effect matters, attention links some. Neither number says anything of the causal graph: they say what attention is worth for this
model. The third must be zero: what attention looks at most is not hidden from it.
"""

from __future__ import annotations

import numpy as np

from stcg_nb.faithfulness.card_measures.base import measure
from stcg_nb.faithfulness.context import Context
from stcg_nb.interventions.verdicts import YES, matters, verdict


def _effect(context: Context) -> np.ndarray:
    """Whether effects matter, ``[step, player]``."""
    effects = context.left_out.effects
    return matters(effects, effects)


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    """The share of `whole` that is `part` too, both bool ``[...]``; NaN if there is no `whole`."""
    return float(part[whole].mean()) if whole.any() else float("nan")


@measure("linked_matters", "attention's links whose effect matters", "context")
def linked_matters(context: Context) -> float:
    """Of the words and regions that attention links, the share whose effect matters."""
    return _share(_effect(context) == YES, context.attended.step_player == YES)


@measure("matters_linked", "effects that matter and attention links", "context")
def matters_linked(context: Context) -> float:
    """Of the words and regions whose effect matters, the share that attention links."""
    return _share(context.attended.step_player == YES, _effect(context) == YES)


@measure("first_hidden", "called hidden though attended most", "sanity check")
def first_hidden(context: Context) -> float:
    """Of the words and regions that a step attends to most and whose effect matters, the share that is called hidden."""
    first = np.concatenate(
        [part == part.max(-1, keepdims=True) for part in (context.attention.step_word, context.attention.step_patch)],
        axis=-1,
    )
    effect = _effect(context)
    return _share(verdict(effect, context.attended.step_player) == "hidden", first & (effect == YES))
