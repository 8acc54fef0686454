"""The engine against the library's own forward, generate and attention masks, on a small random BLIP-2."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_blip2 import QUERIES, save_small
from transformers import Blip2ForConditionalGeneration, Blip2Processor

from stcg_nb.errors import InputError, ModelError
from stcg_nb.models import SITES, engine, families, load_model
from stcg_nb.models import image_cache as encoding
from stcg_nb.models.attention import probing
from stcg_nb.models.protocol import Answer
from stcg_nb.scenes.pictures import make_scene
from stcg_nb.scenes.questions import EVALUATION_SEEDS

QUESTION = "what color is the car?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("hub") / "small")


@pytest.fixture(scope="module")
def model(folder):
    return load_model(str(folder))


@pytest.fixture(scope="module")
def plain(folder):
    """The library's own model, eager, and its processor."""
    network = Blip2ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()
    return network, Blip2Processor.from_pretrained(folder)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40, 56, 3), dtype=np.uint8) for _ in range(3)]


@pytest.fixture(scope="module")
def answer(model):
    ids = tuple(model.tokenizer("a red car", add_special_tokens=False)["input_ids"])
    return Answer("a red car", ids, ("a", "red", "car"), True)


def official(plain, image, answer, text_mask=None):
    """Log-odds by the library's own forward, one row."""
    network, processor = plain
    batch = processor(images=image, text=families.TEMPLATE.format(QUESTION), return_tensors="pt")
    if text_mask is not None:
        batch["attention_mask"][0, QUERIES:] = torch.tensor(text_mask)
    labels = torch.tensor([[*answer.token_ids, 1]])
    with torch.no_grad():
        logp = network(**batch, labels=labels).logits.double().log_softmax(-1)
    p = logp[0, torch.arange(labels.shape[1]), labels[0]].exp()
    return (p / (1 - p)).log().numpy()[:-1]


def test_trace_is_the_librarys_forward(model, plain, images, answer):
    prompt = model.prompt(QUESTION)
    trace = model.trace(images, prompt, answer)
    expected = np.stack([official(plain, image, answer) for image in images])
    np.testing.assert_allclose(trace.v, expected, atol=1e-4)
    np.testing.assert_allclose(trace.p, 1 / (1 + np.exp(-expected)), atol=1e-5)


def test_answer_is_the_librarys_generate(model, plain, images):
    network, processor = plain
    for image, answer in zip(images, model.answer(images, model.prompt(QUESTION)), strict=True):
        batch = processor(images=image, text=families.TEMPLATE.format(QUESTION), return_tensors="pt")
        out = network.generate(**batch, max_new_tokens=engine.MAX_NEW_TOKENS, do_sample=False, num_beams=1)[0].tolist()
        out = out[1:]
        assert list(answer.token_ids) == (out[: out.index(1)] if 1 in out else out)


def test_an_absent_word_is_the_librarys_attention_mask(model, plain, images, answer):
    prompt = model.prompt(QUESTION)
    keep = np.ones((2, len(prompt.words)), dtype=bool)
    keep[1, prompt.words.index("color")] = False
    text_mask = np.ones(len(prompt.token_ids), dtype=int)
    text_mask[list(prompt.word_tokens[prompt.words.index("color")])] = 0
    v = model.trace(images[:1], prompt, answer, keep_words=keep).v
    np.testing.assert_allclose(v[0], official(plain, images[0], answer), atol=1e-4)
    np.testing.assert_allclose(v[1], official(plain, images[0], answer, text_mask), atol=1e-4)
    assert np.abs(v[1] - v[0]).max() > 1e-2


def test_an_absent_patch_is_the_librarys_cross_attention_mask(model, plain, images, answer):
    prompt = model.prompt(QUESTION)
    keep = np.random.default_rng(1).random((3, 16)) < 0.5
    rows = np.array([0, 0, 1])
    v = model.trace(images[:2], prompt, answer, image_index=rows, keep_patches=keep).v
    network, _ = plain
    for row, (i, kept) in enumerate(zip(rows, keep, strict=True)):
        with torch.no_grad():
            vision = network.vision_model(pixel_values=model._pixels([images[i]])).last_hidden_state
            mask = torch.tensor([[True, *kept]]).long()
            queries = network.qformer(
                query_embeds=network.query_tokens, encoder_hidden_states=vision, encoder_attention_mask=mask
            ).last_hidden_state
            expected, _ = model.language.score(model._embed(queries, prompt), torch.tensor([*answer.token_ids, 1]))
        np.testing.assert_allclose(v[row], expected[0, :-1].numpy(), atol=1e-4)


