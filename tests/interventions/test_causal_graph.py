"""The surrogate and the causal graph on games whose weights are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import norm

from stcg_nb.errors import InputError
from stcg_nb.faithfulness.measures import held_out_masks, lds
from stcg_nb.interventions.causal_graph import (
    EDGE_SHARE,
    PAIRED,
    SHARED,
    find_causes,
    pair_weights,
    random_masks,
    without,
)
from stcg_nb.interventions.surrogate import Surrogate, normal_scores

SMALL = 0.15 * np.sqrt([2, 3, 5, 7, 11, 13, 17, 19, 23]) / 5


@dataclass
class Known:
    """A game with given weights: v = 2 z0 - z1 + 3 z2 z3 at the first step, 4 z4 (1 - z0) + z5 + z6 / 2 at the second.

    All players have a small main effect besides (`SMALL`), so that no two masks tie.
    """

    n_players: int = 9
    n_words: int = 4
    tried: int = 0

    def __call__(self, masks):
        self.tried += len(masks)
        z = np.asarray(masks, dtype=float)
        first = 2 * z[:, 0] - z[:, 1] + 3 * z[:, 2] * z[:, 3]
        second = 4 * z[:, 4] * (1 - z[:, 0]) + z[:, 5] + z[:, 6] / 2
        return np.stack([first, second], 1) + (z @ SMALL)[:, None]


@pytest.fixture(scope="module")
def causes():
    return find_causes(Known(), n_masks=128, seed=0)


def pair(causes, i, j):
    return int(np.flatnonzero((causes.pairs == (i, j)).all(1))[0])


def test_nodes_are_what_the_token_loses(causes):
    """By hand: without player 2 the product of 2 and 3 is lost; at the second step z0 = 1 shuts 4 out."""
    truth = np.zeros((2, 9))
    truth[0, :4] = 2, -1, 3, 3
    truth[1, [0, 5, 6]] = -4, 1, 0.5
    np.testing.assert_allclose(causes.node, truth + SMALL, atol=0.15)


def test_edges_are_the_two_by_two_factorials(causes):
    truth = np.zeros((2, len(causes.pairs)))
    truth[0, pair(causes, 2, 3)] = 3
    truth[1, pair(causes, 0, 4)] = -4
    np.testing.assert_allclose(causes.edge, truth, atol=1e-9)


def test_the_pairs_weights_can_be_had_alone(causes):
    np.testing.assert_allclose(pair_weights(Known(), n_masks=128, seed=0), causes.edge)


def test_a_triple_is_what_no_pair_of_its_players_accounts_for():
    """By hand: v = 2 z0 z1 z2 + z0 z1 has the triple 2; its pairs' factorials hold it too, all else being present."""

    class Three:
        n_players, n_words = 6, 2

        def __call__(self, masks):
            z = np.asarray(masks, dtype=float)
            return (2 * z[:, 0] * z[:, 1] * z[:, 2] + z[:, 0] * z[:, 1] + z @ SMALL[:6])[:, None]

    causes = find_causes(Three(), n_masks=64, seed=0)
    of = {tuple(link): causes.weight[0, k] for k, link in enumerate(causes.links.tolist())}
    assert of[0, 1, 2] == pytest.approx(2, abs=0.2)
    assert (of[0, 1, -1], of[0, 2, -1]) == pytest.approx((3, 2))
    assert max(abs(of[t]) for t in of if t[2] > 2) < 0.2
    assert causes.in_graph[0, causes.links.tolist().index([0, 1, 2])]


def test_the_sparse_graph_holds_the_true_edges_and_few_others(causes):
    assert causes.in_graph[0, pair(causes, 2, 3)] and causes.in_graph[1, pair(causes, 0, 4)]
    assert causes.in_graph.sum(1).max() <= EDGE_SHARE * len(causes.pairs)
    sure = (causes.low > 0) | (causes.high < 0)
    assert not (causes.in_graph & ~sure).any()


def test_the_sparse_graph_alone_predicts_unseen_masks(causes):
    masks, rate = held_out_masks(9, 300, seed=5)
    assert lds(causes.predict(masks), Known()(masks), rate) > 0.97


def test_it_adds_up_its_coefficients_and_nothing_else(causes):
    mask = np.array([[True, False, True, True, False, False, True, True, False]])
    total = causes.intercept[0] + sum(causes.node_coefficient[0, i] for i in np.flatnonzero(mask[0]))
    total += sum(causes.link_coefficient[0, k] for k, ends in enumerate(causes.links) if mask[0, ends[ends >= 0]].all())
    assert causes.predict(mask)[0, 0] == pytest.approx(total)
    assert not causes.link_coefficient[~causes.in_graph].any()


def test_intervals_hold_the_weight_and_shrink_with_more_masks(causes):
    assert (causes.node_low <= causes.node).all() and (causes.node <= causes.node_high).all()
    fewer = find_causes(Known(), n_masks=32, seed=0)
    assert (causes.high - causes.low).mean() < (fewer.high - fewer.low).mean()


