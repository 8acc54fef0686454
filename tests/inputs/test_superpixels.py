"""Superpixels: what they follow, how they merge, and where merging stops."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stcg_nb.faithfulness.ground_truth import objects_whole
from stcg_nb.inputs import superpixels as superpixels_module
from stcg_nb.inputs.regions import (
    grid_regions,
    slic_regions,
)
from stcg_nb.inputs.superpixels import Merges, _contacts, _merge, superpixels
from stcg_nb.scenes.pictures import make_scene

SCENE = make_scene(10**12 + 5)


@pytest.mark.parametrize("n", [5, 40])
def test_superpixels_are_in_one_piece_but_for_gaps(n):
    labels = superpixels(SCENE.image, n)
    assert np.unique(labels).tolist() == list(range(n))
    gap = 1 + round(superpixels_module.GAP * min(labels.shape))
    for i in range(n):
        closed = cv2.dilate((labels == i).astype(np.uint8), np.ones((gap, gap), np.uint8))
        assert cv2.connectedComponents(closed, connectivity=8)[0] == 2


def test_superpixels_follow_objects():
    """Each object of a scene is some union of regions, nearly: a grid of as many misses them."""

    def best_union(labels, mask):
        inside = np.bincount(labels.ravel(), mask.ravel()) / np.bincount(labels.ravel())
        union = (inside > 0.5)[labels]
        return (union & mask).sum() / (union | mask).sum()

    grid = grid_regions(SCENE.image, 4, 6).labels
    slic = slic_regions(SCENE.image, 24).labels
    masks = [o.mask for o in SCENE.objects]
    assert len(masks) >= 2
    assert min(best_union(slic, m) for m in masks) > 0.8
    assert np.mean([best_union(slic, m) for m in masks]) > np.mean([best_union(grid, m) for m in masks]) + 0.2


def test_a_part_stays_with_its_object_rather_than_with_the_ground(monkeypatch):
    """A light crown on a dark trunk, which is nearer to the ground in colour; too few regions to keep all three apart."""
    rng = np.random.default_rng(0)
    image = np.clip(rng.normal(140, 3, (128, 128, 3)), 0, 255).astype(np.uint8)
    crown, trunk = np.zeros((2, 128, 128), bool)
    crown[40:64, 50:80], trunk[64:84, 60:70] = True, True
    image[crown] = 235
    image[trunk] = 85

    def together():
        labels = superpixels(image, 2)
        return labels[trunk][0] == labels[crown][0]

    assert together()
    monkeypatch.setattr("stcg_nb.inputs.superpixels.CONTRAST", 0.0)
    assert not together()


def slow_merge(area, means, contacts):
    """The same rule with nothing kept: every pair of groups is weighed anew from its superpixels for each merge."""
    groups, costs = [{i} for i in range(len(area))], []

    def mean(group):
        return sum(area[i] * means[i] for i in group) / sum(area[i] for i in group)

    def cost(a, b):
        shared = [contacts[i][j] for i in a for j in b if j in contacts[i]]
        if not shared:
            return np.inf
        length, contrast = np.sum(shared, axis=0)
        edge = min(1, contrast / length / superpixels_module.SHARP) if length else 1
        weight = 1 / (1 / sum(area[i] for i in a) + 1 / sum(area[i] for i in b))
        return edge * weight * ((mean(a) - mean(b)) ** 2).sum() / sum(area)

    while len(groups) > 1:
        a, b = min(combinations(groups, 2), key=lambda pair: cost(*pair))
        if cost(a, b) == np.inf:
            break
        costs.append(cost(a, b))
        groups = [g for g in groups if g not in (a, b)] + [a | b]
    return costs


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_merging_is_wards_rule_times_the_edge(seed):
    rng = np.random.default_rng(seed)
    area, means = rng.uniform(1, 9, 12), rng.normal(0, 1, (12, 3))
    contacts = [{} for _ in area]
    for i, j in combinations(range(12), 2):
        if rng.random() < 0.3:
            length = float(rng.integers(0, 3))  # 0 across a gap
            contacts[i][j] = contacts[j][i] = (length, length * rng.uniform(0, 5))
    expected = slow_merge(area, means, contacts)
    pairs, costs = _merge(area.copy(), means.copy(), [dict(c) for c in contacts])
    np.testing.assert_allclose(costs, expected, rtol=1e-9)
    assert pairs.shape == (len(expected), 2)
    merges = Merges(np.arange(12)[None], pairs, costs)
    for n in (1, 5, 12, 99):
        assert np.unique(merges.regions(n)).tolist() == list(range(max(12 - len(costs), min(n, 12))))


def test_contacts_by_hand():
    """Four stripes; a gap may be two pixels wide: stripe 1 is, and so is 2, which is no gap between what is like the ground."""
    labels = np.array([[0] * 98 + [1] * 2 + [2] * 2 + [3] * 98]).repeat(200, 0)
    lab = np.zeros((*labels.shape, 3), np.float32)
    lab[labels == 3] = 30, 0, 40
    for differs, across in (
        ([1, 0, 1, 0], {(0, 2)}),
        ([0, 1, 0, 1], {(1, 3)}),
        ([0, 0, 1, 1], set()),
        ([1, 0, 0, 1], set()),
    ):
        contacts = _contacts(labels, lab, np.array(differs, dtype=bool))
        assert {(i, j) for i, c in enumerate(contacts) for j in c if i < j} == {(0, 1), (1, 2), (2, 3)} | across
        assert all(contacts[i][j] == contacts[j][i] for i, c in enumerate(contacts) for j in c)
        assert all(contacts[i][j] == (0, 0) for i, j in across)
    assert contacts[0][1] == pytest.approx((200, 0), abs=2), "all but the blur of the edge two pixels on"
    length, contrast = contacts[2][3]
    soft = 50 / (
        1 + 2 * np.exp(-1 / 2) + 2 * np.exp(-2) + 2 * np.exp(-9 / 2)
    )  # the step, blurred by a Gaussian of one pixel
    assert length == 200 and contrast == pytest.approx(200 * soft, rel=0.02)


def test_a_gap_is_closed_between_things_only():
    """Two dark bars two pixels apart are one thing; a light window behind a thin dark frame is not part of the light ground."""
    image = np.full((200, 200, 3), 230, np.uint8)
    image[40:80, 40:60] = image[40:80, 62:82] = 20, 20, 120
    image[120:160, 40:80] = 120, 20, 20
    image[122:140, 42:60] = 228  # the window
    labels = superpixels(image, 3)
    assert labels.max() == 2
    assert labels[60, 50] == labels[60, 70] != labels[10, 10]
    assert labels[130, 50] == labels[150, 70] != labels[10, 10]
    image[40:80, 60:66] = 230  # now the bars are six pixels apart: two things
    labels = superpixels(image, 4)
    assert len({int(labels[y, x]) for y, x in ((60, 50), (60, 75), (150, 70), (10, 10))}) == 4


def test_a_smooth_sky_stays_whole():
    """A sky that darkens by 60 grey levels above a darker roof, as a photograph's: many colours, one thing."""
    sky = np.linspace(220, 160, 200)[:, None].repeat(200, 1)
    sky[150:] = 40
    noise = np.random.default_rng(0).normal(0, 2, sky.shape)
    image = np.clip(sky + noise, 0, 255).astype(np.uint8)[..., None].repeat(3, 2)
    labels = superpixels(image, 2)
    assert np.unique(labels[:147]).size == 1 and np.unique(labels[153:]).size == 1


def test_each_thing_of_a_scene_is_one_region():
    scenes = [make_scene(10**12 + 100 + i) for i in range(12)]
    whole = []
    for scene in scenes:
        regions = slic_regions(scene.image)
        assert regions.n == len(scene.objects) + 1
        whole += [objects_whole(regions.labels, o.mask[None]) for o in scene.objects]
    assert len(whole) > 30 and np.mean(whole) >= 0.9


def test_pictures_that_show_no_things_on_a_plain_ground():
    """Nothing at all; noise; a disc that fills the picture, whose corners are no ground."""
    assert slic_regions(np.full((64, 64, 3), 128, np.uint8)).n == 8
    assert slic_regions(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).n == 24
    y, x = np.mgrid[:128, :128] - 63.5
    disc = np.random.default_rng(0).normal(200, 5, (128, 128, 3)).clip(0, 255).astype(np.uint8)
    disc[x**2 + y**2 > 60**2] = 0
    assert slic_regions(disc).n >= 8
