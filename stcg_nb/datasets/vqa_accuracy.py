"""The official accuracy of VQA-v2, with its normalisation of answers.

Ten people answered each question. An answer's accuracy is the mean of min(1, matches among the other nine / 3) over the ten ways
to leave one person out (Antol et al. 2015, arXiv 1505.00468; the rules are those of the evaluation tool at visualqa.org). So 0,
1, 2, 3, and 4 or more matches give 0, .3, .6, .9 and 1.

If the ten answers differ, the model's answer and theirs are normalised before they are compared:

1. A punctuation mark such as ``/`` or ``-`` becomes a space. It is deleted instead if it stands next to a space anywhere in the
   answer, or if the answer has a comma between digits. A full stop is deleted unless a digit follows. ``:`` and ``'`` stay.
2. Letters become lower case, number words up to ten become digits, "none" becomes 0; "a", "an" and "the" are deleted.
3. Contractions get their apostrophe: "dont" becomes "don't".

If the ten answers are equal, nothing is normalised: "Yes." does not match ten times "yes". This is odd, but official.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stcg_nb.errors import InputError

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_NUMBERS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
_ARTICLES = {"a", "an", "the"}

# Recognised when written without the apostrophe.
_ONE_APOSTROPHE = """
ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's isn't it'd it'll
ma'am might've mightn't must've mustn't needn't not've o'clock oughtn't shan't should've shouldn't somebody'll somebody's someone'd
someone'll someone's something'd something'll that's there'd there're there's they'd they'll they're they've 'twas wasn't we've
weren't what'll what're what's what've when's where'd where's where've who'd who'll who's who've why'll why're why's won't would've
wouldn't y'all you'd you'll you're you've
"""
# Recognised when written without any one of the apostrophes.
_MORE_APOSTROPHES = """
couldn't've hadn't've he'd've it'd've mightn't've 'ow's'at she'd've shouldn't've somebody'd've someone'd've something'd've
there'd've they'd've we'd've who'd've wouldn't've y'all'd've y'all'll you'd've
"""
_CONTRACTIONS = {
    **{word.replace("'", ""): word for word in _ONE_APOSTROPHE.split()},
    **{
        word[:at] + word[at + 1 :]: word
        for word in _MORE_APOSTROPHES.split()
        for at, character in enumerate(word)
        if character == "'"
    },
    "somebody'd": "somebodyd",  # reversed in the official table
}
_MOST_STOPS = 32  # full stops that the official tool deletes from one answer, at most


def normalise(answer: str) -> str:
    """Normalise an answer as the official tool does.

    >>> normalise("The two dogs, dont they?")
    "2 dogs don't they"
    >>> normalise("black/white")
    'black white'
    """
    comma_in_number = re.search(r"\d,\d", answer)
    text = answer
    for mark in _MARKS:
        dropped = f"{mark} " in answer or f" {mark}" in answer or comma_in_number
        text = text.replace(mark, "" if dropped else " ")
    text = re.sub(r"\.(?!\d)", "", text, count=_MOST_STOPS)
    words = [_NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy(answer: str, answers: Sequence[str]) -> float:
    """The accuracy of an answer, in [0, 1].

    Args:
        answer: The model's answer.
        answers: The answers of people, ten in VQA-v2. With a single one, which the official rule does not cover, the accuracy is 1
            if both are equal after normalisation, else 0.

    Raises:
        InputError: If `answers` is empty.

    >>> vqa_accuracy("Red.", ["red"] * 3 + ["pink"] * 7)
    0.9
    """
    if not answers:
        raise InputError("There are no answers to compare with; give those that people gave.")
    if len(answers) == 1:
        return float(normalise(answer) == normalise(answers[0]))
    human, model = [_flat(a) for a in answers], _flat(answer)
    if len(set(human)) > 1:
        human, model = [normalise(a) for a in human], normalise(model)
    matches = human.count(model)
    # Leaving out a person whose answer matches leaves matches - 1; leaving out another leaves matches.
    total = matches * min(1.0, (matches - 1) / 3) + (len(human) - matches) * min(1.0, matches / 3)
    return round(total / len(human), 12)  # .9, not .8999999999999999


def _flat(text: str) -> str:
    """Replace line breaks and tabs by spaces, as the official tool does."""
    return text.replace("\n", " ").replace("\t", " ").strip()
