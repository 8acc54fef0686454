"""Jaccard of the strongest edges: by hand, against all sets that chance could draw, and the properties that it promises."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stcg_nb.errors import InputError
from stcg_nb.stats.overlap import jaccard_top, strongest

quick = settings(max_examples=60, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)
# Few values, so that ties are common.
maps = arrays(np.float64, st.integers(1, 12), elements=st.integers(-3, 3).map(float))


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
