"""What changes, lasts and drifts from step to step: by hand, against scipy, and nulls that reject no more often than they say."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy
from scipy.stats import spearmanr

from stcg_nb.errors import InputError
from stcg_nb.graph.temporal import (
    edge_persistence,
    entropy,
    js_previous,
    order_test,
    persistence_test,
    step_orders,
    top_overlap,
    trend_test,
)
from stcg_nb.stats.divergence import js_distance


def test_entropy_is_scipys():
    steps = np.random.default_rng(0).dirichlet(np.ones(7), 4) * 3
    np.testing.assert_allclose(entropy(steps), scipy_entropy(steps, axis=1))
    assert entropy(np.zeros((1, 3))) == 0


def test_change_from_the_step_before():
    steps = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 1]])
    np.testing.assert_array_equal(js_previous(steps), [np.nan, 0, 1])
    np.testing.assert_allclose(top_overlap(steps, k=1), [np.nan, 1, 0])
    np.testing.assert_allclose(top_overlap(steps, k=99), [np.nan, 1, 1])


def test_one_step_has_no_change():
    one = np.ones((1, 3))
    assert np.isnan(js_previous(one)).all() and np.isnan(top_overlap(one)).all()
    moved, p, orders = order_test(one)
    assert np.isnan(moved) and (p, orders) == (1.0, 1)
    assert order_test(np.eye(2)) == (1.0, 1.0, 1)


def test_a_drift_has_an_order_and_noise_has_none():
    x = np.arange(12)
    drift = np.exp(-((x[None] - np.linspace(1, 10, 9)[:, None]) ** 2))
    moved, p, orders = order_test(drift)
    assert p < 0.01 and orders == 2000
    assert moved == js_distance(drift[1:], drift[:-1]).mean()
    rng = np.random.default_rng(0)
    p_values = [order_test(rng.dirichlet(np.ones(6), 5))[1] for _ in range(200)]
    # Under the null a p-value is at most u with probability u, give or take the ties of a reversed order.
    assert np.mean(np.array(p_values) <= 0.1) < 0.17
    assert 0.4 < np.mean(p_values) < 0.65


def test_edge_persistence_by_hand():
    steps = np.array([[5.0, 4, 1, 0], [5, -4, 0, 1], [0, 9, 8, 0], [0, 0, 3, 0], [0, 0, 0, 0], [1, 2, 0, 0]])
    np.testing.assert_allclose(edge_persistence(steps, k=2), [1, 1 / 2, 1 / 2, 0, 0])
    np.testing.assert_allclose(edge_persistence(steps[2:4][::-1], k=2), [1])  # its one edge lasts
    np.testing.assert_allclose(edge_persistence(steps[:2], k=99), [2 / 3])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_edge_persistence_promises(seed):
    rng = np.random.default_rng(seed)
    steps = rng.integers(-2, 3, (4, 9)).astype(float)
    found = edge_persistence(steps, k=3)
    assert found.shape == (3,) and (found >= 0).all() and (found <= 1).all()
    np.testing.assert_allclose(edge_persistence(steps[:, rng.permutation(9)], k=3), found)
    np.testing.assert_allclose(edge_persistence(-7 * steps, k=3), found)


@pytest.mark.parametrize("least", [0, 1])
def test_persistence_is_tested_against_all_orders(least):
    steps = np.random.default_rng(3).normal(size=(5, 8))
    steps[np.abs(steps) < least] = (
        0  # with 1, steps have fewer than k edges, and an order is not as good as its reverse
    )
    lasted, p, orders = persistence_test(steps, k=3)
    every = [edge_persistence(steps[list(order)], k=3).mean() for order in permutations(range(5))]
    assert orders == 120
    assert lasted == pytest.approx(every[0]) and p == pytest.approx(np.mean(np.array(every) >= every[0] - 1e-12))


def test_edges_that_drift_last_and_those_of_noise_do_not():
    x = np.arange(20)
    drift = np.exp(-((x[None] - np.linspace(2, 17, 9)[:, None]) ** 2) / 8)
    lasted, p, orders = persistence_test(drift)
    assert lasted > 0.5 and p < 0.01 and orders == 2000
    rng = np.random.default_rng(0)
    p_values = np.array([persistence_test(rng.normal(size=(6, 30)))[1] for _ in range(300)])
    # Under the null P(p <= u) <= u, with four standard errors on top; ties make it smaller.
    for u in (0.05, 0.2):
        assert np.mean(p_values <= u) < u + 4 * np.sqrt(u * (1 - u) / 300)
    assert np.mean(p_values <= 0.5) > 0.2, "and yet it is no test that never rejects"


def test_edges_that_never_change_have_no_order():
    assert persistence_test(np.tile(np.arange(9.0), (4, 1))) == (1.0, 1.0, 24)


def test_trend_is_scipys_spearman_and_its_permutation_test():
    numbers = np.array([0.9, 0.7, 0.8, 0.8, 0.1])  # with a tie
    rho, p, orders = trend_test(numbers)
    every = [spearmanr(range(5), numbers[list(order)])[0] for order in permutations(range(5))]
    assert rho == pytest.approx(every[0]) and orders == 120
    assert p == pytest.approx(np.mean(np.abs(every) >= abs(every[0]) - 1e-12))


def test_trend_has_two_sides_and_a_null():
    fall = np.exp(-np.arange(9.0))
    assert trend_test(fall)[0] == pytest.approx(-1) and trend_test(-fall)[0] == pytest.approx(1)
    assert trend_test(fall)[1:] == trend_test(-fall)[1:] and trend_test(fall)[1] < 0.01
    rng = np.random.default_rng(0)
    p_values = np.array([trend_test(rng.normal(size=6))[1] for _ in range(300)])
    for u in (0.05, 0.2, 0.5):
        assert abs(np.mean(p_values <= u) - u) < 4 * np.sqrt(u * (1 - u) / 300)


def test_few_steps_say_nothing():
    one, two = np.array([[1.0, 2]]), np.array([[1.0, 2], [1, 3]])
    assert edge_persistence(one).shape == (0,)
    assert np.isnan(persistence_test(one)[0]) and persistence_test(one)[1:] == (1.0, 1)
    assert persistence_test(two, k=1) == (1.0, 1.0, 1)
    assert np.isnan(trend_test(np.ones(1))[0]) and trend_test(np.ones(1))[1:] == (1.0, 1)
    assert trend_test(np.array([1.0, 0])) == (-1.0, 1.0, 1)
    assert trend_test(np.ones(6)) == (0.0, 1.0, 1)


def test_orders_are_all_or_random_with_the_actual_one_first():
    assert sorted(map(tuple, step_orders(4, 0))) == sorted(permutations(range(4)))
    many = step_orders(8, seed=0)
    assert many.shape == (2000, 8) and many[0].tolist() == list(range(8))
    assert (np.sort(many, axis=1) == np.arange(8)).all()
    assert np.array_equal(many, step_orders(8, seed=0)) and not np.array_equal(many, step_orders(8, seed=1))


@pytest.mark.parametrize("steps", [np.zeros(3), np.zeros((0, 3)), np.zeros((3, 0)), np.array([[0, np.nan]])])
def test_weights_that_do_not_fit(steps):
    with pytest.raises(InputError, match="weights have shape"):
        persistence_test(steps)


def test_other_arguments_that_do_not_fit():
    with pytest.raises(InputError, match="0 strongest"):
        edge_persistence(np.ones((2, 2)), k=0)
    for numbers in (np.zeros((2, 2)), np.zeros(0), np.array([0, np.inf])):
        with pytest.raises(InputError, match="numbers have shape"):
            trend_test(numbers)
