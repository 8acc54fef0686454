"""Every family against a slow plain implementation: the library's own eager model and processor, one row at a time.

Edges are cut there by setting scores to minus infinity just before the softmax; attention is what its layers return.
"""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from small_families import PATCH, QUERIES, SIDE, byte_tokenizer, save_family

from stcg_nb.attention.alignment import ESTIMATORS, align
from stcg_nb.attention.knockout import cut_effects, kinds
from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.explanation import explain
from stcg_nb.inputs.regions import make_regions
from stcg_nb.models import load_model
from stcg_nb.models.decoder_only import DecoderOnly
from stcg_nb.models.engine import MAX_NEW_TOKENS
from stcg_nb.models.layout import grid_cover
from stcg_nb.models.protocol import ENDS, Answer
from stcg_nb.models.tokens import Reader
from stcg_nb.scenes.questions import sample
from stcg_nb.study import measurements

QUESTION = "is the xylophone red?"
WORDS = ("is", "the", "xylophone", "red")
GRID = SIDE // PATCH
PATCHES = GRID**2
TEMPLATES = {
    "blip-2": "Question: {} Answer:",
    "instructblip": "Question: {} Short answer:",
    "llava": "USER: <image>\n{} ASSISTANT:",
}
CASES = {
    "blip-2 with opt": ("blip-2", "opt", {}),
    "instructblip with t5": ("instructblip", "t5", {}),
    "instructblip with llama": ("instructblip", "llama", {}),
    "llava": ("llava", "llama", {}),
    "llava with CLS and all layers": ("llava", "llama", {"strategy": "full", "layer": -1}),
}
LAYERS = {
    "vit": r"^(model\.)?vision_(model|tower)\..*self_attn$",
    "qformer_self": r"^qformer\..*\.attention\.attention$",
    "qformer_cross": r"^qformer\..*\.crossattention\.attention$",
    "encoder": r"^language_model\.encoder\..*SelfAttention$",
    "decoder": r"^language_model\.decoder\..*SelfAttention$",
    "cross": r"^language_model\.decoder\..*EncDecAttention$",
    "language": r"^(model\.)?language_model\..*self_attn$",
}


