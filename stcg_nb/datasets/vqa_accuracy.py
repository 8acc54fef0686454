"""The official accuracy of VQA-v2, with its normalisation of answers.

Ten people answered each question. An answer's accuracy is the mean, over the ten ways to leave one of them out, of
min(1, matches among the other nine / 3) (Antol et al. 2015, arXiv 1505.00468; the rules are those of the evaluation tool at
visualqa.org). So 0, 1, 2, 3, and 4 or more matches give 0, .3, .6, .9 and 1.

Where the ten are not all the same, both sides are normalised before they are compared:

1. A mark such as ``/`` or ``-`` becomes a space; it is dropped instead where it stands next to a space somewhere in the answer, or
   where the answer has a comma between digits. A full stop goes unless a digit follows; ``:`` and ``'`` stay.
2. Lower case. Number words up to ten become digits, and "none" becomes 0; a, an and the go.
3. Contractions get their apostrophe: "dont" becomes "don't".

Where the ten are all the same, nothing is normalised: "Yes." does not match ten times "yes". Odd, but official.
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

# Written without its apostrophe each of these is recognised, ...
_ONE_APOSTROPHE = """
ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's isn't it'd it'll
ma'am might've mightn't must've mustn't needn't not've o'clock oughtn't shan't should've shouldn't somebody'll somebody's someone'd
someone'll someone's something'd something'll that's there'd there're there's they'd they'll they're they've 'twas wasn't we've
weren't what'll what're what's what've when's where'd where's where've who'd who'll who's who've why'll why're why's won't would've
wouldn't y'all you'd you'll you're you've
"""
# ... and each of these without any one of its apostrophes.
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
    "somebody'd": "somebodyd",  # the official table has this one the wrong way round
}
_MOST_STOPS = 32  # the official tool removes no more full stops from one answer


def normalise(answer: str) -> str:
    """An answer in the form in which the official tool compares it.

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
        answer: The model's.
        answers: What people answered; ten in VQA-v2. With a single one, the accuracy is 1 where the two agree once both are
            normalised, else 0: the official rule would leave nothing to compare with.

    Raises:
        InputError: If there are no answers.

    >>> vqa_accuracy("Red.", ["red"] * 3 + ["pink"] * 7)
    0.9
    """
    if not answers:
        raise InputError("There are no answers to compare with; give those that people gave.")
    if len(answers) == 1:
        return float(normalise(answer) == normalise(answers[0]))
    given, said = [_flat(a) for a in answers], _flat(answer)
    if len(set(given)) > 1:
        given, said = [normalise(a) for a in given], normalise(said)
    matches = given.count(said)
    # Leaving out one of those that match leaves one match less.
    total = matches * min(1.0, (matches - 1) / 3) + (len(given) - matches) * min(1.0, matches / 3)
    return round(total / len(given), 12)  # .9, not .8999999999999999


def _flat(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()
