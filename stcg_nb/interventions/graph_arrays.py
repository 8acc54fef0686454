"""The causal arrays of an `STCG`, named as in its schema: from leave-one-out effects alone, or from a fitted causal graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stcg_nb.attention.alignment import Alignment
from stcg_nb.interventions.causal_graph import Causes
from stcg_nb.interventions.groups import Group
from stcg_nb.interventions.robust import Ranges
from stcg_nb.interventions.verdicts import UNCLEAR, matters, verdict

Arrays = dict[str, np.ndarray]


def single_effects(effect: np.ndarray, n_words: int) -> Arrays:
    """The arrays where only single players were left out. Ranges have no width; there are no verdicts and no interactions.

    Args:
        effect: The effect of each player on each step's log-odds, nats, ``[step, player]``.
        n_words: Number of words; they are the first players, regions the others.
    """
    nothing = np.zeros(effect.shape)
    links = {f"link_{k}": np.zeros(0) for k in ("weight", "low", "high", "coefficient")}
    places = {f"link_{k}": np.zeros(0, dtype=np.int64) for k in ("source", "target", "third", "step")}
    return {
        **by_player("effect", effect, n_words), **by_player("low", effect, n_words), **by_player("high", effect, n_words),
        **by_player("verdict", np.full(effect.shape, "", dtype=str), n_words), **by_player("coefficient", nothing, n_words),
        "intercept": nothing[:, 0], **links, **places, "link_verdict": np.zeros(0, dtype=str),
        "curve_links": np.zeros(0, dtype=np.int64), "curve_lds": np.zeros(0), **grouped([], effect.shape[1] - n_words),
    }  # fmt: skip


def causal_effects(n_words: int, causes: Causes, ranges: Ranges, attended: Alignment) -> Arrays:
    """The arrays of a causal graph.

    Args:
        n_words: As for `single_effects`.
        causes: The causal graph.
        ranges: Its effects and weights over the fills.
        attended: Which edges attention links, ``[word, region]``, ``[step, region]`` and ``[step, word]``, as
            `stcg_nb.interventions.verdicts.attended` says it.
    """
    verdicts = verdict(matters(ranges.node_low, ranges.node_high), attended.step_player)
    step, link = np.nonzero(causes.in_graph)
    source, target, third = causes.links[link].T
    word_region = (source < n_words) & (target >= n_words) & (third < 0)
    linked = np.full(len(link), UNCLEAR)
    linked[word_region] = attended.word_patch[source[word_region], target[word_region] - n_words]
    # Attention joins no two words, no two regions and no three players, so only word-region links get a verdict.
    link_verdicts = np.where(word_region, verdict(matters(ranges.low, ranges.high)[step, link], linked), "")
    known = np.isfinite(causes.curve)  # it is not where trust is not defined
    ends = {"source": source, "target": target, "third": third, "step": step}
    weights = {"weight": causes.weight, "low": ranges.low, "high": ranges.high, "coefficient": causes.link_coefficient}
    return {
        **by_player("effect", causes.node, n_words),
        **by_player("low", ranges.node_low, n_words), **by_player("high", ranges.node_high, n_words),
        **by_player("verdict", verdicts, n_words), **by_player("coefficient", causes.node_coefficient, n_words),
        "intercept": causes.intercept, "link_verdict": link_verdicts,
        **{f"link_{k}": v.astype(np.int64) for k, v in ends.items()},
        **{f"link_{k}": v[step, link] for k, v in weights.items()},
        "curve_links": causes.sizes[known].astype(np.int64), "curve_lds": causes.curve[known],
    }  # fmt: skip


def grouped(groups: Sequence[Group], n_regions: int) -> Arrays:
    """The arrays of groups of regions."""
    members = np.zeros((len(groups), n_regions), dtype=bool)
    for row, group in zip(members, groups, strict=True):
        row[list(group.regions)] = True
    return {
        "group_kind": np.array([group.kind for group in groups], dtype=str),
        "group_step": np.array([group.step for group in groups], dtype=np.int64),
        "group_region": members,
        "group_effect": np.array([group.effect for group in groups], dtype=float),
    }


def by_player(name: str, values: np.ndarray, n_words: int) -> Arrays:
    """Split ``[step, player]`` into an array of words ``[step, word]`` and one of regions ``[step, region]``."""
    return {f"word_{name}": values[:, :n_words], f"region_{name}": values[:, n_words:]}