class Plain:
    """The library's model and processor, eager."""

    def __init__(self, folder, family, language, strategy="default", layer=-2):
        name = {"blip-2": "Blip2", "instructblip": "InstructBlip", "llava": "Llava"}[family]
        network = getattr(transformers, f"{name}ForConditionalGeneration")
        self.network = network.from_pretrained(folder, attn_implementation="eager").eval()
        self.processor = getattr(transformers, f"{name}Processor").from_pretrained(folder)
        self.text = TEMPLATES[family].format(QUESTION)
        self.t5, self.llava = language == "t5", family == "llava"
        self.used_layers = 3 if layer == -1 else 2  # of LLaVA's vision model
        self.first_patch = 0 if strategy == "default" else 1  # among LLaVA's image tokens
        image_token = self.network.config.image_token_id
        ids = self.batch(np.zeros((SIDE, SIDE, 3), np.uint8))["input_ids"][0]
        self.image_places = torch.nonzero(ids == image_token)[:, 0].tolist()
        self.text_places = torch.nonzero(ids != image_token)[:, 0].tolist()
        self.last = len(ids) - 1
        self.words = self.find(self.processor.tokenizer, [*self.text_places], "<image>" if self.llava else None)
        self.query_words = [[] for _ in WORDS]
        if family == "instructblip":
            read = self.processor.qformer_tokenizer
            self.query_words = self.find(read, range(QUERIES, QUERIES + len(read(self.text)["input_ids"])), None)
        self.place, self.kept = None, {}
        for name, module in self.network.named_modules():
            for site, pattern in LAYERS.items():
                if re.search(pattern, name):
                    module.register_forward_pre_hook(lambda *_, site=site: setattr(self, "place", site))
                    module.register_forward_hook(
                        lambda _, __, out, site=site: self.kept.setdefault(site, []).append(out)
                    )

    def batch(self, image):
        return dict(self.processor(images=image, text=self.text, return_tensors="pt"))

    def find(self, tokenizer, places, mark):
        """The positions of each word of the question, by where it stands in the text."""
        read = tokenizer(self.text, return_offsets_mapping=True)
        spans = [
            s
            for i, s in zip(read["input_ids"], read["offset_mapping"], strict=True)
            if mark is None or i != tokenizer.convert_tokens_to_ids(mark)
        ]
        start = self.text.index(QUESTION)
        found = [(start + m.start(), start + m.end()) for m in re.finditer(r"\w+", QUESTION)]
        return [
            [p for p, (a, b) in zip(places, spans, strict=True) if a < stop and b > begin and b > a]
            for begin, stop in found
        ]

    def logits(self, image, ids, removed=()):
        """``[step, token]``; removed: (site, attending position or None for all, position attended to)."""
        batch = self.batch(image)
        if self.t5:
            batch["labels"] = torch.tensor([ids])
        else:
            batch["input_ids"] = torch.cat([batch["input_ids"], torch.tensor([ids[:-1]], dtype=torch.long)], 1)
            batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        softmax = torch.nn.functional.softmax

        def without(scores, *args, **kwargs):
            scores = scores.clone()
            for site, i, j in removed:
                if site == self.place:
                    scores[:, :, slice(None) if i is None else i, j] = -torch.inf
            return softmax(scores, *args, **kwargs)

        self.kept.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.nn.functional, "softmax", without)
            out = self.network(**batch).logits[0].double()
        return out if self.t5 else out[self.last :]

    @torch.no_grad()
    def value(self, image, answer, removed=()):
        logits = self.logits(image, answer.token_ids, removed)
        return log_odds(logits, answer).numpy()

    def absent_word(self, word):
        gone = [("qformer_self", None, t) for t in self.query_words[word]]
        sites = ("encoder", "cross") if self.t5 else ("language",)
        return gone + [(site, None, t) for site in sites for t in self.words[word]]

    def absent_patch(self, patch):
        if self.llava:
            return [("language", None, self.image_places[self.first_patch + patch])]
        return [("qformer_cross", None, 1 + patch)]

    def removed(self, kind, i, j):
        first, second = kind.split("_")
        if kind == "query_patch":
            return [("qformer_cross", i, 1 + j)]
        reader = "language" if not self.t5 else "encoder" if first == "word" else "cross"
        step = i if self.t5 else self.last + i
        readers = self.words[i] if first == "word" else [step]
        read = (
            self.words[j]
            if second == "word"
            else [self.image_places[j + (self.first_patch if second == "patch" else 0)]]
        )
        return [(reader, r, t) for r in readers for t in read]

    @staticmethod
    def at(site):
        """Where a layer's output holds its attention."""
        return 2 if site in ("encoder", "decoder", "cross") else 1

    def attention(self, steps):
        """What the last run's layers returned, by site ``[layer][head, query, key]``, image tokens first, then text, then answer."""
        order = [*self.image_places, *self.text_places, *range(self.last + 1, self.last + steps)]
        maps = {}
        for site, outs in self.kept.items():
            layers = [out[self.at(site)] for out in outs]
            if site == "vit" and self.llava:
                layers = layers[: self.used_layers]
            if site == "language":
                layers = [w[:, :, order][..., order] for w in layers]
            maps[site] = layers
        return maps


def log_odds(logits, answer):
    p = logits.softmax(-1)[torch.arange(len(answer.token_ids)), torch.tensor(answer.token_ids)]
    return (p / (1 - p)).log()


@pytest.fixture(scope="module", params=list(CASES))
def case(request, tmp_path_factory):
    family, language, options = CASES[request.param]
    folder = save_family(tmp_path_factory.mktemp("hub") / "small", family, language, **options)
    return load_model(str(folder)), Plain(folder, family, language, **options)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(2)]


def an_answer(model):
    read = model.target("a red car")
    assert len(read.token_ids) > 1
    return Answer(read.text, read.token_ids[:3], read.tokens[:3], False)


