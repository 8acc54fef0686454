"""Groups of regions: by hand, and on pictures where it is known which regions are one thing or two of a kind."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.interventions.groups import Group, find_groups
from stcg_nb.interventions.masking import Game

IMAGE = np.zeros((32, 40, 3), np.uint8)


class Known(Game):
    """A game of four regions in a row whose values are known: `lost` by the set of absent regions, 0 for others."""

    def __init__(self, lost):
        super().__init__(Case.read(IMAGE, "what is this?", "mock", regions="grid:1x4"))
        object.__setattr__(self, "lost", lost)
        object.__setattr__(self, "asked", [])

    def __call__(self, masks):
        absent = [frozenset(np.flatnonzero(~mask[self.n_words :]).tolist()) for mask in masks]
        self.asked.extend(absent)
        return np.array([[-self.lost(a)] for a in absent], float)


def groups_of(lost, least=1.0):
    game = Known(lost)
    effects = np.array([[lost(frozenset([i])) for i in range(4)]], float)
    pairs = np.array(list(combinations(range(4), 2)))
    interactions = [lost(frozenset([i])) + lost(frozenset([j])) - lost(frozenset([i, j])) for i, j in pairs]
    return game, find_groups(game, effects, pairs, np.array([interactions], float), least)


def test_fragments_of_a_thing_act_as_one():
    """Without any of the first three the answer is lost, once; the fourth adds its own."""
    game, found = groups_of(lambda absent: 10 * bool(absent & {0, 1, 2}) + 3 * (3 in absent))
    assert found == [Group("as one", 0, (0, 1, 2), 10.0)]
    assert game.asked == [frozenset(), frozenset({0, 1, 2})], "only what is not known is asked for"


def test_two_that_add_up_are_two():
    game, found = groups_of(lambda absent: 5 * len(absent))
    assert found == [] and game.asked == []


def test_things_apart_are_not_fragments():
    """Losing either of two distant things loses the answer: two things, not one. Their doubles between them do nothing."""
    assert groups_of(lambda absent: 10 * bool(absent & {0, 3}))[1] == []
    assert groups_of(lambda absent: 10 * bool(absent & {0, 1}))[1] == [Group("as one", 0, (0, 1), 10.0)]


def test_doubles_stand_in_for_each_other_even_when_apart():
    assert groups_of(lambda absent: 8 * (absent >= {0, 3}) + len(absent & {0, 3}))[1] == [
        Group("stand-ins", 0, (0, 3), 10.0)
    ]
    assert groups_of(lambda absent: 8 * (absent >= {0, 3}) + 7 * len(absent & {0, 3}))[1] == [], "each is worth much"


def test_small_effects_are_no_groups():
    for lost in (lambda absent: 0.9 * bool(absent & {0, 1}), lambda absent: 0.9 * (absent >= {0, 3})):
        assert groups_of(lost)[1] == []
        assert len(groups_of(lost, least=0.5)[1]) == 1


def test_pairs_that_were_not_measured_are_in_no_group():
    effects, pairs = np.array([[10.0, 10, 10, 0]]), np.array([[0, 1]])
    found = find_groups(Known(lambda absent: 0), effects, pairs, np.array([[10.0]]), 1.0)
    assert found == [Group("as one", 0, (0, 1), 10.0)]
    none = find_groups(Known(lambda absent: 0), effects, np.empty((0, 2), int), np.empty((1, 0)), 1.0)
    assert none == []


def test_steps_have_their_own_groups():
    pairs = np.array([[0, 1]])
    effects = np.array([[10.0, 10, 0, 0], [0, 0, 0, 0]])
    found = find_groups(Known(lambda absent: 0), effects, pairs, np.array([[10.0], [-5.0]]), 1.0)
    assert found == [Group("as one", 0, (0, 1), 10.0), Group("stand-ins", 1, (0, 1), 5.0)]


@pytest.mark.parametrize(
    ("effects", "pairs", "interactions", "least", "says"),
    [
        (np.zeros((1, 3)), [[0, 1]], [[1.0]], 1.0, "shapes"),
        (np.zeros((1, 4)), [[0, 1], [1, 2]], [[1.0]], 1.0, "shapes"),
        (np.zeros((2, 4)), [[0, 1]], [[1.0]], 1.0, "shapes"),
        (np.zeros((1, 4)), [[0, 1]], [[1.0]], 0.0, "positive"),
        (np.zeros((1, 4)), [[0, 1]], [[1.0]], float("nan"), "positive"),
    ],
)
def test_groups_of_what_does_not_fit(effects, pairs, interactions, least, says):
    with pytest.raises(InputError, match=says):
        find_groups(Known(lambda absent: 0), effects, np.array(pairs), np.array(interactions), least)
