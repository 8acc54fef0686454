"""Masks of segmenters: overlaps, holes, sizes, files, and what is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.inputs.regions import make_regions, mask_regions
from stcg_nb.inputs.segmenter_masks import labelled, read_masks
from stcg_nb.scenes.pictures import make_scene

SCENE = make_scene(10**12 + 5)
PICTURE = np.zeros((20, 30, 3), np.uint8)


def box(y0, y1, x0, x1, shape=(20, 30)):
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31))
def test_each_pixel_belongs_to_the_smallest_mask_that_covers_it(seed):
    rng = np.random.default_rng(seed)
    masks = [rng.random((6, 7)) < rng.uniform(0, 1) for _ in range(rng.integers(1, 6))]
    owner = np.full((6, 7), -1)
    for y, x in np.ndindex(6, 7):
        owner[y, x] = min((i for i, m in enumerate(masks) if m[y, x]), key=lambda i: (masks[i].sum(), -i), default=-1)
    left = [i for i in range(len(masks)) if masks[i].any() and (owner == i).sum() >= 0.1 * masks[i].sum()]
    if not left:
        return
    labels, names = labelled(masks, 6, 7)
    assert len(names) == len(left)
    for y, x in np.ndindex(6, 7):
        assert labels[y, x] == (left.index(owner[y, x]) if owner[y, x] in left else -1)


def test_a_part_shows_on_its_whole_and_the_rest_is_a_region():
    regions = mask_regions(PICTURE, {"car": box(5, 15, 5, 25), "wheel": box(12, 15, 7, 10)})
    assert regions.names == ("car", "wheel", "rest")
    assert regions.labels[13, 8] == 1 and regions.labels[6, 6] == 0 and regions.labels[0, 0] == 2
    assert regions.masks.sum((1, 2)).tolist() == [191, 9, 400]


def test_a_mask_that_smaller_ones_cover_is_left_out():
    """A ring of a pixel around a mask is no region; masks that hold nothing are none."""
    regions = mask_regions(PICTURE, [box(0, 20, 0, 20), box(0, 20, 1, 20), np.zeros((20, 30), bool)])
    assert regions.names == ("r1", "rest")
    assert (regions.labels[:, 1:20] == 0).all() and (regions.labels[:, 0] == 1).all()


def test_masks_that_cover_everything_leave_no_rest():
    assert mask_regions(PICTURE, [box(0, 20, 0, 15), box(0, 20, 15, 30)]).names == ("r0", "r1")


def test_holes_are_divided_by_name():
    regions = mask_regions(PICTURE, [box(0, 20, 0, 16)], holes="grid:1x2")  # of the first cell nothing is left
    assert regions.names == ("r0", "r1") and regions.labels[0, 29] == 1
    whole = mask_regions(SCENE.image, [o.mask for o in SCENE.objects], holes="slic:12")
    assert whole.n > len(SCENE.objects) + 2
    for i, o in enumerate(SCENE.objects):
        np.testing.assert_array_equal(whole.masks[i], o.mask)
    sizes = whole.masks.mean((1, 2))[[n != "rest" for n in whole.names]]
    assert sizes.min() >= 0.002
    with pytest.raises(InputError, match="names no regions"):
        mask_regions(PICTURE, [box(0, 20, 0, 15)], holes="voronoi")


def test_a_label_map_has_nothing_where_it_is_zero():
    labels = np.zeros((20, 30), np.uint16)
    labels[2:5, 2:5], labels[10:12] = 700, 9
    regions = mask_regions(PICTURE, labels)
    assert regions.names == ("r0", "r1", "rest")
    assert regions.labels[10, 0] == 0 and regions.labels[3, 3] == 1 and regions.labels[0, 0] == 2


def test_masks_of_another_size_are_scaled():
    half = [m[::2, ::2] for m in (box(0, 10, 0, 30), box(10, 20, 0, 14))]
    regions = mask_regions(PICTURE, half)
    np.testing.assert_array_equal(regions.masks[0], box(0, 10, 0, 30))
    np.testing.assert_array_equal(regions.masks[1], box(10, 20, 0, 14))
    odd = np.ones((342, 512), bool)  # of a picture of 427 x 640, rounded
    assert mask_regions(np.zeros((427, 640, 3), np.uint8), [odd]).n == 1


def test_files(tmp_path):
    a, b = box(0, 10, 0, 30), box(5, 20, 0, 14)
    np.save(tmp_path / "a.npy", np.array([a, b]))
    np.savez(tmp_path / "b.npz", sky=a, boat=b)
    np.savez(tmp_path / "one.npz", np.array([a, b]))
    labels = np.zeros((20, 30), np.uint8)
    labels[a], labels[b] = 1, 2
    Image.fromarray(labels).save(tmp_path / "c.png")
    Image.fromarray(labels.astype(np.uint16) * 300).save(tmp_path / "d.PNG")
    expected = mask_regions(PICTURE, [a, b])
    for name in ("a.npy", "b.npz", "one.npz", "c.png", "d.PNG"):
        regions = make_regions(PICTURE, str(tmp_path / name))
        np.testing.assert_array_equal(regions.labels, expected.labels)
    assert make_regions(PICTURE, str(tmp_path / "b.npz")).names == ("sky", "boat", "rest")
    np.testing.assert_array_equal(read_masks(tmp_path / "a.npy"), [a, b])
    case = Case.read(PICTURE, "what is this?", "mock", regions=str(tmp_path / "b.npz"))
    assert case.regions.names == ("sky", "boat", "rest")


def test_files_that_are_none(tmp_path):
    np.save(tmp_path / "pickle.npy", np.array([{"segmentation": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(PICTURE).save(tmp_path / "colours.png")
    for name in ("pickle.npy", "text.npz", "empty.npy", "text.png"):
        with pytest.raises(InputError, match=r"holds no masks that can be read"):
            make_regions(PICTURE, str(tmp_path / name))
    with pytest.raises(InputError, match="has colours"):
        make_regions(PICTURE, str(tmp_path / "colours.png"))
    with pytest.raises(InputError, match="There is no file"):
        make_regions(PICTURE, str(tmp_path / "missing.png"))
    with pytest.raises(InputError, match="no file of masks"):
        read_masks(tmp_path / "masks.json")


@pytest.mark.parametrize(
    ("masks", "says"),
    [
        ([], "shape"),
        (np.zeros((0, 20, 30), bool), "No mask covers"),
        (np.zeros((2, 20, 30), bool), "No mask covers"),
        (np.zeros((20, 30), int), "No mask covers"),
        (np.ones((20, 30), bool), "label map"),
        (np.ones((1, 20, 30), float), "must be bool"),
        (np.ones((1, 30, 20), bool), "20 x 30 pixels and the picture 30 x 20"),
        (np.ones((1, 0, 30), bool), "proportions"),
        ([np.ones((20, 30), bool), np.ones((10, 15), bool)], "differ in size"),
        ([{"segmentation": np.ones((20, 30), bool)}], "shape"),
        ({"rest": box(0, 5, 0, 5)}, "differ"),
    ],
)
def test_masks_that_are_none(masks, says):
    with pytest.raises(InputError, match=says):
        mask_regions(PICTURE, masks)
