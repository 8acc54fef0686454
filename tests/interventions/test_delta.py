"""Distances and changes by hand and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon

from stcg_nb.interventions.perturbation_effects import delta_p, delta_w, delta_w_js
from stcg_nb.stats.divergence import js_distance, normalised

rows = arrays(np.float64, (2, 5), elements=st.floats(0, 1, allow_subnormal=False)).filter(
    lambda a: (a.sum(1) > 1e-3).all()
)


@settings(max_examples=50, deadline=None)
@given(rows)
def test_js_distance_is_scipys_and_a_distance(pair):
    a, b = pair
    ours = js_distance(a, b)
    np.testing.assert_allclose(ours, jensenshannon(a, b, base=2), atol=1e-6)
    np.testing.assert_allclose(ours, js_distance(b, a))
    np.testing.assert_allclose(js_distance(a, 3 * a), 0, atol=1e-6)


def test_js_distance_of_nothing():
    none, some = np.zeros(3), np.ones(3)
    assert js_distance(none, none) == 0
    assert js_distance(none, some) == js_distance(some, none) == 1


def test_js_distance_survives_the_smallest_number():
    """Half of 5e-324 is 0, which must not be divided by (scipy's gives infinity)."""
    assert js_distance(np.array([1.0, 5e-324]), np.array([1.0, 0.0])) == pytest.approx(0, abs=1e-9)


def test_delta_w_by_hand():
    original = np.array([[0.2, 0.8], [0.5, 0.5]])
    perturbed = np.stack([original, [[0.4, 0.6], [0.5, 0.1]], 2 * original])
    np.testing.assert_allclose(delta_w(perturbed, original), [0, (0.2 + 0.2 + 0 + 0.4) / 4, 0.5])
    js = delta_w_js(perturbed, original)
    assert js[0] == pytest.approx(0, abs=1e-9) and js[2] == pytest.approx(0, abs=1e-7), "scale does not count"
    first = jensenshannon([0.4, 0.6], [0.2, 0.8], base=2)
    second = jensenshannon([5 / 6, 1 / 6], [0.5, 0.5], base=2)
    assert js[1] == pytest.approx((first + second) / 2)


def test_delta_p_is_of_the_whole_answer():
    np.testing.assert_allclose(delta_p(np.array([[0.1, 1.0], [0.9, 0.9]]), np.array([0.9, 0.9])), [0.1 - 0.81, 0])


def test_no_perturbations():
    assert delta_w(np.zeros((0, 2, 3)), np.zeros((2, 3))).shape == (0,)
    assert delta_w_js(np.zeros((0, 2, 3)), np.zeros((2, 3))).shape == (0,)
    assert delta_p(np.zeros((0, 2)), np.zeros(2)).shape == (0,)


def test_rows_of_zeros_stay_zeros():
    np.testing.assert_array_equal(normalised(np.array([[0.0, 0.0], [1.0, 3.0]])), [[0, 0], [0.25, 0.75]])
