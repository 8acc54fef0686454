"""Comparisons declared before measuring: an effect with its interval, a one-sided permutation test, and a verdict.

`paired`, `between` and `against_orders` each run one design of permutation test; all bootstrap intervals are clustered by image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.stats.bootstrap import bootstrap_means, cluster_bootstrap

ALPHA = 0.05  # significance level of corrected p-values
DRAWS = 9_999  # permutations of a test
FEWEST = 10  # questions; with fewer a bootstrap interval is unreliable
SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"


@dataclass(frozen=True)
class Comparison:
    """One declared comparison and its result.

    Attributes:
        what: What is compared, in words.
        effect, low, high: The mean with its 95 % interval, in `unit`; NaN if undefined.
        p: One-sided p-value of the claim that the mean lies on `side` of `null`.
        n: Number of questions.
        unit: Unit of the effect.
        null: The value that the mean is claimed to differ from.
        side: ``"above"`` or ``"below"``.
        least: The smallest relevant distance from `null`, at least 0.
    """

    what: str
    effect: float
    low: float
    high: float
    p: float
    n: int
    unit: str = ""
    null: float = 0.0
    side: Literal["above", "below"] = "above"
    least: float = 0.0

    @property
    def distance(self) -> float:
        """Distance of the mean from `null` on the claimed side, in half-widths of its interval; negative on the other side.

        >>> Comparison("x", 0.3, 0.2, 0.4, 0.001, 200).distance
        3.0
        """
        off = (self.effect - self.null) * (1 if self.side == "above" else -1)
        half = (self.high - self.low) / 2
        if math.isnan(half):
            return 0.0
        return round(off / half, 6) if half > 0 else math.copysign(math.inf, off) if off else 0.0

    def verdict(self, p_corrected: float) -> str:
        """The verdict, given the corrected p-value.

        Supported: the interval lies on the claimed side of `null` and p is below `ALPHA`. Not supported: the whole interval falls
        short of `least`. Undecided: anything else, and always with fewer than `FEWEST` questions.

        >>> Comparison("x", 0.3, 0.2, 0.4, 0.001, 200, least=0.1).verdict(0.007)
        'supported'
        >>> Comparison("x", 0.3, -0.2, 0.8, 0.2, 20, least=0.1).verdict(1.0)
        'undecided'
        >>> Comparison("x", 0.01, -0.03, 0.05, 0.3, 200, least=0.1).verdict(1.0)
        'not supported'
        """
        near, far = (self.low, self.high) if self.side == "above" else (-self.high, -self.low)
        null = self.null if self.side == "above" else -self.null
        if self.n < FEWEST or math.isnan(near) or math.isnan(far):
            return UNDECIDED
        if far <= null + self.least:
            return NOT_SUPPORTED
        return SUPPORTED if near > null and p_corrected < ALPHA else UNDECIDED


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction of m p-values: the i-th smallest (i from 0) times (m - i), made monotone, at most 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(np.asarray(p, dtype=float)[order] * np.arange(len(p), 0, -1))
    out = np.empty(len(p))
    out[order] = np.minimum(stepped, 1)
    return [float(x) for x in out]


def paired(
    what: str,
    values: np.ndarray,
    images: np.ndarray,
    *,
    null: float = 0.0,
    side: Literal["above", "below"] = "above",
    least: float = 0.0,
    unit: str = "",
) -> Comparison:
    """Compare the mean of one value per question, usually a difference, with `null`.

    The permutation test flips the sign of (value - null) for all questions about an image together.

    Args:
        what: What is compared, in words.
        values: In `unit`, NaN for a question without a value, ``[question]``.
        images: Label of the image that each question is about, ``[question]``.
        null, side, least, unit: As in `Comparison`.

    Raises:
        InputError: As for `stcg_nb.stats.bootstrap.cluster_bootstrap`.

    >>> c = paired("gain", np.linspace(0.1, 0.3, 20), np.arange(20), least=0.1)
    >>> c.p, c.n, c.verdict(c.p)
    (0.0001, 20, 'supported')
    """
    values, images = np.asarray(values, dtype=float), np.asarray(images)
    mean = cluster_bootstrap(values, images)
    defined = ~np.isnan(values)
    if not defined.any():
        return Comparison(what, math.nan, math.nan, math.nan, 1.0, 0, unit, null, side, least)
    _, image = np.unique(images[defined], return_inverse=True)
    sums = np.bincount(image, (values[defined] - null) * (1 if side == "above" else -1))
    signs = np.random.default_rng(1).integers(0, 2, (DRAWS, len(sums)), dtype=np.int8) * 2 - 1
    p = _p(float(sums.sum()), signs @ sums)
    return Comparison(what, mean.value, mean.low, mean.high, p, mean.n, unit, null, side, least)


def between(
    what: str,
    values: np.ndarray,
    images: np.ndarray,
    in_first: np.ndarray,
    *,
    least: float = 0.0,
    unit: str = "",
) -> Comparison:
    """Compare the means of two groups of questions: the first group's minus the other's, claimed to be above 0.

    The permutation test reassigns the images to groups of the same sizes, so an image must be in one group only.

    Args:
        what: What is compared, in words.
        values: Finite, in `unit`, ``[question]``.
        images: Label of the image that each question is about, ``[question]``.
        in_first: Whether each question is in the first group, bool ``[question]``.
        least, unit: As in `Comparison`.

    Raises:
        InputError: If a group is empty, or an image is in both groups.

    >>> between("x", np.array([3.0, 4, 1, 2]), np.arange(4), np.array([True, True, False, False])).effect
    2.0
    """
    values, images, in_first = np.asarray(values, dtype=float), np.asarray(images), np.asarray(in_first, dtype=bool)
    if not in_first.any() or in_first.all():
        raise InputError(f"{what}: one of the two groups is empty; ask more questions.")
    if set(images[in_first].tolist()) & set(images[~in_first].tolist()):
        raise InputError(f"{what}: an image is in both groups; ask one question an image.")
    effect = float(values[in_first].mean() - values[~in_first].mean())
    first, rest = (bootstrap_means(values[g], images[g], seed=s) for s, g in ((0, in_first), (1, ~in_first)))
    low, high = (float(x) for x in np.percentile(first - rest, [2.5, 97.5]))
    names, image = np.unique(images, return_inverse=True)
    sums, sizes = np.bincount(image, values), np.bincount(image)
    group = np.zeros(len(names), dtype=bool)
    group[image[in_first]] = True
    permuted = np.random.default_rng(1).permuted(np.broadcast_to(group, (DRAWS, len(group))), axis=1)
    null = (permuted @ sums) / (permuted @ sizes) - (~permuted @ sums) / (~permuted @ sizes)
    return Comparison(what, effect, low, high, _p(effect, null), len(values), unit, least=least)


def against_orders(
    what: str,
    values: np.ndarray,
    images: np.ndarray,
    orders: Sequence[np.ndarray],
    *,
    least: float = 0.0,
    unit: str = "",
) -> Comparison:
    """Compare the mean of a statistic of the answers' steps with its mean when the steps are in random order.

    Args:
        what: What is compared, in words.
        values: The statistic with the steps in their real order, in `unit`, ``[question]``.
        images: Label of the image that each question is about, ``[question]``.
        orders: For each question the statistic under several orders of its steps, the real one included, ``[order]``.
        least, unit: As in `Comparison`.

    >>> against_orders("x", np.array([1.0]), np.array([0]), [np.array([1.0, 0.0])]).p > 0.4
    True
    """
    mean = cluster_bootstrap(values, images)
    rng = np.random.default_rng(1)
    null = np.mean([rng.choice(statistic, DRAWS) for statistic in orders], axis=0)
    p = _p(float(np.mean(values)), null)
    return Comparison(what, mean.value, mean.low, mean.high, p, mean.n, unit, least=least)


def _p(observed: float, drawn: np.ndarray) -> float:
    """The p-value: the share of permutations, the observed one included, with a statistic at least as large.

    Args:
        observed: The observed statistic.
        drawn: The statistic of each permutation, ``[permutation]``.
    """
    slack = 1e-9 * max(1.0, abs(observed))  # equal sums may differ by rounding
    return float(1 + (drawn >= observed - slack).sum()) / (1 + len(drawn))
