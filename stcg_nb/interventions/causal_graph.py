"""The causal graph of an answer: the effect of each word and region and their interactions, with 95 % intervals.

1. *Leave-one-out*: the full input, and the input without each player (word or region) if there are at least 1.5 masks a player.
2. *Pairs*: `PAIR_SHARE` of the masks remove two players each. Pairs come in descending order of the product of the two
   leave-one-out effects.
3. *Random masks*: the rest. Each player is present with probability .5 (six masks in ten), .7 (three in ten) or .9 (one in ten;
   such masks resemble the first two groups). Three masks in a row share their regions and differ in their words, because masks
   that share a picture share its encoding, the most expensive part. On 49 development questions this saved four encodings in
   ten and cost .002 of LDS at 256 masks, .001 at 64.
4. A `Surrogate` is fitted to the values v of all masks, one answer step at a time.
5. *Weights*, in nats. m is the measured value of a mask if there is one, else the surrogate's prediction; all other players
   are present:

       node     m(all) - m(all but i)                                          the effect of i
       pair     m(all) - m(all but i) - m(all but j) + m(all but i and j)      the interaction of i and j
       triple   the same 2 x 2 x 2 factorial of three players                  the interaction that no pair accounts for

   A positive pair works together: each player is worth more while the other is present. In a negative pair each can replace the
   other. Pairs are taken from the `PAIRED` strongest players (all players, unless the question is very long), triples
   from the `TRIPLED` strongest.
6. *Intervals*: weight ± 1.96 standard deviations of the surrogate's weight over bootstrap samples of the masks, that is, how far
   the prediction moves when other masks are drawn. A measured weight is exact; it keeps the same half-width, which is
   conservative. A link whose interval contains zero is left out.
7. *Sparse graph*: at each step at most 15 % as many links as there are pairs, chosen by how well they predict together
   (`stcg_nb.interventions.sparse`). `Causes.predict` uses only these links and the players.

Groups 1 and 2 do not depend on the seed, so graphs fitted with two seeds agree more on which links they contain. On development
questions, trying more pairs and fewer random masks cost no accuracy on unseen masks and raised that agreement considerably.

Related: ContextCite (arXiv 2409.00729) fits main effects by LASSO, ProxySPEX (arXiv 2505.17495) extracts interactions from boosted
trees; the Shapley interaction indices of Lundberg et al. 2020 and Tsai et al. 2023 (Faith-Shap) average the same interactions
over which other players are present.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.interventions.masking import Game, without
from stcg_nb.interventions.sparse import RATES, fit_links, ranks, together
from stcg_nb.interventions.surrogate import Surrogate

MASKS = 256
MIN_MASKS = 24  # the full input, leave-one-out of 16 players, and a few pairs
EDGE_SHARE = 0.15  # links of the sparse graph at one step, as a share of the number of pairs
PAIR_SHARE = 0.4  # share of the masks that remove two players
RATE_SHARES = (0.6, 0.3, 0.1)  # share of the random masks drawn at each keep rate of `RATES`
SHARED = 3  # random masks that share one picture
PAIRED = 48  # strongest players that pairs are taken from
TRIPLED = 9  # strongest players that triples are taken from
BOOTSTRAP_SAMPLES = 100
GRAPH_MASKS = 600  # random masks for each keep rate that the sparse graph is fitted to


@dataclass(frozen=True, eq=False)
class Causes:
    """A causal graph. A node is a player at an answer step; a link joins two or three players at a step.

    Attributes:
        links: Players of each link, int ``[link, 3]``: the pairs first, with -1 as their third player, then the triples.
        n_pairs: Number of pairs in `links`.
        node, node_low, node_high: Effects of single players with 95 % intervals, nats, ``[step, player]``.
        weight, low, high: Interactions with 95 % intervals, nats, ``[step, link]``.
        in_graph: Which links the sparse graph contains, bool ``[step, link]``.
        intercept, node_coefficient, link_coefficient: The terms that `predict` adds up, ``[step]``, ``[step, player]`` and
            ``[step, link]``, in ranks from 0 to 1; zero for links outside the sparse graph.
        surrogate: The surrogate that supplied the values of masks that were not measured.
        masks: The masks that were run through the model, bool ``[mask, player]``.
        values: Their values v, nats, ``[mask, step]``.
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
        """The two players of each pair, int ``[pair, 2]``."""
        return self.links[: self.n_pairs, :2]

    @property
    def edge(self) -> np.ndarray:
        """Interactions of the pairs, nats, ``[step, pair]``."""
        return self.weight[:, : self.n_pairs]

    def predict(self, masks: np.ndarray) -> np.ndarray:
        """The sparse graph's prediction for masks bool ``[mask, player]``: their rank, from 0 to 1, among masks drawn at the same
        keep rate, ``[mask, step]``."""
        masks = np.asarray(masks, dtype=float)
        return self.intercept + masks @ self.node_coefficient.T + together(masks, self.links) @ self.link_coefficient.T

    def measure(self, game: Game, masks: np.ndarray) -> np.ndarray:
        """Measured values of masks bool ``[mask, player]``, nats, ``[mask, step]``. Only masks that were not measured before run
        through the model."""
        known = _by_mask(self.masks, self.values)
        fresh = np.array([mask.tobytes() not in known for mask in masks])
        if fresh.any():
            known |= _by_mask(masks[fresh], game(masks[fresh]))
        return np.stack([known[mask.tobytes()] for mask in masks])


