"""What a perturbed image does to attention's links and to the answer.

With W the alignment of words and regions by attention, W_0 that of the image as it is and W_k that of perturbation k:

- delta W_k = mean over edges of |W_k - W_0|. Its size depends on the scale of W.
- its Jensen-Shannon form: mean over words of the Jensen-Shannon distance between a word's normalised rows, in [0, 1]
  (Lin 1991; base 2), free of that scale.
- delta p_k = p_k(answer) - p_0(answer), with p(answer) the product over steps.
- flipped: greedy decoding answers something else.

`stcg_nb.explain` measures all perturbations in one batch; `sensitivities` measures one at a time and yields each when it is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stcg_nb.attention.alignment import traced_attention
from stcg_nb.case import Case
from stcg_nb.inputs.perturbations import DEFAULT, PERTURBATIONS, Perturbed, perturb
from stcg_nb.models.protocol import Trace
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
    case: Case, perturbations: Sequence[str] = DEFAULT, strength: float = 0.5, seed: int = 0
) -> Iterator[Sensitivity]:
    """Perturb a case's image in several ways, and yield what each does as soon as it is known.

    Args:
        case: Whose answer is scored.
        perturbations: Names from `stcg_nb.inputs.PERTURBATIONS`.
        strength: In [0, 1].
        seed: Of what perturbations draw at random.

    Raises:
        InputError: For an unknown perturbation, or a strength out of range; at the first step of the iteration.

    >>> case = Case.read("stcg_nb/data/demo.png", "what is this?", "mock")
    >>> [one.perturbed.name for one in sensitivities(case, ["color_shift"])]
    ['color_shift']
    """
    for name in perturbations:
        PERTURBATIONS[name]  # an unknown one is refused before anything runs
    trace, links = _seen(case, case.image)
    with progress("perturbations", len(perturbations), "perturbation") as advance:
        for name in perturbations:
            one = perturb(case.image, name, strength, seed)
            then, moved = _seen(case, one.image)
            flipped = bool(then.flipped[0])
            said = case.model.answer([one.image], case.prompt)[0].text if flipped else case.answer.text
            yield Sensitivity(
                one, float(delta_w(moved, links[0])[0]), float(delta_w_js(moved, links[0])[0]),
                float(delta_p(then.p, trace.p[0])[0]), then.p[0], flipped, said,
            )  # fmt: skip
            advance(1)


def _seen(case: Case, image: np.ndarray) -> tuple[Trace, np.ndarray]:
    """The trace of one picture, and attention's word-region links in it, ``[1, word, region]``."""
    trace, links = traced_attention(case, [image])
    return trace, links.by_region(case).word_patch


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
