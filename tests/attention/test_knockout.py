"""Cut edges against a slow plain implementation: the library's eager model, one edge and one whole forward at a time."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from small_blip2 import QUERIES, save_small
from transformers import Blip2ForConditionalGeneration, Blip2Processor

from stcg_nb.attention import knockout as cutting
from stcg_nb.attention.knockout import KINDS, cut, cut_effects
from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.inputs.regions import Regions
from stcg_nb.models import SITES, engine, families, load_model
from stcg_nb.models.protocol import CUTS, Answer

QUESTION = "is the xylophone red?"
STEPS, WORDS, PATCHES = 3, 4, 16
SIZES = {"step": STEPS, "word": WORDS, "query": QUERIES, "patch": PATCHES}

# The patches of each region below, written out: the fourth is a single pixel and owns none.
REGION_PATCHES = [[0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7], [10, 11, 14, 15], []]


@pytest.fixture(scope="module")
def regions():
    labels = np.zeros((40, 56), dtype=int)  # a patch is 10 high and 14 wide
    labels[:, 22:], labels[24:, 22:], labels[0, 0] = 1, 2, 3
    return Regions(labels, ("left", "above", "below", "dot"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("hub") / "small")


@pytest.fixture(scope="module")
def model(folder):
    return load_model(str(folder))


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40, 56, 3), dtype=np.uint8) for _ in range(2)]


@pytest.fixture(scope="module")
def answer(model):
    ids = tuple(model.tokenizer("a red car", add_special_tokens=False)["input_ids"])
    return Answer("a red car", ids, ("a", "red", "car"), True)


LAYERS = {
    "qformer": re.compile(r"crossattention\.attention$"),
    "encoder": re.compile(r"language_model\.encoder\..*SelfAttention$"),
    "decoder": re.compile(r"language_model\.decoder\..*EncDecAttention$"),
}


class Plain:
    """The library's own eager model, in which scores at chosen edges become -inf just before every softmax."""

    def __init__(self, folder):
        self.network = Blip2ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()
        self.processor = Blip2Processor.from_pretrained(folder)
        self.read = self.processor.tokenizer(families.TEMPLATE.format(QUESTION), return_offsets_mapping=True)
        self.place = None
        for name, module in self.network.named_modules():
            for place, pattern in LAYERS.items():
                if pattern.search(name):
                    module.register_forward_pre_hook(lambda *_, place=place: setattr(self, "place", place))
                    module.register_forward_hook(lambda *_: setattr(self, "place", None))

    def tokens(self, word):
        """Positions in the encoder of the word of this number, by where it stands in the text."""
        text = families.TEMPLATE.format(QUESTION)
        start, stop = [m.span() for m in re.finditer(r"\w+", text)][1:-1][word]  # 'Question' and 'Answer' around it
        return [QUERIES + i for i, (a, b) in enumerate(self.read["offset_mapping"]) if a < stop and b > start and b > a]

    def logits(self, image, ids, removed):
        """``[step, token]``; removed: (place, attending position, position attended to)."""
        batch = self.processor(images=image, text=families.TEMPLATE.format(QUESTION), return_tensors="pt")
        softmax = torch.nn.functional.softmax

        def without(scores, *args, **kwargs):
            scores = scores.clone()
            for place, i, j in removed:
                if place == self.place and i < scores.shape[2]:
                    scores[:, :, i, j] = -torch.inf
            return softmax(scores, *args, **kwargs)

        with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.nn.functional, "softmax", without)
            return self.network(**batch, labels=torch.tensor([ids])).logits[0].double()

    def value(self, image, answer, removed):
        logits = self.logits(image, [*answer.token_ids, 1], removed)[: len(answer.token_ids)]
        p = logits.softmax(-1)[torch.arange(len(logits)), torch.tensor(answer.token_ids)]
        return (p / (1 - p)).log().numpy()

    def greedy(self, image, removed, limit):
        ids = []
        while len(ids) < limit and 1 not in ids:
            ids.append(int(self.logits(image, [*ids, 1], removed)[-1].argmax()))
        return [i for i in ids if i != 1]

    def removed(self, kind, i, j):
        """An edge of the engine's or of `cutting` as single positions."""
        if kind == "word_query":
            return [("encoder", token, j) for token in self.tokens(i)]
        if kind == "query_patch":
            return [("qformer", i, 1 + j)]  # CLS first
        if kind == "query_region":
            return [("qformer", i, 1 + patch) for patch in REGION_PATCHES[j]]
        if kind == "step_word":
            return [("decoder", i, token) for token in self.tokens(j)]
        return [("decoder", i, j)]


