"""One explanation under test, and the forward passes that several measures of it share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from stcg_nb.attention.alignment import Alignment, aligned
from stcg_nb.faithfulness.disturbances import disturbed
from stcg_nb.faithfulness.measures import held_out_masks
from stcg_nb.interventions.causal_graph import Causes, find_causes
from stcg_nb.interventions.masking import Game, LeftOut
from stcg_nb.interventions.robust import Ranges, under_fills
from stcg_nb.interventions.verdicts import attended
from stcg_nb.models import Model

HELD_OUT = 150


class HeldOut(NamedTuple):
    """Masks that the causal graph was not fitted on.

    Attributes:
        masks: bool ``[mask, player]``.
        rate: The index of each mask's keep rate, int ``[mask]``.
        values: What the model says of them, log-odds in nats ``[mask, step]``.
    """

    masks: np.ndarray
    rate: np.ndarray
    values: np.ndarray


class Draws(NamedTuple):
    """Everything random in the card's baselines, drawn at once, so that no measure changes the draws of another.

    Attributes:
        weights: Standard normal, ``[player, step]``.
        masks: The causal graph's masks in a random order, bool ``[mask, player]``.
        pairs: The numbers of all its pairs in a random order, int ``[pair]``.
    """

    weights: np.ndarray
    masks: np.ndarray
    pairs: np.ndarray


@dataclass(frozen=True, eq=False)
class Context:
    """What a measure of the card is given. Each property runs the model when it is first read, and is then kept.

    Attributes:
        game: What is explained.
        shuffled: The same model with its weights shuffled.
        n_masks: For each causal graph.
        seed: Of held-out masks, baselines and disturbances.
        evidence: The objects that the answer rests on, bool ``[object, height, width]``; None where they are not known.
        graph_seed: Of the causal graph under test.
    """

    game: Game
    shuffled: Model
    n_masks: int
    seed: int
    evidence: np.ndarray | None
    graph_seed: int = 0

    @cached_property
    def causes(self) -> Causes:
        """The causal graph under test."""
        return find_causes(self.game, self.n_masks, self.graph_seed)

    @cached_property
    def held_out(self) -> HeldOut:
        """`HELD_OUT` masks with their values."""
        masks, rate = held_out_masks(self.game.n_players, HELD_OUT, seed=self.seed)
        return HeldOut(masks, rate, self.game(masks))

    @cached_property
    def left_out(self) -> LeftOut:
        """Values with everything present and without each player."""
        return self.game.leave_one_out()

    def exact(self, links: np.ndarray) -> np.ndarray:
        """Exact interactions of some of the causal graph's links, int ``[link]``, measured anew, nats, ``[step, link]``."""
        contrasts = self.causes.contrasts
        probes = np.unique(contrasts.matrix[links].indices)
        values = np.zeros((len(contrasts.probes), len(self.causes.node)))
        values[probes] = self.game(contrasts.probes[probes])
        return np.asarray((contrasts.matrix[links] @ values).T)

    def under(self, fill: str) -> Ranges:
        """The causal graph's effects and weights over its own fill and another one."""
        if fill not in self._under:
            self._under[fill] = under_fills(self.game, self.causes, (fill,))
        return self._under[fill]

    @cached_property
    def _under(self) -> dict[str, Ranges]:
        return {}

    @cached_property
    def attention(self) -> Alignment:
        """Attention to words and regions, from steps and from words."""
        return aligned(self.game.case).by_region(self.game.case)

    @cached_property
    def attended(self) -> Alignment:
        """Which of these edges attention links, as `stcg_nb.interventions.verdicts.attended` says it."""
        case = self.game.case
        return attended(case, case.model.heads(case.image, case.prompt, case.answer), self.graph_seed)

    @cached_property
    def draws(self) -> Draws:
        """The random numbers of the baselines."""
        rng = np.random.default_rng(self.seed)
        return Draws(
            weights=rng.normal(size=self.left_out.effects.T.shape),
            masks=rng.permutation(self.causes.masks),
            pairs=rng.permutation(len(self.causes.pairs)),
        )

    @cached_property
    def disturbed(self) -> list[tuple[np.ndarray, bool]]:
        """Each disturbed picture ``[height, width, 3]``, and whether the model's answer to it is still the same."""
        case = self.game.case
        return [
            (picture, case.model.answer([picture], case.prompt)[0].text == case.answer.text)
            for picture in disturbed(case.image, self.seed)
        ]
