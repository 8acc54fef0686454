"""The causal graph of an answer: the exact effect of each word and region, and the interactions that were tried.

1. `stcg_nb.interventions.exploration` chooses the masks and runs them. Weights are contrasts of their values with all other players
   present (`stcg_nb.interventions.contrasts`).
2. *Sparse graph*: at each step, of the links that were tried, at most 15 % as many as there are pairs, chosen by how well they
   predict together (`stcg_nb.interventions.sparse`). `Causes.predict` uses only these links and the players. What was only predicted
   is never in the graph; `Causes.low` and `Causes.high` say how large it may be (`stcg_nb.interventions.calibration`).
3. *Trust*: how well the graph predicts masks that it has not seen, and how well with its k strongest links alone
   (`stcg_nb.interventions.trust`).

With ``"auto"`` the number of masks starts at `FIRST` and doubles, keeping what was run, until trust reaches `TRUSTED` or `MOST` masks
are spent.

Related: ContextCite (arXiv 2409.00729) fits main effects by LASSO, ProxySPEX (arXiv 2505.17495) extracts interactions from boosted
trees, ShaplEIG (arXiv 2606.02247) chooses masks by expected information gain; the Shapley interaction indices of Lundberg et al. 2020
and Tsai et al. 2023 (Faith-Shap) average the same interactions over which other players are present.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.graph.trust import AUTO, TRUSTED, Trust
from stcg_nb.interventions import trust as trusting
from stcg_nb.interventions.contrasts import Contrasts
from stcg_nb.interventions.exploration import SHARED, Explored, Measured, explore
from stcg_nb.interventions.masking import Game
from stcg_nb.interventions.sparse import RATES, Pursuit, ranks, together
from stcg_nb.interventions.surrogate import Surrogate

MASKS = 256
MIN_MASKS = 24
FIRST, MOST = 64, 1024  # of masks="auto"
EDGE_SHARE = 0.15  # links of the sparse graph at one step, as a share of the number of pairs
GRAPH_MASKS = 600  # random masks for each keep rate that the sparse graph is fitted to
SIZES = (0, 1, 2, 4, 8, 16, 32, 64, 128)  # numbers of links whose faithfulness `Causes.curve` says

Masks = int | Literal["auto"]


@dataclass(frozen=True, eq=False)
class Causes:
    """A causal graph. A node is a player at an answer step; a link joins two or three players at a step.

    Attributes:
        contrasts: The pairs and triples, and the masks that their weights need.
        node: Exact effects of single players, nats, ``[step, player]``.
        weight, low, high: Interactions with 95 % intervals, nats, ``[step, link]``; exact, with no width, where `tried`.
        tried: Which links were tried, bool ``[link]``.
        in_graph: Which links the sparse graph contains, bool ``[step, link]``; all of them were tried.
        intercept, node_coefficient, link_coefficient: The terms that `predict` adds up, ``[step]``, ``[step, player]`` and
            ``[step, link]``, in ranks from 0 to 1; zero for links outside the sparse graph.
        surrogate: The surrogate that supplied the values of masks that were not measured.
        masks: The masks that were run through the model, bool ``[mask, player]``.
        values: Their values v, nats, ``[mask, step]``.
        trust: The estimated LDS of the surrogate's scores.
        sizes, curve: Numbers of links at a step, int ``[size]``, and the estimated LDS of the graph with so many, ``[size]``.
    """

    contrasts: Contrasts
    node: np.ndarray
    weight: np.ndarray
    low: np.ndarray
    high: np.ndarray
    tried: np.ndarray
    in_graph: np.ndarray
    intercept: np.ndarray
    node_coefficient: np.ndarray
    link_coefficient: np.ndarray
    surrogate: Surrogate
    masks: np.ndarray
    values: np.ndarray
    trust: Trust
    sizes: np.ndarray
    curve: np.ndarray

    @property
    def links(self) -> np.ndarray:
        """Players of each link, int ``[link, 3]``: the pairs first, with -1 as their third player, then the triples."""
        return self.contrasts.links

    @property
    def pairs(self) -> np.ndarray:
        """The two players of each pair, int ``[pair, 2]``."""
        return self.contrasts.pairs

    @property
    def edge(self) -> np.ndarray:
        """Interactions of the pairs, nats, ``[step, pair]``."""
        return self.weight[:, : len(self.pairs)]

    def predict(self, masks: np.ndarray) -> np.ndarray:
        """The sparse graph's prediction for masks bool ``[mask, player]``: their rank, from 0 to 1, among masks drawn at the same
        keep rate, ``[mask, step]``."""
        masks = np.asarray(masks, dtype=float)
        return self.intercept + masks @ self.node_coefficient.T + together(masks, self.links) @ self.link_coefficient.T


def find_causes(game: Game, n_masks: Masks = MASKS, seed: int = 0) -> Causes:
    """Fit the causal graph of a game.

    Args:
        game: The case and how its regions are removed.
        n_masks: Masks to run through the model, one forward pass each, at least `MIN_MASKS`; or ``"auto"``. Fewer are run if
            the players allow no more.
        seed: Seeds everything that is drawn at random.

    Raises:
        InputError: If `n_masks` is neither, or too few for this many players.

    >>> from stcg_nb.case import Case
    >>> image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    >>> game = Game(Case.read(image, "what is this?", "mock", regions="grid:2x2"))
    >>> find_causes(game, n_masks=64).node.shape
    (3, 7)
    """
    check_masks(n_masks)
    measured = Measured(game)
    if n_masks != AUTO:
        return _causes(explore(measured, int(n_masks), seed), seed)
    n = max(FIRST, 2 * game.n_players)
    while True:
        before = len(measured)
        causes = _causes(explore(measured, n, seed), seed)
        # Trust that is not defined stays so; few players allow no more masks.
        if not causes.trust.value < TRUSTED or n >= MOST or len(measured) == before:
            return causes
        n = min(2 * n, MOST)


def pair_weights(game: Game, n_masks: int = MASKS, seed: int = 0) -> np.ndarray:
    """The interactions of pairs alone, nats, ``[step, pair]``: `Causes.edge` without computing intervals or the sparse graph.

    Takes and raises the same as `find_causes`.
    """
    explored = explore(Measured(game), n_masks, seed)
    return explored.weights()[1][: len(explored.contrasts.pairs)].T


def check_masks(n: Masks) -> None:
    """Raise `InputError` for anything but ``"auto"`` or enough masks for a causal graph."""
    if isinstance(n, str) and n != AUTO:
        raise InputError(f"{n!r} is no number of masks; valid are 'auto' and numbers from {MIN_MASKS} on.")
    if not isinstance(n, str) and n < MIN_MASKS:
        raise InputError(f"{n} masks are too few for a causal graph; try at least {MIN_MASKS}.")


def _causes(explored: Explored, seed: int) -> Causes:
    """The causal graph of what was run."""
    contrasts, surrogate, measured = explored.contrasts, explored.surrogate, explored.measured
    node, weight = (w.T for w in explored.weights())
    known = measured.known(contrasts.probes)
    tried = contrasts.to_try(known) == 0
    half = explored.calibration.half_widths(contrasts, surrogate, known)

    rate = np.arange(len(RATES) * GRAPH_MASKS) % len(RATES)
    random = np.random.default_rng((seed, 1)).random((len(rate), surrogate.players)) < np.array(RATES)[rate][:, None]
    scores = surrogate.score(random)
    target = ranks(scores, rate)
    pursuits = [
        Pursuit(random, target[:, t], rate, contrasts.links[tried], max(1, int(EDGE_SHARE * len(contrasts.pairs))))
        for t in range(surrogate.steps)
    ]
    sizes = np.array([k for k in SIZES if k < max(p.chosen for p in pursuits)] + [max(p.chosen for p in pursuits)])
    graphs = [[p.fit(min(k, p.chosen)) for p in pursuits] for k in sizes]
    inside = together(random, contrasts.links[tried])
    predicted = [np.stack([b + random @ a + inside @ g for b, a, g in steps], 1) for steps in graphs]
    trust = _trust(explored, seed)
    link_coefficient = np.zeros(weight.shape)
    for t, (_, _, coefficient) in enumerate(graphs[-1]):
        link_coefficient[t, tried] = coefficient
    return Causes(
        contrasts=contrasts, node=node,
        weight=weight, low=weight - half, high=weight + half, tried=tried,
        in_graph=link_coefficient != 0,
        intercept=np.array([b for b, _, _ in graphs[-1]]), node_coefficient=np.stack([a for _, a, _ in graphs[-1]]),
        link_coefficient=link_coefficient, surrogate=surrogate, masks=measured.masks, values=measured.values,
        trust=trust, sizes=sizes, curve=trusting.curve(predicted, scores, rate, trust),
    )  # fmt: skip


def _trust(explored: Explored, seed: int) -> Trust:
    """Trust from the random masks, without those that equal another mask."""
    _, first = np.unique(explored.random, axis=0, return_index=True)
    kept = np.sort(first)
    number = explored.measured.number(explored.random[kept])
    groups = [number[kept // SHARED == picture] for picture in np.unique(kept // SHARED)]
    values = explored.measured(explored.random[kept])
    return trusting.estimate(explored.surrogate, groups, explored.rate[kept], values, explored.calibration.scale, seed)
