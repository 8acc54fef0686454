"""A finding of the study: a claim, its comparisons, and the verdict.

1. A claim consists of `Comparison`s that are declared before measuring: a mean, the value that it is claimed to lie above (or
   below), and the smallest relevant distance from that value.
2. Each comparison gets a 95 % bootstrap interval clustered by image (`stcg_nb.stats.bootstrap`) and a one-sided test with 9,999
   permutations: of signs, image by image, for paired values; of images between two groups; of steps for changes over time.
3. The claim holds if all its comparisons hold. Its p-value is therefore the largest of theirs (intersection-union test; Berger
   1982, doi 10.1080/00401706.1982.10487790), and the weakest comparison represents it.
4. The p-values of all findings of the study are corrected together by Holm's method (1979, jstor.org/stable/4615733).
5. *supported*: p_corrected < .05, and the interval lies on the claimed side. *not supported*: the whole interval falls short of
   the smallest relevant distance. *undecided*: anything else, and always with fewer than ten questions; more questions may decide.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stcg_nb.errors import InputError
from stcg_nb.files import write
from stcg_nb.stats.comparisons import NOT_SUPPORTED, SUPPORTED, UNDECIDED, Comparison, holm

FAMILY: Mapping[str, str] = {
    "H1": "patch_shuffle and peripheral_mask give the largest ΔW",
    "H2": "color_shift gives a strong |Δp|, more on colour questions than on others",
    "H3": "gaussian_noise moves the links as much as other perturbations of its size, but not the answer",
    "H4": "content words are linked more strongly and more locally than function words",
    "H5": "explanations by attention are fragile: unfaithful and unstable",
    "gain": "the causal graph predicts the model better than attention does",
    "time": "links change in the order of the answer's tokens",
}
"""The claims of the study's findings, by key. Their p-values are corrected together."""


@dataclass(frozen=True)
class Finding:
    """A claim with its comparisons and the corrected p-value.

    Attributes:
        key: One of `FAMILY`.
        comparisons: The claim holds if all of these hold.
        p_corrected: The p-value after Holm's correction; before the other findings are known, its upper bound: p times the number
            of findings.
        settings: The settings of the measurement: model, seed and so on.
    """

    key: str
    comparisons: tuple[Comparison, ...]
    p_corrected: float
    settings: Mapping[str, Any]

    @property
    def claim(self) -> str:
        """The claim in words."""
        return FAMILY[self.key]

    @property
    def p(self) -> float:
        """The p-value of the claim before correction: the largest of its comparisons'."""
        return max(c.p for c in self.comparisons)

    @property
    def verdict(self) -> str:
        """Supported if all comparisons are supported, not supported if any is not supported, else undecided."""
        verdicts = [self.of(c) for c in self.comparisons]
        if NOT_SUPPORTED in verdicts:
            return NOT_SUPPORTED
        return SUPPORTED if set(verdicts) == {SUPPORTED} else UNDECIDED

    def of(self, comparison: Comparison) -> str:
        """The verdict on one of the comparisons. Its p-value is its own times the number of findings, at most `p_corrected`."""
        return comparison.verdict(min(self.p_corrected, comparison.p * len(FAMILY)))

    @property
    def weakest(self) -> Comparison:
        """The comparison with the worst verdict; among equals, the largest p-value, then the smallest `Comparison.distance`."""
        order = (SUPPORTED, UNDECIDED, NOT_SUPPORTED)
        return max(self.comparisons, key=lambda c: (order.index(self.of(c)), c.p, -c.distance))

    def as_dict(self) -> dict[str, Any]:
        """The finding for JSON, with None for NaN."""
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
        """The finding on a few lines, with two decimals, so that the text is the same on every processor."""
        lines = [f"{self.key}: {self.claim}."]
        for c in self.comparisons:
            unit = f" {c.unit}" if c.unit else ""
            lines.append(
                f"  {c.what}: {_two(c.effect)}{unit} [{_two(c.low)}, {_two(c.high)}], n = {c.n}; claimed {c.side} "
                f"{_two(c.null)}, p = {p_text(c.p)} -> {self.of(c)}"
            )
        lines.append(
            f"  p of the claim {p_text(self.p)}, corrected for {len(FAMILY)} findings {p_text(self.p_corrected)}."
        )
        return "\n".join([*lines, f"VERDICT: {self.verdict}"])


def conclude(key: str, comparisons: Sequence[Comparison], settings: Mapping[str, Any]) -> Finding:
    """Make a finding before the others are known.

    Args:
        key: One of `FAMILY`.
        comparisons: Of the claim, at least one.
        settings: The settings of the measurement.

    Raises:
        InputError: If the key is unknown or there is no comparison.
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


def save_finding(finding: Finding, folder: str | Path) -> Path:
    """Write ``KEY.json`` into a folder."""
    return write(
        Path(folder) / f"{finding.key}.json",
        (json.dumps(finding.as_dict(), indent=1, ensure_ascii=False) + "\n").encode(),
    )


def load_finding(path: str | Path) -> Finding:
    """Read what `save_finding` wrote.

    Raises:
        InputError: If the file is missing or does not hold a finding.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        comparisons = tuple(_comparison(c) for c in content["comparisons"])
        return Finding(content["key"], comparisons, content["p_corrected"], content["settings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{str(path)!r} is no finding ({error}); run `stcg figures` to make it anew.") from None


def _comparison(saved: Mapping[str, Any]) -> Comparison:
    values: dict[str, Any] = {k: math.nan if v is None else v for k, v in saved.items() if k != "verdict"}
    return Comparison(**values)


def p_text(p: float) -> str:
    """Format a p-value.

    >>> p_text(0.0001), p_text(0.031), p_text(1.0)
    ('< 0.001', '0.03', '1.00')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.01 else f"{p:.2f}"


def _two(value: float) -> str:
    return "-" if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"


def _plain(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers for JSON: five decimals, None for NaN."""
    return {k: (None if math.isnan(v) else round(v, 5)) if isinstance(v, float) else v for k, v in numbers.items()}
