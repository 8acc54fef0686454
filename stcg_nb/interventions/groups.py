"""Regions that act as one, and regions that stand in for each other.

A segmentation may cut a thing into fragments, or a picture may show the same thing twice. The effects of single regions then mislead:
each fragment seems to be worth the whole, or each double nothing. The joint effect of two regions tells. It follows from their
effects a and their interaction g, all in nats:

    joint(i, j) = v(all) - v(all but i and j) = a_i + a_j - g_ij

*as one*
    Touching regions, each worth about as much as both: `SHARE` joint <= a_i <= joint / `SHARE`. Losing any is losing the thing. A
    group grows by regions that are as one with each of its members and touch one of them; groups share no region.
*stand-ins*
    Two regions, touching or not, neither of which is worth more than 1 - `SHARE` of both. Either will do.

Effects are those of the answer's step at hand, so groups are found step by step.
"""

from __future__ import annotations

from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.inputs.neighbours import touching
from stcg_nb.interventions.masking import Game

SHARE = 0.7


class Group(NamedTuple):
    """Regions that belong together at one step.

    Attributes:
        kind: ``"as one"`` or ``"stand-ins"``.
        step: The answer's step.
        regions: Their numbers, ascending.
        effect: What the step's log-odds lose without all of them, nats.
    """

    kind: Literal["as one", "stand-ins"]
    step: int
    regions: tuple[int, ...]
    effect: float


def find_groups(
    game: Game, effects: np.ndarray, pairs: np.ndarray, interactions: np.ndarray, least: float
) -> list[Group]:
    """The groups of every step, those of a step by falling effect.

    Groups of three and more take one forward pass each; the effects of two are known.

    Args:
        game: What is explained.
        effects: Of the regions, measured, nats, ``[step, region]``.
        pairs: Pairs of regions whose interaction was measured, int ``[pair, 2]``; others are in no group.
        interactions: Their interactions, nats, ``[step, pair]``.
        least: The smallest effect that matters, nats, above 0.

    Raises:
        InputError: For shapes that do not agree, or `least` that is not positive.

    >>> from stcg_nb.case import Case
    >>> game = Game(Case.read(np.zeros((32, 32, 3), np.uint8), "what?", "mock", regions="grid:1x3"))
    >>> effects, pairs = np.array([[5.0, 4.5, 0.1]]), np.array([[0, 1], [1, 2]])
    >>> find_groups(game, effects, pairs, np.array([[4.0, 0.0]]), least=1.0)
    [Group(kind='as one', step=0, regions=(0, 1), effect=5.5)]
    """
    regions = game.case.regions
    effects, pairs, interactions = np.asarray(effects, float), np.asarray(pairs), np.asarray(interactions, float)
    if pairs.shape != (interactions.shape[-1], 2) or effects.shape != (len(interactions), regions.n):
        raise InputError(
            f"Effects, pairs and interactions have shapes {effects.shape}, {pairs.shape} and {interactions.shape}; "
            f"give [step, {regions.n}], [pair, 2] and [step, pair]."
        )
    if not least > 0:
        raise InputError(f"The smallest effect that matters is {least}; give a positive number of nats.")
    joint = np.full((len(effects), regions.n, regions.n), np.nan)  # of pairs that were not measured
    both = effects[:, pairs[:, 0]] + effects[:, pairs[:, 1]] - interactions
    joint[:, pairs[:, 0], pairs[:, 1]] = joint[:, pairs[:, 1], pairs[:, 0]] = both
    touch, found = touching(regions), []
    for step, (alone, together) in enumerate(zip(effects, joint, strict=True)):
        groups = [
            Group("as one", step, members, _effect(game, step, members, together))
            for members in _as_one(alone, together, touch, least)
        ]
        for i, j in combinations(range(regions.n), 2):
            if together[i, j] >= least and max(alone[i], alone[j]) <= (1 - SHARE) * together[i, j]:
                groups.append(Group("stand-ins", step, (i, j), float(together[i, j])))
        found += sorted(groups, key=lambda group: -group.effect)
    return found


def _as_one(alone: np.ndarray, together: np.ndarray, touch: np.ndarray, least: float) -> list[tuple[int, ...]]:
    """Groups of regions that act as one at a step, the strongest first.

    Args:
        alone: Effects, nats, ``[region]``.
        together: Joint effects of pairs, nats, NaN where not measured, ``[region, region]``.
        touch: Which regions touch, bool ``[region, region]``.
        least: The smallest effect that matters, nats.
    """
    least_of = np.minimum(np.minimum.outer(alone, alone), together)
    most_of = np.maximum(np.maximum.outer(alone, alone), together)
    one = (least_of >= SHARE * most_of) & (np.minimum.outer(alone, alone) >= least)
    free, groups = set(np.flatnonzero(alone >= least).tolist()), []
    for seed in np.argsort(-alone, kind="stable").tolist():
        if seed not in free:
            continue
        members = [seed]
        while more := [k for k in free - set(members) if one[k, members].all() and touch[k, members].any()]:
            members.append(max(more, key=lambda k: (alone[k], -k)))
        if len(members) > 1:
            free -= set(members)
            groups.append(tuple(sorted(members)))
    return groups


def _effect(game: Game, step: int, members: tuple[int, ...], together: np.ndarray) -> float:
    """The joint effect of regions at a step, nats; of two it is known."""
    if len(members) == 2:
        return float(together[members])
    masks = np.ones((2, game.n_players), dtype=bool)
    masks[1, game.n_words + np.array(members)] = False
    full, without = game(masks)[:, step]
    return float(full - without)
