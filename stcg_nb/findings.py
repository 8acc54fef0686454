"""A finding of the study: what was claimed, what was measured, and the verdict that the numbers give.

1. A claim is taken apart into `Comparison`s, declared before anything is measured: a mean, the value that it is claimed to lie
   above (or below), and the smallest distance from that value that would matter.
2. Each comparison gets a 95 % bootstrap interval clustered by image (`stcg_nb.intervals`) and a one-sided permutation test of
   9,999 draws: signs flipped image by image for paired values, images dealt anew between two groups, steps in another order
   for what happens in time.
3. The claim holds if all its comparisons do. So its p-value is the largest of theirs (intersection-union test; Berger 1982, doi
   10.1080/00401706.1982.10487790), and it is reported by its weakest comparison.
4. The study has several findings: their p-values are corrected by Holm's method (1979, jstor.org/stable/4615733).
5. *supported*: p_corrected < .05, and the interval lies on the claimed side. *not supported*: the whole interval lies short of the
   smallest distance that would matter. *undecided*: anything else, and always with fewer than ten questions; more may decide.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.intervals import bootstrap_means, cluster_bootstrap
from stcg_nb.writing import write

FAMILY: Mapping[str, str] = {
    "H1": "patch_shuffle and peripheral_mask give the largest ΔW",
    "H2": "color_shift gives a strong |Δp|, more on colour questions than on others",
    "H3": "gaussian_noise moves the links as much as other perturbations of its size, but not the answer",
    "H4": "content words are linked more strongly and more locally than function words",
    "H5": "explanations by attention are fragile: unfaithful and unstable",
    "gain": "the causal graph predicts the model better than attention does",
    "time": "links change in the order of the answer's tokens",
}
"""The study's findings, by key, with what each claims. They are corrected together."""

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


@dataclass(frozen=True)
class Finding:
    """A claim with its comparisons and the corrected p-value.

    Attributes:
        key: One of `FAMILY`.
        comparisons: All must hold for the claim to hold.
        p_corrected: After Holm's correction. Before the other findings are known, the largest that it can become: p times the
            number of findings.
        settings: What was measured on: model, seed and so on.
    """

    key: str
    comparisons: tuple[Comparison, ...]
    p_corrected: float
    settings: Mapping[str, Any]

    @property
    def claim(self) -> str:
        return FAMILY[self.key]

    @property
    def p(self) -> float:
        return max(c.p for c in self.comparisons)

    @property
    def verdict(self) -> str:
        """Supported if all comparisons are, not supported if one is not, else undecided."""
        said = [self.of(c) for c in self.comparisons]
        if NOT_SUPPORTED in said:
            return NOT_SUPPORTED
        return SUPPORTED if set(said) == {SUPPORTED} else UNDECIDED

    def of(self, comparison: Comparison) -> str:
        """The verdict on one of its comparisons, by its own p-value as far as that is smaller than the claim's."""
        return comparison.verdict(min(self.p_corrected, comparison.p * len(FAMILY)))

    @property
    def weakest(self) -> Comparison:
        """The comparison that decides: of the worst verdict, then of the largest p-value, then least far on the claimed side."""
        order = (SUPPORTED, UNDECIDED, NOT_SUPPORTED)
        return max(self.comparisons, key=lambda c: (order.index(self.of(c)), c.p, -c.distance))

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which has no NaN."""
        weakest = self.weakest
        return {
            "key": self.key, "claim": self.claim, "verdict": self.verdict,
            **_plain({"effect": weakest.effect, "low": weakest.low, "high": weakest.high}), "n": weakest.n,
            **_plain({"p": self.p, "p_corrected": self.p_corrected}), "decided_by": weakest.what,
            "comparisons": [
                {**_plain(asdict(c)), "verdict": self.of(c)} for c in self.comparisons
            ],
            "settings": dict(self.settings),
        }  # fmt: skip

    def line(self) -> str:
        """The finding on one line."""
        c = self.weakest
        return (
            f"  {self.key:<5} {_two(c.effect):>7} [{_two(c.low)}, {_two(c.high)}]  n = {c.n:<5} "
            f"p {p_text(self.p_corrected):<8} {self.verdict}: {self.claim}"
        )

    def text(self) -> str:
        """A few lines to print: two decimals, which are the same on every processor."""
        lines = [f"{self.key}: {self.claim}."]
        for c in self.comparisons:
            of = f" {c.unit}" if c.unit else ""
            lines.append(
                f"  {c.what}: {_two(c.effect)}{of} [{_two(c.low)}, {_two(c.high)}], n = {c.n}; claimed {c.side} "
                f"{_two(c.null)}, p = {p_text(c.p)} -> {self.of(c)}"
            )
        lines.append(
            f"  p of the claim {p_text(self.p)}, corrected for {len(FAMILY)} findings {p_text(self.p_corrected)}."
        )
        return "\n".join([*lines, f"VERDICT: {self.verdict}"])


def conclude(key: str, comparisons: Sequence[Comparison], settings: Mapping[str, Any]) -> Finding:
    """A finding on its own, before the others are known.

    Raises:
        InputError: For a key that is none of `FAMILY`, or no comparison.
    """
    if key not in FAMILY:
        raise InputError(f"{key!r} is no finding of the study; valid are {', '.join(FAMILY)}.")
    if not comparisons:
        raise InputError(f"The finding {key!r} has no comparison; a claim needs at least one.")
    p = max(c.p for c in comparisons)
    return Finding(key, tuple(comparisons), min(1.0, p * len(FAMILY)), dict(settings))


def corrected(findings: Sequence[Finding]) -> list[Finding]:
    """The same findings with their p-values corrected together."""
    return [replace(f, p_corrected=p) for f, p in zip(findings, holm([f.p for f in findings]), strict=True)]


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
        InputError: As `stcg_nb.intervals.cluster_bootstrap`.

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


def save_finding(finding: Finding, folder: str | Path) -> Path:
    """Write ``KEY.json`` into a folder."""
    return write(
        Path(folder) / f"{finding.key}.json",
        (json.dumps(finding.as_dict(), indent=1, ensure_ascii=False) + "\n").encode(),
    )


def load_finding(path: str | Path) -> Finding:
    """Read what `save_finding` wrote.

    Raises:
        InputError: If the file is missing or no finding.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        comparisons = tuple(_comparison(c) for c in content["comparisons"])
        return Finding(content["key"], comparisons, content["p_corrected"], content["settings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{str(path)!r} is no finding ({error}); run `stcg figures` to make it anew.") from None


def _comparison(kept: Mapping[str, Any]) -> Comparison:
    values: dict[str, Any] = {k: math.nan if v is None else v for k, v in kept.items() if k != "verdict"}
    return Comparison(**values)


def p_text(p: float) -> str:
    """A p-value as it is printed.

    >>> p_text(0.0001), p_text(0.031), p_text(1.0)
    ('< 0.001', '0.03', '1.00')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.01 else f"{p:.2f}"


def _p(observed: float, drawn: np.ndarray) -> float:
    """Share of draws at least as large, the observed one among them; sums of floats may differ by rounding."""
    slack = 1e-9 * max(1.0, abs(observed))
    return float(1 + (drawn >= observed - slack).sum()) / (1 + len(drawn))


def _two(value: float) -> str:
    return "-" if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"


def _plain(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers for JSON: five decimals, None for NaN."""
    return {k: (None if math.isnan(v) else round(v, 5)) if isinstance(v, float) else v for k, v in numbers.items()}