@pytest.fixture(scope="module")
def plain(folder):
    return Plain(folder)


def test_the_question_has_a_word_of_several_tokens(model, plain):
    prompt = model.prompt(QUESTION)
    assert len(prompt.words) == WORDS and len(prompt.word_tokens[2]) > 1
    assert [[QUERIES + t for t in tokens] for tokens in prompt.word_tokens] == [plain.tokens(w) for w in range(WORDS)]


@pytest.mark.parametrize("kind", KINDS)
def test_effects_are_those_of_one_plain_forward_an_edge(model, plain, images, answer, regions, kind, monkeypatch):
    monkeypatch.setattr(cutting, "CHUNK", 7)
    got = cut_effects(Case.read(images[0], QUESTION, model, regions=regions, answer=answer), kind)
    first, second = kind.split("_")
    assert got.dims == ("step", "from_step" if first == "step" else first, second)
    assert got.attrs["units"] == "nats" and got.token.values.tolist() == ["a", "red", "car"]
    whole = plain.value(images[0], answer, [])
    expected = np.zeros(got.shape)
    for i, j in np.ndindex(got.shape[1:]):
        expected[:, i, j] = whole - plain.value(images[0], answer, plain.removed(kind, i, j))
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert (np.abs(expected).max((0, 2)) > 1e-2).all(), "edges without effect would show nothing"


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kinds", [[kind] for kind in CUTS] + [list(CUTS)], ids="+".join)
def test_cuts_join_what_words_and_patches_remove(model, plain, images, answer, kinds, masked):
    rng = np.random.default_rng(len(kinds) + masked)
    index = np.array([0, 1, 1])
    cuts = {kind: rng.random((3, *(SIZES[d] for d in CUTS[kind]))) < 0.3 for kind in kinds}
    keep = {}
    if masked:
        keep = {"keep_words": rng.random((3, WORDS)) < 0.6, "keep_patches": rng.random((3, PATCHES)) < 0.6}
        assert not keep["keep_words"].all() and not keep["keep_patches"].all()
    trace = model.trace(images, model.prompt(QUESTION), answer, image_index=index, cuts=cuts, **keep)
    for row, i in enumerate(index):
        removed = [
            e for kind, cut in cuts.items() for ends in np.argwhere(cut[row]) for e in plain.removed(kind, *ends)
        ]
        if masked:
            gone = [t for w in np.flatnonzero(~keep["keep_words"][row]) for t in plain.tokens(w)]
            removed += [(place, n, t) for place in ("encoder", "decoder") for n in range(40) for t in gone]
            removed += [
                ("qformer", q, 1 + p) for q in range(QUERIES) for p in np.flatnonzero(~keep["keep_patches"][row])
            ]
        expected = plain.value(images[i], answer, removed)
        np.testing.assert_allclose(trace.v[row], expected, atol=1e-4)
        assert np.abs(expected - plain.value(images[i], answer, [])).max() > 1e-2


def test_cutting_nothing_changes_nothing(model, images, answer, regions):
    prompt = model.prompt(QUESTION)
    nothing = {kind: np.zeros((1, *(SIZES[d] for d in dims)), dtype=bool) for kind, dims in CUTS.items()}
    whole, same = (model.trace(images, prompt, answer, cuts=cuts) for cuts in (None, nothing))
    np.testing.assert_allclose(same.v, whole.v, atol=1e-5)
    assert model.answer(images, prompt, cuts=nothing) == model.answer(images, prompt)
    without = cut(Case.read(images[0], QUESTION, model, regions=regions), [])
    assert without.new_answer == without.answer == model.answer(images[:1], prompt)[0] and not without.flipped
    np.testing.assert_allclose(without.effect, 0, atol=1e-5)  # other batches round otherwise


def test_cutting_every_region_of_a_query_is_cutting_every_patch_of_it(model, images, answer, regions):
    edges = [("query:2", f"region:{r}") for r in range(4)]
    every = np.zeros((1, QUERIES, PATCHES), dtype=bool)
    every[0, 2] = True
    together = cut(Case.read(images[0], QUESTION, model, regions=regions, answer=answer), edges)
    union = model.trace(images[:1], model.prompt(QUESTION), answer, cuts={"query_patch": every})
    np.testing.assert_allclose(together.v_after, union.v[0], atol=1e-5)
    np.testing.assert_allclose(together.p_after, union.p[0], atol=1e-5)
    assert np.abs(together.effect).max() > 1e-2


