"""Changes by hand; and one perturbation at a time gives the numbers that `explain` gives of all together."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from small_blip2 import save_small

from stcg_nb import explain, load_model
from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.interventions.perturbation_effects import delta_p, delta_w, delta_w_js, sensitivities
from stcg_nb.scenes.pictures import make_scene


@pytest.fixture(scope="module", params=["mock", "small"])
def model(request, tmp_path_factory):
    return load_model("mock" if request.param == "mock" else str(save_small(tmp_path_factory.mktemp("small"))))


@pytest.mark.parametrize("size", [(256, 256), (4000, 4000), (300, 700)], ids=["square", "4,000 pixels", "wide"])
def test_the_numbers_are_those_of_explain(model, size):
    """On a large picture both must measure the working copy: noise on the full picture is averaged away by scaling."""
    image = cv2.resize(make_scene(5).image, size[::-1], interpolation=cv2.INTER_NEAREST)
    options = {"perturbations": ("color_shift", "gaussian_noise"), "strength": 0.8, "seed": 3}
    data = explain(image, "what is this?", model, masks=0, regions="grid:2x3", **options).data
    found = list(sensitivities(Case.read(image, "what is this?", model, regions="grid:2x3"), **options))
    assert [one.perturbed.name for one in found] == list(options["perturbations"])
    for name in ("delta_w", "delta_w_js", "delta_p", "flipped"):
        np.testing.assert_allclose([getattr(one, name) for one in found], data[name].values, atol=1e-5)
    np.testing.assert_allclose([one.p for one in found], data["perturbed_p"].values, atol=1e-5)
    assert [one.answer for one in found] == data["perturbed_answer"].values.tolist()
    assert [one.perturbed.pixel_distance for one in found] == data["pixel_distance"].values.tolist()


def test_each_comes_as_soon_as_it_is_known():
    found = sensitivities(Case.read(make_scene(5).image, "what is this?", "mock"))
    assert next(found).perturbed.name == "center_mask"


def test_an_unknown_perturbation_is_refused_before_any_work():
    with pytest.raises(InputError, match="no perturbation"):
        next(sensitivities(Case.read(make_scene(5).image, "what is this?", "mock"), perturbations=["center_mask", "x"]))


def test_delta_w_by_hand():
    original = np.array([[0.2, 0.8], [0.5, 0.5]])
    perturbed = np.stack([original, [[0.4, 0.6], [0.5, 0.1]], 2 * original])
    np.testing.assert_allclose(delta_w(perturbed, original), [0, (0.2 + 0.2 + 0 + 0.4) / 4, 0.5])
    js = delta_w_js(perturbed, original)
    assert js[0] == pytest.approx(0, abs=1e-9) and js[2] == pytest.approx(0, abs=1e-7), "scale does not count"
    first = jensenshannon([0.4, 0.6], [0.2, 0.8], base=2)
    second = jensenshannon([5 / 6, 1 / 6], [0.5, 0.5], base=2)
    assert js[1] == pytest.approx((first + second) / 2)


def test_delta_p_is_of_the_whole_answer():
    np.testing.assert_allclose(delta_p(np.array([[0.1, 1.0], [0.9, 0.9]]), np.array([0.9, 0.9])), [0.1 - 0.81, 0])


def test_no_perturbations():
    assert delta_w(np.zeros((0, 2, 3)), np.zeros((2, 3))).shape == (0,)
    assert delta_w_js(np.zeros((0, 2, 3)), np.zeros((2, 3))).shape == (0,)
    assert delta_p(np.zeros((0, 2)), np.zeros(2)).shape == (0,)
