"""Choose the links of a graph to show, for the static figure and the interactive drawing of `stcg_nb.viz` alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.graph.stcg import STCG, Edge

LINKS = ("counterfactual", "alignment", "interaction")
TOGETHER = ("interaction", "triple")  # kinds of edges between two or three players
SPURIOUS = 8  # largest number of spurious links to draw


@dataclass(frozen=True)
class View:
    """What to show of a graph.

    Attributes:
        links: ``"counterfactual"``: what the answer loses without a word or region, in nats; ``"alignment"``: what the
            estimator links; or ``"interaction"``: how far the effects of two or three players do not add up, in nats, which only
            a causal graph has.
        top: Largest number of links to draw, the strongest first.
        step: The answer step to show, from 0; None: all steps.
        min_effect: Show only links that lie further from zero than this, in nats, under every fill that was tried.
        node: A word, region or step, such as ``"word:3"``, whose links stand out from all others.

    Raises:
        InputError: For an unknown kind of links, a `top` below 1, or a negative `min_effect`.
    """

    links: str = "counterfactual"
    top: int = 24
    step: int | None = None
    min_effect: float = 0.0
    node: str | None = None

    def __post_init__(self) -> None:
        if self.links not in LINKS:
            raise InputError(f"{self.links!r} are no links; valid are {', '.join(LINKS)}.")
        if self.top < 1:
            raise InputError(f"top is {self.top}; draw at least one link.")
        if not self.min_effect >= 0:
            raise InputError(f"min_effect is {self.min_effect}; give 0 or more.")

    def check(self, stcg: STCG) -> View:
        """Return the view if the graph has what it shows.

        Raises:
            InputError: For interactions, a step or a node that the graph does not have.
        """
        if self.links == "interaction" and not stcg.data.sizes["link"]:
            raise InputError(
                "The graph holds no interactions: none was found, or it was made with masks=0; explain with more masks."
            )
        if self.step is not None and not 0 <= self.step < len(stcg.steps):
            raise InputError(f"There is no step {self.step}; valid are 0 to {len(stcg.steps) - 1}.")
        if self.node is not None and self.node not in node_labels(stcg):
            raise InputError(f"There is no node {self.node!r}; valid are such as 'word:0', 'region:0' and 'step:0'.")
        return self


@dataclass(frozen=True)
class Shown:
    """The links of a view.

    Attributes:
        drawn: The strongest links; those of the view's node only, if it has one.
        dimmed: The strongest links of other nodes, for context, if the view has a node.
        spurious: Links that attention shows but whose effect does not matter, at most `SPURIOUS`.
        strongest: The largest |weight| of drawn and dimmed links; 1 if there are none.
        total: Number of links from which `drawn` was chosen.
        unsure: Number of links left out because they are not beyond the limit under every fill.
        small: Number of links left out because their effect does not matter, without those in `spurious`.
    """

    drawn: list[Edge] = field(default_factory=list)
    dimmed: list[Edge] = field(default_factory=list)
    spurious: list[Edge] = field(default_factory=list)
    strongest: float = 1.0
    total: int = 0
    unsure: int = 0
    small: int = 0


def choose(stcg: STCG, view: View) -> Shown:
    """The links that a view shows, strongest first."""
    view.check(stcg)
    of_kind = [e for e in stcg.edges() if shows(view, e) and e.weight != 0]
    of_kind.sort(key=lambda e: -abs(e.weight))
    if view.links == "interaction":  # of links between the same players, keep the strongest step
        of_kind = list({players(e): e for e in reversed(of_kind)}.values())
        of_kind.sort(key=lambda e: -abs(e.weight))
    small = [e for e in of_kind if e.verdict in ("spurious", "none")]
    enough = [e for e in of_kind if e.verdict not in ("spurious", "none")]
    sure = [e for e in enough if surely_beyond(e, view.min_effect)]
    own = [e for e in sure if touches(e, view.node)]
    others = [e for e in sure[: view.top] if not touches(e, view.node)]
    drawn = own[: view.top]
    strongest = max((abs(e.weight) for e in (*drawn[:1], *others[:1])), default=1.0)
    dotted = [e for e in small if e.verdict == "spurious" and touches(e, view.node)][:SPURIOUS]
    return Shown(drawn, others, dotted, strongest, len(own), len(enough) - len(sure), len(small) - len(dotted))


def shows(view: View, edge: Edge) -> bool:
    """Whether a link is of the kind and step that a view shows; a view of interactions shows triple links too."""
    kind = "interaction" if edge.kind in TOGETHER else edge.kind
    return kind == view.links and (view.step is None or edge.step in (None, view.step))


def players(edge: Edge) -> tuple[str, ...]:
    """The nodes that a link connects: its two ends, or three.

    >>> players(Edge("word:0", "region:1", 0, "triple", 1.0, third="region:2"))
    ('word:0', 'region:1', 'region:2')
    """
    return (edge.source, edge.target, *((edge.third,) if edge.third is not None else ()))


def surely_beyond(edge: Edge, nats: float = 0.0) -> bool:
    """Whether a link lies further from zero than `nats` under every fill; where nothing was tried, whether its weight does.

    >>> surely_beyond(Edge("word:0", "step:0", 0, "counterfactual", 1.0, 0.5, 1.5), 0.4)
    True
    """
    if edge.low is None or edge.high is None:
        return abs(edge.weight) >= nats
    return edge.low > nats or edge.high < -nats


def touches(edge: Edge, node: str | None) -> bool:
    """Whether a link ends at the node or belongs to the step; True for any link if no node is given."""
    return node is None or node in players(edge) or (edge.step is not None and node == f"step:{edge.step}")


def node_labels(stcg: STCG) -> dict[str, str]:
    """Each node and its text: words, regions, then the answer's tokens."""
    kinds: tuple[tuple[str, Sequence[str]], ...] = (
        ("word", stcg.words),
        ("region", stcg.regions),
        ("step", stcg.steps),
    )
    return {f"{kind}:{i}": text for kind, texts in kinds for i, text in enumerate(texts)}


