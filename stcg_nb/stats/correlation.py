"""Correlation column by column, with one convention for constants.

A constant prediction scores 0, since it distinguishes nothing. Where the *real* values are constant nothing could predict them: NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from scipy.stats import rankdata


def spearman(predicted: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Spearman correlation of each column, ties at their mean rank, ``[value, column]`` to ``[column]``.

    >>> spearman(np.array([[1.0], [2.0], [9.0]]), np.array([[1.0], [3.0], [2.0]])).round(6).tolist()
    [0.5]
    """
    return pearson(rankdata(predicted, axis=0), rankdata(real, axis=0))


def pearson(predicted: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Pearson correlation of each column, ``[value, column]`` to ``[column]``: NaN where real is constant, else 0 where
    predicted is.

    >>> pearson(np.array([[1.0, 5.0], [2.0, 5.0]]), np.array([[1.0, 1.0], [3.0, 2.0]])).round(6).tolist()
    [1.0, 0.0]
    """
    r = np.clip((_unit(predicted) * _unit(real)).sum(0), -1, 1)
    return np.where((real == real[:1]).all(0), np.nan, r)


def defined_mean(values: Iterable[float]) -> float:
    """Mean of the values that are not NaN; NaN if none is left.

    >>> defined_mean([1.0, math.nan, 2.0]), defined_mean([math.nan])
    (1.5, nan)
    """
    defined = [value for value in values if not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan


def _unit(x: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and length 1, or all 0 if constant.

    Scaled to 1 at most first: no square over- or underflows then, and a constant column is ±1, of which the mean is exact.
    """
    x = x / np.maximum(np.abs(x).max(0), np.finfo(float).tiny)
    x = x - x.mean(0)
    return x / np.maximum(np.linalg.norm(x, axis=0), np.finfo(float).tiny)
