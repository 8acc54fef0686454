"""A mean over questions with its 95 % interval, when questions about one image are not independent.

The cluster bootstrap (Field and Welsh 2007, doi 10.1111/j.1467-9868.2007.00593.x): draw as many images as there are, with
replacement; each brings all of its questions; take the mean over the questions drawn; repeat. The interval runs from the
2.5th to the 97.5th percentile of those means. With one question per image it is the usual bootstrap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stcg_nb.errors import InputError


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes:
        value, low, high: In the measure's unit; NaN where they cannot be known.
        n: How many values it is the mean of.

    >>> Estimate(0.912345, 0.9, 0.93, 200).as_dict()
    {'value': 0.9123, 'low': 0.9, 'high': 0.93, 'n': 200}
    """

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float | int | None]:
        """For JSON, which has no NaN: None instead, and four decimals, finer than any interval here."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {k: None if math.isnan(v) else round(v, 4) for k, v in numbers.items()} | {"n": self.n}


def cluster_bootstrap(values: np.ndarray, clusters: np.ndarray, n: int = 2000, seed: int = 0) -> Estimate:
    """Mean of the values with a 95 % percentile interval, clustered by image.

    NaN marks a question for which a measure is not defined (`stcg_nb.faithfulness.measures`); it is dropped, and `Estimate.n`
    says how many
    are left. With none left all is NaN; with a single image the interval is NaN, for nothing says how much images differ.

    Args:
        values: ``[question]``.
        clusters: Which image each is about, ``[question]``: any labels.
        n: How many times to draw.
        seed: Of the draws; the same one gives the same interval.

    Raises:
        InputError: For shapes that do not agree, infinite values, or n below 1.

    >>> cluster_bootstrap(np.array([0.0, 0.0, 1.0, 1.0, np.nan]), np.array(["a", "a", "b", "b", "c"]))
    Estimate(value=0.5, low=0.0, high=1.0, n=4)
    """
    values, clusters = np.asarray(values, dtype=float), np.asarray(clusters)
    if values.ndim != 1 or clusters.shape != values.shape:
        raise InputError(
            f"The values have shape {values.shape} and the clusters {clusters.shape}; both must be [question]."
        )
    if np.isinf(values).any():
        raise InputError("The values are infinite in places; their mean would be too.")
    if n < 1:
        raise InputError(f"The bootstrap is to draw {n} times; draw at least once.")
    there = ~np.isnan(values)
    values, clusters = values[there], clusters[there]
    if len(values) == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    value = float(values.mean())
    if (clusters == clusters[0]).all():
        return Estimate(value, math.nan, math.nan, len(values))
    low, high = np.percentile(bootstrap_means(values, clusters, n, seed), [2.5, 97.5])
    return Estimate(value, float(low), float(high), len(values))


def bootstrap_means(values: np.ndarray, clusters: np.ndarray, n: int = 2000, seed: int = 0) -> np.ndarray:
    """The means of n bootstrap samples, clustered by image, ``[draw]``.

    Args:
        values: ``[question]``, finite, at least one.
        clusters: Which image each is about, ``[question]``: any labels.
        n, seed: As in `cluster_bootstrap`.

    >>> sorted(set(bootstrap_means(np.array([0.0, 1.0]), np.array(["a", "b"])).tolist()))
    [0.0, 0.5, 1.0]
    """
    _, image = np.unique(clusters, return_inverse=True)
    size = np.bincount(image)
    # How often each image is drawn is all that a draw's mean depends on.
    drawn = np.random.default_rng(seed).multinomial(len(size), np.full(len(size), 1 / len(size)), size=n)
    means: np.ndarray = (drawn @ np.bincount(image, values)) / (drawn @ size)
    return means
