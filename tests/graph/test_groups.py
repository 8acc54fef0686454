"""Groups of regions in words, and their outlines."""

from __future__ import annotations

import numpy as np
import pytest
from sample import sample_dataset

from stcg_nb.graph.groups import groups_said, merged_labels
from stcg_nb.graph.stcg import STCG
from stcg_nb.graph.summary import summary
from stcg_nb.viz.report import html


def grouped(kinds, members, effects):
    """The sample with groups at its last step."""
    data = sample_dataset()
    rows = np.zeros((len(kinds), data.sizes["region"]), dtype=bool)
    for row, regions in zip(rows, members, strict=True):
        row[list(regions)] = True
    arrays = {
        "group_kind": ("group", np.array(kinds, dtype=str)),
        "group_step": ("group", np.full(len(kinds), data.sizes["step"] - 1)),
        "group_region": (("group", "region"), rows),
        "group_effect": ("group", np.array(effects, dtype=float)),
    }
    return STCG(data.drop_vars(list(arrays)).assign(arrays))


@pytest.fixture
def stcg():
    return grouped(["stand-ins", "as one"], [(0, 3), (1, 2, 4)], [5.25, 21.0])


def test_each_group_is_said_with_its_effect_the_largest_first(stcg):
    one, others = groups_said(stcg)
    last, names = stcg.steps[-1], stcg.regions
    assert one.startswith(f"Regions {names[1]}, {names[2]} and {names[4]} act as one") and "21.0 nats" in one
    assert others.startswith(f"Regions {names[0]} and {names[3]} stand in for each other") and "5.2 nats" in others
    assert f"“{last}”" in one and f"“{last}”" in others
    assert one in summary(stcg) and others not in summary(stcg)
    assert one in html(stcg) and others in html(stcg)


def test_regions_that_act_as_one_have_one_outline(stcg):
    labels, merged = stcg.data["region_labels"].values, merged_labels(stcg)
    np.testing.assert_array_equal(merged == 1, np.isin(labels, (1, 2, 4)))
    assert not np.isin(merged, (2, 4)).any()
    np.testing.assert_array_equal(merged[labels == 3], 3)  # stand-ins stay apart


def test_groups_survive_a_file(stcg, tmp_path):
    assert STCG.load(stcg.save(tmp_path / "g.npz")) == stcg


def test_without_groups_nothing_is_said():
    plain = STCG(sample_dataset())
    assert groups_said(plain) == [] and "belong together" not in html(plain)
    np.testing.assert_array_equal(merged_labels(plain), plain.data["region_labels"].values)
