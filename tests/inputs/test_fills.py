"""Fills change only the hole, and know nothing of what was there."""

from __future__ import annotations

import numpy as np
import pytest

from stcg_nb.errors import InputError
from stcg_nb.inputs.fills import FILLS, fill_region
from stcg_nb.inputs.regions import (
    box_regions,
    grid_regions,
    slic_regions,
)
from stcg_nb.scenes.pictures import make_scene

SCENE = make_scene(10**12 + 5)


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
