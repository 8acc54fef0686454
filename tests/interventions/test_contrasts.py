"""Contrasts of masks: weights by loops over the factorial, what they need, and how unsure they are."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from stcg_nb.interventions.contrasts import Contrasts

PLAYERS = 6


@pytest.fixture(scope="module")
def contrasts():
    return Contrasts(np.arange(PLAYERS, 0, -1.0), paired=5, tripled=4)


def values_of(masks):
    """Any function of masks, two steps."""
    return np.stack([np.sin(masks @ np.arange(1.0, PLAYERS + 1)), (masks @ np.arange(PLAYERS)) ** 2], 1)


def test_pairs_and_triples_are_those_of_the_strongest(contrasts):
    assert contrasts.pairs.tolist() == [list(c) for c in combinations(range(5), 2)]
    assert contrasts.triples.tolist() == [list(c) for c in combinations(range(4), 3)]


def test_weights_are_factorials(contrasts):
    """Inclusion and exclusion over all subsets of the players that are removed."""
    node, weight = contrasts.weights(values_of(contrasts.probes))

    def factorial(players):
        total = 0.0
        for size in range(len(players) + 1):
            for gone in combinations(players, size):
                mask = np.ones((1, PLAYERS))
                mask[0, list(gone)] = 0
                total = total + (-1) ** size * values_of(mask)[0]
        return total

    np.testing.assert_allclose(node, [factorial([i]) for i in range(PLAYERS)])
    np.testing.assert_allclose(weight, [factorial([p for p in link if p >= 0]) for link in contrasts.links])
    np.testing.assert_allclose(contrasts.matrix @ values_of(contrasts.probes), weight)


def test_to_try_counts_the_probes_that_are_missing(contrasts):
    known = np.arange(len(contrasts.probes)) <= PLAYERS
    assert contrasts.to_try(known).tolist() == [1] * 10 + [4] * 4
    known[PLAYERS + 1] = True  # players 0 and 1
    cost = dict(zip(map(tuple, contrasts.links.tolist()), contrasts.to_try(known), strict=True))
    assert cost[0, 1, -1] == 0 and cost[0, 1, 2] == 3 and cost[1, 2, 3] == 4


def test_needed_keeps_to_its_budget_and_passes_over_what_does_not_fit(contrasts):
    known = np.arange(len(contrasts.probes)) <= PLAYERS
    triple, pair = len(contrasts.pairs), 7
    assert len(contrasts.needed(np.array([triple, pair]), known, 3)) == 1
    assert len(contrasts.needed(np.array([triple, pair]), known, 5)) == 5
    assert len(contrasts.needed(np.array([pair, pair]), known, 5)) == 1
    assert len(contrasts.needed(np.array([], dtype=int), known, 5)) == 0


def test_the_deviation_is_that_of_draws_and_none_where_all_is_known(contrasts):
    rng = np.random.default_rng(0)
    half = rng.normal(size=(len(contrasts.probes),) * 2)
    covariance = half @ half.T
    known = np.arange(len(contrasts.probes)) <= PLAYERS + 3
    drawn = half @ rng.normal(size=(len(half), 20_000))
    drawn[known] = 0
    expected = (contrasts.matrix @ drawn).std(1)
    found = contrasts.deviation(covariance, known)
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=1e-9)
    assert (found[:3] == 0).all() and (found[3:] > 0).all()
