"""Links between words, regions and steps from causal effects, in the form in which attention gives them: at least 0.

A step is linked with the words and regions that support it: those whose effect is above zero under every fill that was tried. The
link of a word with a region is their strongest interaction at any step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from stcg_nb.errors import InputError

LINKED_BY = ("causes", "alignment")


class Links(NamedTuple):
    """Links ``[word, region]``, ``[step, region]`` and ``[step, word]``, all at least 0, in nats if causal, else without unit."""

    word_region: np.ndarray
    step_region: np.ndarray
    step_word: np.ndarray


def links_by_cause(data: Mapping[Any, Any]) -> Links:
    """Compute links from causal effects, in nats.

    Args:
        data: The causal variables of an `STCG` by name, as in `stcg_nb.graph.schema.SCHEMA`.
    """
    arrays = {name: np.asarray(data[name]) for name in _NEEDED}
    n_words, n_regions = arrays["word_low"].shape[1], arrays["region_low"].shape[1]
    strongest = np.zeros((n_words + n_regions,) * 2)
    pairs = arrays["link_third"] < 0
    ends = arrays["link_source"][pairs], arrays["link_target"][pairs]
    np.maximum.at(strongest, ends, np.abs(arrays["link_weight"][pairs]))
    return Links(
        strongest[:n_words, n_words:],
        _support(arrays["region_low"], arrays["region_high"]),
        _support(arrays["word_low"], arrays["word_high"]),
    )


_NEEDED = (
    "word_low", "word_high", "region_low", "region_high", "link_source", "link_target", "link_third", "link_weight",
)  # fmt: skip


def _support(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The middle of each range above zero, else 0, in nats; ``[step, player]``, as both arguments."""
    return np.where(low > 0, (low + high) / 2, 0)


def check_linked_by(by: str, causal: bool) -> None:
    """Raise `InputError` unless `by` is valid and, for causes, the graph is causal."""
    if by not in LINKED_BY:
        raise InputError(f"{by!r} links nothing; valid are {', '.join(LINKED_BY)}.")
    if by == "causes" and not causal:
        raise InputError("This graph was made with masks=0, so it has no links by cause; explain with masks=256, say.")


def ranks(shares: np.ndarray) -> np.ndarray:
    """The place of each share along the last axis, int, in the shape of `shares`; 1 is the largest, and equal shares share a place.

    >>> ranks(np.array([0.2, 0.5, 0.2, 0.1])).tolist()
    [2, 1, 2, 4]
    """
    return 1 + (shares[..., None, :] > shares[..., :, None]).sum(-1)
