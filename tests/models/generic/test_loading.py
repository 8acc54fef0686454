"""What is refused or limited on loading, and said in one sentence."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from small_vlms import SMALL, save_small_vlm, skip_unless_there

from stcg_nb.cli import main
from stcg_nb.errors import InputError, ModelError
from stcg_nb.models import attention, load_model
from stcg_nb.models.generic import checks, pictures, processors
from stcg_nb.models.generic.budget import largest, limit_tokens
from stcg_nb.models.generic.processors import load_processor, prepared
from stcg_nb.models.info import model_info
from stcg_nb.models.protocol import Answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_vlm(tmp_path_factory.mktemp("hub") / "qwen3_vl", "qwen3_vl")


@pytest.fixture(scope="module")
def model(folder):
    return load_model(str(folder))


def refused(folder, match):
    with pytest.raises(ModelError, match=match) as caught:
        load_model(str(folder))
    assert str(caught.value).count(". ") <= 1 and "\n" not in str(caught.value)


def test_a_model_says_what_it_is_offered(model):
    assert model.offers.startswith("Words and regions can be cut from its attention")
    assert model.sees == "parts of a picture, as up to 32 image tokens"
    assert model_info(model).kind == "Qwen3VLForConditionalGeneration"


def test_an_answer_ends_where_any_file_of_a_checkpoint_says(folder, tmp_path):
    """Chat models name the end of a turn in generation_config.json alone."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    generation = json.loads((tmp_path / "generation_config.json").read_text())
    (tmp_path / "generation_config.json").write_text(json.dumps({**generation, "eos_token_id": [70, 71]}))
    chatty = load_model(str(tmp_path))
    assert chatty.ends == (70, 71, 2) and chatty.randomised(0).ends == chatty.ends
    said = chatty.reading.answer([80, 81, 71, 90], chatty.ends)
    assert (said.token_ids, said.ended) == ((80, 81), True)


def test_the_checks_take_two_seconds_at_most_beyond_the_load(folder):
    network = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    processor = load_processor(str(folder), "qwen3_vl")
    start = time.process_time()
    checks.load_generic(network, processor, "small", "")
    assert time.process_time() - start < 2


def test_wrong_numbers_are_refused(folder, monkeypatch):
    right = attention.sdpa_attention_forward
    monkeypatch.setattr(
        attention, "sdpa_attention_forward", lambda *a, **k: (right(*a, **k)[0] * 1.1, None)
    )  # as a version whose sdpa drops something
    refused(folder, r"With rerouted attention, .* differs from the library's own eager attention by .* would be wrong")


def test_halves_that_do_not_fit_are_refused(folder, monkeypatch):
    right = checks.scored
    monkeypatch.setattr(checks, "scored", lambda *a: right(*a) + torch.arange(right(*a).shape[-1]) / 100)
    refused(folder, r"In two halves, .* differs from the library's own eager attention")


def test_words_that_leak_whatever_is_done_are_refused(folder, monkeypatch):
    monkeypatch.setattr(checks.Checks, "_leak", lambda *a, **k: 2.0)
    refused(
        folder, r"reads words that are cut from its attention and masked by its own mask, so no word can be taken away"
    )


