"""Links of words, regions and steps by what the answer loses, in the form in which attention gives them: at least 0.

A step is linked with what supports it: an effect whose 95 % interval lies above zero. A word is linked with a region as strongly as
the strongest interaction of the two at any step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from stcg_nb.errors import InputError

LINKED_BY = ("causes", "alignment")


class Links(NamedTuple):
    """``[word, region]``, ``[step, region]`` and ``[step, word]``, all at least 0."""

    word_region: np.ndarray
    step_region: np.ndarray
    step_word: np.ndarray


def links_by_cause(data: Mapping[Any, Any]) -> Links:
    """Links by cause.

    Args:
        data: The causal variables of an `STCG`, by name; arrays as in `stcg_nb.graph.schema.SCHEMA`.
    """
    arrays = {name: np.asarray(data[name]) for name in _NEEDED}
    n_words, n_regions = arrays["word_low"].shape[1], arrays["region_low"].shape[1]
    strongest = np.zeros((n_words + n_regions,) * 2)
    pairs = arrays["link_third"] < 0
    places = arrays["link_source"][pairs], arrays["link_target"][pairs]
    np.maximum.at(strongest, places, np.abs(arrays["link_weight"][pairs]))
    return Links(
        strongest[:n_words, n_words:],
        _support(arrays["region_low"], arrays["region_high"]),
        _support(arrays["word_low"], arrays["word_high"]),
    )


_NEEDED = (
    "word_low", "word_high", "region_low", "region_high", "link_source", "link_target", "link_third", "link_weight",
)  # fmt: skip


def _support(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.where(low > 0, (low + high) / 2, 0)


def check_linked_by(by: str, causal: bool) -> None:
    """Raise `InputError` unless links can be shown by that."""
    if by not in LINKED_BY:
        raise InputError(f"{by!r} links nothing; valid are {', '.join(LINKED_BY)}.")
    if by == "causes" and not causal:
        raise InputError("This graph was made with masks=0, so it has no links by cause; explain with masks=256, say.")
