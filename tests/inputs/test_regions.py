"""Partitions, their shares of patches and their fills, against slow plain implementations."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stcg_nb.errors import InputError
from stcg_nb.faithfulness.ground_truth import objects_whole
from stcg_nb.inputs import superpixels as superpixels_module
from stcg_nb.inputs.fills import FILLS, fill_region
from stcg_nb.inputs.regions import (
    Regions,
    box_regions,
    grid_regions,
    make_regions,
    slic_regions,
)
from stcg_nb.inputs.run_lengths import run_lengths
from stcg_nb.inputs.superpixels import Merges, _contacts, _merge, superpixels
from stcg_nb.models.layout import grid_cover
from stcg_nb.scenes.pictures import make_scene

SCENE = make_scene(10**12 + 5)


def is_partition(regions: Regions, shape: tuple[int, ...]) -> bool:
    return regions.labels.shape == shape[:2] and (regions.masks.sum(0) == 1).all() and regions.masks.any((1, 2)).all()


@st.composite
def partitions(draw):
    """Any labels, in pieces or not, each number at least once."""
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    n = draw(st.integers(1, min(4, height * width)))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    labels = rng.integers(0, n, height * width)
    labels[rng.permutation(height * width)[:n]] = np.arange(n)
    return Regions(labels.reshape(height, width), tuple(f"r{i}" for i in range(n)))


def slow_patch_weights(labels: np.ndarray, n: int, rows: int, cols: int) -> list[list[Fraction]]:
    """Overlap of every pixel's square with every patch's rectangle, in exact fractions."""
    height, width = labels.shape

    def overlap(pixel, pixels, cell, cells):
        low = max(Fraction(pixel, pixels), Fraction(cell, cells))
        high = min(Fraction(pixel + 1, pixels), Fraction(cell + 1, cells))
        return max(high - low, Fraction(0)) * cells

    out = [[Fraction(0)] * (rows * cols) for _ in range(n)]
    for y in range(height):
        for x in range(width):
            for r in range(rows):
                for c in range(cols):
                    out[labels[y, x]][r * cols + c] += overlap(y, height, r, rows) * overlap(x, width, c, cols)
    return out


@settings(max_examples=40, deadline=None)
@given(partitions(), st.integers(1, 4), st.integers(1, 4))
def test_patch_weights_are_shares_of_area(regions, rows, cols):
    height, width = regions.labels.shape
    weights = regions.patch_weights(grid_cover(rows, cols, (0, 0, width, height)))
    expected = slow_patch_weights(regions.labels, regions.n, rows, cols)
    np.testing.assert_allclose(weights, np.array(expected, dtype=float), atol=1e-12)
    np.testing.assert_allclose(weights.sum(0), 1)
    area = weights.sum(1) / (rows * cols)
    np.testing.assert_allclose(area, regions.masks.mean((1, 2)))


@settings(max_examples=40, deadline=None)
@given(partitions())
def test_boxes_centers_and_run_lengths(regions):
    assert is_partition(regions, regions.labels.shape)
    for i in range(regions.n):
        places = [(y, x) for y, x in np.ndindex(regions.labels.shape) if regions.labels[y, x] == i]
        ys, xs = [y for y, _ in places], [x for _, x in places]
        assert regions.boxes[i].tolist() == [min(xs), min(ys), max(xs) + 1, max(ys) + 1]
        x, y = regions.centers[i] - 0.5
        mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
        assert (int(y), int(x)) in places
        nearest = min((b - mean_x) ** 2 + (a - mean_y) ** 2 for a, b in places)
        assert (x - mean_x) ** 2 + (y - mean_y) ** 2 == pytest.approx(nearest, abs=1e-9)
        mask = regions.masks[i]
        counts = run_lengths(mask)
        assert sum(counts) == mask.size and all(c > 0 for c in counts[1:])
        again = np.concatenate([np.full(count, run % 2 == 1) for run, count in enumerate(counts)])
        np.testing.assert_array_equal(again.reshape(mask.shape), mask)


def test_run_lengths_by_hand():
    assert run_lengths(np.zeros((2, 3), bool)) == [6]
    assert run_lengths(np.ones((2, 3), bool)) == [0, 6]
    assert run_lengths(np.array([[False, True, True], [True, False, False]])) == [1, 3, 2]


@pytest.mark.parametrize(
    ("labels", "names", "part"),
    [
        ([[0, 2]], ("a", "b"), "each number from 0 to 1"),
        ([[0, 1]], ("a",), "each number from 0 to 0"),
        ([0, 1], ("a", "b"), r"\[height, width\]"),
        ([[0, 1]], ("a", "a"), "must differ"),
    ],
)
def test_labels_that_are_no_partition(labels, names, part):
    with pytest.raises(InputError, match=part):
        Regions(np.array(labels), names)


def test_regions_cannot_be_changed():
    source = np.array([[0, 1]])
    regions = Regions(source, ("a", "b"))
    source[:] = 0
    assert regions.labels.tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="read-only"):
        regions.labels[0, 0] = 1


@pytest.mark.parametrize(
    ("spec", "n"), [("grid", 24), ("grid:3x5", 15), ("slic", len(SCENE.objects) + 1), ("slic:24", 24)]
)
def test_named_regions_are_partitions_and_always_the_same(spec, n):
    regions = make_regions(SCENE.image, spec)
    assert regions.n == n
    assert regions.names == tuple(f"r{i}" for i in range(n))
    assert is_partition(regions, SCENE.image.shape)
    np.testing.assert_array_equal(make_regions(SCENE.image, spec).labels, regions.labels)


@pytest.mark.parametrize(
    "spec",
    ["", "slic:", "slic:1", "slic:99999", "grid:8", "grid:0x4", "grid:1x1", "grid:999x2", "voronoi", "SLIC", "slic:-3"],
)
def test_names_that_are_none(spec):
    with pytest.raises(InputError, match=r"valid are|ask for at least 2 cells"):
        make_regions(np.zeros((64, 64, 3), np.uint8), spec)


def test_a_grid_is_of_equal_rectangles():
    regions = grid_regions(np.zeros((10, 21, 3), np.uint8), 2, 4)
    widths = regions.boxes[:, 2] - regions.boxes[:, 0]
    heights = regions.boxes[:, 3] - regions.boxes[:, 1]
    assert (heights == 5).all() and set(widths) == {5, 6}
    np.testing.assert_array_equal(regions.masks.sum((1, 2)), widths * heights)


@pytest.mark.parametrize("shape", [(8, 8), (8, 600), (1100, 16), (8, 20000), (600, 520)])
def test_superpixels_of_any_shape_and_size(shape):
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    regions = slic_regions(image, 12)
    assert is_partition(regions, shape)
    assert 2 <= regions.n <= 12


def test_more_superpixels_than_pixels():
    regions = slic_regions(np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8), 1024)
    assert is_partition(regions, (8, 8))


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


def test_boxes_that_a_person_drew():
    image = np.zeros((6, 8, 3), np.uint8)
    regions = box_regions(image, {"first": (1, 1, 4, 4), "second": (3, 2, 8, 6)})
    assert regions.names == ("first", "second", "rest")
    expected = np.full((6, 8), 2)
    expected[2:6, 3:8] = 1
    expected[1:4, 1:4] = 0  # the earlier one where two overlap
    np.testing.assert_array_equal(regions.labels, expected)
    assert box_regions(image, {"a": (0, 0, 4, 6), "b": (4, 0, 8, 6)}).names == ("a", "b")


@pytest.mark.parametrize(
    ("boxes", "part"),
    [
        ({"a": (0, 0, 9, 4)}, "'a' is .*within 0, 0, 8, 6"),
        ({"a": (2, 2, 2, 4)}, "not be empty"),
        ({"a": (4, 4, 2, 2)}, "not be empty"),
        ({"a": (-1, 0, 2, 2)}, "within"),
        ({"a": (0, 0, 2)}, "four numbers"),
        ({"a": None}, "four numbers"),
        ({"a": ("x", 0, 2, 2)}, "four numbers"),
        ({"a": (0, 0, float("nan"), 2)}, "four numbers"),
        ({"a": (0, 0, float("inf"), 2)}, "four numbers"),
        ({"a": (0, 0, 4, 4), "b": (1, 1, 3, 3)}, "'b' is hidden"),
        ({"rest": (0, 0, 4, 4)}, "differ"),
    ],
)
def test_boxes_that_cannot_be(boxes, part):
    with pytest.raises(InputError, match=part):
        box_regions(np.zeros((6, 8, 3), np.uint8), boxes)


def test_regions_of_another_image():
    regions = grid_regions(np.zeros((8, 12, 3), np.uint8), 2, 2)
    other = np.zeros((12, 8, 3), np.uint8)
    for call in (lambda: make_regions(other, regions), lambda: fill_region(other, regions, [0])):
        with pytest.raises(InputError, match="12 x 8 pixels, this one has 8 x 12"):
            call()


@pytest.mark.parametrize("fill", FILLS)
def test_a_fill_changes_only_the_hole(fill):
    regions = slic_regions(SCENE.image, 10)
    before = SCENE.image.copy()
    filled = fill_region(SCENE.image, regions, [2, 5], fill)
    hole = regions.masks[2] | regions.masks[5]
    np.testing.assert_array_equal(SCENE.image, before)
    np.testing.assert_array_equal(filled[~hole], before[~hole])
    assert (filled[hole] != before[hole]).any()
    assert filled.dtype == np.uint8
    np.testing.assert_array_equal(fill_region(SCENE.image, regions, [2, 5], fill), filled)
    np.testing.assert_array_equal(fill_region(SCENE.image, regions, [], fill), before)


@pytest.mark.parametrize("fill", sorted({*FILLS} - {"blur"}))
def test_a_fill_knows_nothing_of_what_was_there(fill):
    """Whatever the hole held, its border included, what fills it is the same."""
    regions = box_regions(SCENE.image, {"a": (60, 50, 150, 120)})
    other = SCENE.image.copy()
    other[50:120, 60:150] = np.random.default_rng(0).integers(0, 255, (70, 90, 3))
    np.testing.assert_array_equal(fill_region(SCENE.image, regions, [0], fill), fill_region(other, regions, [0], fill))


def test_the_mean_fill_is_the_mean_of_the_ring():
    """Two holes, each with the mean of its own ring: from two to three pixels away in an image of this size."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
    boxes = {"a": (5, 6, 12, 15), "b": (30, 20, 44, 27)}
    filled = fill_region(image, box_regions(image, boxes), [0, 1], "mean")
    for x0, y0, x1, y1 in boxes.values():
        ring = [
            image[y, x]
            for y in range(max(y0 - 3, 0), min(y1 + 3, 40))
            for x in range(max(x0 - 3, 0), min(x1 + 3, 60))
            if not (y0 - 1 <= y < y1 + 1 and x0 - 1 <= x < x1 + 1)
        ]
        assert (filled[y0:y1, x0:x1] == np.mean(ring, 0).round()).all()


