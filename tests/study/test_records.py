"""The study's measurements: resumed runs end as whole ones, bad parameters are refused, and each number is what it says."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy

from stcg_nb.attention.alignment import align, needed_sites
from stcg_nb.errors import InputError
from stcg_nb.inputs.perturbations import DEFAULT, perturb, pixel_distance
from stcg_nb.inputs.words import is_content
from stcg_nb.models import load_model
from stcg_nb.models.layout import grid_cover
from stcg_nb.progress import Stopped, watching
from stcg_nb.scenes.pictures import make_scene
from stcg_nb.scenes.questions import Question, sample
from stcg_nb.study import measurements
from stcg_nb.study.measurements import match
from stcg_nb.study.parameters import check_claimed, check_names, check_number
from stcg_nb.study.records import Study, read_card

SCENE, QUESTION = next(sample(1, 5, ("color",)))


@pytest.fixture(scope="module")
def mock():
    return load_model("mock")


def one_row(model, scene, question, *, factor):
    one_row.asked.append(scene.seed)
    return [{"value": factor * (scene.seed % 100)}, {"value": 0.1}]


@pytest.fixture(autouse=True)
def _nothing_asked():
    one_row.asked = []


def measured(mock, n, records=None, seed=0, factor=2):
    return Study(mock, n, seed, records=records).measure("one", one_row, factor=factor)


def test_a_stopped_run_goes_on_and_ends_the_same(mock, tmp_path):
    whole = measured(mock, 6)
    measured(mock, 4, tmp_path)
    one_row.asked = []
    resumed = measured(mock, 6, tmp_path)
    assert len(one_row.asked) == 2
    pd.testing.assert_frame_equal(resumed, whole)
    one_row.asked = []
    pd.testing.assert_frame_equal(measured(mock, 3, tmp_path), whole[whole["scene"].isin(whole["scene"].unique()[:3])])
    assert one_row.asked == []
    assert list(whole.columns) == ["scene", "kind", "question", "value"] and len(whole) == 12


def test_a_line_that_was_cut_off_is_measured_again(mock, tmp_path):
    whole = measured(mock, 3, tmp_path)
    path = tmp_path / "one.jsonl"
    path.write_text(path.read_text()[:-5])
    one_row.asked = []
    pd.testing.assert_frame_equal(measured(mock, 3, tmp_path), whole)
    assert len(one_row.asked) == 1 and len(path.read_text().splitlines()) == 4


def test_records_of_another_run_are_not_mixed_in(mock, tmp_path):
    measured(mock, 2, tmp_path)
    with pytest.raises(InputError, match="of another run"):
        measured(mock, 2, tmp_path, seed=1)
    with pytest.raises(InputError, match="of another run"):
        measured(mock, 2, tmp_path, factor=3)
    (tmp_path / "one.jsonl").write_text((tmp_path / "one.jsonl").read_text().replace('"rows"', "rows"))
    with pytest.raises(InputError, match="cannot be used"):
        measured(mock, 2, tmp_path)


@pytest.mark.parametrize(
    ("parameters", "what"),
    [
        ({"n": "many"}, "n is 'many'; it must be a whole number"), ({"n": True}, "n is True; it must be a whole number"),
        ({"n": 1}, "n is 1; it must be at least 2"), ({"n": 2.5}, "n is 2.5; it must be a whole number"),
        ({"n": 10**9}, "at most 100000"), ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"kinds": "color"}, "kinds is 'color'"), ({"kinds": ()}, r"kinds is \(\); it must be a list of at least 1"),
        ({"kinds": ["color", "x"]}, r"kinds\[1\] is 'x': valid are color, object"), ({"records": 3}, "records is 3"),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused_in_one_sentence(mock, parameters, what):
    with pytest.raises(InputError, match=what) as caught:
        Study(**{"model": mock, "n": 2, **parameters})
    assert "\n" not in str(caught.value)


def test_checks_of_single_parameters():
    for value in (0, 0.5, 1):
        check_number("strength", value, 0, 1, whole=False)
    for value in (float("nan"), -0.1, 1.1, "0.5", True):
        with pytest.raises(InputError, match=f"strength is {value!r}; it must be"):
            check_number("strength", value, 0, 1, whole=False)
    with pytest.raises(InputError, match=r"n is 0\.5; it must be a whole number"):
        check_number("n", 0.5, 0, 1)
    check_names("kinds", ["b", "a"], ("a", "b"))
    with pytest.raises(InputError, match=r"kinds is \[\]; it must be a list of at least 1"):
        check_names("kinds", [], ("a",))
    with pytest.raises(InputError, match=r"kinds\[1\] is 'c': valid are a, b\."):
        check_names("kinds", ["a", "c"], ("a", "b"))
    check_claimed("names", ["a", "b"], ["a"], 2)
    with pytest.raises(InputError, match="lacks 'a'"):
        check_claimed("names", ["b", "c"], ["a"], 2)
    with pytest.raises(InputError, match="different"):
        check_claimed("names", ["a", "a"], ["a"], 2)


def test_only_what_the_model_answers_correctly(mock):
    with pytest.raises(InputError, match="answers none of"):
        next(Study(mock, 2).questions(answered=True))


def test_sensitivity_is_what_explain_measures(mock):
    """By another way: each perturbation alone."""
    rows = measurements.sensitivity(mock, SCENE, QUESTION, perturbations=DEFAULT, strength=0.5)
    assert [r["perturbation"] for r in rows] == list(DEFAULT)
    prompt = mock.prompt(QUESTION.text)
    answer = mock.answer([SCENE.image], prompt)[0]
    before = mock.trace([SCENE.image], prompt, answer).p[0].prod()
    for row in rows:
        image = perturb(SCENE.image, row["perturbation"], 0.5, SCENE.seed).image
        trace = mock.trace([image], prompt, answer)
        assert row["delta_p"] == pytest.approx(trace.p[0].prod() - before, abs=1e-6)
        assert row["flipped"] == trace.flipped[0]
        assert row["distance"] == pytest.approx(pixel_distance(image, SCENE.image), abs=1e-6)
    json.dumps(rows, allow_nan=False)


@pytest.mark.parametrize("name", DEFAULT)
def test_perturbations_are_matched_in_distance(name):
    scenes = [make_scene(10**12 + i) for i in range(3)]
    made = [match(s.image, name, 0.06, s.seed) for s in scenes]
    assert any(m is not None for m in made)
    assert all(abs(m.pixel_distance - 0.06) <= 0.006 for m in made if m is not None)
    assert match(np.full((32, 32, 3), 200, np.uint8), "center_mask", 0.06, 0) is None


def test_words(mock):
    question = Question("What color is the car?", "red", "color", (0,))
    rows = measurements.words(mock, SCENE, question, estimator="attention")
    assert [(r["word"], r["content"]) for r in rows] == [
        ("What", False), ("color", True), ("is", False), ("the", False), ("car", True),
    ]  # fmt: skip
    assert not is_content("THE") and is_content("colour")
    prompt, answer, links = measurements.word_links(mock, SCENE, question, "attention")
    whole = mock.trace([SCENE.image], prompt, answer).v[0]
    centres = [((i // 16 + 0.5) / 16, (i % 16 + 0.5) / 16) for i in range(256)]
    for i, row in enumerate(rows):
        share = [link / sum(links[i]) for link in links[i].tolist()]
        y, x = (sum(s * c[axis] for s, c in zip(share, centres, strict=True)) for axis in (0, 1))
        apart = sum(s * ((c[0] - y) ** 2 + (c[1] - x) ** 2) for s, c in zip(share, centres, strict=True))
        keep = np.arange(len(rows))[None] != i
        without = mock.trace([SCENE.image], prompt, answer, keep_words=keep).v[0]
        expected = {
            "strength": sum(links[i]), "entropy": -sum(s * np.log(s) for s in share if s), "spread": apart**0.5,
            "effect": (whole - without).mean(),
        }  # fmt: skip
        assert {k: row[k] for k in expected} == pytest.approx(expected, abs=1e-6)
    assert len({row["effect"] for row in rows}) == len(rows)


def test_spread_of_known_maps():
    share = np.zeros((2, 256))
    share[0, 17] = 1  # one patch: no spread
    share[1, [0, 15]] = 0.5  # two corners of the top row, 15/16 apart
    np.testing.assert_allclose(measurements._spread(share, grid_cover(16, 16, (0, 0, 1, 1))), [0, 15 / 32], atol=1e-12)


def test_evolution(mock):
    (row,) = measurements.evolution(mock, SCENE, QUESTION)
    prompt = mock.prompt(QUESTION.text)
    answer = mock.answer([SCENE.image], prompt)[0]
    assert row["tokens"] == list(answer.tokens)
    maps = mock.trace([SCENE.image], prompt, answer, capture=needed_sites("attention", mock.sites)).attention
    patch = align(
        "attention", {site: m[0] for site, m in maps.items()}, mock.layout(prompt, *SCENE.image.shape[:2])
    ).step_patch
    share = patch / patch.sum(1, keepdims=True)
    assert row["distance"] == pytest.approx(
        np.array([[jensenshannon(a, b, 2) for b in share] for a in share]), abs=1e-6
    )
    assert row["entropy"] == pytest.approx([scipy_entropy(p) for p in share], abs=1e-6)
    blank = np.full_like(SCENE.image, 0) + np.round(SCENE.image.reshape(-1, 3).mean(0)).astype(np.uint8)
    seen, blind = (mock.trace([image], prompt, answer).v[0] for image in (SCENE.image, blank))
    assert row["reliance"] == pytest.approx(seen - blind, abs=1e-6)
    assert np.ptp(row["reliance"]) > 0 and row["distance"][0][1] > 0


def test_whoever_watches_can_stop_a_study_and_it_goes_on(mock, tmp_path):
    seen = []

    def watcher(what: str, done: float, total: float) -> None:
        seen.append((what, done, total))
        if done == 2:
            raise Stopped("enough")

    with pytest.raises(Stopped), watching(watcher):
        measured(mock, 5, tmp_path)
    assert seen == [("one", 0, 5), ("one", 1, 5), ("one", 2, 5)] and len(one_row.asked) == 2
    seen.clear()
    with watching(lambda *state: seen.append(state)):
        resumed = measured(mock, 5, tmp_path)
    assert seen[0] == ("one", 2, 5) and seen[-1] == ("one", 5, 5)
    pd.testing.assert_frame_equal(resumed, measured(mock, 5))


def test_faithfulness_needs_weights(mock):
    with pytest.raises(InputError, match="no weights"):
        measurements.faithfulness(mock, SCENE, QUESTION, masks=32, known={})


def test_what_a_card_knows_is_not_measured_again(monkeypatch):
    tiny = load_model("tiny")
    answer = tiny.answer([SCENE.image], tiny.prompt(QUESTION.text))[0].text
    question = Question(QUESTION.text, answer, "color", QUESTION.rests_on)
    monkeypatch.setattr(measurements, "measure_question", lambda *_: pytest.fail("measured again"))
    known = {SCENE.seed: {"scene": SCENE.seed, "lds": 0.5}}
    (row,) = measurements.faithfulness(tiny, SCENE, question, masks=32, known=known)
    assert row["lds"] == 0.5 and "scene" not in row
    assert -1 <= row["attention_seed_faithfulness"] <= 1


def test_cards_that_do_not_fit(mock, tmp_path):
    study, path = Study(mock, 2), tmp_path / "card.json"
    with pytest.raises(InputError, match="no card"):
        read_card(path, study, 32)
    card = {**study.settings, "masks": 32, "questions": [{"scene": 7, "lds": 0.1}]}
    path.write_text(json.dumps(card))
    assert read_card(path, study, 32) == {7: {"scene": 7, "lds": 0.1}}
    with pytest.raises(InputError, match="masks = 32, not 64"):
        read_card(path, study, 64)
    with pytest.raises(InputError, match="seed = 0, not 1"):
        read_card(path, Study(mock, 2, 1), 32)
