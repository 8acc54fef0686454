"""The test split of easy-VQA, from the package of that name."""

from __future__ import annotations

import re
from pathlib import Path

from stcg_nb.datasets.base import Dataset, FilePicture, Record, choose, dataset, of_records
from stcg_nb.errors import InputError


@dataset("easy-vqa", "the test split of easy-VQA, 9,673 questions, from the package of that name")
def load(n: int | None, seed: int) -> Dataset:
    """The questions in their official order; their kinds are "shape", "color" and "yes/no"."""
    try:
        import easy_vqa
    except ImportError:
        raise InputError("The package easy-vqa is not installed; install it: pip install easy-vqa.") from None
    texts, answers, numbers = easy_vqa.get_test_questions()
    paths = {number: Path(path) for number, path in easy_vqa.get_test_image_paths().items()}

    def record(i: int) -> Record:
        path = paths[numbers[i]]
        kind = _kind(texts[i], answers[i])
        return Record(str(i), FilePicture(path), f"test/{path.name}", texts[i], (answers[i],), kind)

    return of_records("easy-vqa", [record(i) for i in choose(len(texts), n, seed, "easy-vqa").tolist()])


def _kind(question: str, answer: str) -> str:
    """The kind of a question.

    >>> _kind("what color is the shape?", "red")
    'color'
    """
    if answer in ("yes", "no"):
        return "yes/no"
    return "color" if re.search(r"\bcolou?r\b", question) else "shape"
