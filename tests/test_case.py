"""The case that everything measures: one picture at working size, with regions that fit it."""

from __future__ import annotations

import numpy as np
import pytest

from stcg_nb import Case, load_model
from stcg_nb.errors import InputError
from stcg_nb.inputs import Regions, box_regions, make_regions

QUESTION = "what is this?"


@pytest.fixture(scope="module")
def mock():
    return load_model("mock")


def test_a_small_picture_stays_as_it_is(mock):
    image = np.random.default_rng(0).integers(0, 255, (60, 90, 3)).astype(np.uint8)
    case = Case.read(image, QUESTION, mock, regions="grid:2x2")
    np.testing.assert_array_equal(case.image, image)
    np.testing.assert_array_equal(case.regions.labels, make_regions(image, "grid:2x2").labels)


def test_a_large_one_is_scaled_with_its_regions(mock):
    image = np.zeros((2048, 4096, 3), np.uint8)
    image[:, :1024] = 255
    case = Case.read(image, QUESTION, mock, regions=box_regions(image, {"white": (0, 0, 1024, 2048)}))
    assert case.image.shape == (512, 1024, 3)
    assert (case.image[case.regions.labels == 0] > 127).all() and (case.image[case.regions.labels == 1] < 128).all()


def test_a_region_that_scaling_would_lose_keeps_the_picture_large(mock):
    labels = np.zeros((1030, 3000), int)
    labels[0, 1] = 1
    case = Case.read(np.zeros((1030, 3000, 3), np.uint8), QUESTION, mock, regions=Regions(labels, ("all", "dot")))
    assert case.image.shape == (1030, 3000, 3) and case.regions.n == 2


def test_shares_and_owners_of_patches(mock):
    case = Case.read(np.zeros((32, 32, 3), np.uint8), QUESTION, mock, regions="grid:1x2")
    left = np.tile(np.arange(16) < 8, 16)
    np.testing.assert_allclose(case.patch_share, np.stack([left, ~left], 1))
    np.testing.assert_array_equal(case.patch_owner, ~left)


def test_the_answer_can_be_given(mock):
    case = Case.read(np.zeros((32, 32, 3), np.uint8), QUESTION, mock, answer="the mock answer")
    assert case.answer.text == "the mock answer"
    np.testing.assert_array_equal(case.trace().v, mock.trace([case.image], case.prompt, case.answer).v)


def test_regions_of_another_picture_are_refused(mock):
    small = make_regions(np.zeros((32, 32, 3), np.uint8), "grid:2x2")
    with pytest.raises(InputError, match="32 x 32 pixels"):
        Case.read(np.zeros((40, 40, 3), np.uint8), QUESTION, mock, regions=small)
