"""DOC"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.stats.bootstrap import bootstrap_means, cluster_bootstrap

ALPHA = 0.05


DRAWS = 9_999


FEWEST = 10  # questions, below which a bootstrap interval says too little


SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"


@dataclass(frozen=True)
class Comparison:
    """One declared comparison with what came out.

    Attributes:
        what: What is compared, in words.
        effect, low, high: The mean with its 95 % interval, in `unit`; NaN where they cannot be known.
        p: One-sided, of the claim that the mean lies on `side` of `null`.
        n: Questions.
        unit: Of the effect.
        null: The value that the mean is claimed to differ from.
        side: ``"above"`` or ``"below"``.
        least: The smallest distance from `null` that would matter, at least 0.
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
        """How far the mean lies on the claimed side of `null`, in half widths of its interval; negative on the other side.

        >>> Comparison("x", 0.3, 0.2, 0.4, 0.001, 200).distance
        3.0
        """
        off = (self.effect - self.null) * (1 if self.side == "above" else -1)
        half = (self.high - self.low) / 2
        if math.isnan(half):
            return 0.0
        return round(off / half, 6) if half > 0 else math.copysign(math.inf, off) if off else 0.0

    def verdict(self, p_corrected: float) -> str:
        """What the numbers say, given the corrected p-value.

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
    """Holm's step-down correction: in ascending order p_i times (m - i), never less than the one before, at most 1.

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
    """The mean of one value a question, as a rule a difference, against `null`.

    The test flips the sign of (value - null) for all questions of an image together.

    Args:
        what: In words.
        values: ``[question]``; NaN marks a question that has none.
        images: Which image each is about, ``[question]``.
        null, side, least, unit: As in `Comparison`.

    Raises:
        InputError: As `stcg_nb.stats.bootstrap.cluster_bootstrap`.

    >>> c = paired("gain", np.linspace(0.1, 0.3, 20), np.arange(20), least=0.1)
    >>> c.p, c.n, c.verdict(c.p)
    (0.0001, 20, 'supported')
    """
    values, images = np.asarray(values, dtype=float), np.asarray(images)
    mean = cluster_bootstrap(values, images)
    there = ~np.isnan(values)
    if not there.any():
        return Comparison(what, math.nan, math.nan, math.nan, 1.0, 0, unit, null, side, least)
    _, image = np.unique(images[there], return_inverse=True)
    sums = np.bincount(image, (values[there] - null) * (1 if side == "above" else -1))
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
    """How much larger the mean of the first group is than that of the rest.

    The test deals the images anew between groups of the same sizes; so an image must be in one group only.

    Args:
        what: In words.
        values: ``[question]``, finite.
        images: ``[question]``.
        in_first: bool ``[question]``.
        least, unit: As in `Comparison`.

    Raises:
        InputError: For an empty group, or an image in both.

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
    dealt = np.random.default_rng(1).permuted(np.broadcast_to(group, (DRAWS, len(group))), axis=1)
    null = (dealt @ sums) / (dealt @ sizes) - (~dealt @ sums) / (~dealt @ sizes)
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
    """The mean of a statistic of each answer's steps against the same statistic with the steps in other orders.

    Args:
        what: In words.
        values: The statistic in the real order, ``[question]``.
        images: ``[question]``.
        orders: For each question the statistic under orders of its steps, the real one among them, ``[order]``.
        least, unit: As in `Comparison`.

    >>> against_orders("x", np.array([1.0]), np.array([0]), [np.array([1.0, 0.0])]).p > 0.4
    True
    """
    mean = cluster_bootstrap(values, images)
    rng = np.random.default_rng(1)
    null = np.mean([rng.choice(of, DRAWS) for of in orders], axis=0)
    p = _p(float(np.mean(values)), null)
    return Comparison(what, mean.value, mean.low, mean.high, p, mean.n, unit, least=least)


def _p(observed: float, drawn: np.ndarray) -> float:
    """Share of draws at least as large, the observed one among them; sums of floats may differ by rounding."""
    slack = 1e-9 * max(1.0, abs(observed))
    return float(1 + (drawn >= observed - slack).sum()) / (1 + len(drawn))
