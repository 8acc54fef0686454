"""The embedded model is what its card says: a genuine BLIP-2, small, accurate, and lost without its image or question."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
from transformers import Blip2ForConditionalGeneration

from stcg_nb.datasets.accuracy import measure
from stcg_nb.models import load_model

FOLDER = Path(str(files("stcg_nb") / "data" / "tiny"))


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny")


def test_it_is_a_blip2_of_blip2s_geometry_and_small(tiny):
    assert type(tiny.network) is Blip2ForConditionalGeneration
    assert tiny.sees == "16 x 16 patches through 32 query tokens"
    assert tiny.network.config.text_config.model_type == "t5"
    assert sum(f.stat().st_size for f in FOLDER.iterdir()) < 20e6
    assert {f.suffix for f in FOLDER.iterdir()} == {".json", ".safetensors", ".md"}


def test_its_card_is_about_these_weights(tiny):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"`{tiny.revision}`" in card
    assert f"{tiny.network.num_parameters():,} parameters" in card
    assert re.search(r"\*\*easy-VQA, test split\*\* \| 9,673 \|", card)


def test_it_answers_fresh_scenes_as_well_as_the_card_says(tiny):
    """With other scenes than the card's: its accuracy must lie in the interval of these."""
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    match = re.search(r"\*\*scenes, all\*\* \| [\d,]+ \| ([\d.]+) %", card)
    assert match
    fresh = measure(tiny, n=330, seed=5)
    low, high = fresh["interval"]
    assert low - 0.01 <= float(match[1]) / 100 <= high + 0.01


def test_without_image_or_question_it_is_lost(tiny):
    intact = measure(tiny, n=110, seed=6)["overall"]
    assert measure(tiny, n=110, seed=6, without="image")["overall"] < intact - 0.5
    assert measure(tiny, n=110, seed=6, without="question")["overall"] < intact - 0.5


def test_it_reads_capitals_and_unknown_words(tiny):
    lower, upper = tiny.prompt("what color is the car?"), tiny.prompt("WHAT COLOR IS THE CAR?")
    assert lower.token_ids == upper.token_ids
    assert tiny.prompt("what about 🚗 and <b>zyzzyva</b>?").words == ("what", "about", "🚗", "and", "b", "zyzzyva", "b")