def test_without_any_edge_to_a_patch_it_is_absent(model, images, answer):
    prompt = model.prompt(QUESTION)
    gone = np.random.default_rng(0).random((2, PATCHES)) < 0.5
    cuts = {"query_patch": np.repeat(gone[:, None], QUERIES, 1)}
    by_cut, by_mask = (
        model.trace(images, prompt, answer, cuts=cuts),
        model.trace(images, prompt, answer, keep_patches=~gone),
    )
    np.testing.assert_allclose(by_cut.v, by_mask.v, atol=1e-5)


def test_a_step_never_loses_by_what_later_ones_cannot_see(model, images, answer):
    for kind in ("step_word", "step_query"):
        effects = np.abs(cut_effects(Case.read(images[0], QUESTION, model, answer=answer), kind).values).max(-1)
        assert effects[np.triu_indices(STEPS, 1)].max() < 1e-5
        assert effects[np.tril_indices(STEPS)].min() > 1e-3


def test_without_words_and_queries_steps_hear_only_the_template(model, images, answer):
    prompt = model.prompt(QUESTION)
    cuts = {"step_query": np.ones((1, STEPS, QUERIES), bool), "step_word": np.ones((1, STEPS, WORDS), bool)}
    maps = model.trace(images, prompt, answer, cuts=cuts, capture=["cross"]).attention["cross"]
    words = [QUERIES + t for tokens in prompt.word_tokens for t in tokens]
    template = sorted(set(range(maps.shape[-1])) - set(words) - set(range(QUERIES)))
    torch.testing.assert_close(maps[..., template].sum(-1), torch.ones(maps.shape[:-1]))
    assert maps[..., words].max() == maps[..., :QUERIES].max() == 0


def test_captured_attention_is_without_the_cut_edges(model, images, answer):
    prompt = model.prompt(QUESTION)
    cuts = {kind: np.random.default_rng(0).random((2, *(SIZES[d] for d in dims))) < 0.4 for kind, dims in CUTS.items()}
    maps = model.trace(images, prompt, answer, cuts=cuts, capture=SITES).attention
    for row in range(2):
        assert maps["qformer_cross"][row][..., 1:][:, cuts["query_patch"][row]].max() == 0
        assert maps["qformer_cross"][row][..., 0].min() > 0
        assert maps["cross"][row][..., :QUERIES][:, cuts["step_query"][row]].max() == 0
        for word, tokens in enumerate(prompt.word_tokens):
            at = [QUERIES + t for t in tokens]
            assert maps["encoder"][row][:, at][..., :QUERIES][..., cuts["word_query"][row, word]].sum() == 0
            assert maps["cross"][row][:, cuts["step_word"][row, :, word]][..., at].sum() == 0
    for site in SITES:
        torch.testing.assert_close(maps[site].sum(-1), torch.ones(maps[site].shape[:-1]))


def test_one_row_of_cuts_stands_for_all_and_rows_follow_from_cuts(model, images, answer):
    prompt = model.prompt(QUESTION)
    cuts = {kind: np.random.default_rng(1).random((3, *(SIZES[d] for d in dims))) < 0.3 for kind, dims in CUTS.items()}
    three = model.trace(images[:1], prompt, answer, cuts=cuts).v
    assert three.shape == (3, STEPS)
    first = {kind: cut[:1] for kind, cut in cuts.items()}
    v = model.trace(images[:1], prompt, answer, cuts={**cuts, "word_query": first["word_query"]}).v
    np.testing.assert_allclose(v[0], three[0], atol=1e-5)
    assert np.abs(v[1:] - three[1:]).max() > 1e-3
    many = model.trace(images, prompt, answer, image_index=np.array([0, 1, 0]), cuts=first).v
    np.testing.assert_allclose(many[[0, 2]], three[[0, 0]], atol=1e-5)
    assert np.abs(many[1] - many[0]).max() > 1e-3


