"""Are the graph's intervals, links and trust true? Compared with exact weights and values that it has not seen.

Links that were not tried are drawn at random, and their exact factorials measured. Links that the graph holds are measured anew.
"""

from __future__ import annotations

import math

import numpy as np

from stcg_nb.faithfulness.card_measures.base import MEASURES, measure
from stcg_nb.faithfulness.context import Context

DRAWN = 24  # links of one kind
TWOFOLD = 2.0
NEAR = 0.06  # of trust to the LDS measured


@measure("coverage_pairs", "95 % intervals of pairs not tried hold the exact value", "context")
def coverage_pairs(context: Context) -> float:
    """Share of untried pairs, at all steps, whose exact interaction lies in the interval; 95 % is right."""
    return _coverage(context, triples=False)


@measure("coverage_triples", "… of triples not tried", "context")
def coverage_triples(context: Context) -> float:
    """The same of triples."""
    return _coverage(context, triples=True)


@measure("held_sign", "links of the graph have the right sign", "ours")
def held_sign(context: Context) -> float:
    """Share of the links in the sparse graph whose exact interaction has the sign of their weight."""
    weight, exact = _held(context)
    return float((np.sign(weight) == np.sign(exact)).mean()) if len(weight) else math.nan


@measure("held_twofold", "… and are right within a factor of two", "ours")
def held_twofold(context: Context) -> float:
    """Share of them whose exact interaction is between half and twice their weight."""
    weight, exact = _held(context)
    ratio = exact / np.where(weight == 0, np.inf, weight)
    return float(((ratio >= 1 / TWOFOLD) & (ratio <= TWOFOLD)).mean()) if len(weight) else math.nan


@measure("trust_error", "trust is off the measured LDS by", "context")
def trust_error(context: Context) -> float:
    """Absolute difference of trust and the LDS on held-out masks."""
    return abs(context.causes.trust.value - MEASURES["lds"].value(context))


@measure("trust_near", "… by at most .06", "context")
def trust_near(context: Context) -> float:
    """Whether it is at most `NEAR`."""
    error = trust_error(context)
    return math.nan if math.isnan(error) else float(error <= NEAR)


@measure("trust_covers", "trust's interval holds the measured LDS", "context")
def trust_covers(context: Context) -> float:
    """Whether the LDS on held-out masks lies in trust's 95 % interval."""
    trust, found = context.causes.trust, MEASURES["lds"].value(context)
    return math.nan if math.isnan(found + trust.value) else float(trust.low <= found <= trust.high)


def _coverage(context: Context, triples: bool) -> float:
    """Share of links drawn from those not tried, at all steps, that their intervals hold; NaN if all were tried."""
    causes = context.causes
    untried = np.flatnonzero(~causes.tried & ((causes.links[:, 2] >= 0) == triples))
    drawn = np.random.default_rng((context.seed, 5)).permutation(untried)[:DRAWN]
    if not len(drawn):
        return math.nan
    exact = context.exact(drawn)
    return float(((exact >= causes.low[:, drawn]) & (exact <= causes.high[:, drawn])).mean())


def _held(context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Weights and exact interactions of links that the sparse graph holds, drawn at random, nats, ``[drawn]``."""
    causes = context.causes
    step, link = np.nonzero(causes.in_graph)
    drawn = np.random.default_rng((context.seed, 6)).permutation(len(step))[:DRAWN]
    step, link = step[drawn], link[drawn]
    links, at = np.unique(link, return_inverse=True)
    exact = context.exact(links)[step, at] if len(links) else np.zeros(0)
    return causes.weight[step, link], exact
