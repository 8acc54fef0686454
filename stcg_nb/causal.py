"""The causal graph of an answer: weights that say what each word, region and pair of them is worth, with intervals.

1. *Screen*: the full input, and each player (word or region) absent alone.
2. *Pairs*: the strongest players absent two at a time, as many as an eighth of the masks allows.
3. *Spread*: all other masks are random, each player present with probability .5, .7 or .9.
4. A `Surrogate` learns v from all of them, step by step of the answer.
5. *Weights*, in nats, with m the surrogate's value and everything else present:

       node   m(all) - m(all but i)                                          what the token loses without i
       edge   m(all) - m(all but i) - m(all but j) + m(all but i and j)      how far losses of i and j do not add up

   An edge is the exact 2 x 2 factorial where the pair was tried, and its prediction elsewhere. Positive: each of the two is
   worth more while the other is there (they work together); negative: each can stand in for the other.
6. *Intervals*: weight ± 1.96 standard deviations over bootstrap samples of the masks. They say how far the weight would move
   had other masks been drawn. A node or edge whose interval holds zero is left out.
7. *Sparse graph*: of each step's possible edges at most 15 %, the heaviest. `Causes.predict` sees only the graph:
   b + sum_i a_i z_i + sum_ij g_ij z_i z_j over its nodes and edges, with coefficients fitted to the surrogate on many random
   masks. A coefficient is an average over what else may be missing; a weight is what holds with
   everything else there. The two differ where three or more players interact.

Related: ContextCite (arXiv 2409.00729) fits main effects by LASSO, ProxySPEX (arXiv 2505.17495) extracts interactions from boosted
trees; Lundberg et al. 2020 and Tsai et al. 2023 (Faith-Shap) define other averages of the same interactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.game import Game
from stcg_nb.surrogate import Surrogate

RATES = (0.5, 0.7, 0.9)
MIN_MASKS = 32
EDGE_SHARE = 0.15
PAIR_SHARE = 1 / 8
SAMPLES = 100  # of the bootstrap
IMAGINED = 600  # masks a rate that the sparse graph's coefficients are fitted on
RIDGE = 1e-2


@dataclass(frozen=True, eq=False)
class Causes:
    """A causal graph: nodes are players at an answer step, edges pairs of players at a step.

    Attributes:
        pairs: Every pair of players, int ``[pair, 2]``.
        node, node_low, node_high: Weights in nats with 95 % intervals, ``[step, player]``.
        edge, edge_low, edge_high: The same, ``[step, pair]``.
        in_graph: Which edges the sparse graph holds, bool ``[step, pair]``.
        intercept, node_coefficient, edge_coefficient: What `predict` adds up, ``[step]``, ``[step, player]``, ``[step, pair]``; zero
            outside the graph.
        surrogate: What all of them were read from.
        masks, values: What was tried, bool ``[mask, player]``, and v, ``[mask, step]``.
    """

    pairs: np.ndarray
    node: np.ndarray
    node_low: np.ndarray
    node_high: np.ndarray
    edge: np.ndarray
    edge_low: np.ndarray
    edge_high: np.ndarray
    in_graph: np.ndarray
    intercept: np.ndarray
    node_coefficient: np.ndarray
    edge_coefficient: np.ndarray
    surrogate: Surrogate
    masks: np.ndarray
    values: np.ndarray

    def predict(self, masks: np.ndarray) -> np.ndarray:
        """What the sparse graph alone says of masks, ``[mask, step]``: good for ranks; its nats are drawn in at the tails."""
        z = np.asarray(masks, dtype=float)
        both = z[:, self.pairs[:, 0]] * z[:, self.pairs[:, 1]]
        return self.intercept + z @ self.node_coefficient.T + both @ self.edge_coefficient.T


def find_causes(game: Game, n_masks: int = 256, seed: int = 0) -> Causes:
    """Fit the causal graph of a game.

    Args:
        game: Image, question, answer, regions.
        n_masks: Masks to try, each one forward pass; from 32 on. The more, the narrower the intervals.
        seed: Of the random masks and the bootstrap.

    Raises:
        InputError: For fewer masks.

    >>> from stcg_nb import load_model
    >>> from stcg_nb.regions import make_regions
    >>> mock, image = load_model("mock"), np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    >>> prompt = mock.prompt("what is this?")
    >>> game = Game(mock, image, prompt, mock.answer([image], prompt)[0], make_regions(image, "grid:2x2"))
    >>> find_causes(game, n_masks=64).node.shape
    (3, 7)
    """
    check_masks(n_masks)
    masks, values = _try(game, n_masks, np.random.default_rng(seed))
    surrogate = Surrogate(masks, values)
    players = game.n_players
    pairs = np.array(list(combinations(range(players), 2)))
    probes = np.concatenate([np.ones((1, players), dtype=bool), without(players), without(players, pairs)])

    def weights(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and edges from values of the probes, ``[..., probe, step]``."""
        full, one, two = np.split(v, [1, 1 + players], axis=-2)
        return full - one, full - one[..., pairs[:, 0], :] - one[..., pairs[:, 1], :] + two

    node, edge = (w.T for w in weights(surrogate.predict(probes)))
    node_off, edge_off = (
        1.96 * w.std(0, ddof=1).T for w in weights(surrogate.resampled(probes, SAMPLES, seed))
    )  # fmt: skip
    in_graph = np.zeros(edge.shape, dtype=bool)
    for t, heaviest in enumerate(np.argsort(-np.abs(edge), axis=1, kind="stable")):
        sure = heaviest[np.abs(edge[t, heaviest]) > edge_off[t, heaviest]]
        in_graph[t, sure[: max(1, int(EDGE_SHARE * len(pairs)))]] = True
    nodes = np.abs(node) > node_off
    for t, edges in enumerate(in_graph):
        nodes[t, pairs[edges].ravel()] = True  # a product without its factors would stand for them too
    intercept, node_coefficient, edge_coefficient = _coefficients(surrogate, pairs, nodes, in_graph, seed)
    return Causes(
        pairs, node, node - node_off, node + node_off, edge, edge - edge_off, edge + edge_off, in_graph,
        intercept, node_coefficient, edge_coefficient, surrogate, masks, values,
    )  # fmt: skip