def test_words_are_found_among_the_tokens(case):
    model, plain = case
    prompt = model.prompt(QUESTION)
    assert prompt.words == WORDS
    assert [[plain.text_places[t] for t in tokens] for tokens in prompt.word_tokens] == plain.words
    assert len(prompt.word_tokens[2]) > 1
    layout = model.layout(prompt, SIDE, SIDE)
    assert (layout.n_image_tokens, layout.n_patches) == (len(plain.image_places), PATCHES)
    assert [[QUERIES + t for t in tokens] for tokens in prompt.query_word_tokens or [()] * 4] == plain.query_words
    ids = plain.batch(np.zeros((SIDE, SIDE, 3), np.uint8))["input_ids"][0]
    assert ids[plain.text_places].tolist() == list(prompt.token_ids)


def test_a_target_is_what_the_model_would_say(case):
    model, plain = case
    ids = model.target("a red car").token_ids
    whole = plain.processor.tokenizer(f"{plain.text} a red car")["input_ids"]
    assert whole[-len(ids) :] == list(ids) or plain.t5
    assert model.target("a red car").text == "a red car"


def test_trace_is_the_librarys_forward_and_answer_its_generate(case, images):
    model, plain = case
    prompt, answer = model.prompt(QUESTION), an_answer(model)
    v = model.trace(images, prompt, answer).v
    np.testing.assert_allclose(v, np.stack([plain.value(i, answer) for i in images]), atol=2e-4)
    for image, said in zip(images, model.answer(images, prompt), strict=True):
        ends = plain.network.config.text_config.eos_token_id
        out = plain.network.generate(
            **plain.batch(image), max_new_tokens=MAX_NEW_TOKENS, do_sample=False, num_beams=1, eos_token_id=ends,
            repetition_penalty=1.0, no_repeat_ngram_size=0,
        )[0].tolist()  # fmt: skip
        out = out[1:] if plain.t5 else out[-MAX_NEW_TOKENS:] if len(out) > MAX_NEW_TOKENS else out
        if plain.llava:
            out = out[plain.last + 1 :] if len(out) > plain.last + 1 else out
        assert list(said.token_ids) == (out[: out.index(ends)] if ends in out else out)


def test_captured_attention_is_what_the_librarys_layers_return(case, images):
    model, plain = case
    prompt, answer = model.prompt(QUESTION), an_answer(model)
    steps = len(answer.token_ids)
    got = model.trace(images, prompt, answer, capture=model.sites).attention
    plain.value(images[1], answer)
    kept = plain.attention(steps)
    assert set(kept) == set(got) == set(model.sites)
    for site, layers in kept.items():
        expected = torch.stack([w[0].mean(0) for w in layers])
        torch.testing.assert_close(got[site][1], expected[:, : got[site].shape[2]], atol=1e-5, rtol=0, msg=site)


def test_relevance_is_attention_times_gradient_step_by_step(case, images):
    model, plain = case
    answer = an_answer(model)
    relevance = model.relevance(images[0], model.prompt(QUESTION), answer)
    for step in range(len(answer.token_ids)):
        value = log_odds(plain.logits(images[0], answer.token_ids), answer)[step]
        weights = [(site, out[plain.at(site)]) for site, outs in plain.kept.items() for out in outs]
        used = [(s, w) for s, w in weights if w.requires_grad]
        gradients = torch.autograd.grad(value, [w for _, w in used], allow_unused=True)
        plain.kept.clear()
        for (site, w), g in zip(used, gradients, strict=True):
            zero = torch.zeros_like(w) if g is None else (w.detach() * g).clamp(min=0)
            plain.kept.setdefault(site, []).append((None, zero, zero))
        for site, layers in plain.attention(len(answer.token_ids)).items():
            expected = torch.stack([w[0].mean(0) for w in layers])
            got = relevance[site][step]
            atol = 1e-4 * max(1, float(expected.max()))
            torch.testing.assert_close(got, expected[:, : got.shape[1]], atol=atol, rtol=1e-3, msg=f"{site} {step}")


