"""Heads kept apart average to the estimator's alignment, on a real network too."""

from __future__ import annotations

import numpy as np
import pytest
from small_blip2 import save_small

from stcg_nb import explain, load_model
from stcg_nb.attention.heads import head_alignment, of_head, sites_of
from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.scenes.pictures import make_scene

LINKS = ("word_region", "step_region", "step_word")
QUESTION = "what color is the car?"


@pytest.fixture(scope="module", params=["mock", "small"])
def model(request, tmp_path_factory):
    return load_model("mock" if request.param == "mock" else str(save_small(tmp_path_factory.mktemp("small"))))


@pytest.fixture(scope="module")
def image():
    return make_scene(5).image


@pytest.fixture(scope="module")
def stcg(model, image):
    return explain(image, QUESTION, model, estimator="attention", regions="grid:2x3", perturbations=())


@pytest.mark.parametrize("site", ["qformer_cross", "encoder", "cross"])
def test_the_mean_over_layers_and_heads_is_the_alignment(model, image, stcg, site):
    links = head_alignment(Case.read(image, QUESTION, model, regions="grid:2x3"), site)
    assert links.sizes["head"] == 2
    for name in LINKS:
        assert (links[name].values >= 0).all()
        np.testing.assert_allclose(links[name].mean(["layer", "head"]), stcg.data[name], atol=1e-5)
    averaged = of_head(stcg, links, None, None)
    np.testing.assert_allclose(averaged.data["step_region"], stcg.data["step_region"], atol=1e-5)


def test_heads_see_the_picture_that_explain_sees(model):
    """A large picture of noise is another picture at working size."""
    image = np.random.default_rng(0).integers(0, 255, (1500, 3000, 3)).astype(np.uint8)
    stcg = explain(image, QUESTION, model, masks=0, regions="grid:2x3", perturbations=())
    links = head_alignment(Case.read(image, QUESTION, model, regions="grid:2x3"), "cross")
    for name in LINKS:
        np.testing.assert_allclose(links[name].mean(["layer", "head"]), stcg.data[name], atol=1e-5)


def test_heads_differ_and_can_be_looked_at_alone(model, image, stcg):
    links = head_alignment(Case.read(image, QUESTION, model, regions="grid:2x3"), "cross")
    one, two = (of_head(stcg, links, 0, h) for h in (0, 1))
    assert not np.allclose(one.data["step_region"], two.data["step_region"])
    np.testing.assert_array_equal(one.data["region_effect"], stcg.data["region_effect"])
    np.testing.assert_allclose(one.data["step_region"], links["step_region"].isel(layer=0, head=0))


def test_what_does_not_exist_is_refused(model, image, stcg):
    assert sites_of(model) == ("qformer_cross", "encoder", "cross")
    with pytest.raises(InputError, match="qformer_cross"):
        head_alignment(Case.read(image, QUESTION, model), "decoder")
    links = head_alignment(Case.read(image, QUESTION, model, regions="grid:2x3"), "cross")
    with pytest.raises(InputError, match="no head 2"):
        of_head(stcg, links, 0, 2)
    with pytest.raises(InputError, match="no layer 9"):
        of_head(stcg, links, 9, 0)
