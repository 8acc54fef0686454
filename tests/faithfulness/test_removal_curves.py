"""Removal curves against one mask at a time, and what their areas promise."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.integrate import trapezoid

from stcg_nb.errors import InputError
from stcg_nb.faithfulness.removal_curves import answer_probability, removal_curves


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
    assert curves.srg.shape == (2,)


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