def test_absent_words_and_patches_and_cut_edges(case, images):
    model, plain = case
    prompt, answer = model.prompt(QUESTION), an_answer(model)
    queries = model.layout(prompt, SIDE, SIDE).n_image_tokens
    sizes = {"word": 4, "query": queries, "patch": PATCHES, "step": len(answer.token_ids)}
    rng = np.random.default_rng(1)
    whole = [plain.value(image, answer) for image in images]
    words = rng.random((2, 4)) < 0.5
    patches = rng.random((2, PATCHES)) < 0.5
    runs = [({"keep_words": words}), ({"keep_patches": patches}), ({"keep_words": words, "keep_patches": patches})]
    runs += [({"cuts": {k: rng.random((2, *(sizes[d] for d in ENDS[k]))) < 0.3}}) for k in model.edges]
    runs += [{**runs[2], "cuts": {k: v for run in runs[3:] for k, v in run["cuts"].items()}}]
    for run in runs:
        v = model.trace(images, prompt, answer, **run).v
        for row, image in enumerate(images):
            gone = []
            for word in np.flatnonzero(~words[row]) if "keep_words" in run else ():
                gone += plain.absent_word(word)
            for patch in np.flatnonzero(~patches[row]) if "keep_patches" in run else ():
                gone += plain.absent_patch(patch)
            for kind, cut in run.get("cuts", {}).items():
                gone += [e for i, j in np.argwhere(cut[row]) for e in plain.removed(kind, i, j)]
            expected = plain.value(image, answer, gone)
            np.testing.assert_allclose(v[row], expected, atol=2e-4, err_msg=str(list(run)))
            assert np.abs(expected - whole[row]).max() > 1e-3, "cuts without effect show nothing"


@pytest.mark.parametrize(("estimator", "masks"), [("attention", 0), ("rollout", 0), ("gradient", 0), ("attention", 48)])
def test_explain_end_to_end(case, images, estimator, masks):
    model, _ = case
    graph = explain(
        images[0], QUESTION, model, estimator=estimator, regions="grid:2x2", perturbations=("center_mask",), masks=masks,
        removal="cut" if estimator == "gradient" else "median",
    )  # fmt: skip
    assert graph.words == WORDS
    data = graph.data
    assert np.isfinite(data["word_effect"]).all() and np.abs(data["word_effect"]).max() > 0
    assert np.abs(data["region_effect"]).max() > 0
    assert (data["word_region"] >= 0).all() and data["word_region"].sum() > 0
    assert (data["step_region"].sum("region") > 0).all() and (data["step_word"].sum("word") > 0).all()
    if estimator == "attention":
        assert (data["step_region"].sum("region") <= 1 + 1e-6).all()
        assert (data["step_word"].sum("word") <= 1 + 1e-6).all()


def test_every_kind_of_edge_between_words_regions_and_steps(case, images):
    """An edge cut on its own is the same edge cut patch by patch."""
    model, plain = case
    parts = make_regions(images[0], "grid:2x2")
    answer = an_answer(model)
    for kind in kinds(model):
        if "query" in kind:
            continue  # as in tests/attention/test_knockout.py
        effect = cut_effects(Case.read(images[0], QUESTION, model, regions=parts, answer=answer), kind)
        second = kind.split("_")[1]
        size = 4 if second in ("word", "region") else 0
        assert effect.shape[2] == size
        owned = np.flatnonzero(parts.patch_owner(grid_cover(GRID, GRID, (0, 0, SIDE, SIDE))) == 1)
        ends = owned if second == "region" else [1]
        gone = [e for j in ends for e in plain.removed(kind.replace("region", "patch"), 1, j)]
        expected = plain.value(images[0], answer) - plain.value(images[0], answer, gone)
        np.testing.assert_allclose(effect.values[:, 1, 1], expected, atol=4e-4)


