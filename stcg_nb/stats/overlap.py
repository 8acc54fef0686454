"""Which edges of a map are its strongest, and how far two maps agree on them beyond chance."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import hypergeom

from stcg_nb.errors import InputError


def strongest(weights: np.ndarray, k: int) -> np.ndarray:
    """The k edges of largest |weight|, bool ``[edge]``.

    Edges that tie with the k-th all belong, for none is stronger than another, so more than k can come out; an edge
    of weight 0 is none and never belongs, so fewer can. The order in which edges are listed decides nothing: else
    two maps full of ties would agree by their order alone.

    >>> strongest(np.array([3.0, -2.0, 2.0, 0.0]), 2).tolist()
    [True, True, True, False]
    """
    size = np.abs(weights)
    return (size > 0) & (size >= np.partition(size, -k)[-k])


def jaccard_top(a: np.ndarray, b: np.ndarray, share: float = 0.1) -> float:
    """Overlap of the strongest edges of two maps beyond chance: (J − J₀) / (1 − J₀); 1 for equal sets, 0 on average by chance.

    J = |A ∩ B| / |A ∪ B| for the sets A and B of the `strongest` edges, share · edges of them, rounded up. J₀ is the exact
    expectation of J for two random sets of these sizes, whose intersection is hypergeometric. Two sets that agree less than
    by chance score below 0. Signs do not count.

    NaN where both sets are empty or the whole (maps of zeros, maps tied throughout): they could not have differed.

    Args:
        a, b: Weights of the same edges in two maps, arrays of one shape.
        share: Of the edges, in (0, 1].

    Raises:
        InputError: For other shapes or shares, or weights that are not finite.

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
    both = np.arange(max(0, n_a + n_b - a.size), min(n_a, n_b) + 1)
    by_chance = float(hypergeom.pmf(both, a.size, n_a, n_b) @ (both / (n_a + n_b - both)))
    found = int((top_a & top_b).sum())
    return (found / (n_a + n_b - found) - by_chance) / (1 - by_chance)
