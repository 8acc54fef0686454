"""The game's values against the model asked one mask at a time."""

from __future__ import annotations

import numpy as np
import pytest
from small_blip2 import save_small

from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.inputs.fills import FILLS, fill_region
from stcg_nb.inputs.regions import make_regions
from stcg_nb.interventions.masking import CHUNK, Game, removals
from stcg_nb.models import load_model
from stcg_nb.scenes.pictures import make_scene

SCENE = make_scene(10**12 + 3)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return load_model(str(save_small(tmp_path_factory.mktemp("small"))))


def game(model, removal="median"):
    prompt = model.prompt("what is left of the car?")
    return Game(
        Case(model, SCENE.image, prompt, model.target("a red car"), make_regions(SCENE.image, "slic:8")), removal
    )


def masks(n, players, seed=0):
    return np.random.default_rng(seed).random((n, players)) < 0.7


@pytest.mark.parametrize("fill", FILLS)
def test_a_filled_region_is_a_filled_picture(small, fill):
    asked = game(small, fill)
    tried = masks(6, asked.n_players)
    for mask, value in zip(tried, asked(tried), strict=True):
        picture = fill_region(SCENE.image, asked.case.regions, np.flatnonzero(~mask[asked.n_words :]), fill)
        alone = small.trace([picture], asked.case.prompt, asked.case.answer, keep_words=mask[None, : asked.n_words])
        np.testing.assert_allclose(value, alone.v[0], atol=1e-4)


def test_a_cut_region_is_unseen_by_the_query_tokens(small):
    asked = game(small, "cut")
    owner = asked.case.patch_share.argmax(1)
    tried = masks(6, asked.n_players)
    for mask, value in zip(tried, asked(tried), strict=True):
        keep = mask[asked.n_words :][owner]
        alone = small.trace(
            [SCENE.image], asked.case.prompt, asked.case.answer,
            keep_words=mask[None, : asked.n_words], keep_patches=keep[None],
        )  # fmt: skip
        np.testing.assert_allclose(value, alone.v[0], atol=1e-4)


@pytest.mark.parametrize("removal", removals())
def test_with_all_present_it_is_the_answers_own_value(small, removal):
    asked = game(small, removal)
    own = small.trace([SCENE.image], asked.case.prompt, asked.case.answer).v
    np.testing.assert_allclose(asked(np.ones((1, asked.n_players), bool)), own, atol=1e-4)


def test_order_and_chunks_do_not_matter(small):
    asked = game(small)
    tried = masks(CHUNK + 20, asked.n_players)
    backwards = asked(tried[::-1])[::-1]
    np.testing.assert_allclose(asked(tried), backwards, atol=1e-4)


def test_masks_that_agree_on_the_regions_share_one_encoding(small, monkeypatch):
    asked = game(small)
    tried = np.ones((12, asked.n_players), dtype=bool)
    tried[:, : asked.n_words] = masks(12, asked.n_words)
    tried[6:, asked.n_words] = False
    small._encoder.cache.clear()
    seen = []
    run = small.network.vision_model.forward
    monkeypatch.setattr(
        small.network.vision_model, "forward", lambda pixel_values: seen.append(len(pixel_values)) or run(pixel_values)
    )
    asked(tried)
    assert sum(seen) == 2


def test_masked_pictures_are_not_kept(small):
    asked = game(small)
    before = len(small._encoder.cache)
    asked(masks(10, asked.n_players, seed=9))
    assert len(small._encoder.cache) == before


def test_what_cannot_be(small):
    with pytest.raises(InputError, match="valid are median, mean, blur, inpaint, "):
        game(small, "black")
    with pytest.raises(InputError, match=r"\[mask, player\]"):
        game(small)(np.ones((2, 3), bool))
