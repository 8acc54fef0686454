"""Ranges over fills: the screen and the held links under another fill, against a game that is asked one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from stcg_nb.errors import InputError
from stcg_nb.interventions.causal_graph import find_causes
from stcg_nb.interventions.robust import under_fills


@dataclass
class Filled:
    """A game whose values depend on the fill: under blur the sign of player 1 and of the link of 2 and 3 turns."""

    removal: str = "median"
    n_players: int = 7
    n_words: int = 3
    asked: int = 0

    def __call__(self, masks):
        Filled.asked += len(masks)
        z, sign = np.asarray(masks, dtype=float), -1 if self.removal == "blur" else 1
        v = (
            2 * z[:, 0]
            + sign * z[:, 1]
            + sign * 3 * z[:, 2] * z[:, 3]
            + 4 * z[:, 4] * z[:, 5]
            + 0.1 * (z @ np.arange(7))
        )
        return v[:, None]


@pytest.fixture(scope="module")
def causes():
    return find_causes(Filled(), n_masks=64, seed=0)


def test_a_range_holds_the_weights_under_every_fill(causes):
    ranges = under_fills(Filled(), causes, ("blur",))
    np.testing.assert_allclose([ranges.node_low[0, 1], ranges.node_high[0, 1]], [-0.9, 1.1])
    links = causes.links.tolist()
    turned, kept = links.index([2, 3, -1]), links.index([4, 5, -1])
    assert causes.in_graph[0, [turned, kept]].all()
    np.testing.assert_allclose([ranges.low[0, turned], ranges.high[0, turned]], [-3, 3], atol=1e-9)
    np.testing.assert_allclose([ranges.low[0, kept], ranges.high[0, kept]], [4, 4], atol=1e-9)


def test_only_the_screen_and_the_claims_are_run_again(causes):
    Filled.asked = 0
    under_fills(Filled(), causes, ("blur", "median"))  # the graph's own fill is not run again
    held = causes.in_graph.any(0)
    assert 8 < Filled.asked <= 8 + 4 * held.sum() < 64


def test_without_other_fills_every_range_is_the_weight(causes):
    ranges = under_fills(Filled(), causes, ())
    np.testing.assert_array_equal(ranges.low, causes.weight)
    np.testing.assert_array_equal(ranges.node_high, causes.node)


def test_cutting_is_no_fill(causes):
    with pytest.raises(InputError, match=r"'cut'.*another estimand"):
        under_fills(Filled(removal="cut"), causes, ("blur",))
