"""Counterfactual sensitivity: what a perturbed image does to the links and to the answer.

With W the attention-based alignment of words and regions, W_0 that of the image as it is and W_k that of perturbation k:

- delta W_k = mean over edges of |W_k - W_0|. Its size depends on the scale of W.
- its Jensen-Shannon form: mean over words of the Jensen-Shannon distance between a word's normalised rows, in [0, 1]
  (Lin 1991; base 2), free of that scale.
- delta p_k = p_k(answer) - p_0(answer), with p(answer) the product over steps.
- flipped: greedy decoding answers something else.
"""

from __future__ import annotations

import numpy as np


def js_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distance between distributions along the last axis, in [0, 1] (base 2).

    Args:
        a, b: Non-negative, ``[..., region]``; they are normalised here. Where one of them is all zeros there is no distribution:
            the distance is 0 if both are, else 1.

    >>> float(js_distance(np.array([1.0, 0.0]), np.array([0.0, 2.0])))
    1.0
    """
    p, q = normalised(a), normalised(b)
    middle = (p + q) / 2
    divergence = np.zeros(middle.shape[:-1])
    for x in (p, q):
        ratio = np.divide(x, middle, out=np.ones_like(middle), where=(x > 0) & (middle > 0))
        divergence += (x * np.log2(ratio)).sum(-1) / 2
    empty = (p.sum(-1) == 0) != (q.sum(-1) == 0)
    return np.where(empty, 1.0, np.sqrt(np.clip(divergence, 0, 1)))


def normalised(weights: np.ndarray) -> np.ndarray:
    """Rows along the last axis that sum to one; a row of zeros stays one."""
    total = weights.sum(-1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights, dtype=np.float64), where=total > 0)


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
