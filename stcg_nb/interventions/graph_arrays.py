"""The causal arrays of an `STCG`, by the names of its schema: effects of single players, with or without a fitted causal graph."""

from __future__ import annotations

import numpy as np

from stcg_nb.attention.alignment import Alignment
from stcg_nb.interventions.causal_graph import Causes
from stcg_nb.interventions.verdicts import verdict

Arrays = dict[str, np.ndarray]


def single_effects(effect: np.ndarray, n_words: int) -> Arrays:
    """The arrays where nothing was sampled.

    Args:
        effect: What each step loses without each player, nats, ``[step, player]``; each is its own interval.
        n_words: How many of the players are words; the others are regions.
    """
    nothing = np.zeros(effect.shape)
    links = {f"link_{k}": np.zeros(0) for k in ("weight", "low", "high", "coefficient")}
    places = {f"link_{k}": np.zeros(0, dtype=np.int64) for k in ("source", "target", "third", "step")}
    return {
        **by_player("effect", effect, n_words), **by_player("low", effect, n_words), **by_player("high", effect, n_words),
        **by_player("verdict", np.full(effect.shape, "", dtype=str), n_words), **by_player("coefficient", nothing, n_words),
        "intercept": nothing[:, 0], **links, **places, "link_verdict": np.zeros(0, dtype=str),
    }  # fmt: skip


def causal_effects(effect: np.ndarray, n_words: int, causes: Causes, attended: Alignment) -> Arrays:
    """The arrays of a fitted causal graph.

    Args:
        effect, n_words: As for `single_effects`.
        causes: The causal graph.
        attended: Which edges attention links, bool (`stcg_nb.interventions.verdicts.attended`).
    """
    # Effects of one player are measured exactly; the surrogate says how sure it is of them.
    off = causes.node_high - causes.node
    said = verdict(np.abs(effect) > off, attended.step_player)
    step, place = np.nonzero(causes.in_graph)
    source, target, third = causes.links[place].T
    word_region = (source < n_words) & (target >= n_words) & (third < 0)
    linked = np.zeros(len(place), dtype=bool)
    linked[word_region] = attended.word_patch[source[word_region], target[word_region] - n_words]
    # Attention has no edges between two words, two regions or three players that could confirm one.
    link_said = np.where(word_region, verdict(np.ones(len(place), dtype=bool), linked), "")
    ends = {"source": source, "target": target, "third": third, "step": step}
    weights = {"weight": causes.weight, "low": causes.low, "high": causes.high, "coefficient": causes.link_coefficient}
    return {
        **by_player("effect", effect, n_words),
        **by_player("low", effect - off, n_words), **by_player("high", effect + off, n_words),
        **by_player("verdict", said, n_words), **by_player("coefficient", causes.node_coefficient, n_words),
        "intercept": causes.intercept, "link_verdict": link_said,
        **{f"link_{k}": v.astype(np.int64) for k, v in ends.items()},
        **{f"link_{k}": v[step, place] for k, v in weights.items()},
    }  # fmt: skip


def by_player(name: str, values: np.ndarray, n_words: int) -> Arrays:
    """``[step, player]`` as an array of words and one of regions."""
    return {f"word_{name}": values[:, :n_words], f"region_{name}": values[:, n_words:]}