def test_it_tries_as_many_masks_as_it_says_and_depends_on_its_seed_alone():
    game = Known()
    first = find_causes(game, n_masks=48, seed=3)
    assert game.tried == 48 == len(first.masks)
    again, other = find_causes(Known(), n_masks=48, seed=3), find_causes(Known(), n_masks=48, seed=4)
    np.testing.assert_array_equal(first.edge, again.edge)
    assert (first.masks != other.masks).any()


def test_what_was_tried_is_not_asked_again(causes):
    game, masks = Known(), np.concatenate([without(9), np.zeros((2, 9), dtype=bool), without(9)[:3]])
    np.testing.assert_allclose(causes.measure(game, masks), Known()(masks))
    assert game.tried == 2


def test_of_many_players_the_strongest_are_paired():
    class Many(Known):
        def __call__(self, masks):
            return super().__call__(np.asarray(masks)[:, :9])

    causes = find_causes(Many(n_players=300), n_masks=64, seed=0)
    assert causes.node.shape == (2, 300) and causes.n_pairs == PAIRED * (PAIRED - 1) // 2


def test_shuffled_masks_predict_nothing():
    """The sanity check: with masks and values out of step, there is nothing to learn."""
    masks = np.random.default_rng(0).random((200, 9)) < 0.7
    values = Known()(np.random.default_rng(1).permutation(masks))
    unseen, rate = held_out_masks(9, 300, seed=5)
    assert abs(lds(Surrogate(masks, values).score(unseen), Known()(unseen), rate)) < 0.3


def test_the_surrogates_posterior_is_the_textbooks():
    """Rasmussen and Williams 2006, equation 2.25, written out with an explicit inverse and loops."""
    rng = np.random.default_rng(0)
    masks, values = rng.random((40, 4)) < 0.6, rng.normal(size=(40, 1))
    fitted = Surrogate(masks, values)
    p = {name: value.exp().numpy() for name, value in fitted._parameters.items()}

    def shrink(z):
        return np.prod([1 / p["absence_decay"][0, i] for i in range(4) if not z[i]])

    def kernel(a, b):
        differ = sum(p["rate"][0, i] for i in range(4) if a[i] != b[i])
        linear = sum(p["slope"][0, i] * (a[i] - 0.7) * (b[i] - 0.7) for i in range(4))
        varying = p["scale"][0] * shrink(a) * shrink(b) * (1 + differ / p["tail"][0]) ** -p["tail"][0]
        return varying + linear + p["offset"][0]

    gram = np.array([[kernel(a, b) for b in masks] for a in masks]) + (p["noise"][0] + 1e-5) * np.eye(40)
    target = (values[:, 0] - values.mean()) / values.std()
    unseen = rng.random((5, 4)) < 0.5
    cross = np.array([[kernel(a, b) for b in masks] for a in unseen])
    expected = cross @ np.linalg.inv(gram) @ target * values.std() + values.mean()
    np.testing.assert_allclose(fitted.predict(unseen)[:, 0], expected, atol=1e-8)


def test_masks_that_say_the_same_many_times_over_are_no_trouble():
    """Three players have eight masks; 200 draws repeat them, and a steep value stretches the kernel."""
    masks = np.random.default_rng(0).random((200, 3)) < 0.7
    values = np.where(masks[:, :1] & masks[:, 1:2], 20.0, -20.0) + 1e-3 * masks[:, 2:]
    np.testing.assert_allclose(Surrogate(masks, values).predict(masks[:9]), values[:9], atol=0.5)


def test_a_constant_value_is_predicted_as_itself():
    masks = np.random.default_rng(0).random((40, 5)) < 0.7
    np.testing.assert_allclose(Surrogate(masks, np.full((40, 1), 7.0)).predict(masks[:3]), 7.0, atol=1e-6)


def test_normal_scores_are_quantiles():
    np.testing.assert_allclose(normal_scores(np.arange(4.0)[:, None])[:, 0], norm.ppf([0.125, 0.375, 0.625, 0.875]))


def test_random_masks_keep_what_they_should():
    """Six pictures in ten keep half of all, three seven tenths, one nine tenths; words as many as regions."""
    masks = random_masks(200, 100, 10 * SHARED, np.random.default_rng(0))
    for part in (masks[:, :200], masks[:, 200:]):
        kept = np.sort(part.reshape(10, SHARED, -1).mean((1, 2)))
        np.testing.assert_allclose(kept, [0.5] * 6 + [0.7] * 3 + [0.9], atol=0.15)
        assert kept[:6].max() < kept[6:9].min() and kept[8] < kept[9]


def test_random_masks_share_pictures_and_not_words():
    masks = random_masks(20, 15, 8, np.random.default_rng(0))
    assert len(np.unique(masks[:, 20:], axis=0)) == 3 and len(np.unique(masks[:, :20], axis=0)) == 8
    assert (masks[:3, 20:] == masks[0, 20:]).all() and (masks[6:, 20:] == masks[6, 20:]).all()
    assert random_masks(4, 5, 0, np.random.default_rng(0)).shape == (0, 9)


def test_each_player_absent_alone():
    assert without(3).tolist() == [[False, True, True], [True, False, True], [True, True, False]]


def test_too_few_masks_are_refused():
    with pytest.raises(InputError, match="at least 24"):
        find_causes(Known(), n_masks=10)
