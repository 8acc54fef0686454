"""Accuracy of models whose accuracy is known, and of the mock, which knows nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stcg_nb.datasets.accuracy import measure
from stcg_nb.datasets.easy_vqa import easy_vqa_test
from stcg_nb.errors import InputError
from stcg_nb.models import Answer, Trace, load_model
from stcg_nb.models.mock import Mock
from stcg_nb.scenes.questions import KINDS, sample


class Oracle(Mock):
    """Answers a question about a picture from a table, by the picture's bytes; a picture that it never saw: "none"."""

    def __init__(self, say: Callable[[str, str], str]) -> None:
        self.table = {(s.image.tobytes(), q.text): say(q.kind, q.answer) for s, q in sample(44, seed=3)}

    def answer(self, images, prompt):
        texts = [self.table.get((i.tobytes(), prompt.question), "none") for i in images]
        return [Answer(t, (0,), (t,), True) for t in texts]

    def target(self, text):
        return Answer(text, (0,), (text,), True)

    def trace(self, images, prompt, answer, *, keep_words=None, **_):
        said = "yes" if keep_words is not None and not keep_words.any() else "?"
        return Trace(np.ones((len(images), 1)), np.ones((len(images), 1)), np.full(len(images), said != answer.text))


def test_a_model_that_knows_and_one_that_knows_all_but_a_kind():
    knows = measure(Oracle(lambda kind, answer: answer), n=44, seed=3)
    assert knows["overall"] == 1 and list(knows["kinds"]) == list(KINDS)
    assert all(entry["n"] == 4 and entry["accuracy"] == 1 for entry in knows["kinds"].values())
    blind = measure(Oracle(lambda kind, answer: "?" if kind == "count" else answer), n=44, seed=3)
    assert blind["kinds"]["count"]["accuracy"] == 0 and blind["overall"] == pytest.approx(40 / 44, abs=1e-4)
    low, high = blind["interval"]
    assert low < blind["overall"] < high


def test_what_is_left_out_is_left_out():
    truth = {q.answer for _, q in sample(44, seed=3)}
    model = Oracle(lambda kind, answer: answer)
    no_image = measure(model, n=44, seed=3, without="image")
    assert no_image["kinds"]["absent"]["accuracy"] == 1 and no_image["overall"] == pytest.approx(4 / 44, abs=1e-4)
    no_question = measure(model, n=44, seed=3, without="question")
    yes = sum(q.answer == "yes" for _, q in sample(44, seed=3))
    assert no_question["overall"] == pytest.approx(yes / 44, abs=1e-4) and {"yes", "none"} <= truth


def test_the_mock_knows_nothing():
    report = measure(Mock(), n=22)
    assert report["overall"] == 0 and report["n"] == 22


def test_a_question_answered_twice_over_is_measured_alike():
    """Teacher-forced exactness, used where the question is left out, agrees with generated answers."""
    tiny = load_model("tiny")
    for scene, question in sample(11, seed=9):
        prompt = tiny.prompt(question.text)
        exact = tiny.answer([scene.image], prompt)[0].text == question.answer
        assert exact == (not tiny.trace([scene.image], prompt, tiny.target(question.answer)).flipped[0])


def test_easy_vqas_test_split_is_whole():
    items = list(easy_vqa_test())
    assert len(items) == 9673
    assert {i.kind for i in items} == {"shape", "color", "yes/no"}
    assert all(i.answer in ("yes", "no") for i in items if i.kind == "yes/no")
    assert {i.answer for i in items if i.kind == "shape"} == {"circle", "rectangle", "triangle"}
    assert items[0].image.shape == (64, 64, 3)


@pytest.mark.parametrize(
    "arguments", [{"dataset": "vqa-v9"}, {"n": 0}, {"without": "model"}, {"seed": -1}]
)  # fmt: skip
def test_bad_arguments(arguments):
    with pytest.raises(InputError, match=r"valid are|at least one|from 0 on"):
        measure(Mock(), **arguments)
