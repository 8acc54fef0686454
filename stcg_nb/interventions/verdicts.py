"""Verdicts compare attention with interventions, edge by edge.

=============  ===============================  ===============
verdict        does attention link the edge?    does its effect matter?
=============  ===============================  ===============
*confirmed*    yes                              yes
*spurious*     yes                              no
*hidden*       no                               yes
*none*         no, or unclear                   no
*unclear*      unclear                          yes
*unclear*      any                              unclear
=============  ===============================  ===============

*Effect.* An effect matters from `MATTERS` nats of log-odds on, in either direction: the odds of the token change by a factor of 1.65
or more, so that a probability of .50 becomes .62 or .38. It matters if it is at or beyond that size under every fill that
was tried, it does not matter if it is within under every fill, else it is unclear.

*Attention.* The share of an edge is attention to its word (or region) / attention to all words (or regions), both summed over all
heads of all layers. Heads are resampled (bootstrap, `DRAWS` draws; each site's heads by themselves). The share is a ratio of sums, so
a draw counts by its linear part, as is usual for ratios (Cochran 1977, *Sampling Techniques*, chapter 6):

    share + (attention of the drawn heads to the word - share * their attention to all words) / attention of all heads to all words

So a head that sends nothing to any word has no vote, and a draw without the only head that looks at words changes nothing. The
interval reaches from the 2.5th to the 97.5th percentile, and holds the share. Attention links the edge if the interval lies above
chance: 1 / number of words, or the region's part of the area that the model sees. It does not link the edge if the interval lies below
chance, and for a region also below 1 / number of regions. Else it is unclear.

The share of the most attended word is at least 1 / number of words, and that of the most attended region at least 1 / number of
regions. So neither is ever called hidden.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from stcg_nb.attention.alignment import Alignment, align, needed_sites
from stcg_nb.case import Case
from stcg_nb.graph.schema import MATTERS
from stcg_nb.stats.divergence import normalised

VERDICTS = ("confirmed", "spurious", "hidden", "unclear", "none")
DRAWS = 200  # of the bootstrap over heads
CLOSE = 1e-6  # shares that are closer to chance than this are even: attention comes in single precision
DRAWN_AT_ONCE = 25  # keeps the drawn maps of a large model small
YES, UNCLEAR, NO = 1, 0, -1


def attended(case: Case, heads: Mapping[str, Tensor], seed: int = 0) -> Alignment:
    """Which edges attention links: `YES`, `UNCLEAR` or `NO`, int ``[word, region]``, ``[step, region]`` and ``[step, word]``.

    Args:
        case: The case whose words, regions and steps are linked.
        heads: Attention of each head on its image, ``[layer, head, query, key]`` for each site, as from `Model.heads`.
        seed: Seeds the bootstrap over heads.

    >>> case = Case.read(np.zeros((32, 32, 3), np.uint8), "what is this?", "mock", regions="grid:2x2")
    >>> attended(case, case.model.heads(case.image, case.prompt, case.answer)).step_word.shape
    (3, 3)
    """
    if not heads:  # the model's attention cannot be captured, so nothing is known
        words, steps, regions = len(case.prompt.words), len(case.answer.token_ids), case.regions.n
        return Alignment(*(np.full(shape, UNCLEAR) for shape in ((words, regions), (steps, regions), (steps, words))))
    rng = np.random.default_rng(seed)
    by_head = {site: heads[site].flatten(0, 1) for site in needed_sites("attention", case.model.sites)}
    every = _voted(case, by_head, {site: np.ones((1, len(m))) for site, m in by_head.items()}).row(0)
    votes = {site: rng.multinomial(len(m), np.full(len(m), 1 / len(m)), DRAWS) for site, m in by_head.items()}
    draws = [
        _voted(case, by_head, {site: v[first : first + DRAWN_AT_ONCE] for site, v in votes.items()})
        for first in range(0, DRAWS, DRAWN_AT_ONCE)
    ]
    covered = case.patch_share.any(1)
    area = case.patch_share[covered].mean(0) if covered.any() else np.ones(case.regions.n)
    less = np.minimum(area, 1 / case.regions.n)
    even = np.full(len(case.prompt.words), 1 / len(case.prompt.words))

    def linked(of: str, above: np.ndarray, below: np.ndarray) -> np.ndarray:
        return _linked(getattr(every, of), np.concatenate([getattr(d, of) for d in draws]), above, below)

    return Alignment(
        linked("word_patch", area, less), linked("step_patch", area, less), linked("step_word", even, even)
    )


def _voted(case: Case, by_head: Mapping[str, Tensor], votes: Mapping[str, np.ndarray]) -> Alignment:
    """The alignment by attention with regions, in which each head counts as often as it was drawn.

    Args:
        case: The case.
        by_head: Attention of each head, ``[head, query, key]`` for each site.
        votes: How often each head was drawn, ``[draw, head]`` for each site.

    Returns:
        The alignment, with a leading dimension for draws.
    """
    maps = {}
    for site, m in by_head.items():
        mean = torch.from_numpy(votes[site] / len(m)).to(m.dtype) @ m.flatten(1)
        maps[site] = mean.unflatten(1, (1, *m.shape[1:]))  # one layer, the mean of all
    return align("attention", maps, case.layout).by_region(case)


def _linked(every: np.ndarray, drawn: np.ndarray, above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Whether attention links each edge: `YES`, `UNCLEAR` or `NO`, int ``[row, end]``.

    Args:
        every: Attention by all heads, ``[row, end]``.
        drawn: Attention by the drawn heads, ``[draw, row, end]``.
        above: The share above which an edge is linked, ``[end]``.
        below: The share below which it is not linked, ``[end]``.
    """
    share, total = normalised(every), every.sum(-1, keepdims=True)
    apart = drawn - share * drawn.sum(-1, keepdims=True)
    shares = share + np.divide(apart, total, out=np.zeros_like(apart), where=total > 0)
    low, high = np.percentile(shares, (2.5, 97.5), axis=0)
    linked, unlinked = np.minimum(low, share) > above + CLOSE, np.maximum(high, share) < below - CLOSE
    return np.select([linked, unlinked & (total > 0)], [YES, NO], UNCLEAR)


def matters(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether effects matter: `YES`, `UNCLEAR` or `NO`, int, in the shape of the arguments.

    Args:
        low, high: Smallest and largest effect over the fills that were tried, nats; equal where it was one.

    >>> matters(np.array([0.5, -2.0, 0.1, 0.3]), np.array([0.5, -0.7, 0.2, 0.9])).tolist()
    [1, 1, -1, 0]
    """
    return np.select([(low >= MATTERS) | (high <= -MATTERS), (low > -MATTERS) & (high < MATTERS)], [YES, NO], UNCLEAR)


def verdict(effect: np.ndarray, linked: np.ndarray) -> np.ndarray:
    """The verdict of each edge, one of `VERDICTS`, in the shape of the arguments.

    Args:
        effect: Whether its effect matters, `YES`, `UNCLEAR` or `NO`.
        linked: Whether attention links it, `YES`, `UNCLEAR` or `NO`.

    >>> verdict(np.array([1, -1, 1, 1, -1]), np.array([1, 1, -1, 0, 0])).tolist()
    ['confirmed', 'spurious', 'hidden', 'unclear', 'none']
    """
    yes, no = effect == YES, effect == NO
    claims = {
        "confirmed": yes & (linked == YES), "spurious": no & (linked == YES), "hidden": yes & (linked == NO),
        "none": no & (linked != YES),
    }  # fmt: skip
    return np.select(list(claims.values()), list(claims), "unclear")
