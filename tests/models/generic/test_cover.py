"""Covers of image tokens: by experiment against known geometry, and against what processors state."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_vlms import save_small_vlm, skip_unless_there

from stcg_nb.models import load_model
from stcg_nb.models.generic.cover import agrees, is_local, moved_by_halves, probed_cover
from stcg_nb.models.layout import grid_cover

SIZE = (64, 96)


def means(cover):
    """Tokens that are the mean colours of known rectangles; NaN gives a token that never changes."""

    def tokens(picture):
        rows = [
            torch.zeros(3)
            if np.isnan(x0)
            else torch.from_numpy(picture[int(y0) : int(y1), int(x0) : int(x1)].reshape(-1, 3).astype(float).mean(0))
            for x0, y0, x1, y1 in cover
        ]
        return torch.stack(rows)

    return tokens


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**31))
def test_known_rectangles_are_found(rows, cols, seed):
    """A grid, a coarser one over it and a mark at the end, in any order."""
    height, width = 12 * rows, 12 * cols
    cover = np.concatenate([grid_cover(rows, cols, (0, 0, width, height)), grid_cover(1, 2, (0, 0, width, height))])
    cover = np.concatenate([cover, np.full((1, 4), np.nan)])[np.random.default_rng(seed).permutation(len(cover) + 1)]
    found = probed_cover(means(cover), height, width)
    expected = cover.copy()
    expected[(cover[:, 2] - cover[:, 0]) * (cover[:, 3] - cover[:, 1]) > 0.9 * height * width] = np.nan
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert np.nanmax(np.abs(found - expected), initial=0) <= max(6, height // 6, width // 6)
    cells = (
        ~np.isnan(expected[:, 0]) & (expected[:, 2] - expected[:, 0] == 12) & (expected[:, 3] - expected[:, 1] == 12)
    )
    off = np.abs(found - expected)[cells]
    assert not off.size or (np.median(off) <= 1 and off.max() <= 5)


def test_tokens_that_show_everything_are_not_local():
    whole = np.tile([[0.0, 0, 96, 64]], (4, 1))
    assert not is_local(moved_by_halves(means(whole), *SIZE))
    assert np.isnan(probed_cover(means(whole), *SIZE)).all()
    grid = grid_cover(2, 4, (0, 0, 96, 64))
    moved = moved_by_halves(means(grid), *SIZE)
    assert is_local(moved) and agrees(grid, moved, *SIZE)
    assert not agrees(grid[::-1], moved, *SIZE), "a statement in the wrong order is not believed"


def load(kind, folder):
    skip_unless_there(kind)
    model = load_model(str(save_small_vlm(folder / kind, kind)))
    return model, model.prompt("what is this?")


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "glm4v", "mistral3", "pixtral", "paligemma", "gemma3"])
def test_what_processors_state_is_what_experiments_find(kind, tmp_path):
    model, prompt = load(kind, tmp_path)
    stated = model.pictures.statement(prompt, *SIZE)
    assert model.pictures.stated
    found = probed_cover(lambda picture: model.pictures.tokens(prompt, picture), *SIZE)
    assert np.abs(found - stated).max() <= 6
    np.testing.assert_array_equal(model.layout(prompt, *SIZE).cover, stated)


def test_tiles_and_thumbnail_in_their_order(tmp_path):
    """InternVL: four tiles row by row, each four tokens; then the whole picture as four."""
    model, prompt = load("internvl", tmp_path)
    height, width = SIZE
    tiles = [grid_cover(2, 2, box) for box in grid_cover(2, 2, (0, 0, width, height))]
    expected = np.concatenate([*tiles, grid_cover(2, 2, (0, 0, width, height))])
    np.testing.assert_allclose(model.layout(prompt, *SIZE).cover, expected, atol=4)


def test_marks_at_the_ends_of_rows_and_padding_cover_nothing(tmp_path):
    """LLaVA-NeXT: 16 tokens of the whole picture, then rows of 8 that end with a mark, without the rows of padding."""
    model, prompt = load("llava_next", tmp_path)
    cover = model.layout(prompt, *SIZE).cover
    rows = cover[16:].reshape(-1, 9, 4)
    assert np.isnan(rows[:, 8]).all() and not np.isnan(rows[:, :8]).any() and not np.isnan(cover[:16]).any()
    np.testing.assert_allclose(cover[:16], grid_cover(4, 4, (0, 0, 96, 64)), atol=3)
    assert (np.diff(rows[:, :8, 0], axis=1) > 0).all() and (np.diff(rows[:, 0, 1]) > 0).all()
