"""How far a graph can be trusted, and how that is said to a reader.

*Trust* is the estimated LDS of a causal graph on inputs that it has not seen (`stcg_nb.interventions.trust` estimates it). What the
graph holds was tried, so its weights are exact under the fill that it was made with. Where further fills were tried, a weight has a
range over all of them (`stcg_nb.interventions.robust`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from stcg_nb.graph.stcg import STCG, Edge

AUTO = "auto"  # the number of masks that goes on until trust reaches `TRUSTED`
TRUSTED = 0.9


class Trust(NamedTuple):
    """The estimated LDS with its 95 % interval, -1 to 1; NaN where the answer is the same whatever is removed."""

    value: float
    low: float
    high: float


def trust_said(stcg: STCG) -> str:
    """How far a graph can be trusted, in one sentence; empty without a causal graph."""
    if not stcg.causal:
        return ""
    trust, masks = stcg.trust, f"{stcg.data.attrs['masks']:,} masks"
    asked = stcg.data.attrs["masks_asked"]
    if trust is None:
        begun = f"{masks} spent: trust" if asked == AUTO else "Trust"
        return f"{begun} is not defined, since the answer is the same whatever is removed."
    number = f"{_two(trust.value)} [{_two(trust.low)}, {_two(trust.high)}]"
    if asked != AUTO:
        said = f"Trust {number} with {masks}"
    elif trust.value >= TRUSTED:
        said = f"Trust {number} reached with {masks}"
    else:
        said = f"{masks} spent, trust {number}"
    of_links = "".join(
        f" The graph's own links alone: {_two(lds)}." for lds in stcg.data["curve_lds"].values[-1:].tolist()
    )
    return (
        f"{said}: how well what was learnt predicts the model on inputs that it has not seen (1: perfectly, 0: not at all), estimated."
        f"{of_links}"
    )


def fills_of(stcg: STCG) -> tuple[str, ...]:
    """The fills under which effects and links were measured; the first is the one that the graph was made with."""
    further = [fill for fill in stcg.data.attrs["fills"].split(", ") if fill]
    return tuple(dict.fromkeys((stcg.data.attrs["removal"], *further)))


def range_head(stcg: STCG) -> str:
    """The head of a column of `range_said`."""
    return "range over fills" if len(fills_of(stcg)) > 1 else "tried"


def range_said(edge: Edge, digits: str = ".3g") -> str:
    """How a link's weight is known: exactly, or as a range over fills; a dash where nothing was tried."""
    if edge.low is None or edge.high is None:
        return "–"
    return "exact" if edge.low == edge.high else f"{edge.low:+{digits}} to {edge.high:+{digits}}"


def _two(value: float) -> str:
    """Two decimals without the zero before the point.

    >>> _two(0.917), _two(-0.05), _two(1.0)
    ('.92', '-.05', '1.00')
    """
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 0.995 else f"{value:.2f}"
