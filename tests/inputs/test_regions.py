"""Partitions and their shares of patches, against slow plain implementations."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stcg_nb.errors import InputError
from stcg_nb.inputs.fills import fill_region
from stcg_nb.inputs.regions import (
    Regions,
    box_regions,
    grid_regions,
    make_regions,
    slic_regions,
)
from stcg_nb.inputs.run_lengths import run_lengths
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
