"""Intervals clustered by image: by enumeration, against scipy, and they cover what they should."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import bootstrap

from stcg_nb.errors import InputError
from stcg_nb.stats.bootstrap import Estimate, cluster_bootstrap


def test_the_mean_is_over_questions_and_images_are_drawn_whole():
    values, clusters = np.array([0.0, 0.5, 0, 1, 3, 8]), np.array([7, 7, 7, 2, 2, 9])
    found = cluster_bootstrap(values, clusters, n=40_000)
    assert (found.value, found.n) == (values.mean(), 6)
    images = [values[clusters == c] for c in (7, 2, 9)]
    means = [np.concatenate(draw).mean() for draw in product(images, repeat=3)]
    # All 27 draws are as likely, so the extreme ones, 1 / 27 each, are the percentiles.
    assert found.low == pytest.approx(min(means)) == pytest.approx(1 / 6)
    assert found.high == pytest.approx(max(means)) == pytest.approx(8)


def test_percentiles_are_those_of_all_draws():
    rng = np.random.default_rng(0)
    clusters = np.array([0, 0, 0, 1, 2, 2, 3, 4, 4, 4, 4])
    values = rng.normal(size=11)
    means = [np.concatenate([values[clusters == c] for c in draw]).mean() for draw in product(range(5), repeat=5)]
    found = cluster_bootstrap(values, clusters, n=100_000)
    assert found.low == pytest.approx(np.quantile(means, 0.025), abs=0.02)
    assert found.high == pytest.approx(np.quantile(means, 0.975), abs=0.02)


def test_without_clusters_it_is_scipys():
    values = np.random.default_rng(0).exponential(size=80)
    ours = cluster_bootstrap(values, np.arange(80), n=20_000)
    scipys = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", random_state=0).confidence_interval
    assert ours.low == pytest.approx(scipys.low, abs=0.01) and ours.high == pytest.approx(scipys.high, abs=0.01)


def test_questions_about_one_image_are_no_new_evidence():
    values = np.random.default_rng(0).normal(size=40)
    once = cluster_bootstrap(values, np.arange(40))
    copied = cluster_bootstrap(np.repeat(values, 5), np.repeat(np.arange(40), 5))
    assert copied.n == 200
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    naive = cluster_bootstrap(np.repeat(values, 5), np.arange(200))
    assert naive.high - naive.low < 0.6 * (copied.high - copied.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(300):
        image = rng.normal(size=50)
        values = np.repeat(image, 4) + rng.normal(size=200)
        found = cluster_bootstrap(values, np.repeat(np.arange(50), 4), n=500, seed=seed)
        covered += found.low <= 0 <= found.high
    assert 0.90 <= covered / 300 <= 0.98


def test_values_that_are_not_defined_are_dropped_and_counted():
    values, clusters = np.array([0.0, np.nan, 1, 1, np.nan]), np.array(["a", "a", "b", "c", "d"])
    assert cluster_bootstrap(values, clusters) == cluster_bootstrap(values[[0, 2, 3]], clusters[[0, 2, 3]])
    assert cluster_bootstrap(values, clusters).n == 3


def test_what_cannot_be_known_is_nan_and_none_in_json():
    none = cluster_bootstrap(np.array([np.nan]), np.array([0]))
    assert none.as_dict() == {"value": None, "low": None, "high": None, "n": 0}
    one = cluster_bootstrap(np.array([0.0, 1.0]), np.array([3, 3]))
    assert one.as_dict() == {"value": 0.5, "low": None, "high": None, "n": 2}


def test_a_seed_gives_its_interval():
    values, clusters = np.random.default_rng(0).normal(size=30), np.arange(30)
    assert cluster_bootstrap(values, clusters, seed=1) == cluster_bootstrap(values, clusters, seed=1)
    assert cluster_bootstrap(values, clusters, seed=1) != cluster_bootstrap(values, clusters, seed=2)


def test_an_estimate_rounds_and_cannot_be_changed():
    estimate = Estimate(-0.123456, -0.2, 1 / 3, 12)
    assert estimate.as_dict() == {"value": -0.1235, "low": -0.2, "high": 0.3333, "n": 12}
    with pytest.raises(AttributeError):
        estimate.value = 1.0


@pytest.mark.parametrize(
    ("values", "clusters", "n", "says"),
    [
        (np.zeros(3), np.zeros(2), 10, "shape"),
        (np.zeros((3, 1)), np.zeros((3, 1)), 10, "question"),
        (np.array([0, np.inf]), np.zeros(2), 10, "infinite"),
        (np.zeros(3), np.zeros(3), 0, "0 times"),
    ],
)
def test_what_does_not_fit(values, clusters, n, says):
    with pytest.raises(InputError, match=says):
        cluster_bootstrap(values, clusters, n=n)
