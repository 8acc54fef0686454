"""The measures of the card by key. A module of this folder registers its own with `measure`; nobody keeps another list.

>>> MEASURES["lds_random"].label, MEASURES["lds_random"].role
('… random weights', 'baseline')
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from stcg_nb.faithfulness.context import Context
from stcg_nb.registry import Registry

Role = Literal["ours", "baseline", "sanity check", "context"]
"""Of the causal graph; of something simpler, to be beaten; must be near 0; or no measure of an explanation, which is not drawn."""

Function = Callable[[Context], float]


@dataclass(frozen=True)
class Measure:
    """A measure of the card.

    Attributes:
        key: Its name in the card.
        label: A few words for figures and tables; one that begins with … continues the row above it.
        role: What it is there for.
        value: The measure of one explanation; NaN where it is not defined.
    """

    key: str
    label: str
    role: Role
    value: Function


MEASURES = Registry[Measure]("measure of the card")
"""All measures, in the order of the card's rows."""


def measure(key: str, label: str, role: Role) -> Callable[[Function], Function]:
    """Register the function that it decorates as a measure, which every card then has.

    Args:
        key: One word, unlike that of other measures.
        label: A few words for figures and tables.
        role: What it is there for.
    """

    def add(value: Function) -> Function:
        MEASURES.add(key, Measure(key, label, role, value), value)
        return value

    return add
