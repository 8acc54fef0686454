"""Regions of the drawing are those of the picture."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from sample import sample_dataset

from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.svg_picture import CELLS, PictureLayer, border_path, region_paths, to_cells
from stcg_nb.viz.theme import OPPOSES, SUPPORTS


@pytest.fixture(scope="module")
def stcg():
    return STCG(sample_dataset())


def test_cells_are_a_coarser_grid_of_the_same_regions(stcg):
    labels = stcg.data["region_labels"].values
    cells = to_cells(labels)
    assert max(cells.shape) == CELLS
    share = [(cells == i).mean() - (labels == i).mean() for i in range(24)]
    np.testing.assert_allclose(share, 0, atol=0.002)
    np.testing.assert_array_equal(to_cells(labels[:40, :30]), labels[:40, :30])  # small enough as it is


def test_region_shapes_cover_their_regions(stcg):
    """An even-odd fill of each outline is the region, but for half a cell along its border."""
    cells = to_cells(stcg.data["region_labels"].values)
    shapes = region_paths(cells, len(stcg.regions))
    assert len(shapes) == 24
    for i, shape in enumerate(shapes):
        mask = np.zeros(cells.shape, np.uint8)
        for part in re.findall(r"M([^z]*)z", shape):
            points = np.array([[int(v) for v in p.split(",")] for p in part.split()])
            cv2.fillPoly(mask, [points], 1)
        assert mask.any() and (mask != (cells == i)).mean() < 0.01


def test_borders_run_between_cells_of_different_regions():
    path = border_path(np.array([[0, 0, 1], [0, 2, 2]]))
    assert sorted(path.replace("M", " ").split()) == ["0.5,0.5h1", "0.5,0.5v1", "1.5,-0.5v1", "1.5,0.5h1"]


def test_shade_and_colour_follow_the_weights(stcg):
    weights = np.zeros(24)
    weights[2], weights[5] = 4.0, -1.0
    svg = PictureLayer(stcg, (0, 0, 100, 100)).svg(weights, None, [])
    fills = re.findall(r'fill="(#\w+)" fill-opacity="([\d.]+)"', svg)
    assert fills[2] == (SUPPORTS, "0.850") and fills[5] == (OPPOSES, "0.212")
    assert {alpha for i, (_, alpha) in enumerate(fills) if i not in (2, 5)} == {"0.000"}
