"""The faithfulness card: does the causal graph of a model's answers predict the model, and would it come out the same again?

`measure_card` asks the model about fresh scenes, one question each, keeps those that it answers correctly, and takes every measure
of `stcg_nb.faithfulness.card_measures` on data that the graph was not fitted on. `measure_game` does so for one explanation.

A card is a mapping for JSON that says of each measure what it is, so that whatever draws it keeps no list of measures::

    {"format": 2, …, "measures": {"lds": {"value": 0.96, "low": 0.95, "high": 0.97, "n": 200, "label": "…", "role": "ours"}, …}}

Values are None where a measure is not defined, such as ground truth for an answer that rests on an absence. The card of one
explanation has no intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.faithfulness.card_measures import MEASURES
from stcg_nb.faithfulness.context import Context
from stcg_nb.files import Records
from stcg_nb.interventions.causal_graph import MASKS, check_masks
from stcg_nb.interventions.masking import Game
from stcg_nb.models import Model
from stcg_nb.progress import progress
from stcg_nb.scenes.pictures import Scene
from stcg_nb.scenes.questions import Question, sample
from stcg_nb.stats.bootstrap import cluster_bootstrap

FORMAT = 2
TRIES = 200

Record = dict[str, float | None]
"""The value of each measure, by key; None where it is not defined."""


def measure_card(
    model: Model, *, n: int = 200, seed: int = 0, masks: int = MASKS, partial: Path | None = None
) -> dict[str, Any]:
    """Measure the card of a model.

    Args:
        model: A model with weights; the mock has no faithfulness to measure.
        n: Questions that it answers correctly, of all kinds in turn.
        seed: Of the scenes.
        masks: For each causal graph.
        partial: A file that keeps what is measured, question by question; a run that is stopped goes on from it.

    Returns:
        ``measures``: of each measure value, low, high (95 %, clustered by image), n, label and role. ``questions``: the `Record`
        of each with its scene. Besides, what it was measured on.

    Raises:
        InputError: For n below 2, a negative seed, too few masks, a partial file of another run, a model without weights or
            one that answers none of the first `TRIES` questions.
    """
    _check_weights(model)
    if n < 2:
        raise InputError(f"n is {n}; a card with intervals needs at least two questions.")
    if seed < 0:
        raise InputError(f"The seed is {seed}; give a whole number from 0 on.")
    check_masks(masks)
    head = {"model": model.name, "model_revision": model.revision, "seed": seed, "masks": masks, "format": FORMAT}
    kept = Records(partial, {**head, "measures": list(MEASURES)})
    records = kept.read()[:n]
    shuffled = model.randomised(seed)
    fresh = islice(_answered(model, seed, skip=len(records)), n - len(records))
    with progress("card", n, "question", done=len(records)) as advance:
        for scene, question in fresh:
            measured = measure_question(model, shuffled, scene, question, masks)
            records.append(kept.append({"scene": scene.seed, **measured}))
            advance(1)
    return {**head, "n": n, "measures": _summary(records), "questions": records}


def measure_question(model: Model, shuffled: Model, scene: Scene, question: Question, masks: int) -> Record:
    """All measures of one question.

    Args:
        model: What is explained.
        shuffled: The same with its weights shuffled.
        scene, question: That it answers correctly.
        masks: For each causal graph.
    """
    evidence = np.stack([scene.objects[k].mask for k in question.rests_on]) if question.rests_on else None
    case = Case.read(scene.image, question.text, model, answer=question.answer)
    card = measure_game(Game(case), shuffled, masks, scene.seed, evidence)
    return {key: entry["value"] for key, entry in card["measures"].items()}


def measure_game(
    game: Game,
    shuffled: Model,
    masks: int = MASKS,
    seed: int = 0,
    evidence: np.ndarray | None = None,
    graph_seed: int = 0,
) -> dict[str, Any]:
    """The card of one explanation: ``measures`` has value, label and role of each measure.

    Args:
        game: What is explained, of a model with weights.
        shuffled: The same model with its weights shuffled, as `Model.randomised` makes it.
        masks: For each causal graph; in all it takes some seven times as many forward passes.
        seed: Of held-out masks, baselines and disturbances.
        evidence: The objects that the answer rests on, bool ``[object, height, width]``, where they are known.
        graph_seed: Of the causal graph's masks, as `stcg_nb.explain` was given it.

    Raises:
        InputError: For a model without weights, or too few masks.

    Example:
        ``measure_game(Game(case), case.model.randomised(0))["measures"]["lds"]["value"]``
    """
    _check_weights(game.case.model)
    context = Context(game, shuffled, masks, seed, evidence, graph_seed)
    measures = {}
    for key, measure in MEASURES.items():
        value = float(measure.value(context))
        measures[key] = {
            "value": None if math.isnan(value) else value,
            "label": measure.label,
            "role": measure.role,
        }
    return {"format": FORMAT, "measures": measures}


def _check_weights(model: Model) -> None:
    if model.synthetic:
        raise InputError(
            f"{model.name!r} has no weights that a card could be about; name a real model, such as 'tiny'."
        )


def _summary(records: list[Any]) -> dict[str, dict[str, Any]]:
    """Mean and interval of each measure over the questions, with its label and role."""
    images = np.array([record["scene"] for record in records])
    summary = {}
    for key, measure in MEASURES.items():
        values = np.array([math.nan if record[key] is None else record[key] for record in records])
        estimate = cluster_bootstrap(values, images)
        summary[key] = {**estimate.as_dict(), "label": measure.label, "role": measure.role}
    return summary


def _answered(model: Model, seed: int, skip: int) -> Iterator[tuple[Scene, Question]]:
    """Fresh scenes with a question that the model answers correctly, without the first `skip` of them."""
    found = 0
    for tried, (scene, question) in enumerate(sample(10**6, seed)):
        if tried == TRIES and not found:
            raise InputError(
                f"{model.name} answers none of {TRIES} questions about scenes correctly: nothing to explain."
            )
        if model.answer([scene.image], model.prompt(question.text))[0].text == question.answer:
            found += 1
            if found > skip:
                yield scene, question
