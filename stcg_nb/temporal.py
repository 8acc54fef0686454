"""Temporal evolution: how an explanation changes from one answer step to the next.

`entropy` says how spread a step's links are, `js_previous` how far they moved from the step before (Jensen-Shannon distance),
`top_overlap` which share of the strongest regions stayed. A map that wanders at random moves too, so `order_test` compares the
mean movement between neighbours with that of the same steps in any other order: if the order means nothing, neighbours
are no closer than others.
"""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np

from stcg_nb.counterfactual import js_distance, normalised

TOP = 5
MAX_ORDERS = 2000


def entropy(step_region: np.ndarray) -> np.ndarray:
    """Entropy of each step's normalised links, in nats, ``[step, region]`` to ``[step]``; from 0 to log(regions).

    >>> entropy(np.array([[1.0, 1.0], [3.0, 0.0]])).round(4).tolist()
    [0.6931, 0.0]
    """
    p = normalised(step_region)
    return 0.0 - (p * np.log(np.where(p > 0, p, 1))).sum(-1)


def js_previous(step_region: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distance to the step before, in [0, 1], ``[step]``; NaN at the first."""
    return np.concatenate([[np.nan], js_distance(step_region[1:], step_region[:-1])])


def top_overlap(step_region: np.ndarray, k: int = TOP) -> np.ndarray:
    """Share of the k strongest regions that were so at the step before, ``[step]``; NaN at the first.

    >>> top_overlap(np.array([[3.0, 2, 1], [1, 3, 2]]), k=2).tolist()
    [nan, 0.5]
    """
    k = min(k, step_region.shape[1])
    top = [set(row) for row in np.argsort(-step_region, axis=1, kind="stable")[:, :k].tolist()]
    return np.array([np.nan, *(len(a & b) / k for a, b in zip(top[1:], top[:-1], strict=True))])


def step_orders(steps: int, seed: int) -> np.ndarray:
    """Orders of the steps, int ``[order, step]``, the actual one first: all if at most 2,000, else random ones besides it.

    >>> step_orders(2, seed=0).tolist()
    [[0, 1], [1, 0]]
    """
    if factorial(steps) <= MAX_ORDERS:
        return np.array(list(permutations(range(steps))))
    rng = np.random.default_rng(seed)
    return np.array([np.arange(steps), *(rng.permutation(steps) for _ in range(MAX_ORDERS - 1))])


def order_test(step_region: np.ndarray, seed: int = 0) -> tuple[float, float, int]:
    """Is a step's map closer to its neighbours' than to other steps'?

    Returns:
        The mean distance between neighbours, the share of orders of the same steps that have one as small (the p-value; the
        actual order counts), and the number of orders: all of them if at most 2,000, else 1,999 random ones and the actual.

    >>> order_test(np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]]))[1:]
    (0.3333333333333333, 24)
    """
    steps = len(step_region)
    if steps < 3:
        return float(np.nanmean(js_previous(step_region))) if steps == 2 else float("nan"), 1.0, 1
    distance = js_distance(step_region[:, None], step_region[None])
    orders = step_orders(steps, seed)
    moved = distance[orders[:, :-1], orders[:, 1:]].mean(-1)
    return float(moved[0]), float((moved <= moved[0] + 1e-12).mean()), len(orders)
