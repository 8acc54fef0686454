"""The Jensen-Shannon distance by hand and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon

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


def test_rows_of_zeros_stay_zeros():
    np.testing.assert_array_equal(normalised(np.array([[0.0, 0.0], [1.0, 3.0]])), [[0, 0], [0.25, 0.75]])
