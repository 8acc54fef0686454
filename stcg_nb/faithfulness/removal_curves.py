"""The value while players are removed one by one, strongest first and weakest first.

1. *MoRF* removes the most relevant player first. The value should fall at once, so a small area is good. This is the
   deletion curve of RISE (Petsiuk et al. 2018, arXiv 1806.07421).
2. *LeRF* removes the least relevant player first. The value should last, so a large area is good. Read backwards it is RISE's
   insertion curve, which adds the most relevant player first to an empty input; the area is the same.
3. *SRG*, symmetric relevance gain (Blücher et al. 2024, arXiv 2401.06654; there LIF − MIF), is the difference of the two
   areas. An offset that the fill of absent regions gives to both curves cancels.

The unit is that of the value function. Given `stcg_nb.interventions.masking.Game` it is log-odds in nats, which have no bounds; with
`answer_probability` around it the areas lie in [0, 1], so that questions can be averaged:
``removal_curves(order, lambda masks: answer_probability(game(masks)))``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stcg_nb.errors import InputError


@dataclass(frozen=True, eq=False)
class RemovalCurves:
    """Values after 0, 1, … P removals, float64 ``[removed, ...]``; further axes, such as the answer's steps, stay.

    Attributes:
        morf: Most relevant removed first.
        lerf: Least relevant removed first; both begin with all players and end with none.

    >>> curves = RemovalCurves(morf=np.array([1.0, 0, 0]), lerf=np.array([1.0, 1, 0]))
    >>> float(curves.morf_auc), float(curves.lerf_auc), float(curves.srg)
    (0.25, 0.75, 0.5)
    """

    morf: np.ndarray
    lerf: np.ndarray

    @property
    def morf_auc(self) -> np.ndarray:
        """Area under MoRF, by the trapezoid rule over the share of players removed, ``[...]``: the mean value on the way."""
        return _area(self.morf)

    @property
    def lerf_auc(self) -> np.ndarray:
        """Area under LeRF, ``[...]``; the insertion AUC too."""
        return _area(self.lerf)

    @property
    def srg(self) -> np.ndarray:
        """LeRF AUC − MoRF AUC, ``[...]``: positive where the order tells relevant from irrelevant, 0 on average for a
        random one, in [-1, 1] on probabilities."""
        return self.lerf_auc - self.morf_auc


def removal_curves(order: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> RemovalCurves:
    """Both curves, from one call of the value function with 2 P masks.

    Args:
        order: All players, most relevant first, int ``[player]``. Of weights: ``np.argsort(-weights, kind="stable")``; where
            many tie, as in a sparse graph, shuffle the players first, or their order of listing is measured.
        value: Masks bool ``[mask, player]`` to values ``[mask, ...]``, such as a `stcg_nb.interventions.masking.Game`.

    Raises:
        InputError: Unless order holds each player once.

    >>> curves = removal_curves([1, 0], lambda masks: masks @ np.array([0.0, 1.0]))
    >>> curves.morf.tolist(), curves.lerf.tolist(), float(curves.srg)
    ([1.0, 0.0, 0.0], [1.0, 1.0, 0.0], 0.5)
    """
    order = np.asarray(order)
    n = order.size
    if n == 0 or not np.array_equal(np.sort(order, axis=None), np.arange(n)) or order.ndim != 1:
        raise InputError(f"The order {order.tolist()} must hold each player from 0 on once.")
    rank = np.argsort(order)  # how many players are more relevant
    removed = np.arange(n + 1)[:, None]
    morf = rank[None] >= removed
    lerf = rank[None] < n - removed
    # The curves share both their ends.
    values = np.asarray(value(np.concatenate([morf, lerf[1:-1]])), dtype=float)
    return RemovalCurves(values[: n + 1], np.concatenate([values[:1], values[n + 1 :], values[n : n + 1]]))


def answer_probability(log_odds: np.ndarray) -> np.ndarray:
    """p(answer), the product over steps of the tokens' probabilities, log-odds ``[..., step]`` to ``[...]`` in [0, 1].

    >>> answer_probability(np.array([[0.0, 0.0], [800.0, -800.0]])).tolist()
    [0.25, 0.0]
    """
    return np.exp(-np.logaddexp(0, -np.asarray(log_odds)).sum(-1))


def _area(curve: np.ndarray) -> np.ndarray:
    """Area by the trapezoid rule, ``[removed, ...]`` to ``[...]``, over an axis of length 1."""
    return (curve[1:] + curve[:-1]).mean(0) / 2
