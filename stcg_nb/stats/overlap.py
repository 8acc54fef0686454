"""The strongest edges of a map, and the overlap of two maps' strongest edges corrected for chance."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import hypergeom

from stcg_nb.errors import InputError


def strongest(weights: np.ndarray, k: int) -> np.ndarray:
    """Whether each edge is among the k edges of largest |weight|, bool ``[edge]``, for weights ``[edge]``.

    All edges that tie with the k-th are included, so the result may have more than k. Edges of weight 0 are never included, so
    it may have fewer. Breaking ties by the order of edges would make two maps full of ties agree by that order alone.

    >>> strongest(np.array([3.0, -2.0, 2.0, 0.0]), 2).tolist()
    [True, True, True, False]
    """
    size = np.abs(weights)
    return (size > 0) & (size >= np.partition(size, -k)[-k])


def jaccard_top(a: np.ndarray, b: np.ndarray, share: float = 0.1) -> float:
    """Chance-corrected Jaccard overlap of the strongest edges of two maps, (J − J₀) / (1 − J₀): 1 if equal, 0 on average by chance.

    J = |A ∩ B| / |A ∪ B|, where A and B are the `strongest` share of the edges of each map, rounded up. J₀ is the exact
    expectation of J for two random sets of these sizes, whose intersection is hypergeometric. Sets that agree less than by
    chance score below 0. Signs of weights are ignored.

    The overlap is NaN if both sets are empty or contain all edges (maps of zeros, maps of ties), since then they cannot differ.

    Args:
        a, b: Weights of the same edges in two maps, ``[...]``, of one shape.
        share: Share of the edges that count as strongest, in (0, 1].

    Raises:
        InputError: If the shapes differ, the share is out of range, or weights are not finite.

    >>> a = np.array([9.0, 8.0, 1.0, 1.5])
    >>> jaccard_top(a, -a, share=0.5)
    1.0
    >>> round(jaccard_top(a, a[::-1], share=0.5), 4)  # J = 0, and J₀ = (1·1 + 4·⅓ + 1·0) / 6
    -0.6364
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape or a.size == 0 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError(f"The maps have shapes {a.shape} and {b.shape}; they must be equal, not empty, and finite.")
    if not 0 < share <= 1:
        raise InputError(f"The share is {share}; it must lie in (0, 1].")
    k = max(1, math.ceil(share * a.size - 1e-9))  # 0.07 * 100 is a little more than 7
    top_a, top_b = strongest(a.ravel(), k), strongest(b.ravel(), k)
    n_a, n_b = int(top_a.sum()), int(top_b.sum())
    if n_a + n_b == 0 or n_a == n_b == a.size:
        return math.nan
    sizes = np.arange(max(0, n_a + n_b - a.size), min(n_a, n_b) + 1)
    by_chance = float(hypergeom.pmf(sizes, a.size, n_a, n_b) @ (sizes / (n_a + n_b - sizes)))
    common = int((top_a & top_b).sum())
    return (common / (n_a + n_b - common) - by_chance) / (1 - by_chance)
