"""Weights of a causal graph as contrasts of masks' values: leave-one-out effects and the factorials of two and three players.

All other players are present:

    node     v(all) - v(all but i)                                          the effect of i
    pair     v(all) - v(all but i) - v(all but j) + v(all but i and j)      the interaction of i and j
    triple   the same 2 x 2 x 2 factorial of three players                  the interaction that no pair accounts for

A positive pair works together: each player is worth more while the other is present. In a negative pair each can replace the other.
The masks that these weights need are the *probes*. A link whose probes have all been run through the model is exact. The variance of
a link that was not tried follows from the covariance of the probes that were not run; the others are known, and add nothing.
"""

from __future__ import annotations

from functools import cached_property
from itertools import combinations

import numpy as np
from scipy.sparse import csr_array

from stcg_nb.interventions.masking import without


class Contrasts:
    """The pairs and triples of the strongest players, and the probes that their weights need.

    Args:
        strength: Of each player, ``[player]``.
        paired: Pairs are taken from this many of the strongest players.
        tripled: Triples are taken from this many, at most `paired`.

    Attributes:
        pairs, triples: Their players in ascending order, int ``[pair, 2]`` and ``[triple, 3]``.
        links: Players of each link, int ``[link, 3]``: the pairs first, with -1 as their third player, then the triples.
        alone: The full input, and without each player, bool ``[1 + player, player]``.
        probes: `alone`, then without each pair, then without each triple, bool ``[probe, player]``.

    >>> three = Contrasts(np.array([3.0, 1.0, 2.0]), paired=3, tripled=3)
    >>> three.links.tolist()
    [[0, 1, -1], [0, 2, -1], [1, 2, -1], [0, 1, 2]]
    """

    def __init__(self, strength: np.ndarray, paired: int, tripled: int) -> None:
        players = len(strength)
        self.pairs, self.triples = strongest(strength, paired, 2), strongest(strength, tripled, 3)
        self.links = np.concatenate([np.pad(self.pairs, ((0, 0), (0, 1)), constant_values=-1), self.triples])
        self.alone = np.concatenate([np.ones((1, players), dtype=bool), without(players)])
        self.probes = np.concatenate([self.alone, without(players, self.pairs), without(players, self.triples)])

    @cached_property
    def matrix(self) -> csr_array:
        """What each probe contributes to each link's weight, ``[link, probe]``."""
        return csr_array(self.weights(np.eye(len(self.probes)))[1])

    def weights(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Effects of players ``[player, step]`` and interactions ``[link, step]``, in nats, from the values of the probes in nats,
        ``[probe, step]``."""
        players = len(self.alone) - 1
        full, one, two, three = np.split(values, np.cumsum([1, players, len(self.pairs)]))
        pair = full - one[self.pairs[:, 0]] - one[self.pairs[:, 1]] + two
        number = np.zeros((players, players), dtype=int)
        number[self.pairs[:, 0], self.pairs[:, 1]] = np.arange(len(self.pairs))
        i, j, k = self.triples.T
        triple = full - sum(one[x] for x in (i, j, k)) - three
        triple = triple + sum(two[number[x, y]] for x, y in ((i, j), (i, k), (j, k)))
        return full - one, np.concatenate([pair, triple])

    def to_try(self, known: np.ndarray) -> np.ndarray:
        """How many probes of each link have not been run, int ``[link]``; none for a link that was tried.

        Args:
            known: Which probes have been run, bool ``[probe]``.
        """
        return (self._needs @ ~known).astype(int)

    @cached_property
    def _needs(self) -> csr_array:
        return (self.matrix != 0).astype(float)

    def deviation(self, covariance: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Standard deviation of each link's weight, ``[link]``; 0 for a link that was tried.

        Args:
            covariance: Of the probes' values, ``[probe, probe]``.
            known: Which probes have been run, bool ``[probe]``.
        """
        free = self.matrix * ~known
        return np.sqrt(np.maximum((free @ covariance * free.toarray()).sum(1), 0))

    def needed(self, links: np.ndarray, known: np.ndarray, most: int) -> np.ndarray:
        """Probes that the first of these links need and that have not been run, at most `most`, int ``[probe]``.

        Args:
            links: Numbers of links, the most wanted first, int ``[any]``.
            known: Which probes have been run, bool ``[probe]``.
            most: A link that would need more than are left is passed over.
        """
        wanted = ~known
        chosen: list[int] = []
        for link in links:
            row = self.matrix.indices[self.matrix.indptr[link] : self.matrix.indptr[link + 1]]
            fresh = row[wanted[row]]
            if len(chosen) + len(fresh) <= most:
                chosen += fresh.tolist()
                wanted[fresh] = False
            if len(chosen) == most:
                break
        return np.array(chosen, dtype=int)


def strongest(strength: np.ndarray, most: int, size: int) -> np.ndarray:
    """All sets of `size` players among the `most` strongest, in lexicographic order, int ``[set, size]``.

    Args:
        strength: Of each player, ``[player]``.

    >>> strongest(np.array([3.0, 1.0, 2.0]), 2, 2).tolist()
    [[0, 2]]
    """
    players = np.sort(np.argsort(-strength, kind="stable")[:most])
    return np.array(list(combinations(players.tolist(), size)), dtype=int).reshape(-1, size)