def find_causes(game: Game, n_masks: int = MASKS, seed: int = 0) -> Causes:
    """Fit the causal graph of a game.

    Args:
        game: The case and how its regions are removed.
        n_masks: Masks to run through the model, one forward pass each, at least `MIN_MASKS`. More masks narrow the intervals.
        seed: Seeds the random masks and the bootstrap.

    Raises:
        InputError: If `n_masks` is below `MIN_MASKS`.

    >>> from stcg_nb.case import Case
    >>> image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    >>> game = Game(Case.read(image, "what is this?", "mock", regions="grid:2x2"))
    >>> find_causes(game, n_masks=64).node.shape
    (3, 7)
    """
    masks, values, surrogate = _fit(game, n_masks, seed)
    players = game.n_players
    alone = np.concatenate([np.ones((1, players), dtype=bool), without(players)])
    strength = _strength(_measured(alone, surrogate.predict(alone), masks, values))
    pairs, triples = _strongest(strength, PAIRED, 2), _strongest(strength, TRIPLED, 3)
    links = np.concatenate([np.concatenate([pairs, np.full((len(pairs), 1), -1)], axis=1), triples])
    probes = np.concatenate([alone, without(players, pairs), without(players, triples)])
    exact = _measured(probes, surrogate.predict(probes), masks, values)
    node, weight = (w.T for w in _weights(exact, pairs, triples))
    node_half, half = (
        1.96 * w.std(0, ddof=1).T
        for w in _weights(surrogate.predict_bootstrap(probes, BOOTSTRAP_SAMPLES, seed), pairs, triples)
    )

    rate = np.arange(len(RATES) * GRAPH_MASKS) % len(RATES)
    random = np.random.default_rng((seed, 1)).random((len(rate), players)) < np.array(RATES)[rate][:, None]
    target = ranks(surrogate.score(random), rate)
    most = max(1, int(EDGE_SHARE * len(pairs)))
    link_coefficient = np.zeros(weight.shape)
    intercept, node_coefficient = np.zeros(len(node)), np.zeros(node.shape)
    for t, clear in enumerate(np.abs(weight) > half):
        intercept[t], node_coefficient[t], link_coefficient[t, clear] = fit_links(
            random, target[:, t], rate, links[clear], most
        )
    return Causes(
        links, len(pairs), node, node - node_half, node + node_half, weight, weight - half, weight + half,
        link_coefficient != 0, intercept, node_coefficient, link_coefficient, surrogate, masks, values,
    )  # fmt: skip


def pair_weights(game: Game, n_masks: int = MASKS, seed: int = 0) -> np.ndarray:
    """The interactions of pairs alone, nats, ``[step, pair]``: `Causes.edge` without computing intervals or the sparse graph.

    Takes and raises the same as `find_causes`.
    """
    masks, values, surrogate = _fit(game, n_masks, seed)
    players = game.n_players
    alone = np.concatenate([np.ones((1, players), dtype=bool), without(players)])
    pairs = _strongest(_strength(_measured(alone, surrogate.predict(alone), masks, values)), PAIRED, 2)
    probes = np.concatenate([alone, without(players, pairs)])
    exact = _measured(probes, surrogate.predict(probes), masks, values)
    return _weights(exact, pairs, np.empty((0, 3), dtype=int))[1].T


def check_masks(n: int) -> None:
    """Raise `InputError` for fewer masks than a causal graph can be fitted to."""
    if n < MIN_MASKS:
        raise InputError(f"{n} masks are too few for a causal graph; try at least {MIN_MASKS}.")