def test_alignment_where_links_are_known_by_hand(case):
    """Attention that goes to one place at every layer leads there."""
    model, _ = case
    prompt = model.prompt(QUESTION)
    layout = model.layout(prompt, SIDE, SIDE)
    n, text = layout.n_image_tokens, layout.n_text_tokens
    red = prompt.word_tokens[3]
    first = (
        n - PATCHES if model.edges[0] == "word_patch" else 1
    )  # an image token, or the vision model's CLS before patches
    maps = {}
    if "qformer_cross" in model.sites:
        maps["qformer_cross"] = one_hot(2, n, PATCHES + 1, 1 + 5)
        length = n + len(prompt.query_text_ids)
        maps["qformer_self"] = one_hot(5, length, length, 0)
        target = 2
    else:
        target = first + 5
    width = n + text
    if "language" in model.sites:
        joint = one_hot(3, width + 1, width + 1, n)
        joint[:, [n + t for t in red]] = one_hot(3, len(red), width + 1, target)
        joint[:, width - 1 :] = one_hot(3, 2, width + 1, n + red[0])
        maps["language"] = joint
    else:
        maps["encoder"] = one_hot(2, width, width, n)
        maps["encoder"][:, [n + t for t in red]] = one_hot(2, len(red), width, target)
        maps["cross"], maps["decoder"] = one_hot(2, 2, width, n + red[0]), one_hot(2, 2, 2, 0)
    got = align("attention", maps, layout)
    half = 0.5 if model.images.reads_question else 1  # the other reading of the word is the Q-Former's
    expected = np.zeros(PATCHES)
    expected[5] = half
    np.testing.assert_allclose(
        got.word_patch[3] - (0.5 * expected.astype(bool) if half < 1 else 0), expected, atol=1e-9
    )
    np.testing.assert_allclose(got.step_patch, np.tile(expected.astype(bool), (2, 1)), atol=1e-9)
    np.testing.assert_allclose(got.step_word, np.tile([0, 0, 0, 1], (2, 1)), atol=1e-9)


def one_hot(layers, rows, columns, at):
    maps = torch.zeros(layers, rows, columns)
    maps[..., at] = 1
    return maps


def test_which_layers_look_at_patches_is_the_librarys_rule(case):
    """Every third of five: not a whole number of times."""
    model, plain = case
    every = () if plain.llava else range(0, 5, plain.network.config.qformer_config.cross_attention_frequency)
    assert model.layout(model.prompt(QUESTION), SIDE, SIDE).cross_layers == tuple(every)


def test_the_studys_measurements_take_every_family(case):
    model, _ = case
    scene, question = next(sample(1, 5, ("color",)))
    (moved,) = measurements.sensitivity(model, scene, question, perturbations=["color_shift"], strength=0.5)
    assert moved["delta_w"] > 0
    for estimator in ESTIMATORS:
        rows = measurements.words(model, scene, question, estimator=estimator)
        assert len(rows) == len(model.prompt(question.text).words) and all(np.isfinite(r["strength"]) for r in rows)
    for row in measurements.evolution(model, scene, question):
        assert len(row["entropy"]) == len(row["reliance"]) == len(row["tokens"])
    (row,) = measurements.faithfulness(model, scene, question, masks=32, known={scene.seed: {"scene": scene.seed}})
    assert -1 <= row["attention_seed_faithfulness"] <= 1


def test_the_vision_model_runs_once_for_an_image_and_image_tokens_follow_the_question(case, images):
    model, plain = case
    runs = []
    tower = model.network.model.vision_tower if plain.llava else model.network.vision_model
    hook = tower.register_forward_hook(lambda *_: runs.append(1))
    model._encoder.cache.clear()
    answer = an_answer(model)
    try:
        first = model.trace(images[:1], model.prompt(QUESTION), answer).v
        other = model.trace(images[:1], model.prompt("what color is the car?"), answer).v
        again = model.trace(images[:1], model.prompt(QUESTION), answer, keep_words=np.ones((3, 4), bool)).v
        model.trace(images[:1], model.prompt(QUESTION), answer, keep_patches=np.ones((3, PATCHES), bool))
    finally:
        hook.remove()
    assert len(runs) == 1
    assert np.abs(first - other).max() > 1e-3
    np.testing.assert_allclose(again, np.tile(first, (3, 1)), atol=1e-4)
    model._encoder.cache.clear()
    np.testing.assert_allclose(model.trace(images[:1], model.prompt(QUESTION), answer).v, first, atol=1e-5)