def test_the_vision_model_runs_once(folder, images, answer, regions, monkeypatch):
    monkeypatch.setattr(cutting, "CHUNK", 5)
    fresh = load_model(str(folder))
    runs = []
    fresh.network.vision_model.register_forward_hook(lambda _, __, out: runs.append(len(out.last_hidden_state)))
    for kind in KINDS:
        cut_effects(Case.read(images[0], QUESTION, fresh, regions=regions, answer=answer), kind)
    flipping = [(f"query:{q}", f"region:{r}") for q in range(QUERIES) for r in range(4)]
    cut(Case.read(images[0], QUESTION, fresh, regions=regions, answer=answer), flipping)
    assert runs == [1]


def test_a_flipped_answer_is_what_plain_greedy_decoding_says(model, plain, images, regions, monkeypatch):
    monkeypatch.setattr(engine, "MAX_NEW_TOKENS", 5)
    rng = np.random.default_rng(0)
    own = model.answer(images[:1], model.prompt(QUESTION))[0]
    sizes = {"step": len(own.token_ids), "word": WORDS, "query": QUERIES, "region": 4}
    flips = []
    for share in (0.02, 0.3, 0.6):
        removed, edges = [], []
        for kind in KINDS:
            first, second = kind.split("_")
            for i, j in np.argwhere(rng.random((sizes[first], sizes[second])) < share):
                removed += plain.removed(kind, i, j)
                ends = (f"{first}:{i}", f"{second}:{j}")
                edges.append(ends if rng.random() < 0.5 else ends[::-1])
        without = cut(Case.read(images[0], QUESTION, model, regions=regions), edges)
        np.testing.assert_allclose(without.v_after, plain.value(images[0], own, removed), atol=1e-4)
        assert without.answer == own
        said = plain.greedy(images[0], removed, 5)
        assert list(without.new_answer.token_ids) == said
        assert without.flipped == (said != list(own.token_ids))
        flips.append(without.flipped)
    assert set(flips) == {True, False}, "a test in which nothing differs shows nothing"


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        (
            {"query_region": np.zeros((1, 5, 16), bool)},
            "'query_region' is no kind of edge that can be cut; valid are word_q",
        ),
        (
            {"query_patch": np.zeros((1, 5, 17), bool)},
            r"of shape \(1, 5, 17\); it must be bool \[row, query, patch\] = ",
        ),
        ({"word_query": np.zeros((3, 4, 5), bool)}, r"= \(1 or 2, 4, 5\)"),
        ({"step_word": np.zeros((1, 3, 4))}, "'step_word' is float64 .* must be bool"),
        ({"step_query": np.zeros((3, 5), bool)}, r"\[row, step, query\] = \(1 or 2, 3, 5\)"),
    ],
)
@pytest.mark.parametrize("name", ["small", "mock"])
def test_cuts_that_do_not_fit(model, images, answer, name, cuts, message):
    if name == "mock":
        mock = load_model("mock")
        mock.grid, mock.n_image_tokens = (4, 4), QUERIES
        model, answer = mock, mock.target("a mock reply")
    with pytest.raises(InputError, match=message) as caught:
        model.trace(images, model.prompt(QUESTION), answer, cuts=cuts)
    assert str(caught.value).count(". ") == 0, "one sentence"


def test_cuts_at_any_number_of_steps_apply_when_their_token_is_chosen(model, plain, images, monkeypatch):
    monkeypatch.setattr(engine, "MAX_NEW_TOKENS", 6)
    prompt = model.prompt(QUESTION)
    for steps in (2, 9):
        # Row k is cut from step k on.
        cuts = {kind: np.ones((3, steps, SIZES[CUTS[kind][1]]), dtype=bool) for kind in ("step_word", "step_query")}
        for mask in cuts.values():
            mask[1, :1] = mask[2, :2] = False
        said = [answer.token_ids for answer in model.answer([images[0]] * 3, prompt, cuts=cuts)]
        for row in range(3):
            ends = [(kind, *at) for kind, mask in cuts.items() for at in np.argwhere(mask[row])]
            assert list(said[row]) == plain.greedy(images[0], [e for edge in ends for e in plain.removed(*edge)], 6)
        assert len(set(said)) == 3 and said[1][0] == said[2][0], "each cut must show, and none before its step"
    with pytest.raises(InputError, match=r"= \(1, any, 5\)"):
        model.answer(images[:1], prompt, cuts={"step_query": np.zeros((1, 2, 4), bool)})