def test_the_median_fill_keeps_the_colour_around():
    """A piece of blue ground beside a red block: the median of its ring is blue, the mean is neither."""
    image = np.full((40, 60, 3), (40, 40, 200), np.uint8)
    image[:, 30:] = 200, 30, 30
    regions = box_regions(image, {"ground": (10, 10, 28, 30), "block": (30, 0, 60, 40)})
    hole = regions.masks[0]
    assert (fill_region(image, regions, [0], "median")[hole] == (40, 40, 200)).all()
    mean = fill_region(image, regions, [0], "mean")[hole]
    assert (mean[:, 0] > 60).all() and (mean[:, 2] < 180).all()


def test_the_median_fill_takes_ground_for_ground():
    """A piece of ground with small yellow things on most of its rim, and more ground on the rest: no yellow pool."""
    image = np.full((40, 60, 3), (40, 40, 200), np.uint8)
    things = {"left": (0, 10, 10, 30), "top": (10, 5, 28, 10), "bottom": (10, 30, 28, 35)}
    for x0, y0, x1, y1 in things.values():
        image[y0:y1, x0:x1] = 250, 220, 0
    regions = box_regions(image, {"ground": (10, 10, 28, 30), **things, "more": (28, 0, 60, 40)})
    assert (fill_region(image, regions, [0], "median")[regions.masks[0]] == (40, 40, 200)).all()


