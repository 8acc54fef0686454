"""The test split of easy-VQA, from the package of that name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.inputs.images import read_image


@dataclass(frozen=True)
class Item:
    """A question with its picture ``[height, width, 3]`` and the answer that counts as right."""

    image: np.ndarray
    question: str
    answer: str
    kind: str


def easy_vqa_test() -> Iterator[Item]:
    """The 9,673 questions of easy-VQA's test split, in its order, by kind of answer: shape, color, yes/no."""
    try:
        import easy_vqa
    except ImportError:
        raise InputError("The package easy-vqa is not installed; install it: pip install easy-vqa.") from None
    texts, answers, numbers = easy_vqa.get_test_questions()
    paths = easy_vqa.get_test_image_paths()
    images: dict[int, np.ndarray] = {}
    for text, answer, number in zip(texts, answers, numbers, strict=True):
        if number not in images:
            images[number] = read_image(paths[number])
        yield Item(images[number], text, answer, easy_vqa_kind(text, answer))


def easy_vqa_kind(question: str, answer: str) -> str:
    """The kind of one of easy-VQA's questions: "yes/no", "color" or "shape".

    >>> easy_vqa_kind("what color is the shape?", "red")
    'color'
    """
    if answer in ("yes", "no"):
        return "yes/no"
    return "color" if re.search(r"\bcolou?r\b", question) else "shape"
