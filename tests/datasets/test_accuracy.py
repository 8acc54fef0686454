"""Accuracy of models whose accuracy is known, and of the mock, which knows nothing."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from stcg_nb.datasets import DATASETS, Dataset, Record, dataset, load_dataset
from stcg_nb.datasets.accuracy import measure
from stcg_nb.datasets.base import of_records
from stcg_nb.errors import InputError
from stcg_nb.models import Answer, Trace, load_model
from stcg_nb.models.mock import Mock
from stcg_nb.progress import Stopped, watching
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


def test_teacher_forced_exactness_agrees_with_generated_answers():
    """It stands for them where the question is left out. Half of the answers that are scored are wrong."""
    tiny = load_model("tiny")
    exact = []
    for i, (scene, question) in enumerate(sample(22, seed=9)):
        prompt = tiny.prompt(question.text)
        said = tiny.answer([scene.image], prompt)[0].text
        truth = said if i % 2 else f"{said} thing"
        exact.append(said == truth)
        assert exact[-1] == (not tiny.trace([scene.image], prompt, tiny.target(truth)).flipped[0])
    assert 0 < sum(exact) < len(exact)


def test_easy_vqas_test_split_is_whole():
    import easy_vqa

    records = list(load_dataset("easy-vqa"))
    texts, answers, numbers = easy_vqa.get_test_questions()
    assert [(r.question, r.answers) for r in records] == [(t, (a,)) for t, a in zip(texts, answers, strict=True)]
    assert [r.image for r in records] == [f"test/{number}.png" for number in numbers] and len(records) == 9673
    assert {r.kind for r in records} == {"shape", "color", "yes/no"}
    assert all(r.answers[0] in ("yes", "no") for r in records if r.kind == "yes/no")
    assert {r.answers[0] for r in records if r.kind == "shape"} == {"circle", "rectangle", "triangle"}


@pytest.fixture
def shades():
    """A dataset of one's own: it needs nothing but this function."""

    class Shade:
        def __init__(self, value: int) -> None:
            self.value = value

        def read(self) -> np.ndarray:
            return np.full((16, 16, 3), self.value, np.uint8)

    @dataset("shades", "grey pictures, of which the mock says one thing", measured=3)
    def load(n: int | None, seed: int) -> Dataset:
        prompt = Mock().prompt("what?")
        said = [Mock().answer([Shade(40 * i).read()], prompt)[0].text for i in range(n or 6)]
        answers = [("wrong",) if i == 1 else (text,) for i, text in enumerate(said)]
        return of_records("shades", [Record(str(i), Shade(40 * i), "", "what?", a) for i, a in enumerate(answers)])

    yield
    DATASETS._known.pop("shades")


def test_a_registered_dataset_is_loaded_and_measured(shades):
    assert len(load_dataset("shades")) == 6
    assert DATASETS["shades"].about.startswith("grey pictures")
    report = measure(Mock(), "shades")
    assert (report["dataset"], report["n"], report["overall"]) == ("shades", 3, 0.6667)
    assert report["kinds"] == {}  # it has none
    assert measure(Mock(), "shades", n=6)["overall"] == 0.8333


def test_a_table_of_ones_own_is_measured(tmp_path):
    Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(tmp_path / "a.png")
    said = Mock().answer([np.full((16, 16, 3), 90, np.uint8)], Mock().prompt("what?"))[0].text
    path = tmp_path / "t.jsonl"
    rows = [{"image": "a.png", "question": "what?", "answer": a, "kind": "k"} for a in (said, "else")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = measure(Mock(), path)
    assert (report["n"], report["overall"], report["seed"], report["kinds"]["k"]["n"]) == (2, 0.5, None, 2)
    assert measure(Mock(), path, n=1, seed=5)["seed"] == 5
    path.write_text(json.dumps({"image": "a.png", "question": "what?", "answers": ["red"] * 10}))
    with pytest.raises(InputError, match="Question 1 has 10 answers; exact match needs exactly one"):
        measure(Mock(), path)


def test_whoever_watches_can_stop_it():
    asked: list[str] = []

    class Counting(Mock):
        def answer(self, images, prompt, **_):
            asked.extend([prompt.question] * len(images))
            return super().answer(images, prompt)

    def stop(what: str, done: float, total: float) -> None:
        assert (what, total) == ("scenes", 1100)
        if done:
            raise Stopped("enough")

    with pytest.raises(Stopped, match="enough"), watching(stop):
        measure(Counting())
    assert len(asked) == 1024  # one pool


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"dataset": "vqa-v9"}, "'vqa-v9' is no dataset; valid are "), ({"n": 0}, "at least one"),
        ({"without": "model"}, "'model' cannot be left out; valid are image, question"), ({"seed": -1}, "from 0 on"),
        ({"dataset": "easy-vqa", "n": 10**6}, "ask for 1 to 9,673"),
    ],
)  # fmt: skip
def test_bad_arguments(arguments, reason):
    with pytest.raises(InputError, match=reason):
        measure(Mock(), **arguments)
