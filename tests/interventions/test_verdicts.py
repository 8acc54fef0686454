"""Verdicts against hand-made attention, and the causal estimator of `explain` on the mock."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stcg_nb.attention.alignment import align, aligned
from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.explanation import explain
from stcg_nb.graph.schema import MATTERS
from stcg_nb.inputs.regions import Regions
from stcg_nb.interventions import verdicts
from stcg_nb.interventions.causal_graph import find_causes
from stcg_nb.interventions.masking import Game
from stcg_nb.interventions.verdicts import NO, UNCLEAR, VERDICTS, YES, attended, matters, verdict
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


def heads_of(mock, text):
    """Attention of every site, whose decoder's heads look at the words as `text` says, ``[layer, head, word]``; the rest of their
    attention goes to the query tokens, and theirs to the upper half of the picture."""
    text = torch.tensor(np.asarray(text), dtype=torch.float64)
    n = mock.n_image_tokens
    shape = text.shape[:2]
    rest = (1 - text.sum(-1, keepdim=True)).expand(*shape, n) / n
    cross = torch.cat([rest, text], -1)[:, :, None].repeat(1, 1, 2, 1)
    queries = torch.full((*shape, n, 257), 1e-4)
    queries[..., 1:129] = 1 / 128
    own, small = torch.eye(n).expand(*shape, n, n), torch.eye(2).expand(*shape, 2, 2)
    encoder = torch.full((*shape, n + 6, n + 6), 1 / (n + 6))
    return {"qformer_self": own, "qformer_cross": queries, "encoder": encoder, "decoder": small, "cross": cross}


def step_word(mock, text):
    """What attention links the first step with, ``[word]``."""
    case = Case.read(SCENE.image, QUESTION, mock, regions="grid:2x1")
    first, second = attended(case, heads_of(mock, text)).step_word.tolist()
    assert first == second
    return first


def test_attention_links_what_all_heads_look_at(mock):
    """All heads look at word 2 and at the upper half; one of six looks at word 4 a lot."""
    text = np.zeros((3, 2, 6))
    text[..., 2] = 0.4
    text[0, 0, 4] = 0.6
    linked = attended(Case.read(SCENE.image, QUESTION, mock, regions="grid:2x1"), heads_of(mock, text))
    assert linked.step_word.tolist() == [[NO, NO, YES, NO, UNCLEAR, NO]] * 2
    assert linked.step_patch.tolist() == [[YES, NO]] * 2
    assert linked.word_patch.tolist() == [[YES, NO]] * 6


@pytest.mark.parametrize("rest", [0, 1e-7])
def test_heads_and_layers_that_send_nothing_to_words_have_no_vote(mock, rest):
    """One head of eight looks at words, at word 3 alone. The others send nothing, or next to nothing and to another word."""
    text = np.zeros((4, 2, 6))
    text[..., 0] = rest
    text[1, 0] = [0, 0, 0, 0.25, 0, 0]
    assert step_word(mock, text) == [NO, NO, NO, YES, NO, NO]


def test_no_attention_to_words_says_nothing(mock):
    assert step_word(mock, np.zeros((3, 4, 6))) == [UNCLEAR] * 6


def test_even_attention_links_nothing(mock):
    even = heads_of(mock, np.full((2, 2, 6), 1 / 38))
    even["qformer_cross"] = torch.full((2, 2, 32, 257), 1 / 257)
    linked = attended(Case.read(SCENE.image, QUESTION, mock, regions="grid:2x2"), even)
    assert not any(part.any() for part in (linked.step_word, linked.step_patch, linked.word_patch))


@pytest.mark.parametrize(("errors", "said"), [(3.5, YES), (1.0, UNCLEAR), (-1.0, UNCLEAR), (-3.5, NO)])
def test_the_interval_is_that_of_a_ratio_of_sums(mock, errors, said):
    """The share of word 0 lies some standard errors from chance; the error by the formula of a ratio (Cochran 1977, chapter 6)."""
    rng = np.random.default_rng(5)
    total, share = rng.uniform(0.1, 0.9, 120), rng.uniform(0.1, 0.3, 120)

    def apart(share):
        x = total * share
        ratio = x.sum() / total.sum()
        return ratio - 1 / 6, np.sqrt(((x - ratio * total) ** 2).sum()) / total.sum()

    far, error = apart(share)
    share += errors * error - far
    assert apart(share)[0] / apart(share)[1] == pytest.approx(errors, rel=0.1)
    text = np.zeros((10, 12, 6))
    text[..., 0] = (total * share).reshape(10, 12)
    text[..., 1:] = (total * (1 - share) / 5).reshape(10, 12, 1)
    assert step_word(mock, text)[0] == said


def test_a_large_region_with_less_than_its_area_is_not_called_unlinked_while_it_is_attended_most(mock):
    regions = Regions(np.where(np.arange(256)[:, None] < 40, 0, 1).repeat(256, 1).astype(np.int32), ("top", "rest"))
    heads = heads_of(mock, np.zeros((2, 2, 6)))
    heads["qformer_cross"] = torch.full((2, 2, 32, 257), 0.6 / 216)
    heads["qformer_cross"][..., 1:41] = 0.4 / 40  # two and a half of sixteen rows of patches
    linked = attended(Case.read(SCENE.image, QUESTION, mock, regions=regions), heads)
    assert linked.step_patch.tolist() == [[YES, UNCLEAR]] * 2


@pytest.mark.parametrize(("draws", "times"), [(1, 20), (200, 1)])
@pytest.mark.parametrize("seed", range(12))
def test_what_is_attended_most_and_matters_is_never_called_hidden(mock, seed, draws, times, monkeypatch):
    """Heads as they are found: saturated, silent, even, in any mixture and number; however few draws, and so however unlucky."""
    monkeypatch.setattr(verdicts, "DRAWS", draws)
    rng = np.random.default_rng(seed)
    text = rng.dirichlet(np.full(7, rng.choice([0.02, 0.3, 5])), (rng.integers(1, 5), rng.integers(1, 5)))[..., :6]
    text[rng.random(text.shape[:2]) < rng.choice([0, 0.5, 0.9])] = 0
    heads = heads_of(mock, text)
    heads["qformer_cross"] = torch.tensor(rng.dirichlet(np.full(257, rng.choice([0.005, 1])), (*text.shape[:2], 32)))
    heads["encoder"] = torch.tensor(rng.dirichlet(np.full(38, 0.02), (*text.shape[:2], 38)))
    case = Case.read(SCENE.image, QUESTION, mock, regions=f"slic:{rng.integers(2, 20)}")
    by_attention = align("attention", {s: m.mean(1) for s, m in heads.items()}, case.layout).by_region(case)
    for linked in (attended(case, heads, i) for i in range(times)):
        for name in ("step_word", "step_patch", "word_patch"):
            weights, said = getattr(by_attention, name), getattr(linked, name)
            most = weights >= weights.max(-1, keepdims=True) - 1e-9
            assert "hidden" not in verdict(np.full(said.shape, YES), said)[most]


def test_an_effect_matters_from_a_size_on():
    low, high = (
        np.array([[0.5, -9, 0.49, -0.4], [-0.6, 0.3, -0.5, -1]]).reshape(-1),
        np.array([[0.5, -0.5, 0.49, 0.4], [0.1, 0.9, -0.2, 1]]).reshape(-1),
    )
    assert matters(low, high).tolist() == [YES, YES, NO, NO, UNCLEAR, UNCLEAR, UNCLEAR, UNCLEAR]
    odds = np.exp(MATTERS)
    assert odds == pytest.approx(1.65, abs=0.005) and odds / (1 + odds) == pytest.approx(0.62, abs=0.005)


def test_every_verdict():
    effect, linked = np.repeat([YES, UNCLEAR, NO], 3), np.tile([YES, UNCLEAR, NO], 3)
    assert verdict(effect, linked).tolist() == [
        "confirmed", "unclear", "hidden",
        "unclear", "unclear", "unclear",
        "spurious", "none", "none",
    ]  # fmt: skip


def test_the_graph_holds_attentions_shares_and_ranks(mock):
    """Those of attention, whatever the estimator; by counting."""
    case = Case.read(SCENE.image, QUESTION, mock, regions="grid:2x2")
    by_attention = aligned(case, "attention").by_region(case)
    stcg = explain(SCENE.image, QUESTION, mock, estimator="rollout", regions="grid:2x2", masks=MASKS)
    edges = [e for e in stcg.edges() if e.kind == "counterfactual"]
    assert len(edges) == 10 * len(stcg.steps)
    for e in edges:
        kind, place = e.source.split(":")
        row, place = {"word": by_attention.step_word, "region": by_attention.step_patch}[kind][e.step], int(place)
        assert e.share == pytest.approx(row[place] / row.sum())
        assert e.rank == 1 + sum(weight > row[place] for weight in row)
        assert e.verdict != "hidden" or e.rank > 1


def test_the_causal_estimator_holds_the_causal_graph(mock, stcg):
    causes = find_causes(Game(Case.read(SCENE.image, QUESTION, mock, regions="grid:2x2")), MASKS, 0)
    data, words = stcg.data, len(stcg.words)
    assert data.sizes["link"] == causes.in_graph.sum()
    assert data.attrs["estimator"] == "attention" and data.attrs["masks"] == MASKS
    both = np.concatenate([data["word_coefficient"].values, data["region_coefficient"].values], 1)
    np.testing.assert_allclose(both, causes.node_coefficient)
    np.testing.assert_allclose(data["word_low"], causes.node[:, :words])  # with one fill, what was tried is exact
    np.testing.assert_array_equal(data["link_low"], data["link_high"])
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
