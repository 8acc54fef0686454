"""Which masks are run: forward passes go where the graph is about to claim something.

1. *Screen*: the full input, and the input without each player (word or region). The effects of players are exact.
2. *Random masks*. Each player is present with probability .5 (six pictures in ten), .7 (three in ten) or .9 (one in ten). Three
   masks in a row share their regions and differ in their words, because masks that share a picture share its encoding, the most
   expensive part. `TRIED` of the masks are kept for the steps below.
3. *First claims*: the pairs with the largest product of the two players' effects. They do not depend on the seed, so graphs of two
   seeds agree on the strongest links.
4. A `Surrogate` is fitted to all values, one answer step at a time.
5. *Check*: random pairs and triples that were not run are predicted, then run. They calibrate the intervals of what is only
   predicted (`stcg_nb.interventions.calibration`).
6. *Proposals*: in rounds, the pairs and triples whose predicted weight plus its standard deviation is largest, as a share of the
   step's largest effect and per forward pass that it takes to try them. The surrogate learns each round's values. When there is
   nothing left to try, the rest of the masks are random.

On development questions LDS did not fall when two fifths of 256 masks tried pairs in place of none (drawn scenes .963 and .962, n =
33; photographs .839 and .831, n = 12), so trying links costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.interventions.calibration import Calibration, calibrate
from stcg_nb.interventions.contrasts import Contrasts
from stcg_nb.interventions.masking import Game, without
from stcg_nb.interventions.sparse import RATES
from stcg_nb.interventions.surrogate import Surrogate

TRIED = 0.4  # share of the masks that try links
FIRST_CLAIMS = 0.3  # share of these that go to the first claims
CHECKED = 20  # probes that calibrate, at most; else a third of the masks that try links
ROUNDS = 2  # of proposals
RATE_CYCLE = (0, 1, 0, 0, 1, 0, 2, 0, 1, 0)  # keep rates of successive pictures, as indices of `RATES`
SHARED = 3  # random masks that share one picture
FILLED_UP = 8  # draws of random masks in place of those that were equal
FEWEST_RANDOM = 6  # random masks that are drawn before any link is tried
PAIRED = 48  # strongest players that pairs are taken from
TRIPLED = 9  # strongest players that triples are taken from


class Measured:
    """The masks that have run through the model, and their values. Each mask runs once.

    Args:
        game: The case and how its regions are removed.

    Attributes:
        game: The same.
        masks: bool ``[mask, player]``.
        values: nats, ``[mask, step]``.
    """

    def __init__(self, game: Game) -> None:
        self.game = game
        self._values: dict[bytes, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Values of masks bool ``[mask, player]``, nats, ``[mask, step]``; those not run before run now.

        The first call needs at least one mask.
        """
        fresh = {mask.tobytes(): mask for mask in masks if mask.tobytes() not in self._values}
        if fresh:
            self._values |= dict(zip(fresh, self.game(np.stack(list(fresh.values()))), strict=True))
        return self.values[self.number(masks)]

    def known(self, masks: np.ndarray) -> np.ndarray:
        """Which masks have run, bool ``[mask]``."""
        return np.array([mask.tobytes() in self._values for mask in masks], dtype=bool)

    def number(self, masks: np.ndarray) -> np.ndarray:
        """The number of each mask, in the order in which they ran, int ``[mask]``."""
        at = {key: i for i, key in enumerate(self._values)}
        return np.array([at[mask.tobytes()] for mask in masks], dtype=int)

    @property
    def masks(self) -> np.ndarray:
        return np.frombuffer(b"".join(self._values), dtype=bool).reshape(len(self), -1)

    @property
    def values(self) -> np.ndarray:
        return np.stack(list(self._values.values()))


