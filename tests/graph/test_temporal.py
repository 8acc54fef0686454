"""What changes from step to step: by hand, against scipy, and a test of order that knows order from noise."""

from __future__ import annotations

import numpy as np
from scipy.stats import entropy as scipy_entropy

from stcg_nb.graph.temporal import entropy, js_previous, order_test, top_overlap
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