def check_masks(n: int) -> None:
    """Raise `InputError` for fewer masks than a causal graph can be fitted to."""
    if n < MIN_MASKS:
        raise InputError(f"{n} masks are too few for a causal graph; try at least {MIN_MASKS}.")


def without(players: int, absent: np.ndarray | None = None) -> np.ndarray:
    """Masks that lack the players of each row of ``[mask, any]``; each player once if left out.

    >>> without(3, np.array([[0, 2]])).tolist()
    [[False, True, False]]
    """
    absent = np.arange(players)[:, None] if absent is None else absent
    masks = np.ones((len(absent), players), dtype=bool)
    masks[np.arange(len(absent))[:, None], absent] = False
    return masks


def random_masks(players: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Masks bool ``[mask, player]`` at the keep rates in turn."""
    rates = np.array([RATES[i % len(RATES)] for i in range(n)])
    return rng.random((n, players)) < rates[:, None]


def _try(game: Game, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Masks and their values: screen, pairs, spread."""
    players = game.n_players
    masks = np.ones((1, players), dtype=bool)
    if n >= 1.5 * players:
        masks = np.concatenate([masks, without(players)])
    values = game(masks)
    if len(masks) > 1:
        effect = np.abs(values[0] - values[1:])
        strength = (effect / np.maximum(effect.max(0), 1e-12)).max(1)
        chosen = 0
        while (chosen + 1) * chosen / 2 <= PAIR_SHARE * n and chosen < players:
            chosen += 1
        strongest = np.sort(np.argsort(-strength, kind="stable")[:chosen])
        tried = without(players, np.array(list(combinations(strongest, 2)), dtype=int).reshape(-1, 2))
    else:
        tried = np.empty((0, players), dtype=bool)
    rest = np.concatenate([tried, random_masks(players, n - len(masks) - len(tried), rng)])
    return np.concatenate([masks, rest]), np.concatenate([values, game(rest)])


def _coefficients(
    surrogate: Surrogate, pairs: np.ndarray, nodes: np.ndarray, edges: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Intercept, node and edge coefficients by ridge regression on the surrogate's score of imagined masks.

    Masks of one keep rate weigh as much as those of another, however much their values spread.
    """
    players = nodes.shape[1]
    imagined = random_masks(players, len(RATES) * IMAGINED, np.random.default_rng((seed, 1)))
    rate = np.arange(len(imagined)) % len(RATES)
    z = imagined.astype(float)
    features = np.concatenate([np.ones((len(z), 1)), z, z[:, pairs[:, 0]] * z[:, pairs[:, 1]]], axis=1)
    out = np.zeros((nodes.shape[0], features.shape[1]))
    for t, target in enumerate(surrogate.score(imagined).T):
        spread = np.array([target[rate == r].std() for r in range(len(RATES))])
        root = 1 / np.maximum(spread, 1e-9)[rate]
        columns = np.flatnonzero(np.concatenate([[True], nodes[t], edges[t]]))
        a = features[:, columns] * root[:, None]
        ridge = RIDGE * np.diag((a**2).mean(0))
        out[t, columns] = np.linalg.solve(a.T @ a + ridge, a.T @ (target * root))
    return out[:, 0], out[:, 1 : 1 + players], out[:, 1 + players :]