@pytest.mark.parametrize(
    "edge",
    [
        ("word:0", "word:1"),
        ("word:0", "region:1"),
        ("word:4", "query:0"),
        ("step:9", "word:0"),
        ("query:-1", "region:0"),
        ("query:0", "patch:0"),
        ("query:0",),
        ("query:0", "region:0", "step:0"),
        "query:0",
        7,
    ],
)
def test_pairs_that_no_edge_joins(model, images, answer, regions, edge):
    with pytest.raises(InputError, match=r"is no edge; valid are pairs of word_query, .* word:0 to word:3, query:0 to"):
        cut(Case.read(images[0], QUESTION, model, regions=regions, answer=answer), [("step:0", "word:0"), edge])


def test_kinds_that_do_not_exist_and_regions_of_another_image(images, regions):
    with pytest.raises(InputError, match="'word_region' is no kind of edge; valid are word_query, query_region"):
        cut_effects(Case.read(images[0], QUESTION, "mock"), "word_region")
    with pytest.raises(InputError, match="pixels"):
        cut_effects(Case.read(images[0][:30], QUESTION, "mock", regions=regions), "query_region")


def test_a_mock_loses_what_would_pass_the_cut_edges(images, regions):
    mock = load_model("mock")
    prompt = mock.prompt(QUESTION)
    answer = mock.answer(images[:1], prompt)[0]
    whole = mock.trace(images[:1], prompt, answer).v[0]
    gone = np.random.default_rng(0).random(256) < 0.3
    by_cut = mock.trace(images[:1], prompt, answer, cuts={"query_patch": np.broadcast_to(gone, (1, 32, 256))})
    by_mask = mock.trace(images[:1], prompt, answer, keep_patches=~gone[None])
    np.testing.assert_allclose(by_cut.v, by_mask.v)
    for kind, mask in (("step_word", "keep_words"), ("step_query", "keep_patches")):
        effects = cut_effects(Case.read(images[0], QUESTION, mock), kind)
        own = np.einsum("ttj->tj", effects.values)
        np.testing.assert_allclose(effects.values.sum(1), own, atol=1e-12)
        absent = np.zeros((1, len(prompt.words) if mask == "keep_words" else 256), dtype=bool)
        lost = whole - mock.trace(images[:1], prompt, answer, **{mask: absent}).v[0]
        np.testing.assert_allclose(own.sum(-1), lost, atol=1e-12)
        assert np.abs(lost).max() > 1e-2
    read = cut_effects(Case.read(images[0], QUESTION, mock), "word_query").sum("query")
    absent = np.eye(len(prompt.words), dtype=bool)
    np.testing.assert_allclose(read.T, whole - mock.trace(images[:1], prompt, answer, keep_words=~absent).v, atol=1e-12)
    seen = cut_effects(Case.read(images[0], QUESTION, mock, regions=regions), "query_region")
    assert seen.sizes["region"] == 4 and np.abs(seen.values).max() > 1e-2
    assert not seen.sel(region="dot").values.any()


def test_a_mocks_answer_and_attention_follow_the_cut(images):
    mock = load_model("mock")
    prompt = mock.prompt(QUESTION)
    flips = []
    for image in images:
        effects = cut_effects(Case.read(image, QUESTION, mock), "step_word")
        step, word = np.unravel_index(np.einsum("ttj->tj", effects.values).argmax(), (3, WORDS))
        without = cut(Case.read(image, QUESTION, mock), [(f"step:{step}", f"word:{word}")])
        changed = [a != b for a, b in zip(without.answer.tokens, without.new_answer.tokens, strict=True)]
        assert without.flipped == any(changed) == (without.v_after[step] < 0)
        assert all(c == (v < 0) for c, v in zip(changed, without.v_after, strict=True))
        flips.append(without.flipped)
    assert any(flips)
    cuts = {
        "word_query": np.eye(WORDS, 32, dtype=bool)[None],
        "query_patch": np.eye(32, 256, dtype=bool)[None],
        "step_word": np.eye(3, WORDS, dtype=bool)[None],
        "step_query": np.eye(3, 32, dtype=bool)[None],
    }
    maps = mock.trace(images, prompt, mock.target("a mock reply"), cuts=cuts, capture=SITES).attention
    assert maps["encoder"][..., 32:, :32][:, :, cuts["word_query"][0]].max() == 0
    assert maps["qformer_cross"][..., 1:][:, :, cuts["query_patch"][0]].max() == 0
    assert maps["cross"][..., 32:][:, :, cuts["step_word"][0]].max() == 0
    assert maps["cross"][..., :32][:, :, cuts["step_query"][0]].max() == 0
