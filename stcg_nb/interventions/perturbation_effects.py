"""The effect of a perturbed image on attention's word-region links and on the answer.

W is the alignment of words with regions by attention, W_0 on the unperturbed image, W_k under perturbation k:

- delta W_k = mean over edges of |W_k - W_0|. Its size depends on the scale of W.
- the Jensen-Shannon form of delta W: mean over words of the Jensen-Shannon distance between the word's normalised rows of W_k and
  W_0, in [0, 1] (Lin 1991; base 2). It does not depend on the scale of W.
- delta p_k = p_k(answer) - p_0(answer). p(answer) is the product of the tokens' probabilities under teacher forcing.
- flipped: greedy decoding gives another answer.

`stcg_nb.explain` measures all perturbations in one batch; `sensitivities` measures one at a time and yields each when it is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stcg_nb.attention.alignment import traced_attention
from stcg_nb.case import Case
from stcg_nb.inputs.perturbations import DEFAULT, PERTURBATIONS, STRENGTH, Perturbed, perturb
from stcg_nb.models.protocol import Trace
from stcg_nb.progress import progress
from stcg_nb.stats.divergence import js_distance


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """The effect of one perturbation.

    Attributes:
        perturbed: The perturbed image, how it was made, and its pixel distance.
        delta_w: Mean |W_k - W_0| over word-region edges.
        delta_w_js: The same change as a Jensen-Shannon distance, in [0, 1].
        delta_p: Change in the answer's probability, in [-1, 1].
        p: Probability of each token of the original answer on the perturbed image, ``[step]``.
        flipped: Whether greedy decoding gives another answer.
        answer: The answer of greedy decoding.
    """

    perturbed: Perturbed
    delta_w: float
    delta_w_js: float
    delta_p: float
    p: np.ndarray
    flipped: bool
    answer: str


def sensitivities(
    case: Case, perturbations: Sequence[str] = DEFAULT, strength: float = STRENGTH, seed: int = 0
) -> Iterator[Sensitivity]:
    """Measure perturbations of a case's image, one at a time; each result is yielded as soon as it is measured.

    Args:
        case: The case whose answer is scored.
        perturbations: Names from `stcg_nb.inputs.PERTURBATIONS`.
        strength: From 0 to 1.
        seed: Seeds perturbations that draw at random.

    Raises:
        InputError: For an unknown perturbation, or a strength outside [0, 1]; at the first step of the iteration.

    >>> case = Case.read("stcg_nb/data/demo.png", "what is this?", "mock")
    >>> [one.perturbed.name for one in sensitivities(case, ["color_shift"])]
    ['color_shift']
    """
    for name in perturbations:
        PERTURBATIONS[name]  # raises for an unknown name before anything runs
    original, links = _traced(case, case.image)
    with progress("perturbations", len(perturbations), "perturbation") as advance:
        for name in perturbations:
            perturbed = perturb(case.image, name, strength, seed)
            trace, perturbed_links = _traced(case, perturbed.image)
            flipped = bool(trace.flipped[0])
            answer = case.model.answer([perturbed.image], case.prompt)[0].text if flipped else case.answer.text
            yield Sensitivity(
                perturbed, float(delta_w(perturbed_links, links[0])[0]), float(delta_w_js(perturbed_links, links[0])[0]),
                float(delta_p(trace.p, original.p[0])[0]), trace.p[0], flipped, answer,
            )  # fmt: skip
            advance(1)


def _traced(case: Case, image: np.ndarray) -> tuple[Trace, np.ndarray]:
    """Teacher-force the answer on an image ``[height, width, 3]``: the trace, and links by attention ``[1, word, region]``."""
    trace, links = traced_attention(case, [image])
    return trace, links.by_region(case).word_patch


def delta_w(perturbed: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Mean over edges of |W_k - W_0|, ``[perturbation]``.

    Args:
        perturbed: W_k, ``[perturbation, word, region]``.
        original: W_0, ``[word, region]``.

    >>> delta_w(np.array([[[0.5, 0.5]]]), np.array([[1.0, 0.0]])).tolist()
    [0.5]
    """
    return np.abs(perturbed - original).mean((-2, -1))


def delta_w_js(perturbed: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Mean over words of the Jensen-Shannon distance between the word's rows, ``[perturbation]``, in [0, 1].

    Args:
        perturbed: W_k, ``[perturbation, word, region]``.
        original: W_0, ``[word, region]``.
    """
    return js_distance(perturbed, np.broadcast_to(original, perturbed.shape)).mean(-1)


def delta_p(perturbed: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Change in the probability of the whole answer, ``[perturbation]``.

    Args:
        perturbed: Probabilities of the answer's tokens, ``[perturbation, step]``.
        original: Probabilities on the unperturbed image, ``[step]``.

    >>> delta_p(np.array([[0.5, 0.5]]), np.array([1.0, 0.5])).tolist()
    [-0.25]
    """
    return perturbed.prod(-1) - original.prod(-1)