def test_a_hole_larger_than_all_around_it_gets_the_median_of_the_image():
    """All the ground of a picture with one yellow thing: what is left says nothing of ground."""
    image = np.full((40, 60, 3), (40, 40, 200), np.uint8)
    image[10:20, 10:20] = 250, 220, 0
    regions = box_regions(image, {"thing": (10, 10, 20, 20), "left": (0, 0, 30, 40), "right": (30, 0, 60, 40)})
    filled = fill_region(image, regions, [1, 2], "median")
    assert (filled[~regions.masks[0]] == (40, 40, 200)).all()
    mean = fill_region(image, regions, [1, 2], "mean")
    assert (mean[:, 30:] == (250, 220, 0)).all()


def test_inpainting_continues_what_is_around():
    """Left half dark, right half light: the hole's ends continue their sides; the mean fill is one colour."""
    image = np.full((40, 60, 3), 40, np.uint8)
    image[:, 30:] = 200
    regions = box_regions(image, {"a": (20, 15, 40, 25)})
    filled = fill_region(image, regions, [0], "inpaint")
    assert (filled[20, 21] == 40).all() and (filled[20, 38] == 200).all()
    flat = fill_region(image, regions, [0], "mean")
    assert np.unique(flat[15:25, 20:40]).size == 1


def test_with_nothing_around_the_mean_colour_remains():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4] = 100
    regions = grid_regions(image, 2, 1)
    for fill in ("mean", "inpaint"):
        assert (fill_region(image, regions, [0, 1], fill) == 50).all()


@pytest.mark.parametrize(
    ("ids", "fill", "part"),
    [([0], "black", "valid are median, mean, blur, inpaint"), ([2], "mean", "0 to 1"), ([-1], "mean", "0 to 1")],
)
def test_fills_that_cannot_be(ids, fill, part):
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match=part):
        fill_region(image, grid_regions(image, 1, 2), ids, fill)
