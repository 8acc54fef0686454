"""Counterfactual sensitivity, one perturbation at a time: what `explain` measures of all of them, as each is done.

The numbers are those of `stcg_nb.interventions.counterfactual`: attention's word-region links and the teacher-forced answer,
perturbed against not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from stcg_nb.attention.alignment import align, needed_sites
from stcg_nb.inputs.images import read_image
from stcg_nb.inputs.perturbations import DEFAULT, Perturbed, check_perturbation, perturb
from stcg_nb.inputs.regions import Regions, make_regions
from stcg_nb.models import Answer, Model, Prompt, load_model
from stcg_nb.progress import progress
from stcg_nb.stats.divergence import js_distance


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """What one perturbation did.

    Attributes:
        perturbed: The perturbed image, how it was made, its distance in pixels.
        delta_w, delta_w_js: How far word-region links moved: mean |W_k - W_0|, and as Jensen-Shannon distance in [0, 1].
        delta_p: Change of the answer's probability, in [-1, 1].
        p: Probability of each of the answer's tokens, ``[step]``.
        flipped: Whether greedy decoding says anything else.
        answer: What it says.
    """

    perturbed: Perturbed
    delta_w: float
    delta_w_js: float
    delta_p: float
    p: np.ndarray
    flipped: bool
    answer: str


def sensitivities(
    image: str | PathLike[str] | np.ndarray | Any,
    question: str,
    model: str | Model = "tiny",
    *,
    perturbations: Sequence[str] = DEFAULT,
    strength: float = 0.5,
    seed: int = 0,
    regions: str | Regions = "slic",
    answer: Answer | None = None,
) -> Iterator[Sensitivity]:
    """Perturb an image in several ways, and yield what each does as soon as it is known.

    Args:
        image, question, model, perturbations, strength, seed, regions: As for `stcg_nb.explain`.
        answer: Whose tokens are scored; the model's own if left out.

    Raises:
        InputError: For an image, question, regions or perturbation that cannot be used; at the first step of the iteration.
        ModelError: If the model cannot be loaded.

    >>> [one.perturbed.name for one in sensitivities("stcg_nb/data/demo.png", "what is this?", "mock", perturbations=["color_shift"])]
    ['color_shift']
    """
    picture = read_image(image)
    for name in perturbations:
        check_perturbation(name)
    parts = make_regions(picture, regions)
    if isinstance(model, str):
        model = load_model(model)
    prompt = model.prompt(question)
    if answer is None:
        answer = model.answer([picture], prompt)[0]
    w0, p0, _ = _links(model, picture, prompt, answer, parts)
    with progress("perturbations", len(perturbations), "perturbation") as advance:
        for name in perturbations:
            one = perturb(picture, name, strength, seed)
            w, p, flipped = _links(model, one.image, prompt, answer, parts)
            said = model.answer([one.image], prompt)[0].text if flipped else answer.text
            yield Sensitivity(
                one, float(delta_w(w[None], w0)[0]), float(delta_w_js(w[None], w0)[0]),
                float(delta_p(p[None], p0)[0]), p, flipped, said,
            )  # fmt: skip
            advance(1)


def _links(
    model: Model, picture: np.ndarray, prompt: Prompt, answer: Answer, parts: Regions
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Attention's word-region links ``[word, region]``, the tokens' probabilities ``[step]``, and whether the answer flips."""
    trace = model.trace([picture], prompt, answer, capture=needed_sites("attention", model.sites))
    share = parts.patch_weights(*model.grid, model.view(*parts.labels.shape)).T
    links = align("attention", trace.attention, model, prompt).word_patch[0] @ share
    return links, trace.p[0], bool(trace.flipped[0])


def delta_w(perturbed: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Mean over edges of |W_k - W_0|, ``[perturbation]``.

    Args:
        perturbed: ``[perturbation, word, region]``.
        original: ``[word, region]``.

    >>> delta_w(np.array([[[0.5, 0.5]]]), np.array([[1.0, 0.0]])).tolist()
    [0.5]
    """
    return np.abs(perturbed - original).mean((-2, -1))


def delta_w_js(perturbed: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Mean over words of the Jensen-Shannon distance of their rows, ``[perturbation]``; arguments as `delta_w`'s."""
    return js_distance(perturbed, np.broadcast_to(original, perturbed.shape)).mean(-1)


def delta_p(perturbed: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Change in the probability of the whole answer, ``[perturbation]``.

    Args:
        perturbed: Probabilities of the answer's tokens, ``[perturbation, step]``.
        original: ``[step]``.

    >>> delta_p(np.array([[0.5, 0.5]]), np.array([1.0, 0.5])).tolist()
    [-0.25]
    """
    return perturbed.prod(-1) - original.prod(-1)
