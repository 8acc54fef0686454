"""The surrogate and the causal graph on games whose weights are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.stats import norm

from stcg_nb.errors import InputError
from stcg_nb.faithfulness.measures import held_out_masks, lds
from stcg_nb.interventions.causal_graph import EDGE_SHARE, MOST, TRUSTED, find_causes, pair_weights
from stcg_nb.interventions.exploration import PAIRED, SHARED, Measured, random_masks
from stcg_nb.interventions.marginal_likelihood import kernel
from stcg_nb.interventions.masking import without
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
    np.testing.assert_allclose(causes.node, truth + SMALL, atol=1e-9)


def test_edges_are_the_two_by_two_factorials(causes):
    truth = np.zeros((2, len(causes.pairs)))
    truth[0, pair(causes, 2, 3)] = 3
    truth[1, pair(causes, 0, 4)] = -4
    tried = causes.tried[: len(causes.pairs)]
    assert tried[pair(causes, 2, 3)] and tried[pair(causes, 0, 4)]
    np.testing.assert_allclose(causes.edge[:, tried], truth[:, tried], atol=1e-9)
    np.testing.assert_allclose(causes.edge, truth, atol=0.3)


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


def test_the_sparse_graph_holds_the_true_edges_few_others_and_nothing_untried(causes):
    assert causes.in_graph[0, pair(causes, 2, 3)] and causes.in_graph[1, pair(causes, 0, 4)]
    assert causes.in_graph.sum(1).max() <= EDGE_SHARE * len(causes.pairs)
    fewer = find_causes(Known(), n_masks=32, seed=0)
    assert 0 < fewer.tried.sum() < len(fewer.tried)
    for graph in (causes, fewer):
        assert not (graph.in_graph & ~graph.tried).any()
        np.testing.assert_array_equal(graph.low[:, graph.tried], graph.high[:, graph.tried])


def test_the_sparse_graph_alone_predicts_unseen_masks(causes):
    masks, rate = held_out_masks(9, 300, seed=5)
    assert lds(causes.predict(masks), Known()(masks), rate) > 0.97


def test_it_adds_up_its_coefficients_and_nothing_else(causes):
    mask = np.array([[True, False, True, True, False, False, True, True, False]])
    total = causes.intercept[0] + sum(causes.node_coefficient[0, i] for i in np.flatnonzero(mask[0]))
    total += sum(causes.link_coefficient[0, k] for k, ends in enumerate(causes.links) if mask[0, ends[ends >= 0]].all())
    assert causes.predict(mask)[0, 0] == pytest.approx(total)
    assert not causes.link_coefficient[~causes.in_graph].any()


def test_a_tried_link_is_exact_whatever_the_seed():
    for seed in range(3):
        graph = find_causes(Known(), n_masks=40, seed=seed)
        for link in np.flatnonzero(graph.tried):
            players = [p for p in graph.links[link] if p >= 0]
            exact = 0.0
            for absent in range(2 ** len(players)):
                mask = np.ones((1, 9), dtype=bool)
                gone = [p for k, p in enumerate(players) if absent >> k & 1]
                mask[0, gone] = False
                exact = exact + (-1) ** len(gone) * Known()(mask)[0]
            np.testing.assert_allclose(graph.weight[:, link], exact, atol=1e-9)


def test_intervals_of_what_was_not_tried_hold_the_weight_and_shrink_with_more_masks():
    few, more = ([find_causes(Known(), n_masks=n, seed=seed) for seed in range(3)] for n in (28, 80))
    for graph in (*few, *more):
        assert ((graph.low <= graph.weight) & (graph.weight <= graph.high)).all()
    widths = [np.mean([(graph.high - graph.low)[:, ~graph.tried].mean() for graph in graphs]) for graphs in (few, more)]
    assert widths[1] < widths[0]


def test_what_the_surrogate_expects_to_matter_is_tried():
    """Both players of the strongest pair have small effects of their own, so that only the random masks can suggest it."""

    class Quiet(Known):
        def __call__(self, masks):
            z = np.asarray(masks, dtype=float)
            hidden = 6 * (1 - z[:, 10]) * (1 - z[:, 11])
            return super().__call__(np.asarray(masks)[:, :9])[:, :1] + hidden[:, None] + 0.01 * z[:, 9:].sum(1)[:, None]

    graph = find_causes(Quiet(n_players=14), n_masks=110, seed=0)
    link = pair(graph, 10, 11)
    assert graph.tried[link] and graph.weight[0, link] == pytest.approx(6)


def test_it_tries_as_many_masks_as_it_says_and_depends_on_its_seed_alone():
    game = Known()
    first = find_causes(game, n_masks=48, seed=3)
    assert game.tried == 48 == len(first.masks)
    again, other = find_causes(Known(), n_masks=48, seed=3), find_causes(Known(), n_masks=48, seed=4)
    np.testing.assert_array_equal(first.edge, again.edge)
    assert (first.masks != other.masks).any()


def test_what_was_measured_is_not_asked_again():
    game, masks = Known(), np.concatenate([without(9), without(9)[:3]])
    measured = Measured(game)
    np.testing.assert_allclose(measured(masks), Known()(masks))
    np.testing.assert_allclose(measured(masks[::-1]), Known()(masks[::-1]))
    assert game.tried == 9 == len(measured)


def test_few_players_allow_no_more_masks_than_there_are():
    class Few(Known):
        def __call__(self, masks):
            return super().__call__(np.pad(np.asarray(masks), ((0, 0), (0, 5)), constant_values=True))

    graph = find_causes(Few(n_players=4, n_words=2), n_masks=64, seed=0)
    assert len(graph.masks) <= 16 and graph.tried.all()


def test_auto_stops_where_trust_is_reached_and_goes_on_where_it_is_not():
    class Noise(Known):
        def __call__(self, masks):
            self.tried += len(masks)
            keys = np.packbits(np.asarray(masks), axis=1).astype(np.int64) @ np.array([1, 256])
            return np.sin(keys * 12.9898)[:, None] * 40 % 1.0

    easy, hard = (find_causes(game, "auto", seed=0) for game in (Known(), Noise(n_players=14)))
    assert easy.trust.value >= TRUSTED and len(easy.masks) < 256
    assert hard.trust.value < TRUSTED and 0.9 * MOST < len(hard.masks) <= MOST


def test_trust_is_near_the_lds_of_unseen_masks():
    masks, rate = held_out_masks(9, 600, seed=8)
    for n in (48, 128):
        graph = find_causes(Known(), n_masks=n, seed=1)
        found = lds(graph.surrogate.score(masks), Known()(masks), rate)
        assert graph.trust.low <= graph.trust.value <= graph.trust.high
        assert abs(graph.trust.value - found) < 0.08


def test_there_is_no_trust_where_nothing_changes():
    class Constant(Known):
        def __call__(self, masks):
            return np.full((len(masks), 1), 3.0)

    graph = find_causes(Constant(), n_masks=48, seed=0)
    assert np.isnan(graph.trust.value) and not graph.weight.any() and not graph.node.any()


def test_the_curve_ends_with_the_whole_graph_and_starts_with_its_players(causes):
    assert causes.sizes[0] == 0 and causes.sizes[-1] == causes.in_graph.sum(1).max()
    assert causes.curve[-1] > causes.curve[0] and causes.curve[-1] <= causes.trust.value


def test_of_many_players_the_strongest_are_paired():
    class Many(Known):
        def __call__(self, masks):
            return super().__call__(np.asarray(masks)[:, :9])

    causes = find_causes(Many(n_players=100), n_masks=160, seed=0)
    assert causes.node.shape == (2, 100) and len(causes.pairs) == PAIRED * (PAIRED - 1) // 2


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


def test_a_posterior_is_the_textbooks_and_what_is_left_out_was_not_seen():
    """Rasmussen and Williams 2006, equation 2.26, with an explicit inverse; and predictions by the same parameters."""
    rng = np.random.default_rng(0)
    masks = np.unique(rng.random((40, 6)) < 0.6, axis=0)
    values = np.stack([masks @ np.arange(6.0) + 3 * masks[:, 0] * masks[:, 1], np.sin(masks @ np.arange(1, 7.0))], 1)
    fitted, unseen = Surrogate(masks, values), rng.random((5, 6)) < 0.5
    z, q = (torch.from_numpy(m.astype(float)) for m in (masks, unseen))
    p = fitted._parameters_of(1)
    gram = kernel(z, z, p).numpy() + (p["noise"].exp().item() + 1e-5) * np.eye(len(masks))
    cross = kernel(q, z, p).numpy()
    expected = (kernel(q, q, p).numpy() - cross @ np.linalg.inv(gram) @ cross.T) * values[:, 1].std() ** 2
    np.testing.assert_allclose(fitted.posterior(unseen, 1), expected, atol=1e-8)

    groups = [np.array([3, 5, 9]), np.array([0])]
    targets, by_hand = fitted._targets.numpy(), []
    for group in groups:
        others = np.setdiff1d(np.arange(len(masks)), group)
        outputs = []
        for o in range(4):
            p = fitted._parameters_of(o)
            gram = kernel(z, z, p).numpy() + (p["noise"].exp().item() + 1e-5) * np.eye(len(masks))
            inverse = np.linalg.inv(gram[np.ix_(others, others)])
            outputs.append(gram[np.ix_(group, others)] @ inverse @ targets[o, others])
        by_hand.append(np.stack(outputs, 1))
    by_hand = np.concatenate(by_hand) * fitted._scale + fitted._mean
    score = (by_hand[:, :2] + values.mean(0) + values.std(0) * by_hand[:, 2:]) / 2
    np.testing.assert_allclose(fitted.left_out(groups), score, atol=1e-6)


def test_a_surrogate_given_other_masks_keeps_its_parameters():
    rng = np.random.default_rng(0)
    masks = rng.random((60, 6)) < 0.6
    values = (masks @ np.arange(6.0))[:, None]
    fitted = Surrogate(masks[:30], values[:30])
    given = fitted.given(masks, values)
    assert given._parameters is fitted._parameters
    before, after = (np.abs(s.predict(masks[30:]) - values[30:]).mean() for s in (fitted, given))
    assert after < before


def test_random_masks_keep_what_they_should():
    """Six pictures in ten keep half of all, three seven tenths, one nine tenths; words as many as regions."""
    masks, rate = random_masks(200, 100, 10 * SHARED, np.random.default_rng(0))
    assert np.bincount(rate).tolist() == [6 * SHARED, 3 * SHARED, SHARED]
    for part in (masks[:, :200], masks[:, 200:]):
        for index, keep in enumerate((0.5, 0.7, 0.9)):
            np.testing.assert_allclose(part[rate == index].mean(1), keep, atol=0.2)
            assert part[rate == index].mean() == pytest.approx(keep, abs=0.05)


def test_random_masks_share_pictures_and_not_words_and_start_alike():
    masks, _ = random_masks(20, 15, 8, np.random.default_rng(0))
    assert len(np.unique(masks[:, 20:], axis=0)) == 3 and len(np.unique(masks[:, :20], axis=0)) == 8
    assert (masks[:3, 20:] == masks[0, 20:]).all() and (masks[6:, 20:] == masks[6, 20:]).all()
    more, _ = random_masks(20, 15, 30, np.random.default_rng(0))
    np.testing.assert_array_equal(more[:8], masks)
    assert random_masks(4, 5, 0, np.random.default_rng(0))[0].shape == (0, 9)


def test_each_player_absent_alone():
    assert without(3).tolist() == [[False, True, True], [True, False, True], [True, True, False]]


def test_too_few_masks_are_refused():
    with pytest.raises(InputError, match="at least 24"):
        find_causes(Known(), n_masks=10)
    with pytest.raises(InputError, match="4 words and 36 regions"):
        find_causes(Known(n_players=40), n_masks=40)
    with pytest.raises(InputError, match=r"'often'.*'auto'"):
        find_causes(Known(), n_masks="often")
