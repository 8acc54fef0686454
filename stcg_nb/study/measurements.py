"""What the study measures of one question: pure functions of a model, a scene and a question to rows of plain numbers.

Links are those of raw attention between words and patches (S, `stcg_nb.attention.alignment`), as in the original study; no
choice of regions
comes into them. The answer is the model's own, right or wrong, and is teacher-forced in every counterfactual run. Perturbations draw
from the scene's seed, so that no two questions share a shuffle or a noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from stcg_nb.attention.alignment import aligned, traced_attention
from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.faithfulness.card import measure_question
from stcg_nb.faithfulness.disturbances import disturbed
from stcg_nb.faithfulness.measures import seed_faithfulness
from stcg_nb.graph import temporal
from stcg_nb.inputs.images import blank
from stcg_nb.inputs.perturbations import Perturbed, perturb
from stcg_nb.inputs.words import is_content
from stcg_nb.interventions.masking import Game, without
from stcg_nb.interventions.perturbation_effects import delta_p, delta_w, delta_w_js
from stcg_nb.models import Answer, Model, Prompt
from stcg_nb.scenes.pictures import Scene
from stcg_nb.scenes.questions import Question
from stcg_nb.stats.divergence import js_distance, normalised
from stcg_nb.stats.overlap import jaccard_top

Row = dict[str, Any]

DIGITS = 7
CLOSE, TOLERANCE = 0.02, 0.1  # of a matched pixel distance, relative: when to stop, and what is accepted
HALVINGS, STEPS = 12, 64


def sensitivity(
    model: Model, scene: Scene, question: Question, *, perturbations: Sequence[str], strength: float
) -> list[Row]:
    """ΔW and Δp of each perturbation at one strength, a row for each.

    Args:
        model: That is asked.
        scene, question: What it is asked.
        perturbations: Names from `stcg_nb.inputs.perturbations.PERTURBATIONS`.
        strength: In (0, 1].
    """
    made = [perturb(scene.image, name, strength, scene.seed) for name in perturbations]
    return _sensitivity(model, scene, question, made)


def matched_sensitivity(
    model: Model, scene: Scene, question: Question, *, perturbations: Sequence[str], distance: float
) -> list[Row]:
    """The same with each perturbation as strong as changes the image by one pixel distance; one that cannot has no row.

    Args:
        model, scene, question, perturbations: As in `sensitivity`.
        distance: Root mean square, in (0, 1), reached within 10 %.
    """
    made = [match(scene.image, name, distance, scene.seed) for name in perturbations]
    return _sensitivity(model, scene, question, [m for m in made if m is not None])


def match(image: np.ndarray, name: str, distance: float, seed: int) -> Perturbed | None:
    """A perturbation at the strength, found by bisection, at which its pixel distance is `distance`.

    It stops within 2 %, and accepts 10 %. Shuffled and hidden patches come in steps, so that the distance may jump: where
    bisection finds nothing, 64 strengths in equal steps are tried.

    Args:
        image: uint8 ``[height, width, 3]``.
        name: Of the perturbation.
        distance: In (0, 1).
        seed: Of the perturbation.

    Returns:
        None where no strength comes as close.

    >>> image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    >>> abs(match(image, "gaussian_noise", 0.1, 0).pixel_distance - 0.1) < 0.002
    True
    """
    best = made = perturb(image, name, 1.0, seed)
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        if abs(made.pixel_distance - distance) < abs(best.pixel_distance - distance):
            best = made
        low, high = (made.strength, high) if made.pixel_distance < distance else (low, made.strength)
        if abs(best.pixel_distance - distance) <= CLOSE * distance or low == 1.0:
            break
        made = perturb(image, name, (low + high) / 2, seed)
    if abs(best.pixel_distance - distance) > TOLERANCE * distance:
        tried = [perturb(image, name, k / STEPS, seed) for k in range(1, STEPS + 1)]
        best = min(tried, key=lambda p: abs(p.pixel_distance - distance))
    return best if abs(best.pixel_distance - distance) <= TOLERANCE * distance else None


def words(model: Model, scene: Scene, question: Question, *, estimator: str) -> list[Row]:
    """How strongly and how locally each word of the question is linked, and what the answer loses without it; a row a word.

    ``strength`` is the sum of the word's links over patches; ``entropy`` that of the normalised links in nats (0 is one patch,
    log 256 all alike); ``spread`` their root mean square distance from their centre in image sides; ``effect`` the log-odds,
    in nats and as a mean over steps, that the answer loses when the word is cut.

    Args:
        model, scene, question: As in `sensitivity`.
        estimator: ``"attention"``, ``"rollout"`` or ``"gradient"``.
    """
    case = _case(model, scene, question)
    prompt, links = case.prompt, aligned(case, estimator).word_patch
    n = len(prompt.words)
    kept = np.concatenate([np.ones((1, n), dtype=bool), without(n)])
    v = case.trace(image_index=np.zeros(n + 1, dtype=int), keep_words=kept).v.mean(1)
    share = normalised(links)
    height, width = case.image.shape[:2]
    entropy, spread = temporal.entropy(links), _spread(share, case.layout.cover / [width, height, width, height])
    return [
        {
            "word": word, "content": is_content(word), "strength": _float(links[i].sum()), "entropy": _float(entropy[i]),
            "spread": _float(spread[i]), "effect": _float(v[0] - v[1 + i]),
        }
        for i, word in enumerate(prompt.words)
    ]  # fmt: skip


def word_links(model: Model, scene: Scene, question: Question, estimator: str) -> tuple[Prompt, Answer, np.ndarray]:
    """The question as read, the model's answer, and S ``[word, patch]`` by an estimator; arguments as in `words`."""
    case = _case(model, scene, question)
    return case.prompt, case.answer, aligned(case, estimator).word_patch


