"""The difference of two graphs: which links became stronger, weaker, or turned, from one explanation to another.

1. *Match* the nodes. Words and answer tokens: the longest common runs of equal texts (`difflib`); what lies between two matched
   runs is matched in order where there are as many on both sides ("red" and "blue" in "a red car", "a blue car"). Regions: those that
   share most of their area (intersection over union, the best assignment over all), at least `OVERLAP`; pictures of two sizes
   are compared at the first one's.
2. *Subtract* the weights of links whose two ends are matched. A link that only one graph has counts as zero in the other.
3. *Judge*: a change is sure where both links have intervals that do not overlap. Links that were measured exactly always differ
   surely where they differ.

A change of weight says that the two answers rest on different things; what caused that, the two inputs must say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple

import cv2
import networkx as nx
import numpy as np
from scipy.optimize import linear_sum_assignment

from stcg_nb.graph.selection import node_labels
from stcg_nb.graph.stcg import STCG, Edge

OVERLAP = 0.3


class Change(NamedTuple):
    """One link in both graphs: weights before and after; ends and step are named as in the first graph."""

    source: str
    target: str
    step: int | None
    kind: str
    before: float
    after: float
    sure: bool

    @property
    def change(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, eq=False)
class Difference:
    """What differs between two explanations.

    Attributes:
        first, second: The two.
        matched: For each matched node of the first, the node of the second.
        changes: Every link of matched ends, the largest |change| first, kind by kind in one list.
        only_first, only_second: Nodes without a match.
    """

    first: STCG
    second: STCG
    matched: dict[str, str]
    changes: tuple[Change, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    def of_kind(self, kind: str) -> list[Change]:
        """The changes of one kind of links, the largest first."""
        return [c for c in self.changes if c.kind == kind]

    def to_networkx(self) -> nx.MultiDiGraph:
        """A graph over the first one's nodes, whose edges carry ``before``, ``after``, ``sure``, and the change as ``weight``."""
        graph = nx.MultiDiGraph()
        for node, label in node_labels(self.first).items():
            graph.add_node(node, kind=node.split(":")[0], label=label, match=self.matched.get(node, ""))
        for c in self.changes:
            numbers = {"weight": c.change, "before": c.before, "after": c.after, "sure": c.sure}
            step = -1 if c.step is None else c.step
            graph.add_edge(c.source, c.target, key=f"{c.kind}:{step}", kind=c.kind, step=step, **numbers)
        return graph


def difference(first: STCG, second: STCG) -> Difference:
    """Compare two explanations: of two images, questions or models, or of an image and a perturbed one.

    Links of three players are left out.

    >>> import stcg_nb
    >>> path, question = stcg_nb.demo()
    >>> stcg = stcg_nb.explain(path, question, "mock", masks=0)
    >>> any(c.change for c in difference(stcg, stcg).changes)
    False
    """
    matched = {
        **_match_texts("word", first.words, second.words),
        **_match_regions(first, second),
        **_match_texts("step", first.steps, second.steps),
    }
    back = {b: a for a, b in matched.items()}
    step_back = {int(b.split(":")[1]): int(a.split(":")[1]) for a, b in matched.items() if a.startswith("step:")}

    def key(edge: Edge, here: bool) -> tuple[str, str, int | None, str] | None:
        """A link's name in the first graph, if both its ends and its step have one there and in the second."""
        if here:
            known = edge.source in matched and edge.target in matched
            there = edge.step is None or f"step:{edge.step}" in matched
            return (edge.source, edge.target, edge.step, edge.kind) if known and there else None
        source, target = back.get(edge.source), back.get(edge.target)
        step = None if edge.step is None else step_back.get(edge.step, -1)
        if source is None or target is None or step == -1:
            return None
        if edge.kind == "interaction" and _order(source) > _order(target):
            source, target = target, source
        return source, target, step, edge.kind

    before = {k: e for e in first.edges() if e.third is None and (k := key(e, True)) is not None}
    after = {k: e for e in second.edges() if e.third is None and (k := key(e, False)) is not None}
    changes = []
    for k in dict.fromkeys((*before, *after)):
        a, b = before.get(k), after.get(k)
        sure = _apart(_span(a), _span(b))
        changes.append(Change(*k, a.weight if a else 0.0, b.weight if b else 0.0, sure))
    changes.sort(key=lambda c: -abs(c.change))
    nodes = tuple(node_labels(first)), tuple(node_labels(second))
    return Difference(
        first, second, matched, tuple(changes),
        tuple(n for n in nodes[0] if n not in matched), tuple(n for n in nodes[1] if n not in back),
    )  # fmt: skip


def _order(node: str) -> tuple[bool, int]:
    kind, i = node.split(":")
    return kind == "region", int(i)


def _span(edge: Edge | None) -> tuple[float, float] | None:
    """A link's interval; a link that is not there is zero; none where a weight has no interval."""
    if edge is None:
        return 0.0, 0.0
    return None if edge.low is None or edge.high is None else (edge.low, edge.high)


def _apart(a: tuple[float, float] | None, b: tuple[float, float] | None) -> bool:
    return a is not None and b is not None and (a[1] < b[0] or b[1] < a[0])


def _match_texts(kind: str, first: Sequence[str], second: Sequence[str]) -> dict[str, str]:
    """
    >>> _match_texts("step", ("a", "red", "car"), ("a", "blue", "car"))
    {'step:0': 'step:0', 'step:1': 'step:1', 'step:2': 'step:2'}
    >>> _match_texts("word", ("left", "of"), ("of", "it"))
    {'word:1': 'word:0'}
    """
    a_texts, b_texts = ([text.lower() for text in texts] for texts in (first, second))
    out: dict[str, str] = {}
    for how, a0, a1, b0, b1 in SequenceMatcher(None, a_texts, b_texts, autojunk=False).get_opcodes():
        if how == "equal" or (how == "replace" and a1 - a0 == b1 - b0):
            out |= {f"{kind}:{a}": f"{kind}:{b}" for a, b in zip(range(a0, a1), range(b0, b1), strict=True)}
    return out


def _match_regions(first: STCG, second: STCG) -> dict[str, str]:
    a, b = (s.data["region_labels"].values for s in (first, second))
    if a.shape != b.shape:
        b = cv2.resize(b, a.shape[::-1], interpolation=cv2.INTER_NEAREST)
    n, m = len(first.regions), len(second.regions)
    shared = np.bincount((a.astype(np.int64) * m + b).ravel(), minlength=n * m).reshape(n, m)
    union = shared.sum(1)[:, None] + shared.sum(0)[None] - shared
    share = shared / np.maximum(union, 1)
    return {
        f"region:{i}": f"region:{j}"
        for i, j in zip(*linear_sum_assignment(-share), strict=True)
        if share[i, j] >= OVERLAP
    }
