"""The causal graph of an answer: weights that say what each word, region and link of them is worth, with intervals.

1. *Screen*: the full input, and each player (word or region) absent alone.
2. *Pairs*: players absent two at a time, on `PAIR_SHARE` of the masks, in the order of the product of their effects alone.
3. *Spread*: all other masks are random, with each player present with probability .5 (six masks in ten), .7 (three) or .9 (one;
   such masks are much like the first two groups). Regions are drawn anew for every third mask only, words for each: masks that
   share a picture share its encoding, which is most of the work. On 49 development questions that spared four pictures in ten and
   cost .002 of LDS at 256 masks, .001 at 64.
4. A `Surrogate` learns v from all of them, step by step of the answer.
5. *Weights*, in nats, with m the value where it was tried, else the surrogate's, and everything else present:

       node     m(all) - m(all but i)                                          what the token loses without i
       pair     m(all) - m(all but i) - m(all but j) + m(all but i and j)      how far losses of i and j do not add up
       triple   the same 2 x 2 x 2 factorial of three                          what no pair of them accounts for

   Positive: each is worth more while the other is there (they work together); negative: each can stand in for the other.
   Pairs are looked for among the strongest `PAIRED` players, which is all of them unless the question is very long, triples
   among the strongest `TRIPLED`.
6. *Intervals*: weight ± 1.96 standard deviations of the surrogate's over bootstrap samples of the masks: how far a prediction
   would move had other masks been drawn. A weight that was tried is exact, and keeps that margin as a matter of caution. A link
   whose interval holds zero is left out.
7. *Sparse graph*: at each step links in number at most 15 % of the possible pairs, chosen for how well they predict together
   (`stcg_nb.interventions.sparse`). `Causes.predict` sees only these and the players.

The screen and the pairs are the same for every seed, so graphs of two draws of masks agree on what they hold. On development
questions more pairs than random masks cost no accuracy on unseen masks and gained much agreement.

Related: ContextCite (arXiv 2409.00729) fits main effects by LASSO, ProxySPEX (arXiv 2505.17495) extracts interactions from boosted
trees; Lundberg et al. 2020 and Tsai et al. 2023 (Faith-Shap) define other averages of the same interactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.interventions.masking import Game, without
from stcg_nb.interventions.sparse import RATES, fit_links, ranks, together
from stcg_nb.interventions.surrogate import Surrogate

MIN_MASKS = 24  # a dozen and a half words and regions once each, and a few pairs
EDGE_SHARE = 0.15
PAIR_SHARE = 0.4
SPREAD = (0.6, 0.3, 0.1)  # of the random masks at each of the rates
SHARED = 3  # random masks of one picture
PAIRED = 48
TRIPLED = 9
SAMPLES = 100  # of the bootstrap
IMAGINED = 600  # masks a rate that the sparse graph is fitted on


@dataclass(frozen=True, eq=False)
class Causes:
    """A causal graph: nodes are players at an answer step, links two or three players at a step.

    Attributes:
        links: Pairs of the strongest players (of all, up to `PAIRED`), then triples, int ``[link, 3]``; the third of a pair is -1.
        n_pairs: How many of them are pairs.
        node, node_low, node_high: Weights in nats with 95 % intervals, ``[step, player]``.
        weight, low, high: The same of links, ``[step, link]``.
        in_graph: Which links the sparse graph holds, bool ``[step, link]``.
        intercept, node_coefficient, link_coefficient: What `predict` adds up, in ranks from 0 to 1, ``[step]``, ``[step, player]``,
            ``[step, link]``; zero for links outside the graph.
        surrogate: What all of them were read from.
        masks, values: What was tried, bool ``[mask, player]``, and v, ``[mask, step]``.
    """

    links: np.ndarray
    n_pairs: int
    node: np.ndarray
    node_low: np.ndarray
    node_high: np.ndarray
    weight: np.ndarray
    low: np.ndarray
    high: np.ndarray
    in_graph: np.ndarray
    intercept: np.ndarray
    node_coefficient: np.ndarray
    link_coefficient: np.ndarray
    surrogate: Surrogate
    masks: np.ndarray
    values: np.ndarray

    @property
    def pairs(self) -> np.ndarray:
        """int ``[pair, 2]``."""
        return self.links[: self.n_pairs, :2]

    @property
    def edge(self) -> np.ndarray:
        """Weights of the pairs, ``[step, pair]``."""
        return self.weight[:, : self.n_pairs]

    def predict(self, masks: np.ndarray) -> np.ndarray:
        """What the sparse graph alone says of masks, ``[mask, step]``: their rank among masks with as many players."""
        masks = np.asarray(masks, dtype=float)
        return self.intercept + masks @ self.node_coefficient.T + together(masks, self.links) @ self.link_coefficient.T

    def measure(self, game: Game, masks: np.ndarray) -> np.ndarray:
        """Values of masks, ``[mask, step]``: what was found of those that were tried, what the model says of the others."""
        known = _known(self.masks, self.values)
        fresh = np.array([mask.tobytes() not in known for mask in masks])
        if fresh.any():
            known |= _known(masks[fresh], game(masks[fresh]))
        return np.stack([known[mask.tobytes()] for mask in masks])


def find_causes(game: Game, n_masks: int = 256, seed: int = 0) -> Causes:
    """Fit the causal graph of a game.

    Args:
        game: Image, question, answer, regions.
        n_masks: Masks to try, each one forward pass; from 24 on. The more, the narrower the intervals.
        seed: Of the random masks and the bootstrap.

    Raises:
        InputError: For fewer masks.

    >>> from stcg_nb.case import Case
    >>> image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    >>> game = Game(Case.read(image, "what is this?", "mock", regions="grid:2x2"))
    >>> find_causes(game, n_masks=64).node.shape
    (3, 7)
    """
    masks, values, surrogate = _learn(game, n_masks, seed)
    players = game.n_players
    alone = np.concatenate([np.ones((1, players), dtype=bool), without(players)])
    strength = _strength(_tried(alone, surrogate.predict(alone), masks, values))
    pairs, triples = _strongest(strength, PAIRED, 2), _strongest(strength, TRIPLED, 3)
    links = np.concatenate([np.concatenate([pairs, np.full((len(pairs), 1), -1)], axis=1), triples])
    probes = np.concatenate([alone, without(players, pairs), without(players, triples)])
    exact = _tried(probes, surrogate.predict(probes), masks, values)
    node, weight = (w.T for w in _weights(exact, pairs, triples))
    node_off, off = (
        1.96 * w.std(0, ddof=1).T for w in _weights(surrogate.resampled(probes, SAMPLES, seed), pairs, triples)
    )

    rate = np.arange(len(RATES) * IMAGINED) % len(RATES)
    imagined = np.random.default_rng((seed, 1)).random((len(rate), players)) < np.array(RATES)[rate][:, None]
    target = ranks(surrogate.score(imagined), rate)
    most = max(1, int(EDGE_SHARE * len(pairs)))
    link_coefficient = np.zeros(weight.shape)
    intercept, node_coefficient = np.zeros(len(node)), np.zeros(node.shape)
    for t, sure in enumerate(np.abs(weight) > off):
        intercept[t], node_coefficient[t], link_coefficient[t, sure] = fit_links(
            imagined, target[:, t], rate, links[sure], most
        )
    return Causes(
        links, len(pairs), node, node - node_off, node + node_off, weight, weight - off, weight + off,
        link_coefficient != 0, intercept, node_coefficient, link_coefficient, surrogate, masks, values,
    )  # fmt: skip


def pair_weights(game: Game, n_masks: int = 256, seed: int = 0) -> np.ndarray:
    """The pairs' weights alone, ``[step, pair]``: `Causes.edge` without the work of intervals and of the sparse graph.

    Arguments and errors as `find_causes`.
    """
    masks, values, surrogate = _learn(game, n_masks, seed)
    players = game.n_players
    alone = np.concatenate([np.ones((1, players), dtype=bool), without(players)])
    pairs = _strongest(_strength(_tried(alone, surrogate.predict(alone), masks, values)), PAIRED, 2)
    probes = np.concatenate([alone, without(players, pairs)])
    exact = _tried(probes, surrogate.predict(probes), masks, values)
    return _weights(exact, pairs, np.empty((0, 3), dtype=int))[1].T


def check_masks(n: int) -> None:
    """Raise `InputError` for fewer masks than a causal graph can be fitted to."""
    if n < MIN_MASKS:
        raise InputError(f"{n} masks are too few for a causal graph; try at least {MIN_MASKS}.")


def random_masks(words: int, regions: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Masks bool ``[mask, player]``, words first, of which every `SHARED` in a row have the same regions.

    >>> masks = random_masks(4, 5, 7, np.random.default_rng(0))
    >>> masks.shape, len(np.unique(masks[:, 4:], axis=0))
    ((7, 9), 3)
    """
    pictures = -(-n // SHARED)
    place = (rng.permutation(pictures) + 0.5) / max(pictures, 1)
    keep = np.array(RATES)[np.searchsorted(np.cumsum(SPREAD)[:-1], place)]
    picture = np.arange(n) // SHARED
    seen = rng.random((pictures, regions)) < keep[:, None]
    read = rng.random((n, words)) < keep[picture, None]
    return np.concatenate([read, seen[picture]], axis=1)


def _learn(game: Game, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, Surrogate]:
    """Masks, their values, and what is learnt from them."""
    check_masks(n)
    masks, values = _try(game, n, np.random.default_rng(seed))
    return masks, values, Surrogate(masks, values)


def _strongest(strength: np.ndarray, most: int, size: int) -> np.ndarray:
    """Every set of so many players among the strongest, in order, int ``[set, size]``.

    >>> _strongest(np.array([3.0, 1.0, 2.0]), 2, 2).tolist()
    [[0, 2]]
    """
    players = np.sort(np.argsort(-strength, kind="stable")[:most])
    return np.array(list(combinations(players.tolist(), size)), dtype=int).reshape(-1, size)


def _try(game: Game, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Masks and their values: screen, pairs, spread."""
    players = game.n_players
    masks = np.ones((1, players), dtype=bool)
    if n >= 1.5 * players:
        masks = np.concatenate([masks, without(players)])
    values = game(masks)
    tried = np.empty((0, players), dtype=bool)
    if len(masks) > 1:
        strength = _strength(values)
        pairs = _strongest(strength, PAIRED, 2)
        order = np.argsort(-strength[pairs].prod(1), kind="stable")
        tried = without(players, pairs[order[: min(int(PAIR_SHARE * n), n - len(masks))]])
    spread = random_masks(game.n_words, players - game.n_words, n - len(masks) - len(tried), rng)
    rest = np.concatenate([tried, spread])
    return np.concatenate([masks, rest]), np.concatenate([values, game(rest)])


def _strength(values: np.ndarray) -> np.ndarray:
    """How much each player matters, ``[player]``, from values of the full input and without each, ``[1 + player, step]``: its
    largest effect at any step as a share of that step's largest."""
    effect = np.abs(values[0] - values[1:])
    return (effect / np.maximum(effect.max(0), 1e-12)).max(1)


def _tried(probes: np.ndarray, predicted: np.ndarray, masks: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Predicted values ``[probe, step]``, with those in place that were tried."""
    known = _known(masks, values)
    return np.stack([known.get(probe.tobytes(), guess) for probe, guess in zip(probes, predicted, strict=True)])


def _known(masks: np.ndarray, values: np.ndarray) -> dict[bytes, np.ndarray]:
    return {mask.tobytes(): value for mask, value in zip(masks, values, strict=True)}


def _weights(v: np.ndarray, pairs: np.ndarray, triples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes ``[..., player, step]`` and links ``[..., link, step]`` from values of the probes, ``[..., probe, step]``: all, without
    each player, each pair, each triple."""
    players = v.shape[-2] - 1 - len(pairs) - len(triples)
    full, one, two, three = np.split(v, np.cumsum([1, players, len(pairs)]), axis=-2)
    pair = full - one[..., pairs[:, 0], :] - one[..., pairs[:, 1], :] + two
    place = np.zeros((players, players), dtype=int)
    place[pairs[:, 0], pairs[:, 1]] = np.arange(len(pairs))
    i, j, k = triples.T
    triple = full - sum(one[..., x, :] for x in (i, j, k)) - three
    triple = triple + sum(two[..., place[x, y], :] for x, y in ((i, j), (i, k), (j, k)))
    return full - one, np.concatenate([pair, triple], axis=-2)
