"""Every family that was tried, as a small model with random weights, against the library's eager attention one row at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from eager_vlm import Eager
from small_vlms import SMALL, save_small_vlm, skip_unless_there, table_row

from stcg_nb.attention.alignment import ESTIMATORS, aligned
from stcg_nb.attention.heads import head_alignment
from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.interventions.masking import Game
from stcg_nb.models import load_model
from stcg_nb.models.protocol import ENDS, Answer

QUESTION = "what color is the xylophone?"
WORDS = ("what", "color", "is", "the", "xylophone")
HEIGHT, WIDTH = 64, 96


@pytest.fixture(scope="module", params=list(SMALL))
def kind(request):
    skip_unless_there(request.param)
    return request.param


@pytest.fixture(scope="module")
def model(kind, tmp_path_factory):
    return load_model(str(save_small_vlm(tmp_path_factory.mktemp("hub") / kind, kind)))


@pytest.fixture(scope="module")
def pictures():
    return list(np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8))


class Plain:
    """One question, one answer, and the library's eager model to compare with."""

    def __init__(self, folder, model):
        sites = {
            name: m.stcg_site for name, m in model.network.named_modules() if getattr(m, "stcg_site", "vit") != "vit"
        }
        self.eager, self.model, self.layers = Eager(folder, sites), model, list(sites.values())
        self.prompt = model.prompt(QUESTION)
        read = model.target("a red")
        self.answer = Answer(read.text, read.token_ids, read.tokens, False)
        self.targets = list(read.token_ids)
        self.places = model.pictures.places(self.prompt, HEIGHT, WIDTH)
        self.length = len(self.places.ids) + len(self.targets) - 1
        self.words = [self.places.text[list(t)] for t in self.places.words]

    def scores(self, picture, cuts=None):
        batch = self.model.reading.extended(self.model.reading.batch(self.prompt, picture), self.targets)
        return self.eager.scores(batch, self.targets, cuts)

    def keys(self, keep_words, keep_patches=None):
        """Keys that nothing attends to, by site, bool ``[key]``."""
        language = np.zeros(self.length, dtype=bool)
        for word, at in enumerate(self.words):
            language[at] = not keep_words[word]
        if keep_patches is None:
            return {"language": language}
        if "cross" in self.layers:
            return {"language": language, "cross": ~keep_patches}
        language[self.places.image] = ~keep_patches
        return {"language": language}

    def edges(self, kind, cut):
        """One row's cut edges of a kind, by site, bool ``[query, key]``."""
        crossed = "cross" in self.layers and kind.endswith("patch")
        keys = cut.shape[1] if crossed else self.length
        out = np.zeros((self.length, keys), dtype=bool)
        for i, j in np.argwhere(cut):
            queries = self.words[i] if kind.startswith("word") else [len(self.places.ids) - 1 + i]
            at = [j] if crossed else self.words[j] if kind.endswith("word") else [self.places.image[j]]
            for q in queries:
                out[q, at] = True
        return {"cross" if crossed else "language": out}


@pytest.fixture(scope="module")
def plain(model, tmp_path_factory, kind):
    folder = next(tmp_path_factory.getbasetemp().glob(f"hub*/{kind}"))
    return Plain(folder, model)


def test_scores_answers_and_words(kind, model, plain, pictures):
    assert model.offer.level == SMALL[kind].level, model.offers
    assert plain.prompt.words == WORDS
    decode = model.tokenizer.decode
    assert [decode(plain.places.ids[at].tolist()).strip() for at in plain.words] == list(WORDS)
    v = model.trace(pictures, plain.prompt, plain.answer).v
    with torch.no_grad():
        expected = torch.stack([plain.scores(picture) for picture in pictures])
    np.testing.assert_allclose(v, expected, atol=1e-4)
    batch = model.reading.batch(plain.prompt, pictures[1])
    said = plain.eager.network.generate(
        **batch, max_new_tokens=5, do_sample=False, num_beams=1, repetition_penalty=1.0, eos_token_id=list(model.ends)
    )  # fmt: skip
    assert model.generate(pictures[1], plain.prompt, 5) == said[0, batch["input_ids"].shape[1] :].tolist()


def test_the_documents_say_what_it_is_offered(kind, model):
    page = (Path(__file__).parents[3] / "docs" / "families.md").read_text(encoding="utf-8")
    assert table_row(kind, model) in page, "run docs/families_table.py"


