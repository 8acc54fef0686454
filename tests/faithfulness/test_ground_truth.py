"""Measures against the evidence: by hand, against every order of tied pixels, and the properties that they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stcg_nb.errors import InputError
from stcg_nb.faithfulness.ground_truth import evidence_recall, objects_whole, pointing, relevance_mass, relevance_rank

quick = settings(max_examples=60, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)

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


def test_evidence_recall_by_hand():
    first, second = STRIPES == 0, STRIPES == 1
    thin = np.zeros((4, 4), bool)
    thin[2, 0] = True  # a quarter of region 2, which therefore stands for no object
    objects = np.array([first, second])
    for weights, expected in (
        ([2, 1, 0, -1], 1),
        ([2, 0, 1, -1], 0.5),
        ([-2, -1, 5, 4], 0),
        ([-1, -2, -3, -4], 1),  # order alone counts
        ([5, 1, 1, 0], 0.75),  # two tie for the last place
        ([0, 0, 0, 0], 0.5),  # two of four, by chance
    ):
        assert evidence_recall(np.array(weights, float), STRIPES, objects) == pytest.approx(expected), weights
    assert evidence_recall(np.array([3.0, 1, 2, 0]), STRIPES, np.array([first, thin])) == 0.5
    split = np.array([first | second, thin])  # an object of two regions takes one place with either
    assert evidence_recall(np.array([0.0, 2, 1, 3]), STRIPES, split) == 0.5


@quick
@given(seeds)
def test_evidence_recall_is_the_expectation_over_orders_of_tied_regions(seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(6)[None].repeat(2, 0)
    weights, found = rng.integers(0, 3, 6).astype(float), rng.permutation(6)[: rng.integers(1, 6)]
    hits = []
    for _ in range(2000):
        order = rng.permutation(6)
        top = order[np.argsort(-weights[order], kind="stable")][: len(found)]
        hits.append(np.isin(found, top).mean())
    objects = np.array([labels == i for i in found])
    assert evidence_recall(weights, labels, objects) == pytest.approx(np.mean(hits), abs=0.04)


def test_objects_whole_by_hand():
    labels = np.zeros((10, 20), int)
    labels[:, 10:] = 1
    ninety_five, ninety, half = np.zeros((3, 10, 20), bool)
    ninety_five[:, :10] = True
    ninety_five[0, 10:15] = True  # 100 pixels in one region, five in the other
    ninety[:, :10] = True
    ninety[0, 10:16] = True  # six in the other: .943 in one
    half[:5, :10] = True  # all in one region, of which it is half
    for mask, expected in ((ninety_five, 1), (ninety, 0), (half, 0)):
        assert objects_whole(labels, mask[None]) == expected
    assert objects_whole(labels, np.array([ninety_five, ninety, half])) == pytest.approx(1 / 3)


def test_objects_that_do_not_fit():
    none = np.zeros((0, 4, 4), bool)
    for call in (lambda: evidence_recall(np.ones(4), STRIPES, none), lambda: objects_whole(STRIPES, none)):
        with pytest.raises(InputError, match="no objects"):
            call()
    with pytest.raises(InputError, match="height"):
        objects_whole(STRIPES, np.ones((1, 3, 4), bool))
    with pytest.raises(InputError, match="region"):
        evidence_recall(np.ones(3), STRIPES, (STRIPES == 0)[None])
