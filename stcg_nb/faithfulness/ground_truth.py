"""Does the explanation lie where the evidence is? Region weights against the mask of the objects that an answer rests on.

The measures are those of CLEVR-XAI (Arras et al. 2022, arXiv 2003.07258) and the pointing game (Zhang et al. 2018, arXiv
1608.00507), carried from pixels to regions. What a region's weight means for its pixels is settled once:

1. Negative weights count as 0: the truth says what supports the answer, not what speaks against it.
2. A region's relevance is spread evenly over its pixels, so that a map does not gain relevance by large regions.
3. Pixels of equal relevance have no order: where only some of them count, the expectation over all orders does.

A map without any positive weight points nowhere and has no relevance: `pointing` and `relevance_mass` are 0, and
`relevance_rank` is what chance gives, the truth's share of the picture.
"""

from __future__ import annotations

import numpy as np

from stcg_nb.errors import InputError


def pointing(weights: np.ndarray, labels: np.ndarray, truth: np.ndarray) -> float:
    """Pointing game: 1 if more than half of the strongest region lies on the truth, else 0.

    The region of largest positive weight, not its strongest pixel, is what an explanation by regions points at. Superpixels
    of an object take in some of its edge, so a share of the region would measure the segmentation as well, and its
    central pixel is a whim of its shape; the majority tells whether a random pixel of it is rather a hit or a miss.
    Where regions tie, the share of hits among them.

    Args:
        weights: ``[region]``.
        labels: The regions, int ``[height, width]``.
        truth: Where the evidence is, bool ``[height, width]``.

    Raises:
        InputError: For shapes that do not agree, weights that are not finite, or an empty truth: a question that rests on
            the absence of something has none.

    >>> labels = np.array([[0, 0, 1, 2]])
    >>> pointing(np.array([3.0, 1.0, -9.0]), labels, truth=labels == 0)
    1.0
    """
    weights, area, inside = _regions(weights, labels, truth)
    if weights.max() == 0:
        return 0.0
    return float((inside > area / 2)[weights == weights.max()].mean())


def relevance_mass(weights: np.ndarray, labels: np.ndarray, truth: np.ndarray) -> float:
    """Relevance mass accuracy: the share of all positive relevance that lies within the truth, in [0, 1].

    Arguments and errors as `pointing`.

    >>> labels = np.array([[0, 0, 1, 2]])
    >>> relevance_mass(np.array([3.0, 1.0, -9.0]), labels, truth=labels == 0)
    0.75
    """
    weights, area, inside = _regions(weights, labels, truth)
    return float(weights @ (inside / area) / weights.sum()) if weights.max() > 0 else 0.0


def relevance_rank(weights: np.ndarray, labels: np.ndarray, truth: np.ndarray) -> float:
    """Relevance rank accuracy: of the K most relevant pixels the share within the truth of K pixels, in [0, 1].

    Where the K-th pixel falls among pixels of equal relevance (within a region, and between regions), those that still count
    are drawn at random from them, in expectation. Arguments and errors as `pointing`.

    >>> labels = np.array([[0, 0, 1, 2]])
    >>> relevance_rank(np.array([0.0, 1.0, 0.0]), labels, truth=labels == 0)  # then one of three pixels, two in the truth
    0.3333333333333333
    """
    weights, area, inside = _regions(weights, labels, truth)
    _, group = np.unique(weights / area, return_inverse=True)
    size = np.bincount(group, area)[::-1]  # [group of equal relevance], most relevant first
    hits = np.bincount(group, inside)[::-1]
    k = inside.sum()
    before = np.cumsum(size) - size
    taken = np.clip(k - before, 0, size)
    return float((taken * hits / size).sum() / k)


def _regions(weights: np.ndarray, labels: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positive weights, area in pixels and pixels within the truth, float64 ``[region]`` each."""
    weights, labels, truth = np.asarray(weights, dtype=float), np.asarray(labels), np.asarray(truth, dtype=bool)
    if labels.ndim != 2 or truth.shape != labels.shape:
        raise InputError(
            f"The labels have shape {labels.shape} and the truth {truth.shape}; both must be [height, width]."
        )
    if weights.ndim != 1 or not np.array_equal(np.unique(labels), np.arange(len(weights))):
        raise InputError(
            f"The weights have shape {weights.shape}; they must be [region], and the labels hold each region's number."
        )
    if not np.isfinite(weights).all():
        raise InputError("The weights hold values that are not finite.")
    if not truth.any():
        raise InputError("The truth is empty; leave out questions whose answer rests on no object.")
    area = np.bincount(labels.ravel(), minlength=len(weights)).astype(float)
    return np.maximum(weights, 0), area, np.bincount(labels.ravel(), truth.ravel(), minlength=len(weights))