@dataclass(frozen=True, eq=False)
class Explored:
    """What was run and learnt.

    Attributes:
        measured: The masks that were run.
        contrasts: The links, and the probes that they need.
        surrogate: Fitted to all that was run.
        calibration: What widens its posterior.
        random: The random masks, bool ``[mask, player]``.
        rate: The keep rate of each, as an index of `RATES`, int ``[mask]``.
    """

    measured: Measured
    contrasts: Contrasts
    surrogate: Surrogate
    calibration: Calibration
    random: np.ndarray
    rate: np.ndarray

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Effects of players ``[player, step]`` and interactions ``[link, step]``, nats: exact where all their masks were run."""
        return self.contrasts.weights(_probed(self.measured, self.contrasts.probes, self.surrogate))


def explore(measured: Measured, n: int, seed: int) -> Explored:
    """Run masks until n have been run, those of `measured` included.

    Args:
        measured: The game, and what was run of it before.
        n: Number of masks.
        seed: Seeds the random masks and the check.

    Raises:
        InputError: If n masks are too few for this many players.
    """
    game = measured.game
    players = game.n_players
    if n < players + 5:
        raise InputError(
            f"{n} masks are too few for {game.n_words} words and {players - game.n_words} regions: one is run without each of "
            f"them; ask for at least {players + 5}, or for fewer regions."
        )
    alone = measured(np.concatenate([np.ones((1, players), dtype=bool), without(players)]))
    contrasts = Contrasts(_strength(alone), PAIRED, TRIPLED)
    probes = contrasts.probes
    left = n - 1 - players
    try_ = max(0, min(int(TRIED * n), left - FEWEST_RANDOM, len(probes) - 1 - players))
    sizes = game.n_words, players - game.n_words
    random, rate = random_masks(*sizes, left - try_, np.random.default_rng(seed))
    check = min(CHECKED, try_ // 3)
    order = np.argsort(-_strength(alone)[contrasts.pairs].prod(1), kind="stable")
    first = contrasts.needed(order, measured.known(probes), int(FIRST_CLAIMS * (try_ - check)))
    measured(np.concatenate([random, probes[first]]))
    surrogate = Surrogate(measured.masks, measured.values)

    checked = _to_check(contrasts, measured.known(probes), check, np.random.default_rng((seed, 2)))
    guess = surrogate.predict(probes[checked])
    deviation = np.stack(
        [np.sqrt(surrogate.posterior(probes[checked], t).diagonal()) for t in range(surrogate.steps)], 1
    )
    for ahead in range(ROUNDS, 0, -1):
        known = measured.known(probes)
        known[checked] = True
        budget = max(0, n - len(measured) - int((~measured.known(probes[checked])).sum())) // ahead
        wanted = contrasts.needed(_wanted(measured, contrasts, surrogate, known), known, budget)
        measured(probes[np.concatenate([checked, wanted])])
        surrogate = surrogate.given(measured.masks, measured.values)
    calibration = calibrate(measured(probes[checked]) - guess, deviation, (~probes[checked]).sum(1) == 3)
    if len(measured) < n:  # nothing is left to try, or few players made some random masks equal
        rng = np.random.default_rng((seed, 4))
        for _ in range(FILLED_UP):
            if len(measured) < n:
                measured(random_masks(*sizes, n - len(measured), rng)[0])
        surrogate = surrogate.given(measured.masks, measured.values)
    return Explored(measured, contrasts, surrogate, calibration, random, rate)


def random_masks(words: int, regions: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random masks bool ``[mask, player]``, words first, and the keep rate of each as an index of `RATES`, int ``[mask]``.

    Each run of `SHARED` masks has the same regions present. Fewer masks of the same seed are the first of more.

    >>> masks, rate = random_masks(4, 5, 7, np.random.default_rng(0))
    >>> masks.shape, len(np.unique(masks[:, 4:], axis=0)), rate.tolist()
    ((7, 9), 3, [0, 0, 0, 1, 1, 1, 0])
    """
    pictures = -(-n // SHARED)  # rounded up
    rate = np.array(RATE_CYCLE)[np.arange(pictures) % len(RATE_CYCLE)]
    drawn = rng.random((pictures, regions + SHARED * words)) < np.array(RATES)[rate][:, None]
    word_present = drawn[:, regions:].reshape(pictures * SHARED, words)
    masks = np.concatenate([word_present, np.repeat(drawn[:, :regions], SHARED, 0)], axis=1)
    return masks[:n], np.repeat(rate, SHARED)[:n]


def _to_check(contrasts: Contrasts, known: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Random probes that were not run, half of them without two players, half without three, as far as there are, int ``[probe]``."""
    absent = (~contrasts.probes).sum(1)
    two, three = (rng.permutation(np.flatnonzero(~known & (absent == size))) for size in (2, 3))
    few = min(len(three), n // 2)
    return np.sort(np.concatenate([two[: n - few], three[:few]]))


def _wanted(measured: Measured, contrasts: Contrasts, surrogate: Surrogate, known: np.ndarray) -> np.ndarray:
    """Links that are worth trying, the most promising first, int ``[link]``.

    Args:
        measured: What was run.
        contrasts: The links.
        surrogate: Fitted to what was run.
        known: Which probes have been, or are about to be, run, bool ``[probe]``.
    """
    node, weight = contrasts.weights(_probed(measured, contrasts.probes, surrogate))
    promise = np.zeros(len(weight))
    for t in range(surrogate.steps):
        deviation = contrasts.deviation(surrogate.posterior(contrasts.probes, t), known)
        largest = max(np.abs(node[:, t]).max(), np.finfo(float).tiny)
        promise = np.maximum(promise, (np.abs(weight[:, t]) + deviation) / largest)
    cost = contrasts.to_try(known)
    order = np.argsort(-promise / np.maximum(cost, 1), kind="stable")
    return order[cost[order] > 0]


def _probed(measured: Measured, probes: np.ndarray, surrogate: Surrogate) -> np.ndarray:
    """Values of the probes, nats, ``[probe, step]``: measured where they were run, else predicted."""
    known = measured.known(probes)
    values = surrogate.predict(probes)
    values[known] = measured(probes[known])
    return values


def _strength(alone: np.ndarray) -> np.ndarray:
    """Strength of each player in [0, 1], ``[player]``: its |effect| as a share of the step's largest, at the step where that is
    largest.

    Args:
        alone: Values of the full input and of the input without each player, nats, ``[1 + player, step]``.
    """
    effect = np.abs(alone[0] - alone[1:])
    return np.asarray((effect / np.maximum(effect.max(0), 1e-12)).max(1))