def test_absent_words_in_rows_that_share_pictures(model, plain, pictures):
    rng = np.random.default_rng(1)
    index = np.array([0, 1, 0, 1, 0])
    words = rng.random((5, len(WORDS))) < 0.6
    v = model.trace(pictures, plain.prompt, plain.answer, image_index=index, keep_words=words).v
    if model.offer.level == "masked":
        # The library's own mask of absent tokens, at the positions that it would give them without.
        whole = model.trace(pictures, plain.prompt, plain.answer).v
        assert np.abs(v - whole[index])[~words.all(1)].max() > 1e-3
        return
    with torch.no_grad():
        for row, picture in enumerate(index):
            expected = plain.scores(pictures[picture], plain.keys(words[row]))
            np.testing.assert_allclose(v[row], expected, atol=1e-4)
            assert words[row].all() or np.abs(expected - plain.scores(pictures[picture])).max() > 1e-4


def test_absent_patches_and_cut_edges(model, plain, pictures):
    rng = np.random.default_rng(2)
    patches = model.layout(plain.prompt, HEIGHT, WIDTH).n_patches
    sizes = {"word": len(WORDS), "patch": patches, "step": len(plain.targets)}
    with torch.no_grad():
        for kind in model.edges:
            cut = rng.random((1, *(sizes[d] for d in ENDS[kind]))) < 0.4
            v = model.trace(pictures[:1], plain.prompt, plain.answer, cuts={kind: cut}).v[0]
            np.testing.assert_allclose(v, plain.scores(pictures[0], plain.edges(kind, cut[0])), atol=1e-4, err_msg=kind)
        if model.offer.level == "cut":
            keep, words = rng.random((1, patches)) < 0.6, rng.random((1, len(WORDS))) < 0.6
            v = model.trace(pictures[:1], plain.prompt, plain.answer, keep_patches=keep, keep_words=words).v[0]
            np.testing.assert_allclose(v, plain.scores(pictures[0], plain.keys(words[0], keep[0])), atol=1e-4)


def test_attention_and_its_gradient(model, plain, pictures):
    if not model.sites:
        with pytest.raises(InputError, match="is no attention site of this model"):
            model.trace(pictures[:1], plain.prompt, plain.answer, capture=["language"])
        return
    order = torch.from_numpy(plain.places.order(plain.length))
    n = len(plain.places.image)
    value = plain.scores(pictures[0])[0]
    weights = {site: list(layers) for site, layers in plain.eager.weights.items()}
    flat = [(site, w) for site, layers in weights.items() for w in layers]
    gradients = torch.autograd.grad(value, [w for _, w in flat])
    got = model.trace(pictures[:1], plain.prompt, plain.answer, capture=model.sites).attention
    relevance = model.relevance(pictures[0], plain.prompt, plain.answer)
    for site in weights:
        mean = torch.stack([w[0].mean(0) for s, w in flat if s == site]).detach()
        positive = torch.stack(
            [(w * g).clamp(min=0)[0].mean(0) for (s, w), g in zip(flat, gradients, strict=True) if s == site]
        ).detach()
        assert len(mean) == plain.layers.count(site)
        keys = slice(None) if site == "cross" else order
        queries = order[n:] if site == "cross" else order
        torch.testing.assert_close(got[site][0], mean[:, queries][..., keys], atol=1e-5, rtol=0)
        expected = positive[:, queries][..., keys]
        torch.testing.assert_close(relevance[site][0], expected, atol=1e-4 * max(1, float(expected.max())), rtol=1e-3)
    torch.testing.assert_close(got["reading"][0], got["language"][0][:, n:])


def test_estimators_heads_and_masks(model, plain, pictures):
    case = Case.read(pictures[0], QUESTION, model, regions="grid:2x2", answer=plain.answer)
    for estimator in ESTIMATORS:
        found = aligned(case, estimator).by_region(case)
        assert found.step_word.shape == (len(plain.targets), len(WORDS))
        assert (found.step_word.sum() > 0) == bool(model.sites)
        assert (found.step_patch.sum() > 0) == (model.offer.level == "cut")
    if model.sites:
        heads = head_alignment(case, "reading").mean(("layer", "head"))
        by_attention = aligned(case).by_region(case)
        np.testing.assert_allclose(heads["step_word"], by_attention.step_word, atol=1e-6)
        np.testing.assert_allclose(heads["word_region"], by_attention.word_patch, atol=1e-6)
    masks = np.random.default_rng(3).random((4, len(WORDS) + 4)) < 0.7
    for removal in ("mean", "cut"):
        game = Game(case, removal)
        if removal == "cut" and model.offer.level != "cut":
            with pytest.raises(InputError, match="take another way to remove regions"):
                game(masks)
        else:
            assert np.isfinite(game(masks)).all()
