"""The Jensen-Shannon distance between distributions (Lin 1991; base 2)."""

from __future__ import annotations

import numpy as np


def js_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distance between distributions along the last axis, in [0, 1] (base 2).

    Args:
        a, b: Non-negative weights, ``[..., region]``, normalised here. Where both are all zeros the distance is 0; where only one
            is, it is 1.

    Returns:
        ``[...]``.

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
    """Weights ``[..., region]`` scaled to sum to one along the last axis; rows of zeros stay zero."""
    total = weights.sum(-1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights, dtype=np.float64), where=total > 0)
