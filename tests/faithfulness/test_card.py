"""The card on a small game of random weights: its keys, its baselines and sanity checks, and that a stopped run goes on."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_blip2 import save_small

from stcg_nb.cli import main
from stcg_nb.errors import InputError
from stcg_nb.faithfulness import card
from stcg_nb.faithfulness.card import KEYS, disturbed, measure_card, measure_question
from stcg_nb.inputs.perturbations import pixel_distance
from stcg_nb.models import load_model
from stcg_nb.scenes.pictures import make_scene
from stcg_nb.scenes.questions import Question
from stcg_nb.viz.card import ROWS, card_figure

SCENE = make_scene(10**12 + 3, n_objects=2)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return load_model(str(save_small(tmp_path_factory.mktemp("small"))))


def asked(model, rests_on=(0,)):
    """A question with whatever the untrained model answers to it."""
    text = "what is left of the car?"
    return Question(text, model.answer([SCENE.image], model.prompt(text))[0].text, "left", rests_on)


@pytest.fixture(scope="module")
def record(small):
    return measure_question(small, small.randomised(0), SCENE, asked(small), 64)


def test_every_key_is_measured_and_in_range(record):
    assert tuple(record) == KEYS
    assert all(-1 <= value <= 1 for value in record.values() if value is not None)
    assert None not in (record["lds"], record["pointing"], record["srg"])


def test_the_graph_predicts_and_the_baselines_do_not(record):
    assert record["lds"] > 0.8
    assert record["lds"] > max(record[key] for key in KEYS[3:7]) + 0.3


def test_an_answer_that_rests_on_nothing_has_no_ground_truth(small):
    record = measure_question(small, small.randomised(0), SCENE, asked(small, ()), 32)
    assert record["pointing"] is record["relevance_mass"] is record["relevance_rank"] is None


def test_the_figure_shows_every_measure_of_one_explanation_and_of_many(record):
    many = {key: {"value": value, "low": value, "high": value, "n": 5} for key, value in record.items()}
    for measured in (record, {**many, "n": 5, "masks": 64, "model": "<b>x"}):
        figure = card_figure(measured)
        shown = {y: x for trace in figure.data for x, y in zip(trace.x, trace.y, strict=True)}
        assert shown == {y: round(record[key], 3) for y, (key, *_) in enumerate(ROWS) if record[key] is not None}
        assert "<b>x" not in figure.layout.title.text
    with pytest.raises(InputError, match="no faithfulness card"):
        card_figure({"lds": 1.0})


def test_shuffled_weights_are_the_same_numbers_elsewhere(small):
    other = small.randomised(3)
    for (name, a), (_, b) in zip(small.network.named_parameters(), other.network.named_parameters(), strict=True):
        assert a.shape == b.shape
        np.testing.assert_array_equal(a.detach().flatten().sort().values, b.detach().flatten().sort().values, name)
    images, prompt = [SCENE.image], small.prompt("what?")
    answer = small.target("a car")
    assert np.abs(small.trace(images, prompt, answer).v - other.trace(images, prompt, answer).v).max() > 0.1


def test_disturbances_are_small_and_seeded():
    distances = [pixel_distance(SCENE.image, other) for other in disturbed(SCENE.image, 1)]
    assert all(0 < d < 0.1 for d in distances)
    np.testing.assert_array_equal(disturbed(SCENE.image, 1)[0], disturbed(SCENE.image, 1)[0])


@pytest.fixture
def known(monkeypatch):
    """Measures that are a function of the scene, instead of minutes of work."""
    calls = []

    def measured(model, shuffled, scene, question, masks):
        calls.append(scene.seed)
        return {key: (scene.seed % 7) / 10 if key != "srg" else None for key in KEYS}

    monkeypatch.setattr(card, "measure_question", measured)
    monkeypatch.setattr(
        card,
        "_answered",
        lambda model, seed, skip: ((make_scene(10**12 + i, 64), None) for i in range(skip, 10**6)),
    )
    return calls


def test_a_stopped_run_goes_on_and_ends_the_same(small, tmp_path, known):
    whole = measure_card(small, n=6, seed=1, masks=32)
    partial = tmp_path / "card.partial"
    known.clear()
    measure_card(small, n=4, seed=1, masks=32, partial=partial)
    resumed = measure_card(small, n=6, seed=1, masks=32, partial=partial)
    assert len(known) == 6 and resumed == whole
    assert whole["lds"]["n"] == 6 and whole["srg"] == {"value": None, "low": None, "high": None, "n": 0}
    with pytest.raises(InputError, match="of another run"):
        measure_card(small, n=6, seed=2, masks=32, partial=partial)
    partial.write_text("{")
    with pytest.raises(InputError, match="damaged"):
        measure_card(small, n=6, seed=1, masks=32, partial=partial)


def test_the_command_writes_the_card_and_no_leftovers(small, tmp_path, known, monkeypatch, capsys):
    monkeypatch.setattr("stcg_nb.models.load_model", lambda name: small)
    out = tmp_path / "card.json"
    assert main(["card", "--model", "x", "--n", "3", "--masks", "32", "--json", str(out)]) == 0
    written = json.loads(out.read_text())
    assert written["n"] == 3 and set(KEYS) < set(written)
    assert set(written["lds"]) == {"value", "low", "high", "n"}
    assert [p.name for p in tmp_path.iterdir()] == ["card.json"]
    assert "lds_graph" in capsys.readouterr().out
    assert main(["card", "--model", "x", "--json", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_what_cannot_be(small, monkeypatch):
    with pytest.raises(InputError, match="no weights"):
        measure_card(load_model("mock"))
    with pytest.raises(InputError, match="at least two"):
        measure_card(small, n=1)
    with pytest.raises(InputError, match="from 0 on"):
        measure_card(small, seed=-1)
    monkeypatch.setattr(card, "TRIES", 2)
    with pytest.raises(InputError, match="answers none of 2"):
        measure_card(small, n=2)
