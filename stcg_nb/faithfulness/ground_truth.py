"""Region weights compared with the mask of the objects that an answer rests on, the truth.

The measures are those of CLEVR-XAI (Arras et al. 2022, arXiv 2003.07258) and the pointing game (Zhang et al. 2018, arXiv
1608.00507), applied to regions instead of pixels by three rules:

1. Negative weights count as 0, since the truth marks only evidence for the answer.
2. A region's weight is divided evenly among its pixels, so that large regions gain nothing by their size.
3. Pixels of equal relevance have no order. Where only some of them count, the result is the expectation over all orders.

For a map without positive weights `pointing` and `relevance_mass` are 0, and `relevance_rank` is the truth's share of the picture,
as by chance.
"""

from __future__ import annotations

import numpy as np

from stcg_nb.errors import InputError

WHOLE = 0.95  # share of an object's pixels that one region holds if the object is whole


def pointing(weights: np.ndarray, labels: np.ndarray, truth: np.ndarray) -> float:
    """Pointing game: 1 if more than half of the strongest region lies on the truth, else 0.

    An explanation by regions points at its region of largest positive weight. Superpixels of an object include some of its
    surroundings, so the share of the region within the truth would measure the segmentation too; a majority of its pixels does
    not. Where regions tie, the result is the share of hits among them.

    Args:
        weights: ``[region]``.
        labels: The regions, int ``[height, width]``.
        truth: Where the evidence is, bool ``[height, width]``.

    Raises:
        InputError: For shapes that do not agree, weights that are not finite, or an empty truth, as of an answer that
            rests on the absence of something.

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

    Where the K-th pixel is one of several of equal relevance, of one region or more, the result is the expectation over random
    orders of these. Arguments and errors as `pointing`.

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


def evidence_recall(weights: np.ndarray, labels: np.ndarray, objects: np.ndarray) -> float:
    """Of the k objects that an answer rests on the share that is among the k strongest regions, in [0, 1].

    A region stands for the object that covers more than half of it. Where regions tie for the last places, the result is the
    expectation over all orders.

    Args:
        weights: ``[region]``.
        labels: The regions, int ``[height, width]``.
        objects: The objects, bool ``[object, height, width]``, at least one.

    Raises:
        InputError: For shapes that do not agree, weights that are not finite, or without objects.

    >>> labels = np.array([[0, 0, 1, 2]])
    >>> evidence_recall(np.array([3.0, 1.0, 2.0]), labels, np.array([labels == 0, labels == 1]))
    0.5
    """
    weights, chances = np.asarray(weights, dtype=float), []
    last = np.sort(weights)[-min(len(objects), len(weights))] if len(objects) and len(weights) else 0.0
    ties = (min(len(objects), len(weights)) - (weights > last).sum()) / max((weights == last).sum(), 1)
    for mask in objects:
        _, area, inside = _regions(weights, labels, mask)
        best = weights[inside > area / 2].max(initial=-np.inf)
        chances.append(1.0 if best > last else ties if best == last else 0.0)
    if not chances:
        raise InputError("There are no objects; leave out questions whose answer rests on no object.")
    return float(np.mean(chances))


def objects_whole(labels: np.ndarray, objects: np.ndarray) -> float:
    """The share of objects that lie in one region: it holds at least `WHOLE` of the object's pixels and little else, the object
    being more than half of it.

    Takes and raises the same as `evidence_recall`.

    >>> labels = np.array([[0, 0, 1, 2]])
    >>> objects_whole(labels, np.array([labels == 0, labels > 0]))
    0.5
    """
    whole = []
    for mask in objects:
        _, area, inside = _regions(np.zeros(np.max(labels) + 1), labels, mask)
        whole.append(((inside >= WHOLE * inside.sum()) & (inside > area / 2)).any())
    if not whole:
        raise InputError("There are no objects; leave out questions whose answer rests on no object.")
    return float(np.mean(whole))


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
