"""Verdicts against hand-made attention, and the causal estimator of `explain` on the mock."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.explanation import explain
from stcg_nb.interventions.causal_graph import find_causes
from stcg_nb.interventions.masking import Game
from stcg_nb.interventions.verdicts import VERDICTS, attended, verdict
from stcg_nb.models import load_model
from stcg_nb.scenes.pictures import make_scene

SCENE = make_scene(10**12 + 3)
QUESTION = "what is left of the car?"
MASKS = 64


@pytest.fixture(scope="module")
def mock():
    return load_model("mock")


@pytest.fixture(scope="module")
def stcg(mock):
    return explain(SCENE.image, QUESTION, mock, regions="grid:2x2", masks=MASKS)


def maps(mock, text, layers=3):
    """Attention of every site, with the decoder looking at `text`, one row of query tokens and words per layer."""
    n = mock.n_image_tokens + 6
    cross = torch.tensor(text, dtype=torch.float32)[:, None].repeat(1, 2, 1)  # [layer, step, position]
    queries = torch.full((layers, mock.n_image_tokens, 257), 1e-4)
    queries[..., 1:129] = 1 / 128  # the upper half of the picture
    encoder = torch.full((layers, n, n), 1 / n)
    small = torch.eye(2).repeat(layers, 1, 1)
    own = torch.eye(mock.n_image_tokens).repeat(layers, 1, 1)
    return {"qformer_self": own, "qformer_cross": queries, "encoder": encoder, "decoder": small, "cross": cross}


def test_attention_links_where_every_layer_agrees(mock):
    """All layers read word 2 and the upper half; of word 4 one layer of three reads a lot, the others nothing."""
    row = np.full(mock.n_image_tokens + 6, 0.5 / mock.n_image_tokens)
    row[mock.n_image_tokens :] = 0
    rows = [row.copy() for _ in range(3)]
    for layer, r in enumerate(rows):
        r[mock.n_image_tokens + 2] = 0.4
        r[mock.n_image_tokens + 4] = 0.9 if layer == 0 else 0
    linked = attended(Case.read(SCENE.image, QUESTION, mock, regions="grid:2x1"), maps(mock, np.array(rows)))
    assert linked.step_word.tolist() == [[False, False, True, False, False, False]] * 2
    assert linked.step_patch.tolist() == [[True, False]] * 2
    assert linked.word_patch.tolist() == [[True, False]] * 6


def test_even_attention_links_nothing(mock):
    even = {
        "qformer_self": torch.eye(32)[None], "qformer_cross": torch.full((2, 32, 257), 1 / 257),
        "encoder": torch.full((2, 38, 38), 1 / 38), "decoder": torch.eye(2)[None], "cross": torch.full((2, 2, 38), 1 / 38),
    }  # fmt: skip
    linked = attended(Case.read(SCENE.image, QUESTION, mock, regions="grid:2x2"), even)
    assert not linked.step_word.any() and not linked.step_patch.any() and not linked.word_patch.any()


def test_the_four_verdicts():
    said = verdict(np.array([[True, False], [True, False]]), np.array([[True, True], [False, False]]))
    assert said.tolist() == [["confirmed", "spurious"], ["hidden", "none"]]


def test_the_causal_estimator_holds_the_causal_graph(mock, stcg):
    causes = find_causes(Game(Case.read(SCENE.image, QUESTION, mock, regions="grid:2x2")), MASKS, 0)
    data, words = stcg.data, len(stcg.words)
    assert data.sizes["link"] == causes.in_graph.sum()
    assert data.attrs["estimator"] == "attention" and data.attrs["masks"] == MASKS
    both = np.concatenate([data["word_coefficient"].values, data["region_coefficient"].values], 1)
    np.testing.assert_allclose(both, causes.node_coefficient)
    np.testing.assert_allclose(data["word_high"] - data["word_low"], 2 * (causes.node_high - causes.node)[:, :words])
    for i in range(data.sizes["link"]):
        one = data.isel(link=i)
        place = (causes.links == [int(one[f"link_{k}"]) for k in ("source", "target", "third")]).all(1)
        assert float(one["link_weight"]) == pytest.approx(causes.weight[int(one["link_step"]), place][0])


def test_effects_are_exact_and_within_their_interval(mock, stcg):
    by_gradient = explain(SCENE.image, QUESTION, mock, estimator="gradient", masks=0, regions="grid:2x2").data
    data = stcg.data
    for kind in ("word", "region"):
        np.testing.assert_allclose(data[f"{kind}_effect"], by_gradient[f"{kind}_effect"], atol=1e-5)
        assert (data[f"{kind}_low"] <= data[f"{kind}_effect"]).all()
        assert (data[f"{kind}_effect"] <= data[f"{kind}_high"]).all()
        assert set(np.unique(data[f"{kind}_verdict"])) <= set(VERDICTS)


def test_links_by_cause_are_what_surely_supports_a_step(stcg):
    data = stcg.data
    sure = data["region_low"] > 0
    np.testing.assert_allclose(stcg.links("causes").step_region, np.where(sure, data["region_effect"], 0), atol=1e-9)


def test_a_causal_graph_keeps_what_attention_links(mock, stcg):
    alone = explain(SCENE.image, QUESTION, mock, masks=0, regions="grid:2x2")
    for name, by_attention in alone.links("alignment")._asdict().items():
        np.testing.assert_allclose(stcg.data[name], by_attention, atol=1e-6)
        assert not np.allclose(getattr(stcg.links("causes"), name), by_attention)
    with pytest.raises(InputError, match="masks=0"):
        alone.links("causes")


def test_another_estimator_has_no_links_and_exact_intervals(mock):
    data = explain(SCENE.image, QUESTION, mock, estimator="gradient", masks=0, regions="grid:2x2").data
    assert data.sizes["link"] == 0 and data.attrs["masks"] == 0
    np.testing.assert_array_equal(data["word_low"], data["word_effect"])
    assert not data["region_coefficient"].any()


def test_what_cannot_be(mock):
    with pytest.raises(InputError, match="no estimator; valid are attention, "):
        explain(SCENE.image, QUESTION, mock, estimator="magic")
    with pytest.raises(InputError, match="at least 24"):
        explain(SCENE.image, QUESTION, mock, masks=5)
    with pytest.raises(InputError, match="cut"):
        explain(SCENE.image, QUESTION, mock, removal="black")