def evolution(model: Model, scene: Scene, question: Question) -> list[Row]:
    """How links and reliance on the image change over the answer's tokens, one row; none for an answer of under three.

    ``distance`` is the Jensen-Shannon distance between the maps A of any two steps, ``[step, step]``; ``entropy`` and ``reliance``
    (log-odds lost when the image is blanked, nats) are ``[step]``.

    Args:
        model, scene, question: As in `sensitivity`.
    """
    case = _case(model, scene, question)
    if len(case.answer.tokens) < 3:
        return []
    trace, links = traced_attention(case, [case.image, blank(case.image)])
    maps = links.step_patch[0]
    return [
        {
            "tokens": list(case.answer.tokens),
            "distance": np.round(js_distance(maps[:, None], maps[None]), DIGITS).tolist(),
            "entropy": np.round(temporal.entropy(maps), DIGITS).tolist(),
            "reliance": np.round(trace.v[0] - trace.v[1], DIGITS).tolist(),
        }
    ]


def faithfulness(
    model: Model, scene: Scene, question: Question, *, masks: int, known: Mapping[int, Mapping[str, Any]]
) -> list[Row]:
    """Every measure of `stcg_nb.faithfulness.card`, and two of raw attention that it does not have, one row.

    ``attention_seed_faithfulness``: Pearson correlation of attention from steps to words and regions with exact leave-one-out
    effects. ``attention_jaccard_noise``: chance-corrected Jaccard of the strongest 10 % of word-region links between the picture and
    its three disturbed copies, where the answer stays.

    Args:
        model: With weights.
        scene, question: That it answers correctly.
        masks: For each causal graph.
        known: What a card has measured already, by scene.

    Raises:
        InputError: For a model without weights.
    """
    if model.synthetic:
        raise InputError(f"{model.name!r} has no weights whose faithfulness could be measured; name a real model.")
    record = known.get(scene.seed)
    if record is None:
        record = measure_question(model, _shuffled(model), scene, question, masks)
    case = Case.read(scene.image, question.text, model, answer=question.answer)
    linked = aligned(case).by_region(case)
    overlaps = [
        jaccard_top(linked.word_patch, traced_attention(case, [picture], reuse=False)[1].by_region(case).word_patch[0])
        for picture in disturbed(case.image, scene.seed)
        if model.answer([picture], case.prompt)[0].text == question.answer
    ]
    there = [o for o in overlaps if not np.isnan(o)]
    return [
        {
            **{k: v for k, v in record.items() if k != "scene"},
            "attention_seed_faithfulness": _float(
                seed_faithfulness(linked.step_player, Game(case).leave_one_out().effects)
            ),
            "attention_jaccard_noise": _float(np.mean(there)) if there else None,
        }
    ]


def _sensitivity(model: Model, scene: Scene, question: Question, made: Sequence[Perturbed]) -> list[Row]:
    case = _case(model, scene, question)
    trace, found = traced_attention(case, [case.image, *(p.image for p in made)], reuse=False)
    links = found.word_patch
    moved = delta_w(links[1:], links[0])
    moved_js = delta_w_js(links[1:], links[0])
    changed = delta_p(trace.p[1:], trace.p[0])
    return [
        {
            "perturbation": p.name, "strength": p.strength, "distance": _float(p.pixel_distance), "p": _float(trace.p[0].prod()),
            "delta_w": _float(moved[k]), "delta_w_js": _float(moved_js[k]),
            "delta_p": _float(changed[k]), "flipped": bool(trace.flipped[1 + k]),
        }
        for k, p in enumerate(made)
    ]  # fmt: skip


def _case(model: Model, scene: Scene, question: Question) -> Case:
    """The model's own answer to a question about a scene."""
    return Case.read(scene.image, question.text, model)


_SHUFFLED: WeakKeyDictionary[Model, Model] = WeakKeyDictionary()


def _shuffled(model: Model) -> Model:
    """The model with its weights shuffled, copied once for all questions."""
    if model not in _SHUFFLED:
        _SHUFFLED[model] = model.randomised(0)
    return _SHUFFLED[model]


def _spread(share: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Root mean square distance from the centre of mass, in image sides, ``[word]``.

    Args:
        share: Of each word, over patches; sums to one, ``[word, patch]``.
        cover: Of the patches, in image sides, ``[patch, 4]``; a patch that covers nothing is left out.
    """
    there = ~np.isnan(cover).any(1)
    place = (cover[there, :2] + cover[there, 2:]) / 2
    share = normalised(share[:, there])
    center = share @ place
    return np.sqrt(np.maximum(share @ (place**2).sum(1) - (center**2).sum(1), 0))


def _float(value: Any) -> float:
    return round(float(value), DIGITS)