def random_masks(words: int, regions: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Random masks bool ``[mask, player]``, words first; each run of `SHARED` masks has the same regions present.

    >>> masks = random_masks(4, 5, 7, np.random.default_rng(0))
    >>> masks.shape, len(np.unique(masks[:, 4:], axis=0))
    ((7, 9), 3)
    """
    pictures = -(-n // SHARED)  # rounded up
    quantile = (rng.permutation(pictures) + 0.5) / max(pictures, 1)
    keep = np.array(RATES)[np.searchsorted(np.cumsum(RATE_SHARES)[:-1], quantile)]
    picture = np.arange(n) // SHARED
    region_present = rng.random((pictures, regions)) < keep[:, None]
    word_present = rng.random((n, words)) < keep[picture, None]
    return np.concatenate([word_present, region_present[picture]], axis=1)


def _fit(game: Game, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, Surrogate]:
    """Masks bool ``[mask, player]``, their values ``[mask, step]`` in nats, and the surrogate fitted to them."""
    check_masks(n)
    masks, values = _measure(game, n, np.random.default_rng(seed))
    return masks, values, Surrogate(masks, values)


def _strongest(strength: np.ndarray, most: int, size: int) -> np.ndarray:
    """All sets of `size` players among the `most` strongest, in lexicographic order, int ``[set, size]``.

    Args:
        strength: Of each player, ``[player]``.

    >>> _strongest(np.array([3.0, 1.0, 2.0]), 2, 2).tolist()
    [[0, 2]]
    """
    players = np.sort(np.argsort(-strength, kind="stable")[:most])
    return np.array(list(combinations(players.tolist(), size)), dtype=int).reshape(-1, size)


def _measure(game: Game, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Masks bool ``[mask, player]`` and their values in nats ``[mask, step]``: leave-one-out, pairs, random masks."""
    players = game.n_players
    masks = np.ones((1, players), dtype=bool)
    if n >= 1.5 * players:
        masks = np.concatenate([masks, without(players)])
    values = game(masks)
    without_two = np.empty((0, players), dtype=bool)
    if len(masks) > 1:
        strength = _strength(values)
        pairs = _strongest(strength, PAIRED, 2)
        order = np.argsort(-strength[pairs].prod(1), kind="stable")
        without_two = without(players, pairs[order[: min(int(PAIR_SHARE * n), n - len(masks))]])
    random = random_masks(game.n_words, players - game.n_words, n - len(masks) - len(without_two), rng)
    rest = np.concatenate([without_two, random])
    return np.concatenate([masks, rest]), np.concatenate([values, game(rest)])


def _strength(values: np.ndarray) -> np.ndarray:
    """Strength of each player in [0, 1], ``[player]``: its |effect| as a share of the step's largest, at the step where that is
    largest.

    Args:
        values: Of the full input and of the input without each player, nats, ``[1 + player, step]``.
    """
    effect = np.abs(values[0] - values[1:])
    return (effect / np.maximum(effect.max(0), 1e-12)).max(1)


def _measured(probes: np.ndarray, predicted: np.ndarray, masks: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of the probes in nats, ``[probe, step]``: measured where the mask was run through the model, else predicted."""
    known = _by_mask(masks, values)
    return np.stack([known.get(probe.tobytes(), guess) for probe, guess in zip(probes, predicted, strict=True)])


def _by_mask(masks: np.ndarray, values: np.ndarray) -> dict[bytes, np.ndarray]:
    return {mask.tobytes(): value for mask, value in zip(masks, values, strict=True)}


def _weights(v: np.ndarray, pairs: np.ndarray, triples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Effects of players ``[..., player, step]`` and interactions ``[..., link, step]``, in nats.

    Args:
        v: Values of the probes in nats, ``[..., probe, step]``: the full input, then without each player, each pair, each triple.
        pairs: int ``[pair, 2]``.
        triples: int ``[triple, 3]``.
    """
    players = v.shape[-2] - 1 - len(pairs) - len(triples)
    full, one, two, three = np.split(v, np.cumsum([1, players, len(pairs)]), axis=-2)
    pair = full - one[..., pairs[:, 0], :] - one[..., pairs[:, 1], :] + two
    index = np.zeros((players, players), dtype=int)
    index[pairs[:, 0], pairs[:, 1]] = np.arange(len(pairs))
    i, j, k = triples.T
    triple = full - sum(one[..., x, :] for x in (i, j, k)) - three
    triple = triple + sum(two[..., index[x, y], :] for x, y in ((i, j), (i, k), (j, k)))
    return full - one, np.concatenate([pair, triple], axis=-2)
