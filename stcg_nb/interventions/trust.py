"""Trust: how well a causal graph predicts masks that it has not seen, estimated without running the model again.

The linear datamodeling score (LDS; `stcg_nb.faithfulness.measures`) is the rank correlation of predicted and real values at the keep
rates .5, .7 and .9, averaged. It is estimated in two ways.

*Cross-validated*: each measured random mask is predicted without the masks that share its picture (`Surrogate.left_out`). With few
masks this is too low, since a group is a large part of them, and noisy.

*By the posterior*: the surrogate's scores of fresh random masks against values drawn from its posterior. With few masks this is too
high, since the posterior takes the fitted parameters for known.

Trust is the mean of both from `ENOUGH` random masks on, with fewer it is the posterior's alone. The interval is that of a Spearman
correlation with as many values as there are pictures, since masks that share one are alike (Bonett and Wright 2000, doi
10.1007/BF02294183): atanh(trust) +- 1.96 sqrt((1 + trust^2 / 2) / (pictures - 3)). Where the two estimates lie further apart, it
reaches from one to the other.

`curve` says the same of the graph's k strongest links: their rank correlation with the surrogate's scores, times trust.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stcg_nb.graph.trust import Trust
from stcg_nb.interventions.sparse import RATES
from stcg_nb.interventions.surrogate import Surrogate
from stcg_nb.stats.correlation import defined_mean, spearman

ENOUGH = 30  # random masks
FRESH = 100  # fresh masks at each keep rate
DRAWS = 20  # from the posterior
FEWEST = 4  # masks at one keep rate, to rank them


def estimate(
    surrogate: Surrogate,
    groups: Sequence[np.ndarray],
    rate: np.ndarray,
    values: np.ndarray,
    scale: np.ndarray,
    seed: int,
) -> Trust:
    """Estimate trust.

    Args:
        surrogate: The fitted surrogate.
        groups: Numbers, among the surrogate's masks, of the random masks that share a picture, int ``[mask]`` each.
        rate: Keep rate of each random mask, in the order of the groups, ``[mask]``.
        values: Their values, nats, ``[mask, step]``.
        scale: How much larger the errors of new masks are than the posterior says, ``[step]``.
        seed: Seeds fresh masks and draws.
    """
    by_posterior = _by_posterior(surrogate, scale, seed)
    number = len(rate)
    crossed = _averaged(surrogate.left_out(groups), values, rate) if number >= ENOUGH else math.nan
    value = (by_posterior + crossed) / 2 if not math.isnan(crossed) else by_posterior
    if math.isnan(value) or len(groups) <= 3:
        return Trust(value, -1.0, 1.0)
    z, half = math.atanh(min(value, 1 - 1e-9)), 1.96 * math.sqrt((1 + value**2 / 2) / (len(groups) - 3))
    ends = [by_posterior, *([] if math.isnan(crossed) else [crossed])]
    return Trust(value, min(math.tanh(z - half), *ends), max(math.tanh(z + half), *ends))


def curve(predicted: Sequence[np.ndarray], scores: np.ndarray, rate: np.ndarray, trust: Trust) -> np.ndarray:
    """The estimated LDS of graphs of several sizes, ``[size]``.

    Args:
        predicted: What each graph predicts of fresh random masks, ``[mask, step]`` each.
        scores: What the surrogate predicts of them, ``[mask, step]``.
        rate: Keep rate of each, ``[mask]``.
        trust: Of the surrogate.
    """
    return np.array([_averaged(p, scores, rate) * trust.value for p in predicted])


def _by_posterior(surrogate: Surrogate, scale: np.ndarray, seed: int) -> float:
    """The mean rank correlation of scores of fresh masks with values drawn from the posterior."""
    rng = np.random.default_rng((seed, 3))
    rate = np.arange(len(RATES) * FRESH) % len(RATES)
    masks = rng.random((len(rate), surrogate.players)) < np.array(RATES)[rate][:, None]
    scores, mean = surrogate.score(masks), surrogate.predict(masks)
    found = []
    for t in range(surrogate.steps):
        covariance = surrogate.posterior(masks, t)
        level = np.maximum(np.linalg.eigvalsh(covariance)[-1], np.finfo(float).tiny)
        factor = np.linalg.cholesky(covariance + 1e-8 * level * np.eye(len(masks)))
        drawn = mean[:, [t]] + scale[t] * factor @ rng.normal(size=(len(masks), DRAWS))
        if np.ptp(mean[:, t]) > 0:
            found.append(_averaged(np.repeat(scores[:, [t]], DRAWS, 1), drawn, rate))
    return defined_mean(found)


def _averaged(predicted: np.ndarray, real: np.ndarray, rate: np.ndarray) -> float:
    """Rank correlation at each rate of which there are `FEWEST` masks or more, averaged over rates and steps; NaN without any."""
    labels, counts = np.unique(rate, return_counts=True)
    at = [rate == label for label in labels[counts >= FEWEST]]
    each = [spearman(predicted[rows], real[rows]) for rows in at]
    return defined_mean(defined_mean(step) for step in np.array(each).T)
