"""Measures of explanations: by hand, against slow plain implementations and scipy, and the properties that they promise."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import trapezoid
from scipy.stats import pearsonr, spearmanr

from stcg_nb.errors import InputError
from stcg_nb.faithfulness.ground_truth import pointing, relevance_mass, relevance_rank
from stcg_nb.faithfulness.measures import (
    factorial,
    held_out_masks,
    interaction_faithfulness,
    lds,
    lds_per_step,
    seed_faithfulness,
)
from stcg_nb.faithfulness.removal_curves import SHARES, RemovalCurves, answer_probability, removal_curves
from stcg_nb.stats.overlap import jaccard_top, strongest

quick = settings(max_examples=60, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)
# Few values, so that ties are common.
maps = arrays(np.float64, st.integers(1, 12), elements=st.integers(-3, 3).map(float))


# Held-out masks


def test_held_out_masks_have_their_rates_in_equal_parts():
    masks, rate = held_out_masks(20, 3000, seed=1)
    assert masks.shape == (3000, 20) and masks.dtype == bool
    assert np.bincount(rate).tolist() == [1000, 1000, 1000]
    for i, keep in enumerate((0.5, 0.7, 0.9)):
        # 20,000 draws: four standard errors. Every player has the rate, not only their mean.
        assert abs(masks[rate == i].mean() - keep) < 4 * np.sqrt(keep * (1 - keep) / 20_000)
        assert np.abs(masks[rate == i].mean(0) - keep).max() < 0.08
    players = np.corrcoef(masks[rate == 0].T) - np.eye(20)
    assert np.abs(players).max() < 0.2, "players are drawn independently"


def test_held_out_masks_are_those_of_their_seed():
    first, second, other = (held_out_masks(9, 30, seed)[0] for seed in (3, 3, 4))
    assert np.array_equal(first, second) and not np.array_equal(first, other)
    assert np.bincount(held_out_masks(9, 31, 0)[1]).tolist() == [11, 10, 10]
    assert held_out_masks(9, 4, 0, rates=(0.2, 0.4))[1].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("n_players", "n", "rates", "says"),
    [(0, 9, (0.5,), "0 players"), (3, 5, (0.5, 0.7, 0.9), "5 masks"), (3, 9, (1.0,), "1.0"), (3, 9, (), "rates")],
)
def test_held_out_masks_that_cannot_be(n_players, n, rates, says):
    with pytest.raises(InputError, match=says):
        held_out_masks(n_players, n, 0, rates)


# LDS


def test_lds_is_the_mean_of_scipys_spearman_over_rates_and_steps():
    rng = np.random.default_rng(0)
    rate = rng.permutation(np.repeat([0, 1, 2], 20))
    real = rng.normal(size=(60, 3)).round(1)
    predicted = (real + rng.normal(size=(60, 3))).round(1)  # rounded: with ties
    each = [[spearmanr(predicted[rate == i, t], real[rate == i, t])[0] for i in range(3)] for t in range(3)]
    np.testing.assert_allclose(lds_per_step(predicted, real, rate), np.mean(each, 1))
    assert lds(predicted, real, rate) == pytest.approx(np.mean(each))


@quick
@given(seeds)
def test_lds_knows_only_the_order_within_a_rate(seed):
    rng = np.random.default_rng(seed)
    rate = np.arange(30) % 3
    predicted, real = rng.normal(size=(2, 30, 2))
    value = lds(predicted, real, rate)
    assert -1 <= value <= 1
    assert lds(np.exp(predicted), real**3, rate) == pytest.approx(value)
    assert lds(predicted + 100 * rate[:, None], real, rate) == pytest.approx(value)
    assert lds(-predicted, real, rate) == pytest.approx(-value)
    assert lds(real, real, rate) == pytest.approx(1)


def test_lds_of_what_is_constant():
    real = np.array([[0.0], [1.0], [2.0], [0.0], [1.0], [2.0]])
    rate = np.array([0, 0, 0, 1, 1, 1])
    assert lds(np.full((6, 1), 0.1), real, rate) == 0, "nothing is said"
    half = real.copy()
    half[3:] = 0.1
    assert lds(half, real, rate) == pytest.approx(0.5), "and half of nothing is half"
    assert lds(real, half, rate) == pytest.approx(1), "nothing can be predicted at the second rate"
    assert lds(np.full((6, 1), 0.1), half, rate) == 0
    assert np.isnan(lds(real, np.full((6, 1), 0.1), rate))
    two_steps = np.concatenate([real, np.ones((6, 1))], 1)
    np.testing.assert_allclose(lds_per_step(two_steps, two_steps, rate), [1, np.nan])
    assert lds(two_steps, two_steps, rate) == pytest.approx(1)


def test_lds_of_noise_is_zero():
    rng = np.random.default_rng(0)
    rate = np.arange(60) % 3
    values = [lds(*rng.normal(size=(2, 60, 1)), rate) for _ in range(300)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(300)


@pytest.mark.parametrize(
    ("predicted", "real", "rate", "says"),
    [
        (np.zeros((4, 1)), np.zeros((4, 2)), np.zeros(4), "shapes"),
        (np.zeros(4), np.zeros(4), np.zeros(4), "step"),
        (np.zeros((4, 1)), np.zeros((4, 1)), np.zeros(3), "rates have shape"),
        (np.zeros((4, 1)), np.zeros((4, 1)), np.array([0, 0, 0, 1]), r"\[3, 1\]"),
        (np.zeros((0, 1)), np.zeros((0, 1)), np.zeros(0), "two each"),
        (np.full((4, 1), np.nan), np.zeros((4, 1)), np.zeros(4), "finite"),
    ],
)
def test_lds_of_what_does_not_fit(predicted, real, rate, says):
    with pytest.raises(InputError, match=says):
        lds(predicted, real, rate)


# Seed and interaction faithfulness


def test_seed_faithfulness_is_scipys_pearson_per_step():
    weights, effects = np.random.default_rng(0).normal(size=(2, 3, 8))
    expected = np.mean([pearsonr(w, e)[0] for w, e in zip(weights, effects, strict=True)])
    assert seed_faithfulness(weights, effects) == pytest.approx(expected)
    # Steps count alike, whatever their scale.
    assert seed_faithfulness(weights * [[1], [9], [1e-200]], effects * [[5], [1e200], [1]]) == pytest.approx(expected)


def test_seed_faithfulness_of_what_is_constant():
    effects = np.array([[1.0, 2, 4], [7, 7, 7]])
    assert seed_faithfulness(effects, effects) == pytest.approx(1), "the second step has no effects to find"
    assert seed_faithfulness(np.full((2, 3), 0.1), effects) == 0
    assert np.isnan(seed_faithfulness(effects[:1], effects[1:]))
    with pytest.raises(InputError, match="two"):
        seed_faithfulness(np.ones((2, 1)), np.ones((2, 1)))


def test_factorial_is_zero_for_a_sum_and_finds_a_product():
    a, b, ab = 2.0, 3.0, 0.5
    assert factorial(a + b, a, b, 0.0) == 0
    assert factorial(1 + a + b + ab, 1 + a, 1 + b, 1.0) == pytest.approx(ab)


def test_interaction_faithfulness():
    rng = np.random.default_rng(0)
    weights, factorials = rng.normal(size=(2, 12)).round(1)
    assert interaction_faithfulness(weights, factorials) == pytest.approx(spearmanr(weights, factorials)[0])
    assert interaction_faithfulness(np.zeros(12), factorials) == 0, "a graph without edges"
    assert np.isnan(interaction_faithfulness(weights, np.ones(12)))
    assert np.isnan(interaction_faithfulness(weights[:2], factorials[:2])), "two always agree or disagree wholly"
    with pytest.raises(InputError, match="edge"):
        interaction_faithfulness(weights[None], factorials[None])


# Jaccard of the strongest edges


def by_chance(n: int, a: int, b: int) -> float:
    """The mean Jaccard of one set of a and every set of b among n."""
    first = set(range(a))
    return float(np.mean([len(first & set(c)) / len(first | set(c)) for c in combinations(range(n), b)]))


@pytest.mark.parametrize(("n", "a", "b"), [(6, 2, 2), (7, 3, 1), (5, 4, 3), (8, 5, 5)])
def test_chance_is_exact_for_each_pair_of_sizes(n, a, b):
    left, right = np.zeros(n), np.zeros(n)
    left[:a] = 1.0
    right[n - b :] = 1.0  # the smallest overlap that can be; zeros are no edges, which makes the sizes
    j = max(0, a + b - n) / min(n, a + b)
    j0 = by_chance(n, a, b)
    assert jaccard_top(left, right, share=1) == pytest.approx((j - j0) / (1 - j0))


def test_equal_and_opposite_maps_by_hand():
    a = np.arange(1.0, 31).reshape(5, 6)
    assert jaccard_top(a, a) == jaccard_top(a, -2 * a) == 1, "neither sign nor scale counts"
    assert strongest(a.ravel(), 3).sum() == 3
    swapped = a.copy()
    swapped[-1, -1], swapped[0, 0] = a[0, 0], a[-1, -1]  # one of the three strongest goes: J = 2 / 4
    assert jaccard_top(a, swapped) == pytest.approx((0.5 - by_chance(30, 3, 3)) / (1 - by_chance(30, 3, 3)))


def test_a_share_that_is_whole_is_not_rounded_up():
    a = np.arange(1.0, 101)
    b = np.concatenate([a[:93][::-1], a[93:]])  # the seven strongest are the same, the eighth is another
    assert 0.07 * 100 > 7 and jaccard_top(a, b, share=0.07) == 1


@quick
@given(maps, seeds, st.sampled_from([0.05, 0.1, 0.3, 0.5, 1.0]))
def test_jaccard_promises(a, seed, share):
    rng = np.random.default_rng(seed)
    b = rng.permutation(a)
    value, listed = jaccard_top(a, b, share), rng.permutation(len(a))
    k = max(1, round(np.ceil(share * len(a) - 1e-9)))
    size = strongest(a, k).sum()
    if size in (0, len(a)):
        assert np.isnan(value), "no edges, or all of them alike: they cannot differ"
        return
    assert jaccard_top(a, a, share) == pytest.approx(1)
    assert -1 - 1e-9 <= value <= 1 + 1e-9
    assert jaccard_top(b, a, share) == pytest.approx(value)
    assert jaccard_top(a[listed], b[listed], share) == pytest.approx(value), "the order of listing decides nothing"


@pytest.mark.parametrize("ties", [False, True])
def test_jaccard_of_random_maps_is_zero_on_average(ties):
    rng = np.random.default_rng(0)
    draw = (lambda: rng.integers(0, 9, 40).astype(float)) if ties else (lambda: rng.normal(size=40))
    values = [jaccard_top(draw(), draw()) for _ in range(1500)]
    assert np.std(values) > 0.05
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(1500)


def test_jaccard_of_no_edges():
    none, some = np.zeros(5), np.arange(5.0)
    assert np.isnan(jaccard_top(none, none)) and jaccard_top(none, some) == 0
    assert np.isnan(jaccard_top(np.ones(5), np.ones(5)))
    assert jaccard_top(np.ones(5), some) == pytest.approx(0), "all edges and any one of them: no more than chance"


@pytest.mark.parametrize(
    ("a", "b", "share", "says"),
    [
        (np.zeros(3), np.zeros(4), 0.1, "shapes"),
        (np.zeros(0), np.zeros(0), 0.1, "empty"),
        (np.zeros(3), np.array([0, 1, np.inf]), 0.1, "finite"),
        (np.zeros(3), np.zeros(3), 0.0, "share"),
        (np.zeros(3), np.zeros(3), 1.1, "share"),
    ],
)
def test_jaccard_of_what_does_not_fit(a, b, share, says):
    with pytest.raises(InputError, match=says):
        jaccard_top(a, b, share)


# Removal curves


def slow_curves(order, value):
    """One mask at a time."""
    n = len(order)
    both = []
    for sequence in (list(order), list(order)[::-1]):
        curve = []
        for removed in range(n + 1):
            mask = np.ones((1, n), bool)
            mask[0, sequence[:removed]] = False
            curve.append(value(mask)[0])
        both.append(np.array(curve))
    return both


def test_removal_curves_are_the_slow_ones_in_one_call():
    rng = np.random.default_rng(0)
    effects, pairs = rng.normal(size=(7, 2)), rng.normal(size=(7, 7, 2))
    calls = []

    def value(masks):
        calls.append(len(masks))
        z = masks.astype(float)
        return z @ effects + np.einsum("mi,ijs,mj->ms", z, pairs, z)

    order = rng.permutation(7)
    curves = removal_curves(order, value)
    assert calls == [14]
    morf, lerf = slow_curves(order, value)
    np.testing.assert_allclose(curves.morf, morf)
    np.testing.assert_allclose(curves.lerf, lerf)
    np.testing.assert_allclose(curves.morf_auc, trapezoid(morf, dx=1 / 7, axis=0))
    np.testing.assert_allclose(curves.srg, trapezoid(lerf - morf, dx=1 / 7, axis=0))
    assert curves.srg.shape == (2,) and curves.comprehensiveness.shape == curves.sufficiency.shape == (5, 2)


def test_insertion_is_lerf_from_its_end():
    effects = np.array([1.0, 4.0, 2.0])
    order = np.argsort(-effects)
    curves = removal_curves(order, lambda masks: masks @ effects)
    inserted = [0.0, 4.0, 6.0, 7.0]  # the strongest first
    np.testing.assert_allclose(curves.lerf[::-1], inserted)
    assert curves.lerf_auc == pytest.approx((0 + 4) / 6 + (4 + 6) / 6 + (6 + 7) / 6)


def test_srg_is_largest_for_the_true_order_and_zero_on_average():
    effects = np.array([3.0, -1.0, 0.5, 2.0])

    def value(masks):
        return np.tanh(masks @ effects)

    srg = {order: float(removal_curves(order, value).srg) for order in permutations(range(4))}
    assert srg[0, 3, 2, 1] == max(srg.values()) > 0
    assert srg[1, 2, 3, 0] == -srg[0, 3, 2, 1]
    assert np.mean(list(srg.values())) == pytest.approx(0)


def test_eraser_by_hand():
    n = 28
    effects = np.linspace(28, 1, n)
    curves = removal_curves(np.arange(n), lambda masks: masks @ effects)
    for i, k in enumerate((1, 2, 3, 6, 14)):  # 1, 5, 10, 20 and 50 % of 28, rounded up
        assert curves.comprehensiveness[i] == pytest.approx(effects[:k].sum())
        assert curves.sufficiency[i] == pytest.approx(effects[k:].sum())
    hundred = RemovalCurves(np.arange(100.0, -1, -1), np.arange(100.0, -1, -1))
    np.testing.assert_allclose(hundred.comprehensiveness, 100 * np.array(SHARES))  # whole shares are not rounded


def test_one_player():
    curves = removal_curves([0], lambda masks: masks[:, 0] * 2.0)
    assert curves.morf.tolist() == curves.lerf.tolist() == [2, 0] and curves.srg == 0


@pytest.mark.parametrize("order", [[0, 0], [1, 2], [], [[0, 1]], [0.5, 1]])
def test_no_order(order):
    with pytest.raises(InputError, match="order"):
        removal_curves(np.array(order), lambda masks: masks.sum(1))


def test_answer_probability_is_the_product_of_the_tokens():
    v = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(answer_probability(v), (1 / (1 + np.exp(-v))).prod(-1))
    assert answer_probability(np.array([1e4, 1e4])) == 1


# Ground truth

STRIPES = np.repeat(np.arange(4), 4).reshape(4, 4)  # four regions, a row each


def test_truth_measures_by_hand():
    truth = np.zeros((4, 4), bool)
    truth[0] = truth[1, :2] = True  # all of region 0, half of region 1: six pixels
    weights = np.array([2.0, 1.0, 1.0, -5.0])
    assert pointing(weights, STRIPES, truth) == 1
    assert relevance_mass(weights, STRIPES, truth) == pytest.approx((2 + 0.5) / 4)
    # The four pixels of region 0, then two of the eight of regions 1 and 2, of which two are in the truth.
    assert relevance_rank(weights, STRIPES, truth) == pytest.approx((4 + 2 * 2 / 8) / 6)
    assert pointing(np.array([0.0, 1, 0, 0]), STRIPES, truth) == 0, "half is no majority"
    assert pointing(np.array([1.0, 1, 1, 0]), STRIPES, truth) == pytest.approx(1 / 3), "a tie"


def test_relevance_is_spread_over_a_regions_pixels():
    labels = np.array([[0, 1, 1, 1, 1, 1]])
    weights = np.array([2.0, 3.0])  # per pixel 2 and 0.6
    assert relevance_rank(weights, labels, labels == 0) == 1
    assert pointing(weights, labels, labels == 0) == 0, "but the strongest region is the other"
    assert relevance_mass(weights, labels, labels == 0) == pytest.approx(0.4)


def slow_rank(weights, labels, truth, rng):
    """Pixels in a random order, sorted by their relevance, many times."""
    area = np.bincount(labels.ravel())
    relevance, t = (np.maximum(weights, 0) / area)[labels.ravel()], truth.ravel()
    k = t.sum()
    shuffled = rng.permuted(np.tile(np.arange(t.size), (4000, 1)), axis=1)
    best = np.take_along_axis(shuffled, np.argsort(-relevance[shuffled], axis=1, kind="stable"), axis=1)[:, :k]
    return t[best].mean()


@pytest.mark.parametrize("seed", range(5))
def test_relevance_rank_is_the_expectation_over_orders_of_tied_pixels(seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.concatenate([np.arange(5), rng.integers(0, 5, 31)])).reshape(6, 6)
    weights, truth = rng.integers(-1, 3, 5).astype(float), rng.random((6, 6)) < 0.4
    assert relevance_rank(weights, labels, truth) == pytest.approx(slow_rank(weights, labels, truth, rng), abs=0.01)


@quick
@given(seeds)
def test_truth_promises(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    labels = rng.permutation(np.concatenate([np.arange(n), rng.integers(0, n, 30 - n)])).reshape(5, 6)
    weights, truth = rng.normal(size=n), rng.random((5, 6)) < rng.uniform(0.1, 1)
    truth[0, 0] = True
    area = np.bincount(labels.ravel())
    for measure in (pointing, relevance_mass, relevance_rank):
        assert 0 <= measure(weights, labels, truth) <= 1 + 1e-12
        assert measure(3 * weights, labels, truth) == pytest.approx(measure(weights, labels, truth))
        assert measure(np.maximum(weights, 0), labels, truth) == pytest.approx(measure(weights, labels, truth))
        # The truth itself, as weights of regions that it is made of.
        regions = rng.random(n) < 0.5
        regions[0] = True
        assert measure(regions * area.astype(float), labels, regions[labels]) == pytest.approx(1)
    # Where all pixels are alike, mass and rank are what chance gives.
    assert relevance_rank(area, labels, truth) == pytest.approx(truth.mean())
    assert relevance_mass(area, labels, truth) == pytest.approx(truth.mean())


def test_a_map_without_positive_weight():
    truth = STRIPES == 0
    for weights in (np.zeros(4), -np.arange(4.0)):
        assert pointing(weights, STRIPES, truth) == relevance_mass(weights, STRIPES, truth) == 0
        assert relevance_rank(weights, STRIPES, truth) == pytest.approx(0.25)


@pytest.mark.parametrize("measure", [pointing, relevance_mass, relevance_rank])
@pytest.mark.parametrize(
    ("weights", "truth", "says"),
    [
        (np.ones(4), np.zeros((4, 4), bool), "empty"),
        (np.ones(4), np.ones((4, 3), bool), "height"),
        (np.ones(5), STRIPES == 0, "region"),
        (np.ones((1, 4)), STRIPES == 0, "region"),
        (np.array([1, 2, 3, np.nan]), STRIPES == 0, "finite"),
    ],
)
def test_truth_of_what_does_not_fit(measure, weights, truth, says):
    with pytest.raises(InputError, match=says):
        measure(weights, STRIPES, truth)
