"""Measures of how well an explanation predicts what the model does.

They are functions of arrays; none runs a model. They compare an explanation with what was measured, not fitted: values of
masks that the explanation was not fitted on, effects of removing one player, factorials of two.

* `lds` (linear datamodeling score; Park et al. 2023, arXiv 2303.14186; for one input, ContextCite, arXiv 2409.00729): the
  rank correlation of predicted and real values of `held_out_masks`. It is the mean over three keep rates, because any
  reasonable explanation predicts masks well that lack only a few players.
* `seed_faithfulness`: Pearson correlation of weights with real leave-one-out effects, the measure of the original study.
* `interaction_faithfulness`: rank correlation of an edge's weight with the `factorial` of its two ends.

All correlations share one convention. A constant explanation scores 0, since it distinguishes nothing. Where the *real* values
are constant, no explanation could predict them, so that part is left out of the mean. The result is NaN if no part is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.stats.correlation import defined_mean, pearson, spearman

KEEP_RATES = (0.5, 0.7, 0.9)


def held_out_masks(
    n_players: int, n: int, seed: int, rates: Sequence[float] = KEEP_RATES
) -> tuple[np.ndarray, np.ndarray]:
    """Random masks at several keep rates, as many of each rate (one more or fewer where n is no multiple).

    Each player is present with the mask's rate, independently. The rates alternate, so that the first masks, however many,
    are balanced too.

    Returns:
        Masks bool ``[mask, player]``, and the index of each one's rate, int ``[mask]``.

    Raises:
        InputError: Without players, for fewer than two masks per rate, or for a rate outside (0, 1).

    >>> masks, rate = held_out_masks(4, 600, seed=0)
    >>> masks.shape, [float(masks[rate == i].mean().round(1)) for i in range(3)]
    ((600, 4), [0.5, 0.7, 0.9])
    """
    if n_players < 1:
        raise InputError(f"There are {n_players} players; masks need at least one.")
    if not rates or not all(0 < r < 1 for r in rates):
        raise InputError(f"The keep rates are {tuple(rates)}; each must lie between 0 and 1, exclusive.")
    if n < 2 * len(rates):
        raise InputError(f"{n} masks at {len(rates)} keep rates: at least two a rate are needed to rank them.")
    rate = np.arange(n) % len(rates)
    chance = np.random.default_rng(seed).random((n, n_players))
    return chance < np.asarray(rates, dtype=float)[rate, None], rate


def lds(predicted: np.ndarray, real: np.ndarray, rate: np.ndarray) -> float:
    """Linear datamodeling score: the mean over answer steps of `lds_per_step`, in [-1, 1]; 1 is best, chance is 0.

    Steps at which the real values are constant at every rate are left out; NaN if that is all of them.

    Raises:
        InputError: As `lds_per_step`.

    >>> real = np.array([[0.0], [1.0], [2.0], [5.0], [6.0], [7.0]])
    >>> lds(np.exp(real), real, rate=np.array([0, 0, 0, 1, 1, 1]))
    1.0
    """
    return defined_mean(lds_per_step(predicted, real, rate))


def lds_per_step(predicted: np.ndarray, real: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Spearman correlation of predicted and real values at each keep rate, averaged over the rates, float64 ``[step]``.

    A constant prediction counts as 0. A rate at which the real values are constant is left out of the mean; NaN where
    that is all of them.

    Args:
        predicted: What the explanation says, ``[mask, step]``, in any unit: only its order within a rate counts.
        real: What the model does, ``[mask, step]``, as a rule log-odds in nats.
        rate: Of each mask, ``[mask]``: any label, such as the index from `held_out_masks`.

    Raises:
        InputError: For shapes that do not agree, values that are not finite, or a rate with fewer than two masks.

    >>> real = np.array([[0.0, 3.0], [1.0, 3.0], [2.0, 3.0]])
    >>> lds_per_step(-real, real, rate=np.zeros(3)).tolist()
    [-1.0, nan]
    """
    predicted, real = _pair(predicted, real, ("mask", "step"))
    rate = np.asarray(rate)
    if rate.shape != (len(real),):
        raise InputError(f"The rates have shape {rate.shape}; they must be [mask] = ({len(real)},).")
    labels, counts = np.unique(rate, return_counts=True)
    if len(labels) == 0 or counts.min() < 2:
        raise InputError(f"The keep rates have {counts.tolist()} masks; at least two each are needed to rank them.")
    each = np.array([spearman(predicted[rate == i], real[rate == i]) for i in labels])  # [rate, step]
    return np.array([defined_mean(step) for step in each.T])


def seed_faithfulness(weights: np.ndarray, effects: np.ndarray) -> float:
    """Pearson correlation over players of weights with real leave-one-out effects, averaged over answer steps, in [-1, 1].

    Steps are correlated one by one, so that a step with large effects does not decide alone. A step with constant weights
    counts as 0; one whose effects are constant is left out; NaN if that is all of them.

    Args:
        weights: Of each word and region, ``[step, player]``, positive where it supports the answer.
        effects: ``v(all) - v(all but this player)``, ``[step, player]``, in nats of log-odds.

    Raises:
        InputError: For shapes that do not agree, values that are not finite, or fewer than two players.

    >>> seed_faithfulness(np.array([[1.0, 2.0, 3.0]]), np.array([[10.0, 20.0, 30.0]]))
    1.0
    """
    weights, effects = _pair(weights, effects, ("step", "player"))
    if weights.shape[1] < 2:
        raise InputError(f"There are {weights.shape[1]} players; a correlation needs at least two.")
    return defined_mean(pearson(weights.T, effects.T))


def factorial(v11: np.ndarray, v10: np.ndarray, v01: np.ndarray, v00: np.ndarray) -> np.ndarray:
    """The exact 2×2 factorial of two players, v11 − v10 − v01 + v00: their joint effect less the sum of their effects alone.

    Args:
        v11, v10, v01, v00: Values of arrays of one shape, all other players present: with both, without the second,
            without the first, with neither. The result has their unit.

    >>> factorial(np.array([5.0]), np.array([1.0]), np.array([1.0]), np.array([0.0])).tolist()
    [3.0]
    """
    return np.asarray(v11) - np.asarray(v10) - np.asarray(v01) + np.asarray(v00)


def interaction_faithfulness(weights: np.ndarray, factorials: np.ndarray) -> float:
    """Spearman correlation of edges' weights with the factorials of their two ends, in [-1, 1].

    Include the pairs that the graph leaves out, with weight 0; otherwise the graph chooses the edges that it is judged by.
    Constant weights score 0. NaN where the factorials are constant, or for fewer than three edges, since two always
    correlate perfectly.

    Args:
        weights: ``[edge]``, of one question.
        factorials: From `factorial`, ``[edge]``.

    Raises:
        InputError: For shapes that do not agree or values that are not finite.

    >>> interaction_faithfulness(np.array([0.0, 0.1, 2.0]), np.array([-1.0, 0.5, 0.6]))
    1.0
    """
    weights, factorials = _pair(weights, factorials, ("edge",))
    return float(spearman(weights[:, None], factorials[:, None])[0]) if len(weights) > 2 else math.nan


def _pair(a: np.ndarray, b: np.ndarray, axes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, of one shape with these axes, finite."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape or a.ndim != len(axes):
        raise InputError(f"The arrays have shapes {a.shape} and {b.shape}; both must be [{', '.join(axes)}].")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("The arrays hold values that are not finite; a measure of them would mean nothing.")
    return a, b
