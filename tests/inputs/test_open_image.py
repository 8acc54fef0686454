"""Images by a short name."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from stcg_nb import demo
from stcg_nb.errors import InputError
from stcg_nb.inputs.images import read_image
from stcg_nb.inputs.open_image import PHOTOGRAPHS, open_image, suggestions, unperturbed
from stcg_nb.inputs.perturbations import perturb
from stcg_nb.scenes.pictures import make_scene


def test_each_name_opens_what_it_says(tmp_path):
    np.testing.assert_array_equal(open_image("scene:3"), make_scene(3).image)
    np.testing.assert_array_equal(open_image("demo"), read_image(demo()[0]))
    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "scene.png")
    np.testing.assert_array_equal(open_image(tmp_path / "scene.png"), picture)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_installed(name):
    assert min(open_image(f"photo:{name}").shape[:2]) >= 200
    assert suggestions(f"photo:{name}")


def test_a_perturbed_picture_is_that_of_the_perturbation():
    expected = perturb(make_scene(3).image, "gaussian_noise", 0.25, 4).image
    np.testing.assert_array_equal(open_image("perturbed:gaussian_noise:0.25:4:scene:3"), expected)
    assert unperturbed("perturbed:gaussian_noise:0.25:4:perturbed:color_shift:1:0:scene:3") == "scene:3"
    assert suggestions("perturbed:gaussian_noise:0.25:4:scene:3") == suggestions("scene:3")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("scene:x", "whole number"), ("scene:-1", "whole number"), ("photo:dog", "photo:cat"), ("nowhere.png", "There is no image"),
        ("perturbed:color_shift:demo", "name, strength, seed"), ("perturbed:color_shift:1.2.3:0:demo", "no number"),
        ("perturbed:nothing:0.5:0:demo", "no perturbation"), ("perturbed:color_shift:7:0:demo", "strength is 7"),
    ],
)  # fmt: skip
def test_other_names_are_refused_in_a_sentence(source, said):
    with pytest.raises(InputError, match=said):
        open_image(source)
