"""Regions touch where they share a pixel edge."""

from __future__ import annotations

import numpy as np

from stcg_nb.inputs.neighbours import touching
from stcg_nb.inputs.regions import Regions


def test_touching_is_sharing_an_edge():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.concatenate([np.arange(6), rng.integers(0, 6, 24)])).reshape(5, 6)
    expected = np.zeros((6, 6), bool)
    for y, x in np.ndindex(5, 6):
        for b, a in ((y + 1, x), (y, x + 1)):
            if b < 5 and a < 6 and labels[b, a] != labels[y, x]:
                expected[labels[b, a], labels[y, x]] = expected[labels[y, x], labels[b, a]] = True
    np.testing.assert_array_equal(touching(Regions(labels, tuple("abcdef"))), expected)