def eager_weights(plain, model, image, answer, *, step=None):
    """Attention as the library's eager layers return it, ``{site: [layer][head, query, key]}``; with `step`, also the
    gradients of that step's log-odds."""
    network, _ = plain
    prompt, kept, hooks = model.prompt(QUESTION), {}, []
    for name, module in network.named_modules():
        site = getattr(model.network.get_submodule(name), "stcg_site", None) if name else None
        if site:
            at = 2 if site in ("encoder", "decoder", "cross") else 1

            def keep(_, __, out, site=site, at=at):
                out[at].retain_grad()
                kept.setdefault(site, []).append(out[at])

            hooks.append(module.register_forward_hook(keep))
    pixels = model._pixels([image]).requires_grad_()
    vision = network.vision_model(pixel_values=pixels).last_hidden_state
    queries = network.qformer(query_embeds=network.query_tokens, encoder_hidden_states=vision).last_hidden_state
    text = network.get_input_embeddings()(torch.tensor([prompt.token_ids]))
    embeds = torch.cat([network.language_projection(queries), text], 1)
    labels = torch.tensor([[*answer.token_ids, 1]])
    logits = network.language_model(inputs_embeds=embeds, labels=labels).logits
    for hook in hooks:
        hook.remove()
    if step is not None:
        p = logits[0, step].softmax(-1)[answer.token_ids[step]]
        (p / (1 - p)).log().backward()
    return kept


def test_captured_attention_is_the_librarys_eager_attention(model, plain, images, answer):
    prompt, steps = model.prompt(QUESTION), len(answer.token_ids)
    trace = model.trace(images, prompt, answer, capture=SITES)
    kept = eager_weights(plain, model, images[1], answer)
    assert set(kept) == set(trace.attention) == set(SITES)
    for site, layers in kept.items():
        expected = torch.stack([w[0].mean(0) for w in layers]).detach()
        if site == "decoder":
            expected = expected[:, :steps, :steps]
        if site == "cross":
            expected = expected[:, :steps]
        torch.testing.assert_close(trace.attention[site][1], expected, atol=1e-5, rtol=0)


def test_relevance_is_attention_times_gradient_step_by_step(model, plain, images, answer):
    relevance = model.relevance(images[0], model.prompt(QUESTION), answer)
    for step in range(len(answer.token_ids)):
        for site, layers in eager_weights(plain, model, images[0], answer, step=step).items():
            expected = torch.stack([(w * w.grad)[0].clamp(min=0).mean(0).detach() for w in layers])
            got = relevance[site][step]
            n, m = got.shape[1:]
            torch.testing.assert_close(got, expected[:, :n, :m], atol=1e-5, rtol=1e-3)


def test_cut_queries_leave_their_attention_captured(model, images, answer):
    keep = np.random.default_rng(1).random((2, 16)) < 0.5
    trace = model.trace(images[:2], model.prompt(QUESTION), answer, keep_patches=keep, capture=SITES)
    cross = trace.attention["qformer_cross"]
    assert cross[0][..., 1:][..., ~keep[0]].max() == 0
    torch.testing.assert_close(cross.sum(-1), torch.ones_like(cross.sum(-1)))


def test_flips_are_those_of_greedy_answers():
    tiny = load_model("tiny")
    prompt = tiny.prompt("what do you see from left to right?")
    scenes = [make_scene(EVALUATION_SEEDS + i).image for i in range(3)]
    answers = tiny.answer(scenes, prompt)
    assert len({a.token_ids for a in answers}) > 1, "a test in which nothing differs shows nothing"
    for own in answers:
        flipped = tiny.trace(scenes, prompt, own).flipped
        assert flipped.tolist() == [own.token_ids != other.token_ids for other in answers]


