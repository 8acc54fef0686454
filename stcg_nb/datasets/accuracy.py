"""How often a model's greedy answer is exactly right, intact or with half of its input left out.

A model that answers without its picture or its question is no test bed for explanations, so the same questions can be asked
with the image blanked (a uniform picture of its own mean colour) or with all of the question's words cut from the attention.
Intervals are Wilson's at 95 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from os import PathLike
from typing import Any

import numpy as np
from scipy.stats import binomtest

from stcg_nb.datasets.base import DATASETS, Record
from stcg_nb.datasets.load import load_dataset
from stcg_nb.errors import InputError
from stcg_nb.models import Model
from stcg_nb.progress import progress

WITHOUT = ("image", "question")
POOL = 1024


def measure(
    model: Model,
    dataset: str | PathLike[str] = "scenes",
    *,
    n: int | None = None,
    seed: int = 0,
    without: str | None = None,
) -> dict[str, Any]:
    """Measure exact match, over all questions and for each kind.

    Args:
        model: The model.
        dataset: One for `load_dataset` whose questions have one answer each, such as ``"scenes"``, ``"easy-vqa"`` or a table.
        n: Questions: that many scenes, or drawn from another dataset. Left out: 1,100 scenes, or the whole dataset.
        seed: Of the scenes, or of the draw.
        without: Leave out the ``"image"`` or the ``"question"``.

    Returns:
        ``overall`` and, in ``kinds``, an entry for each kind: accuracy in [0, 1] with ``n`` and a 95 % ``interval``.

    Raises:
        InputError: For a dataset that does not exist or has other than one answer a question, a record that cannot be asked,
            a part that cannot be left out, or an `n` or a seed out of range.
    """
    if without is not None and without not in WITHOUT:
        raise InputError(f"{without!r} cannot be left out; valid are {', '.join(WITHOUT)}.")
    name = str(dataset)
    if n is None and name in DATASETS:
        n = DATASETS[name].measured
    asked = load_dataset(dataset, n=n, seed=seed)
    records = iter(asked)
    right: dict[str, list[bool]] = {}
    with progress(asked.name, asked.size, "question") as advance:
        while pool := list(islice(records, POOL)):
            for record, correct in zip(pool, _correct(model, pool, without), strict=True):
                right.setdefault(record.kind, []).append(correct)
            advance(len(pool))
    whole = _share([c for kind in right.values() for c in kind])
    return {
        "model": model.name,
        "model_revision": model.revision,
        "dataset": asked.name,
        "seed": None if n is None else seed,
        "without": without,
        "n": whole["n"],
        "overall": whole["accuracy"],
        "interval": whole["interval"],
        "kinds": {kind: _share(correct) for kind, correct in right.items() if kind},
    }


def _correct(model: Model, pool: Sequence[Record], without: str | None) -> list[bool]:
    """For each record whether the model's greedy answer is the right one; questions of the same words run together."""
    truths = [_truth(record) for record in pool]
    by_question: dict[tuple[str, str | None], list[int]] = {}
    for i, record in enumerate(pool):
        by_question.setdefault((record.question, truths[i] if without == "question" else None), []).append(i)
    correct = np.zeros(len(pool), dtype=bool)
    for (question, truth), members in by_question.items():
        prompt, images = model.prompt(question), [pool[i].read() for i in members]
        if without == "image":
            images = [np.broadcast_to(i.mean((0, 1)).round().astype(np.uint8), i.shape).copy() for i in images]
        if truth is None:
            said = [a.text for a in model.answer(images, prompt)]
            correct[members] = [s == truths[i] for s, i in zip(said, members, strict=True)]
        else:
            silent = np.zeros((len(images), len(prompt.words)), dtype=bool)
            # Greedy decoding gives the truth exactly when it would not leave it at any step.
            correct[members] = ~model.trace(images, prompt, model.target(truth), keep_words=silent).flipped
    return [bool(c) for c in correct]


def _truth(record: Record) -> str:
    if len(record.answers) != 1:
        raise InputError(
            f"Question {record.id} has {len(record.answers)} answers; exact match needs exactly one: choose another dataset."
        )
    return record.answers[0]


def _share(correct: Sequence[bool]) -> dict[str, Any]:
    """Share of correct answers with n and Wilson's 95 % interval.

    >>> _share([True] * 9 + [False])
    {'n': 10, 'accuracy': 0.9, 'interval': [0.5958, 0.9821]}
    """
    interval = binomtest(sum(correct), len(correct)).proportion_ci(method="wilson")
    return {
        "n": len(correct),
        "accuracy": round(sum(correct) / len(correct), 4),
        "interval": [round(float(interval.low), 4), round(float(interval.high), 4)],
    }
