"""Temporal evolution: how an explanation changes from one answer step to the next.

`entropy` measures how spread a step's links are, `js_previous` the Jensen-Shannon distance to the previous step's links, and
`top_overlap` the share of the strongest regions that stay the strongest. Links that change at random also move from step to step.
So `order_test` is a permutation test: it compares the mean distance of neighbouring steps with that in other orders of the steps.
"""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
from scipy.stats import rankdata

from stcg_nb.errors import InputError
from stcg_nb.stats.divergence import js_distance, normalised
from stcg_nb.stats.overlap import strongest

TOP = 5  # the strongest regions or edges that are compared
MAX_ORDERS = 2000  # of a permutation test


def entropy(step_region: np.ndarray) -> np.ndarray:
    """Entropy of each step's normalised links ``[step, region]``, in nats, from 0 to log(regions), ``[step]``.

    >>> entropy(np.array([[1.0, 1.0], [3.0, 0.0]])).round(4).tolist()
    [0.6931, 0.0]
    """
    p = normalised(step_region)
    return 0.0 - (p * np.log(np.where(p > 0, p, 1))).sum(-1)


def js_previous(step_region: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distance of each step's links ``[step, region]`` to the previous step's, in [0, 1], ``[step]``; NaN first."""
    return np.concatenate([[np.nan], js_distance(step_region[1:], step_region[:-1])])


def top_overlap(step_region: np.ndarray, k: int = TOP) -> np.ndarray:
    """Share of the k strongest regions that were also among them at the previous step, ``[step]``; NaN at the first step.

    `step_region` is ``[step, region]``.

    >>> top_overlap(np.array([[3.0, 2, 1], [1, 3, 2]]), k=2).tolist()
    [nan, 0.5]
    """
    k = min(k, step_region.shape[1])
    top = [set(row) for row in np.argsort(-step_region, axis=1, kind="stable")[:, :k].tolist()]
    return np.array([np.nan, *(len(a & b) / k for a, b in zip(top[1:], top[:-1], strict=True))])


def step_orders(steps: int, seed: int) -> np.ndarray:
    """Orders of the steps, int ``[order, step]``, the actual one first: all if at most 2,000, else 1,999 random ones follow.

    >>> step_orders(2, seed=0).tolist()
    [[0, 1], [1, 0]]
    """
    if factorial(steps) <= MAX_ORDERS:
        return np.array(list(permutations(range(steps))))
    rng = np.random.default_rng(seed)
    return np.array([np.arange(steps), *(rng.permutation(steps) for _ in range(MAX_ORDERS - 1))])


def order_test(step_region: np.ndarray, seed: int = 0) -> tuple[float, float, int]:
    """Test whether the links of neighbouring steps are closer to each other than those of other steps.

    Args:
        step_region: Links, ``[step, region]``.
        seed: Seed of the random orders.

    Returns:
        The mean Jensen-Shannon distance of neighbouring steps; the share of the orders of `step_orders` whose mean distance is
        as small, the actual order included (the p-value); and the number of orders. With fewer than three steps p = 1 from
        one order.

    >>> order_test(np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]]))[1:]
    (0.3333333333333333, 24)
    """
    steps = len(step_region)
    if steps < 3:
        return float(np.nanmean(js_previous(step_region))) if steps == 2 else float("nan"), 1.0, 1
    distance = js_distance(step_region[:, None], step_region[None])
    orders = step_orders(steps, seed)
    mean_distance = distance[orders[:, :-1], orders[:, 1:]].mean(-1)
    return float(mean_distance[0]), float((mean_distance <= mean_distance[0] + 1e-12).mean()), len(orders)


def edge_persistence(step_edge: np.ndarray, k: int = TOP) -> np.ndarray:
    """Share of a step's k strongest edges that are also among the next step's, in [0, 1], ``[step - 1]``.

    Edges are ranked by |weight| (`stcg_nb.stats.overlap.strongest`): ties with the k-th edge are included, weights of 0 never. A
    step whose weights are all 0 has persistence 0.

    Args:
        step_edge: Weights of the same edges at each step, ``[step, edge]``, in any unit.
        k: Number of strongest edges, at least 1; all edges if there are fewer.

    Raises:
        InputError: For another shape, weights that are not finite, or k below 1.

    >>> edge_persistence(np.array([[3.0, 2, 1], [-1, 3, 2]]), k=2).tolist()
    [0.5]
    """
    return np.diagonal(_shared(step_edge, k), offset=1).copy()


def persistence_test(step_edge: np.ndarray, k: int = TOP, seed: int = 0) -> tuple[float, float, int]:
    """Test whether a step shares more of its strongest edges with the next step than with other steps.

    Arguments and errors are those of `edge_persistence`; `seed` is that of the random orders.

    Returns:
        The mean of `edge_persistence` (NaN for a single step); the share of the orders of `step_orders` whose mean is as large,
        the actual order included (the p-value); and the number of orders. With fewer than three steps p = 1 from one order.

    >>> persistence_test(np.array([[2.0, 0, 0], [2, 1, 0], [0, 2, 0], [0, 0, 2]]), k=1)
    (0.3333333333333333, 0.5, 24)
    """
    shared = _shared(step_edge, k)
    if len(shared) < 3:
        return (float(shared[0, 1]) if len(shared) == 2 else float("nan")), 1.0, 1
    orders = step_orders(len(shared), seed)
    persistence = shared[orders[:, :-1], orders[:, 1:]].mean(-1)
    return float(persistence[0]), float((persistence >= persistence[0] - 1e-12).mean()), len(orders)


def trend_test(per_step: np.ndarray, seed: int = 0) -> tuple[float, float, int]:
    """Test whether a number rises or falls over the steps of the answer.

    Args:
        per_step: One number per step, ``[step]``, in any unit.
        seed: Seed of the random orders.

    Returns:
        Spearman's correlation with the step's index, in [-1, 1] (0 if all numbers are equal, NaN for a single step); the share
        of the orders of `step_orders` whose correlation is as far from 0, the actual order included (the two-sided p-value);
        and the number of orders. With fewer than three steps p = 1 from one order.

    Raises:
        InputError: For another shape, or numbers that are not finite.

    >>> trend_test(np.array([0.9, 0.5, 0.4, 0.1]))
    (-1.0, 0.08333333333333333, 24)
    """
    per_step = np.asarray(per_step, dtype=float)
    if per_step.ndim != 1 or len(per_step) == 0 or not np.isfinite(per_step).all():
        raise InputError(f"The numbers have shape {per_step.shape}; they must be [step], one at least, and finite.")
    steps = len(per_step)
    if steps == 1:
        return float("nan"), 1.0, 1
    rank, time = rankdata(per_step) - (steps + 1) / 2, np.arange(steps) - (steps - 1) / 2
    scale = np.sqrt((rank @ rank) * (time @ time))
    if scale == 0:
        return 0.0, 1.0, 1
    if steps == 2:
        return float(rank @ time / scale), 1.0, 1
    orders = step_orders(steps, seed)
    rho = rank[orders] @ time / scale
    return float(rho[0]), float((np.abs(rho) >= abs(rho[0]) - 1e-12).mean()), len(orders)


def _shared(step_edge: np.ndarray, k: int) -> np.ndarray:
    """Share of one step's k strongest edges that are among another's, ``[step, other step]``; arguments as `edge_persistence`."""
    step_edge = np.asarray(step_edge, dtype=float)
    if step_edge.ndim != 2 or step_edge.size == 0 or not np.isfinite(step_edge).all():
        raise InputError(f"The weights have shape {step_edge.shape}; they must be [step, edge], not empty, and finite.")
    if k < 1:
        raise InputError(f"The {k} strongest edges were asked for; ask for at least one.")
    top = np.array([strongest(row, min(k, step_edge.shape[1])) for row in step_edge], dtype=float)
    return top @ top.T / np.maximum(top.sum(1, keepdims=True), 1)
