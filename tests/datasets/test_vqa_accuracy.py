"""The official VQA accuracy, case by case by hand, and against the rule written out slowly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stcg_nb.datasets.vqa_accuracy import normalise, vqa_accuracy
from stcg_nb.errors import InputError

NORMALISED = {
    "Yes": "yes",
    "yes.": "yes",
    "1.5": "1.5",  # a digit follows the stop
    "5.": "5",
    ".5 m.": ".5 m",
    "1,000": "1000",  # a comma between digits: marks are dropped, not replaced
    "1,000-ish": "1000ish",
    "red,blue": "red blue",
    "red, blue": "red blue",
    "red , blue": "red blue",
    "black-and-white": "black and white",
    "t-shirt - blue": "tshirt blue",  # one dash stands next to a space, so all are dropped
    "10:30": "10:30",  # a colon stays
    "dog's": "dog's",  # so does an apostrophe
    "U.S.A.": "usa",
    "what?!": "what",
    'a "stop" sign': "stop sign",
    "One": "1",
    "none": "0",
    "ten": "10",
    "eleven": "eleven",
    "twenty one": "twenty 1",
    "the cat on an apple": "cat on apple",
    "a": "",
    "A the": "",
    "dont": "don't",
    "couldnt've": "couldn't've",
    "couldn'tve": "couldn't've",
    "yalld've": "yalld've",  # two are missing: not in the table
    "y'alld've": "y'all'd've",
    "ow's'at": "'ow's'at",
    "somebody'd": "somebodyd",
    "oclock": "o'clock",
    "Im": "im",  # the official table has "Im", which lower case never meets
    "lets": "lets",
    "  two   birds ": "2 birds",
    "": "",
}


@pytest.mark.parametrize("answer", NORMALISED)
def test_normalisation_by_hand(answer: str):
    assert normalise(answer) == NORMALISED[answer]


def test_at_most_32_full_stops_go():
    assert normalise("a." * 40 + "b") == "a" * 32 + "a." * 8 + "b"


BY_HAND = [
    # answer, the ten, accuracy
    ("cat", ["dog"] * 10, 0.0),
    ("cat", ["cat"] + ["dog"] * 9, 0.3),  # nine of ten ways leave one match: 9 x 1/3 / 10
    ("cat", ["cat"] * 2 + ["dog"] * 8, 0.6),  # 2 x 1/3 + 8 x 2/3, over 10
    ("cat", ["cat"] * 3 + ["dog"] * 7, 0.9),
    ("cat", ["cat"] * 4 + ["dog"] * 6, 1.0),
    ("cat", ["cat"] * 10, 1.0),
    ("Cat.", ["cat"] * 10, 0.0),  # all the same: nothing is normalised
    ("Cat.", ["cat"] * 9 + ["dog"], 1.0),
    ("yes", ["Yes"] * 10, 0.0),
    ("yes\n", ["yes"] * 10, 1.0),  # space around is taken away all the same
    ("a cat", ["the cat", "cat", "Cat!"] + ["dog"] * 7, 0.9),
    ("two", ["2", "two", "Two"] + ["3"] * 7, 0.9),
    ("isnt", ["isn't"] * 5 + ["no"] * 5, 1.0),
    ("", ["a"] * 2 + ["the"] * 8, 1.0),  # nothing is left of either
]


@pytest.mark.parametrize(("answer", "answers", "accuracy"), BY_HAND)
def test_accuracy_by_hand(answer: str, answers: list[str], accuracy: float):
    assert vqa_accuracy(answer, answers) == accuracy


def slowly(answer: str, answers: list[str]) -> float:
    """The rule, way by way."""
    answer, answers = answer.strip(), [a.strip() for a in answers]
    if any(a != answers[0] for a in answers):
        answer, answers = normalise(answer), [normalise(a) for a in answers]
    total = 0.0
    for left_out in range(10):
        others = [a for i, a in enumerate(answers) if i != left_out]
        total += min(1.0, sum(a == answer for a in others) / 3)
    return total / 10


words = st.sampled_from(
    ["yes", "Yes.", "no", "the cat", "cat", "two", "2", "dont", "don't", " red ", "red/blue", "red blue"]
)


@settings(deadline=None)
@given(words, st.lists(words, min_size=10, max_size=10))
def test_accuracy_against_the_rule_written_out(answer: str, answers: list[str]):
    assert vqa_accuracy(answer, answers) == pytest.approx(slowly(answer, answers))


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_can_be_normalised(text: str):
    assert normalise(text) == " ".join(normalise(text).split())


def test_a_single_answer_is_compared_once_both_are_normalised():
    assert vqa_accuracy("The Car.", ["car"]) == 1.0
    assert vqa_accuracy("van", ["car"]) == 0.0


def test_no_answers():
    with pytest.raises(InputError, match="no answers"):
        vqa_accuracy("car", [])
