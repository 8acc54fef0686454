"""Each word and token has its picture under its name, coloured where its numbers are large."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from read_figure import picture
from sample import sample_dataset

from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.figures.heatmaps import step_heatmaps, word_heatmaps


@pytest.fixture(scope="module")
def stcg():
    return STCG(sample_dataset())


def test_a_word_has_its_picture_under_its_name(stcg):
    figure = word_heatmaps(stcg)
    names = [a for a in figure.layout.annotations if a.text in stcg.words]
    assert [a.text for a in names] == list(stcg.words)
    assert len(figure.layout.images) == len(names)
    for name, image, row in zip(names, figure.layout.images, stcg.data["word_region"].values, strict=True):
        assert (name.x, name.y, name.yanchor, image.yanchor) == (image.x, image.y, "bottom", "top")
        # The strongest region is the bluest: grey has no blue cast.
        cast = picture(image.source).astype(int)
        blue = cv2.resize(
            (cast[..., 2] - cast[..., 0]).astype(np.float32), (6, 4), interpolation=cv2.INTER_AREA
        ).ravel()
        assert blue.argmax() == row.argmax()


def test_pictures_do_not_overlap():
    figure = step_heatmaps(STCG(sample_dataset(answer="a b c d e f g")))
    boxes = [(i.x - i.sizex / 2, i.x + i.sizex / 2, i.y - i.sizey, i.y) for i in figure.layout.images]
    assert len(boxes) == 14
    for k, (a0, a1, b0, b1) in enumerate(boxes):
        assert -1e-4 <= a0 < a1 <= 1.0001 and -1e-4 <= b0 < b1 < 1
        for c0, c1, d0, d1 in boxes[:k]:
            assert a1 <= c0 + 1e-4 or c1 <= a0 + 1e-4 or b1 <= d0 + 1e-4 or d1 <= b0 + 1e-4


def test_every_step_has_its_pair(stcg):
    names = [a.text for a in step_heatmaps(stcg).layout.annotations]
    for step in stcg.steps:
        assert f"{step}: linked" in names and f"{step}: loses" in names
