"""The sparse graph of an answer step: the few links, of two or three players, that say most of what a surrogate says.

1. Random masks at the keep rates .5, .7 and .9 are imagined and the surrogate asked for their scores; each score becomes its
   rank among the masks of the same rate, from 0 to 1. That is what an explanation is judged by (the Spearman correlation of the
   linear datamodeling score), and it keeps one rate's long tail from deciding for all.
2. The graph's prediction is a sum over players and links that are wholly present,

       rank(z) ~ b + sum_i a_i z_i + sum_ij g_ij z_i z_j + sum_ijk h_ijk z_i z_j z_k

   and its links are chosen one at a time, each time the one that lowers the squared error most beside all chosen so far
   (orthogonal matching pursuit, Pati et al. 1993, doi 10.1109/ACSSC.1993.342465), main effects always included.
3. The coefficients are then fitted together, by ridge regression.

A coefficient is an average over what else may be missing, in ranks; a link's weight is what holds with everything else there, in
nats. The two differ where many players interact.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

RATES = (0.5, 0.7, 0.9)
RIDGE = 1e-2
DEPENDENT = 1e-6  # share of a column's variance that must be left beside the columns before it


def ranks(scores: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Each score's rank among the masks of its keep rate, in (0, 1), for ``[mask, step]`` and ``[mask]``; ties share theirs.

    >>> ranks(np.array([[3.0], [9.0], [7.0], [5.0]]), np.array([0, 0, 1, 1])).ravel().tolist()
    [0.25, 0.75, 0.75, 0.25]
    """
    out = np.empty(scores.shape)
    for r in np.unique(rate):
        out[rate == r] = (rankdata(scores[rate == r], axis=0) - 0.5) / (rate == r).sum()
    return out


def together(masks: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Whether all players of a link are present, float64 ``[mask, link]``; links are int ``[link, 3]``, -1 for no third.

    >>> together(np.array([[True, True, False]]), np.array([[0, 1, -1], [0, 1, 2]])).tolist()
    [[1.0, 0.0]]
    """
    z = np.concatenate([np.asarray(masks, dtype=float), np.ones((len(masks), 1))], axis=1)
    return z[:, links[:, 0]] * z[:, links[:, 1]] * z[:, links[:, 2]]


def fit_links(
    masks: np.ndarray, target: np.ndarray, rate: np.ndarray, links: np.ndarray, most: int
) -> tuple[float, np.ndarray, np.ndarray]:
    """The best few links of one step, and what they and the players add.

    Args:
        masks: Imagined masks, bool ``[mask, player]``.
        target: Their ranks, ``[mask]``.
        rate: Which keep rate each was drawn at, int ``[mask]``.
        links: The links to choose from, int ``[link, 3]``, -1 for no third player.
        most: How many at most.

    Returns:
        Intercept; coefficients ``[player]``; coefficients ``[link]``, 0 for those not chosen.
    """
    players = masks.shape[1]
    columns = np.concatenate([masks.astype(float), together(masks, links)], axis=1)
    mean = columns.mean(0)
    centred, y = columns.copy(), target.astype(float).copy()
    for r in np.unique(rate):
        centred[rate == r] -= centred[rate == r].mean(0)
        y[rate == r] -= y[rate == r].mean()
    chosen = list(range(players)) + [players + k for k in _pursue(centred, y, players, most)]
    a = centred[:, chosen]
    gram = a.T @ a
    coefficients = np.zeros(columns.shape[1])
    coefficients[chosen] = np.linalg.solve(gram + RIDGE * np.diag(np.maximum(gram.diagonal() / len(a), 1e-12)), a.T @ y)
    return float(target.mean() - mean @ coefficients), coefficients[:players], coefficients[players:]


def _pursue(columns: np.ndarray, target: np.ndarray, base: int, most: int) -> list[int]:
    """Which columns after the first `base` to take, in order."""
    fixed, _ = np.linalg.qr(columns[:, :base])
    left = columns[:, base:] - fixed @ (fixed.T @ columns[:, base:])
    residual = target - fixed @ (fixed.T @ target)
    start = np.maximum((columns[:, base:] ** 2).sum(0), 1e-12)
    taken: list[int] = []
    for _ in range(min(most, left.shape[1])):
        size = (left**2).sum(0)
        gain = np.where(size > DEPENDENT * start, (left.T @ residual) ** 2 / np.maximum(size, 1e-12), -1.0)
        gain[taken] = -1.0
        best = int(gain.argmax())
        if gain[best] <= 0:
            break
        direction = left[:, best] / np.sqrt(size[best])
        residual = residual - direction * (direction @ residual)
        left = left - np.outer(direction, direction @ left)
        taken.append(best)
    return taken
