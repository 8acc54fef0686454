"""The mean over questions with a 95 % interval by cluster bootstrap, since questions about one image are not independent.

The cluster bootstrap (Field and Welsh 2007, doi 10.1111/j.1467-9868.2007.00593.x) draws as many images as there are, with
replacement, and takes the mean over all questions about the drawn images. The interval runs from the 2.5th to the 97.5th
percentile of many such means. With one question per image it is the ordinary bootstrap.
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
        value, low, high: The mean and its interval in the unit of the measure; NaN if undefined.
        n: Number of values that the mean is taken over.

    >>> Estimate(0.912345, 0.9, 0.93, 200).as_dict()
    {'value': 0.9123, 'low': 0.9, 'high': 0.93, 'n': 200}
    """

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float | int | None]:
        """The estimate for JSON: None for NaN, and numbers rounded to four decimals, finer than any interval here."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {k: None if math.isnan(v) else round(v, 4) for k, v in numbers.items()} | {"n": self.n}


def cluster_bootstrap(values: np.ndarray, clusters: np.ndarray, n: int = 2000, seed: int = 0) -> Estimate:
    """Mean of the values with a 95 % percentile interval, clustered by image.

    A value is NaN if the measure is undefined for that question (`stcg_nb.faithfulness.measures`). Such values are dropped, and
    `Estimate.n` counts the remaining ones. If none remain, everything is NaN; if they are about a single image, the interval is
    NaN, because one image does not show how much images differ.

    Args:
        values: One per question, in any unit, ``[question]``.
        clusters: Label of the image that each question is about, ``[question]``.
        n: Number of bootstrap samples.
        seed: Seeds the bootstrap; the same seed gives the same interval.

    Raises:
        InputError: If shapes disagree, values are infinite, or n is below 1.

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
    defined = ~np.isnan(values)
    values, clusters = values[defined], clusters[defined]
    if len(values) == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    value = float(values.mean())
    if (clusters == clusters[0]).all():
        return Estimate(value, math.nan, math.nan, len(values))
    low, high = np.percentile(bootstrap_means(values, clusters, n, seed), [2.5, 97.5])
    return Estimate(value, float(low), float(high), len(values))


def bootstrap_means(values: np.ndarray, clusters: np.ndarray, n: int = 2000, seed: int = 0) -> np.ndarray:
    """The means of n bootstrap samples, clustered by image, in the unit of the values, ``[sample]``.

    Args:
        values: Finite, at least one, ``[question]``.
        clusters: Label of the image that each question is about, ``[question]``.
        n, seed: As in `cluster_bootstrap`.

    >>> sorted(set(bootstrap_means(np.array([0.0, 1.0]), np.array(["a", "b"])).tolist()))
    [0.0, 0.5, 1.0]
    """
    _, image = np.unique(clusters, return_inverse=True)
    size = np.bincount(image)
    # The mean of a sample depends only on how often each image is drawn: multinomial counts, [sample, image].
    counts = np.random.default_rng(seed).multinomial(len(size), np.full(len(size), 1 / len(size)), size=n)
    means: np.ndarray = (counts @ np.bincount(image, values)) / (counts @ size)
    return means
