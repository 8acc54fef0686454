"""The difference of two graphs: which links became stronger, became weaker or changed sign between two explanations.

1. *Match* the nodes. Words and answer tokens are matched in their longest common runs of equal texts (`difflib`). Between two
   matched runs, texts are matched in order if both sides have equally many: "red" with "blue" in "a red car", "a blue car".
   Regions are matched by the assignment with the largest total intersection over union; a pair needs at least `OVERLAP`.
   Images of different sizes are compared at the first one's size.
2. *Subtract* the weights of links whose two ends are matched. A link that only one graph has counts as zero in the other.
3. *Judge* each change: it is sure if both links were tried and their ranges over the fills do not overlap. The range of a link that
   was tried under one fill is its weight alone, which is exact, so any change between two such links is sure.

A change of weight shows that the two answers rest on different things. It does not show which difference of the inputs caused it.
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

OVERLAP = 0.3  # smallest intersection over union of two matched regions


class Change(NamedTuple):
    """A link's weights in the first graph (``before``) and the second (``after``); node names and step are the first graph's.

    ``sure`` is True if the two ranges do not overlap. Weights have the units of the link's kind (`stcg_nb.graph.stcg`).
    """

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
        first, second: The two explanations.
        matched: For each matched node of the first graph, its node in the second.
        changes: All links with matched ends, of all kinds together, the largest |change| first.
        only_first, only_second: Nodes of one graph without a match in the other.
    """

    first: STCG
    second: STCG
    matched: dict[str, str]
    changes: tuple[Change, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    def of_kind(self, kind: str) -> list[Change]:
        """The changes of one kind of link, the largest first."""
        return [c for c in self.changes if c.kind == kind]

    def to_networkx(self) -> nx.MultiDiGraph:
        """A graph over the first graph's nodes; each edge has ``before``, ``after``, ``sure``, and the change as ``weight``."""
        graph = nx.MultiDiGraph()
        for node, label in node_labels(self.first).items():
            graph.add_node(node, kind=node.split(":")[0], label=label, match=self.matched.get(node, ""))
        for c in self.changes:
            numbers = {"weight": c.change, "before": c.before, "after": c.after, "sure": c.sure}
            step = -1 if c.step is None else c.step
            graph.add_edge(c.source, c.target, key=f"{c.kind}:{step}", kind=c.kind, step=step, **numbers)
        return graph


def difference(first: STCG, second: STCG) -> Difference:
    """Compare two explanations, such as those of two images, questions or models, or of an image and a perturbed copy.

    Joint links, which have three ends, are left out.

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

    def key(edge: Edge, in_first: bool) -> tuple[str, str, int | None, str] | None:
        """Source, target, step and kind of a link in the first graph's names; None if an end or the step has no match."""
        if in_first:
            ends_match = edge.source in matched and edge.target in matched
            step_matches = edge.step is None or f"step:{edge.step}" in matched
            return (edge.source, edge.target, edge.step, edge.kind) if ends_match and step_matches else None
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
    """Sort key: words before regions, each by index."""
    kind, i = node.split(":")
    return kind == "region", int(i)


def _span(edge: Edge | None) -> tuple[float, float] | None:
    """A link's range; (0, 0) for a link that a graph does not have; None for a weight without a range."""
    if edge is None:
        return 0.0, 0.0
    return None if edge.low is None or edge.high is None else (edge.low, edge.high)


def _apart(a: tuple[float, float] | None, b: tuple[float, float] | None) -> bool:
    """Whether two ranges do not overlap; False if one is missing."""
    return a is not None and b is not None and (a[1] < b[0] or b[1] < a[0])


def _match_texts(kind: str, first: Sequence[str], second: Sequence[str]) -> dict[str, str]:
    """For each matched text of the first sequence, its node, and the node in the second.

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
    """For each matched region of the first graph, the region of the second."""
    a, b = (s.data["region_labels"].values for s in (first, second))
    if a.shape != b.shape:
        b = cv2.resize(b, a.shape[::-1], interpolation=cv2.INTER_NEAREST)
    n, m = len(first.regions), len(second.regions)
    shared = np.bincount((a.astype(np.int64) * m + b).ravel(), minlength=n * m).reshape(n, m)
    union = shared.sum(1)[:, None] + shared.sum(0)[None] - shared
    overlap = shared / np.maximum(union, 1)
    return {
        f"region:{i}": f"region:{j}"
        for i, j in zip(*linear_sum_assignment(-overlap), strict=True)
        if overlap[i, j] >= OVERLAP
    }