def totals(stcg: STCG, view: View) -> tuple[np.ndarray, np.ndarray]:
    """The total weight of each word and each region in a view: at the view's step, or summed over steps.

    Returns:
        ``[word]`` and ``[region]``, in nats, or without unit for alignment.
    """
    causal = view.links != "alignment"
    steps = slice(None) if view.step is None else slice(view.step, view.step + 1)
    words = stcg.data["word_effect" if causal else "step_word"].values[steps].sum(0)
    return words, stcg.data["region_effect" if causal else "step_region"].values[steps].sum(0)


def link_name(edge: Edge) -> str:
    """A link's name: its nodes, and its step if it is an interaction or a triple link.

    >>> link_name(Edge("word:0", "step:1", 1, "counterfactual", 1.0))
    'word:0>step:1'
    >>> link_name(Edge("word:0", "region:2", 1, "triple", 1.0, third="region:4"))
    'word:0>region:2>region:4@1'
    """
    return ">".join(players(edge)) + (f"@{edge.step}" if edge.kind in TOGETHER else "")


def attention_said(edge: Edge) -> str:
    """What attention gives a link, in words; empty where attention has no such link.

    >>> attention_said(Edge("word:0", "step:0", 0, "counterfactual", 1.0, share=0.25, rank=1))
    'attention 0.25, rank 1'
    """
    return "" if edge.share is None else f"attention {edge.share:.2f}, rank {edge.rank}"


def ends(name: str) -> list[str]:
    """The nodes in a name: a link's two or three, or the node itself.

    >>> ends("region:0>region:2@1"), ends("word:3")
    (['region:0', 'region:2'], ['word:3'])
    """
    return name.partition("@")[0].split(">")


def node_of(picked: str | None) -> str | None:
    """The picked name if it names a node; None for a link or nothing."""
    return None if picked is None or ">" in picked else picked