def test_a_class_that_breaks_is_refused_with_its_reason(folder, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise AttributeError("no attribute 'image_outputs'")

    monkeypatch.setattr(transformers.Qwen3VLForConditionalGeneration, "forward", broken)
    refused(folder, r"does not run in transformers .*AttributeError: no attribute 'image_outputs'.*another version")


def test_attention_out_of_reach_is_refused(folder, monkeypatch):
    monkeypatch.setattr(checks, "install", lambda *_: None)
    refused(folder, "sends no attention through transformers' attention interface")


def test_no_chat_template(folder, tmp_path):
    for path in folder.iterdir():
        if path.name != "chat_template.jinja":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    refused(tmp_path, r"has no chat template, and no prompt is known for its model type; save the template")


def test_an_image_processor_that_needs_torchvision(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({**settings, "image_processor_type": "NewImageProcessor"})
    )
    refused(tmp_path, r"prepares its pictures with NewImageProcessor, .* no version without torchvision")


def test_questions_that_do_not_fit(model):
    with pytest.raises(InputError, match=r"holds '<\|image_pad\|>', which qwen3_vl reads as a mark of its own"):
        model.prompt("what is <|image_pad|>?")
    prompt = model.prompt("ž" * 1900)
    with pytest.raises(InputError, match=r"Question and picture have .* tokens; qwen3_vl takes at most 2,008"):
        model.layout(prompt, 64, 64)
    answer = Answer("", (model.network.config.image_token_id, 5), ("", ""), False)
    with pytest.raises(InputError, match=r"The answer holds '<\|image_pad\|>'"):
        model.trace([np.zeros((64, 64, 3), np.uint8)], model.prompt("what?"), answer)


def test_pictures_of_several_sizes_are_not_scored_together(model):
    both = [np.zeros((64, 64, 3), np.uint8), np.zeros((64, 96, 3), np.uint8)]
    with pytest.raises(InputError, match="several sizes"):
        model.trace(both, model.prompt("what?"), model.target("a red car"))
    assert len(model.answer(both, model.prompt("what?"))) == 2


def test_kept_pictures_stay_few_and_the_vision_model_runs_once_for_a_picture(model, monkeypatch):
    monkeypatch.setattr(pictures, "ENTRIES", 4)
    model.pictures.kept.clear()
    seen = []
    hook = model.network.model.visual.register_forward_hook(lambda *_: seen.append(1))
    noise = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    try:
        for question in ("what is red?", "is there a tree?"):
            prompt = model.prompt(question)
            model.generate(noise[0], prompt, 2)
            model.trace([noise[0]], prompt, model.target("a red car"))
        assert len(seen) == 1
        for picture in noise:
            model.trace([picture], prompt, model.target("a red car"))
    finally:
        hook.remove()
    assert len(seen) == 3 and len(model.pictures.kept) <= 4 + 2


def test_a_given_wording_stands_inside_the_models_own_prompt(model):
    prompt = model.with_prompt("Question: {} Short answer:").prompt("what is red?")
    assert "<|image_pad|>" in prompt.text and "Question: what is red? Short answer:<|im_end|>" in prompt.text
    assert prompt.words == ("what", "is", "red")


def test_shuffled_weights_keep_what_the_model_is_offered(model):
    other = model.randomised(1)
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    prompt, answer = model.prompt("what is red?"), model.target("a red car")
    v, w = (m.trace([picture], prompt, answer).v for m in (model, other))
    assert other.offer == model.offer and np.abs(v - w).max() > 0.1
    np.testing.assert_array_equal(model.trace([picture], prompt, answer).v, v)


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "internvl", "llava_next", "smolvlm", "gemma4"])
def test_image_tokens_are_kept_within_a_budget(kind, tmp_path):
    skip_unless_there(kind)
    small = load_model(str(save_small_vlm(tmp_path / kind, kind)))
    config, reading = small.network.config, small.reading
    own = largest(reading)
    budget = max(own * 2 // 3, 18)
    if kind == "gemma4":
        reading.processor.image_processor.max_soft_tokens = 140
        own, budget = largest(reading), 100  # fewer would be none of the numbers that it knows
    assert limit_tokens(reading, config, budget) == (own, largest(reading)) and largest(reading) <= budget < own
    picture = np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8)
    prompt = small.prompt("what is red?")
    small.pictures.found.clear()
    assert np.isfinite(small.trace([picture], prompt, small.target("a red car")).v).all()


@pytest.mark.parametrize("kind", ["llava_next", "gemma3", "paligemma", "mllama", "aya_vision", "deepseek_vl"])
def test_prepared_inputs_are_those_of_the_librarys_processor(kind, tmp_path):
    folder = save_small_vlm(tmp_path / kind, kind)
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    text = SMALL[kind].template.format("what color is the car?")
    kept = json.loads((folder / "config.json").read_text())["model_type"]
    got = prepared(load_processor(str(folder), kept), picture, text)
    own = transformers.AutoProcessor.from_pretrained(folder)
    expected = own(images=[[Image.fromarray(picture)]], text=[text], return_tensors="pt")
    assert set(expected) - {"labels"} == set(got) - {"labels"}
    for name, value in got.items():
        assert torch.equal(value, expected[name]), name


def test_smolvlm_is_read_as_by_its_own_processor(tmp_path, monkeypatch):
    """Its own needs num2words, which counts frames of videos alone."""
    skip_unless_there("smolvlm")
    folder = str(save_small_vlm(tmp_path / "smolvlm", "smolvlm"))
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    ours = prepared(load_processor(folder, "smolvlm"), picture, "<image>what color is the car?")
    monkeypatch.setattr(processors, "ALIKE", {})
    monkeypatch.setattr(transformers.models.smolvlm.processing_smolvlm, "num2words", str)
    own = prepared(load_processor(folder, "smolvlm"), picture, "<image>what color is the car?")
    assert ours["input_ids"].tolist() == own["input_ids"].tolist()
    assert torch.equal(ours["pixel_values"], own["pixel_values"])


def test_the_command_line_explains_a_checkpoint(folder, tmp_path, capsys):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    options = [
        "--masks",
        "0",
        "--regions",
        "grid:2x2",
        "--perturbations",
        "center_mask",
        "--out",
        str(tmp_path / "out"),
    ]
    assert (
        main(["explain", str(tmp_path / "photo.png"), "what color is the car?", "--model", str(folder), *options]) == 0
    )
    record = json.loads((tmp_path / "out" / "stcg.json").read_text())
    assert "qwen3_vl" in json.dumps(record)
