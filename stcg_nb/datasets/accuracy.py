"""How often a model's greedy answer is exactly right, on fresh scenes or on easy-VQA, intact or with half of its input gone.

A model that answers without looking or listening is no test bed for explanations, so the same questions can be asked
with the image blanked (a uniform picture of its own mean colour) or with all of the question's words cut from the attention.
Intervals are Wilson's at 95 %.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
from scipy.stats import binomtest
from tqdm import tqdm

from stcg_nb.datasets.easy_vqa import Item, easy_vqa_test
from stcg_nb.errors import InputError
from stcg_nb.models import Model
from stcg_nb.scenes.questions import sample

DATASETS = ("scenes", "easy-vqa")
WITHOUT = ("image", "question")
POOL = 1024


def measure(
    model: Model, dataset: str = "scenes", *, n: int | None = None, seed: int = 0, without: str | None = None
) -> dict[str, Any]:
    """Measure exact match, over all and for each kind of question.

    Args:
        model: The model.
        dataset: ``"scenes"``, fresh ones that share none with training; or ``"easy-vqa"``, the test split of that package.
        n: Questions: 1,100 of the scenes' if left out, in equal parts for each kind; all 9,673 of easy-VQA's.
        seed: Of the scenes.
        without: Leave out the ``"image"`` or the ``"question"``.

    Returns:
        ``overall`` and, in ``kinds``, an entry for each kind: accuracy in [0, 1] with ``n`` and a 95 % ``interval``.

    Raises:
        InputError: For a dataset or part that does not exist, n below 1, or easy-VQA not installed.
    """
    if without is not None and without not in WITHOUT:
        raise InputError(f"{without!r} cannot be left out; valid are {', '.join(WITHOUT)}.")
    if n is not None and n < 1:
        raise InputError(f"n is {n}; ask at least one question.")
    if dataset not in DATASETS:
        raise InputError(f"{dataset!r} is no dataset; valid are {', '.join(DATASETS)}.")
    if seed < 0:
        raise InputError(f"The seed is {seed}; give a whole number from 0 on.")
    if dataset == "scenes":
        n = 1100 if n is None else n
        items: Iterable[Item] = (Item(s.image, q.text, q.answer, q.kind) for s, q in sample(n, seed))
    else:
        items = islice(easy_vqa_test(), n)
    right: dict[str, list[bool]] = {}
    with tqdm(desc=dataset, total=n, unit="question", delay=1, leave=False) as bar:
        while pool := list(islice(items := iter(items), POOL)):
            for item, correct in zip(pool, _correct(model, pool, without), strict=True):
                right.setdefault(item.kind, []).append(correct)
            bar.update(len(pool))
    everything = [c for kind in right.values() for c in kind]
    whole = _share(everything)
    return {
        "model": model.name,
        "model_revision": model.revision,
        "dataset": dataset,
        "seed": seed if dataset == "scenes" else None,
        "without": without,
        "n": whole["n"],
        "overall": whole["accuracy"],
        "interval": whole["interval"],
        "kinds": {kind: _share(c) for kind, c in right.items()},
    }


def _correct(model: Model, pool: list[Item], without: str | None) -> list[bool]:
    """For each item whether the model's greedy answer is the right one; questions of the same words run together."""
    correct = np.zeros(len(pool), dtype=bool)
    by_question: dict[tuple[str, str | None], list[int]] = {}
    for i, item in enumerate(pool):
        by_question.setdefault((item.question, item.answer if without == "question" else None), []).append(i)
    for (question, truth), members in by_question.items():
        prompt = model.prompt(question)
        images = [pool[i].image for i in members]
        if without == "image":
            images = [np.broadcast_to(i.mean((0, 1)).round().astype(np.uint8), i.shape).copy() for i in images]
        if truth is None:
            said = [a.text for a in model.answer(images, prompt)]
            correct[members] = [s == pool[i].answer for s, i in zip(said, members, strict=True)]
        else:
            silent = np.zeros((len(images), len(prompt.words)), dtype=bool)
            # Greedy decoding gives the truth exactly when it would not leave it at any step.
            correct[members] = ~model.trace(images, prompt, model.target(truth), keep_words=silent).flipped
    return [bool(c) for c in correct]


def _share(correct: list[bool]) -> dict[str, Any]:
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