def test_rows_do_not_depend_on_their_batch_and_memory_only_shrinks_it(folder, images, answer, monkeypatch):
    fresh = load_model(str(folder))
    prompt = fresh.prompt(QUESTION)
    whole = fresh.trace(images, prompt, answer).v
    tight = load_model(str(folder))
    embed, sizes = tight._embed, []

    def scarce(queries, prompt):
        sizes.append(len(queries))
        if len(queries) > 1:
            raise torch.OutOfMemoryError("no memory left")
        return embed(queries, prompt)

    monkeypatch.setattr(tight, "_embed", scarce)
    np.testing.assert_allclose(tight.trace(images, prompt, answer).v, whole, atol=1e-5)
    assert sizes[0] == 3 and sizes[-3:] == [1, 1, 1]
    monkeypatch.setattr(tight, "_embed", lambda *_: (_ for _ in ()).throw(RuntimeError("something else")))
    with pytest.raises(RuntimeError, match="something else"):
        tight.trace(images, prompt, answer)


def test_an_image_is_encoded_once(folder, images, answer, monkeypatch):
    fresh = load_model(str(folder))
    seen, pixels = [], fresh._pixels
    monkeypatch.setattr(fresh, "_pixels", lambda batch: seen.append(len(batch)) or pixels(batch))
    prompt = fresh.prompt(QUESTION)
    fresh.answer([images[0], images[1], images[0]], prompt)
    fresh.trace(images[:2], fresh.prompt("is there a tree?"), answer, keep_patches=np.ones((2, 16), bool))
    assert sum(seen) == 2
    fresh.trace(images[:1], prompt, answer, capture=["vit"])
    assert sum(seen) == 3
    monkeypatch.setattr(encoding, "CACHE_BYTES", 1)
    fresh.trace(images, prompt, answer)
    assert len(fresh._encoder.cache) == 1


def test_words_are_whole_and_the_template_is_none(model):
    prompt = model.prompt("  What's left of the Well-known xylophone, then?  ")
    assert prompt.words == ("What's", "left", "of", "the", "Well-known", "xylophone", "then")
    assert all(len(tokens) >= 1 for tokens in prompt.word_tokens)
    flat = [t for tokens in prompt.word_tokens for t in tokens]
    assert len(flat) == len(set(flat)) < len(prompt.token_ids)
    assert len(prompt.word_tokens[5]) > 1


@pytest.mark.parametrize("question", ["", "  \n", "why " * 600])
def test_questions_that_cannot_be_asked(model, question):
    with pytest.raises(InputError, match="question"):
        model.prompt(question)


def test_a_question_beyond_the_models_tokens(model):
    with pytest.raises(InputError, match="tokens"):
        model.prompt("q.x.z.j" * 280)


def test_masks_of_another_shape_and_unknown_sites(model, images, answer):
    prompt = model.prompt(QUESTION)
    with pytest.raises(InputError, match="keep_words has shape"):
        model.trace(images, prompt, answer, keep_words=np.ones((3, 99), bool))
    with pytest.raises(InputError, match="valid are vit"):
        model.trace(images, prompt, answer, capture=["eyes"])
    with pytest.raises(InputError, match="image_index"):
        model.trace(images, prompt, answer, image_index=np.array([7]))


def test_capture_refuses_dropout_and_a_cut_of_everything(model, images, answer):
    prompt = model.prompt(QUESTION)
    model.network.train()
    try:
        with pytest.raises(RuntimeError, match="training mode"):
            model.trace(images[:1], prompt, answer, capture=["cross"])
    finally:
        model.network.eval()
    with (
        pytest.raises(InputError, match="at least one key"),
        probing(cuts={"vit": torch.ones(1, 1, 17, dtype=torch.bool)}),
    ):
        pass


def test_a_network_that_evades_the_interception_point_is_refused(folder, monkeypatch):
    monkeypatch.setattr(engine, "install", lambda *_: None)
    with pytest.raises(ModelError, match="interception point"):
        load_model(str(folder))