def test_what_a_model_has_not_is_refused(case, images):
    model, plain = case
    prompt, answer = model.prompt(QUESTION), an_answer(model)
    missing = "encoder" if "language" in model.sites else "language"
    with pytest.raises(InputError, match=f"'{missing}' is no attention site of this model; valid are vit"):
        model.trace(images, prompt, answer, capture=[missing])
    kind = "query_patch" if plain.llava else "step_patch"
    with pytest.raises(InputError, match=f"'{kind}' is no kind of edge that can be cut; valid are word_"):
        model.trace(images, prompt, answer, cuts={kind: np.zeros((1, 3, PATCHES), bool)})


def test_penalties_of_a_checkpoint_do_not_make_greedy_answers_less_greedy(case, images):
    model, _ = case
    prompt = model.prompt(QUESTION)
    for image in images:
        said = model.answer([image], prompt)[0]
        trace = model.trace([image], prompt, said)
        assert not trace.flipped[0]


def test_patches_cover_what_the_processor_leaves_of_a_picture(case):
    model, plain = case
    height, width = 40, 3 * 40
    cover = model.layout(model.prompt(QUESTION), height, width).cover
    x0, y0, x1, y1 = view = (*cover[:, :2].min(0).astype(int), *cover[:, 2:].max(0).astype(int))
    assert view == ((40, 0, 80, 40) if plain.llava else (0, 0, width, height))
    black = np.zeros((height, width, 3), np.uint8)
    outside = np.full_like(black, 255)
    outside[y0:y1, x0:x1] = 0
    inside = black.copy()
    inside[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] = 255

    def middle(image):
        return plain.batch(image)["pixel_values"][..., 2:-2, 2:-2]  # resizing mixes pixels at the edge

    assert torch.equal(middle(outside), middle(black)) and not torch.equal(middle(inside), middle(black))


def test_what_lies_outside_the_patches_has_no_part_in_an_answer(case):
    model, plain = case
    picture = np.random.default_rng(3).integers(0, 256, (SIDE, 3 * SIDE, 3), dtype=np.uint8)
    picture[:, SIDE - 2 : SIDE + 2] = picture[:, 2 * SIDE - 2 : 2 * SIDE + 2] = 0
    graph = explain(picture, QUESTION, model, masks=0, regions="grid:1x3", perturbations=())
    links = graph.data["step_region"].values
    assert (links[:, 1] > 0).all()
    if plain.llava:
        assert not links[:, [0, 2]].any()
        layout = model.layout(model.prompt(QUESTION), *picture.shape[:2])
        weights = make_regions(picture, "grid:1x3").patch_weights(layout.cover)
        np.testing.assert_array_equal(weights, np.tile([[0.0], [1.0], [0.0]], PATCHES))
    else:
        assert (links[:, [0, 2]] > 0).all()


def test_an_answer_ends_where_either_file_of_a_checkpoint_says():
    """BLIP-2 with OPT names its end, a new line, in config.json alone; Vicuna's is right in generation_config.json alone."""
    text = SimpleNamespace(eos_token_id=1, max_position_embeddings=200)
    network = SimpleNamespace(
        generation_config=SimpleNamespace(eos_token_id=2), config=SimpleNamespace(text_config=text)
    )
    half = DecoderOnly(network, QUERIES, SimpleNamespace())
    assert half.ends == (2, 1)
    reader = Reader(byte_tokenizer(), "{}")
    assert reader.answer([70, 71, 1, 2], half.ends).token_ids == (70, 71)
    assert reader.answer([1, 2], half.ends).token_ids == (1,)
