"""Measures of explanations: by hand, against slow plain implementations and scipy, and the properties that they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from stcg_nb.errors import InputError
from stcg_nb.faithfulness.measures import (
    factorial,
    held_out_masks,
    interaction_faithfulness,
    lds,
    lds_per_step,
    seed_faithfulness,
)

quick = settings(max_examples=60, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)


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
