"""The sparse graph of an answer step: the few links of two or three players that best reproduce the surrogate.

1. The surrogate scores random masks at the keep rates .5, .7 and .9; no model runs. Each score becomes its rank among the masks
   of the same rate, from 0 to 1. Ranks are what the linear datamodeling score (a Spearman correlation) judges, and they keep the
   long tail of one rate from dominating the fit.
2. The graph's prediction is a sum over the players that are present and the links whose players are all present,

       rank(z) ~ b + sum_i a_i z_i + sum_ij g_ij z_i z_j + sum_ijk h_ijk z_i z_j z_k

   Links are chosen one at a time: each time the link that, together with those already chosen, lowers the squared error most
   (orthogonal matching pursuit, Pati et al. 1993, doi 10.1109/ACSSC.1993.342465). Main effects are always included.
3. Ridge regression then fits all coefficients together.

A coefficient is in ranks and averages over which other players are missing; a link's weight is in nats, with all other players
present. The two differ where many players interact.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

RATES = (0.5, 0.7, 0.9)  # keep rates: probabilities that a player is present in a random mask
RIDGE = 1e-2
DEPENDENT = 1e-6  # a column is linearly dependent on the chosen ones if it keeps less than this share of its variance


def ranks(scores: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """The rank of each score among the masks of the same keep rate, in (0, 1), ``[mask, step]``; ties share their mean rank.

    Args:
        scores: ``[mask, step]``.
        rate: Index of each mask's keep rate, int ``[mask]``.

    >>> ranks(np.array([[3.0], [9.0], [7.0], [5.0]]), np.array([0, 0, 1, 1])).ravel().tolist()
    [0.25, 0.75, 0.75, 0.25]
    """
    out = np.empty(scores.shape)
    for r in np.unique(rate):
        out[rate == r] = (rankdata(scores[rate == r], axis=0) - 0.5) / (rate == r).sum()
    return out


def together(masks: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Whether all players of a link are present, 1 or 0, float64 ``[mask, link]``.

    Args:
        masks: bool ``[mask, player]``.
        links: int ``[link, 3]``, -1 for no third player.

    >>> together(np.array([[True, True, False]]), np.array([[0, 1, -1], [0, 1, 2]])).tolist()
    [[1.0, 0.0]]
    """
    z = np.concatenate([np.asarray(masks, dtype=float), np.ones((len(masks), 1))], axis=1)
    return z[:, links[:, 0]] * z[:, links[:, 1]] * z[:, links[:, 2]]


class Pursuit:
    """The links of one step in the order of choice. Constructing it chooses them.

    Args:
        masks: Random masks, bool ``[mask, player]``.
        target: Their ranks from 0 to 1, ``[mask]``.
        rate: Index of each mask's keep rate, int ``[mask]``.
        links: The candidates, int ``[link, 3]``, -1 for no third player.
        most: Maximum number of links to choose.

    Attributes:
        chosen: Number of links that were chosen.
    """

    def __init__(self, masks: np.ndarray, target: np.ndarray, rate: np.ndarray, links: np.ndarray, most: int) -> None:
        columns = np.concatenate([masks.astype(float), together(masks, links)], axis=1)
        self._players, self._mean, self._target_mean = masks.shape[1], columns.mean(0), float(target.mean())
        y = target.astype(float).copy()
        for r in np.unique(rate):
            columns[rate == r] -= columns[rate == r].mean(0)
            y[rate == r] -= y[rate == r].mean()
        order = [self._players + k for k in _pursue(columns, y, self._players, most)]
        self._columns = np.array([*range(self._players), *order])
        a = columns[:, self._columns]
        self._gram, self._product, self._n = a.T @ a, a.T @ y, len(a)
        self.chosen = len(order)

    def fit(self, size: int) -> tuple[float, np.ndarray, np.ndarray]:
        """Fit all players and the first `size` links together.

        Returns:
            Intercept; coefficients of players ``[player]``; coefficients of links ``[link]``, 0 for all others. All in ranks.
        """
        kept = slice(0, self._players + size)
        gram = self._gram[kept, kept]
        coefficients = np.zeros(len(self._mean))
        ridge = RIDGE * np.diag(np.maximum(gram.diagonal() / self._n, 1e-12))
        coefficients[self._columns[kept]] = np.linalg.solve(gram + ridge, self._product[kept])
        intercept = self._target_mean - float(self._mean @ coefficients)
        return intercept, coefficients[: self._players], coefficients[self._players :]


def _pursue(columns: np.ndarray, target: np.ndarray, base: int, most: int) -> list[int]:
    """Orthogonal matching pursuit: indices of the chosen columns, counted from `base`, in the order of choice.

    Args:
        columns: The regressors, ``[mask, column]``; the first `base` are always included.
        target: ``[mask]``.
        base: Number of columns that are always included.
        most: Maximum number of columns to choose.
    """
    basis, _ = np.linalg.qr(columns[:, :base])
    remaining = columns[:, base:] - basis @ (basis.T @ columns[:, base:])
    residual = target - basis @ (basis.T @ target)
    start = np.maximum((columns[:, base:] ** 2).sum(0), 1e-12)
    chosen: list[int] = []
    for _ in range(min(most, remaining.shape[1])):
        size = (remaining**2).sum(0)
        gain = np.where(size > DEPENDENT * start, (remaining.T @ residual) ** 2 / np.maximum(size, 1e-12), -1.0)
        gain[chosen] = -1.0
        best = int(gain.argmax())
        if gain[best] <= 0:
            break
        direction = remaining[:, best] / np.sqrt(size[best])
        residual = residual - direction * (direction @ residual)
        remaining = remaining - np.outer(direction, direction @ remaining)
        chosen.append(best)
    return chosen
