"""The game that a causal graph explains: its players are words and regions, its value is the log-odds of the answer's tokens.

A mask says for each player whether it is present: the question's words first, then the image's regions. No token of the language
model can attend to an absent word. How a region is removed defines the estimand, so each way has a name and results of two ways
are never mixed:

``"median"``, ``"mean"``, ``"blur"``, ``"inpaint"``
    The region is filled (`stcg_nb.inputs.fills`) and the model reads the filled picture. Estimand: the effect of the region's
    being in the picture.
``"cut"``
    The Q-Former (or the language model, where that reads patches) cannot attend to the region's patches; the vision model has
    read them. Estimand: the effect of attention to these patches. The vision model runs once for all masks. A patch belongs
    to the region that covers most of it.

Masks with the same regions share one encoding of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.inputs.fills import FILL, FILLS, Filler
from stcg_nb.progress import progress

CUT = "cut"
CHUNK = 64  # masks in one batch


class LeftOut(NamedTuple):
    """Leave-one-out values in nats.

    Attributes:
        full: With all players present, ``[step]``.
        without: Without each player, ``[player, step]``.
    """

    full: np.ndarray
    without: np.ndarray

    @property
    def effects(self) -> np.ndarray:
        """The leave-one-out effect of each player on each step's log-odds, nats, ``[step, player]``."""
        return (self.full - self.without).T


@dataclass(frozen=True, eq=False)
class Game:
    """The value of masks for one case.

    Attributes:
        case: The case whose answer is scored.
        removal: How a region is removed, one of `removals`.

    Raises:
        InputError: If `removal` is not one of `removals`.

    >>> case = Case.read(np.zeros((32, 32, 3), np.uint8), "what is this?", "mock", regions="grid:2x2")
    >>> game = Game(case)
    >>> game(np.ones((5, game.n_players), bool)).shape
    (5, 3)
    """

    case: Case
    removal: str = FILL

    def __post_init__(self) -> None:
        check_removal(self.removal)

    @property
    def n_words(self) -> int:
        return len(self.case.prompt.words)

    @property
    def n_players(self) -> int:
        return self.n_words + self.case.regions.n

    @cached_property
    def _filler(self) -> Filler:
        return Filler(self.case.image, self.case.regions, self.removal)

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Log-odds of each answer token in nats, float64 ``[mask, step]``, for masks bool ``[mask, player]``."""
        masks = np.asarray(masks, dtype=bool)
        if masks.ndim != 2 or masks.shape[1] != self.n_players:
            raise InputError(
                f"The masks have shape {masks.shape}; they must be [mask, player] = (any, {self.n_players})."
            )
        values = np.empty((len(masks), len(self.case.answer.token_ids)))
        # Masks with the same regions are sorted next to each other, so that a chunk has as few images as possible.
        order = np.lexsort(masks[:, self.n_words :].T)
        with progress("masks", len(masks), "mask") as advance:
            for start in range(0, len(masks), CHUNK):
                rows = order[start : start + CHUNK]
                values[rows] = self._chunk(masks[rows])
                advance(len(rows))
        return values

    def leave_one_out(self) -> LeftOut:
        """Values of the full input and of the input without each player."""
        full, without_one = np.split(
            self(np.concatenate([np.ones((1, self.n_players), bool), without(self.n_players)])), [1]
        )
        return LeftOut(full[0], without_one)

    def _chunk(self, masks: np.ndarray) -> np.ndarray:
        """Values of at most `CHUNK` masks, ``[mask, step]``."""
        words, present = masks[:, : self.n_words], masks[:, self.n_words :]
        if self.removal == CUT:
            return self.case.trace(
                image_index=np.zeros(len(masks), dtype=int), keep_words=words, keep_patches=~self.case.patches_of(~present)
            ).v  # fmt: skip
        distinct, index = np.unique(present, axis=0, return_inverse=True)
        images = [self._filler(p) for p in distinct]
        return self.case.trace(images, image_index=index.ravel(), keep_words=words, reuse=False).v


def without(players: int, absent: np.ndarray | None = None) -> np.ndarray:
    """Masks bool ``[mask, player]`` in which some players are absent.

    Args:
        players: Number of players.
        absent: The absent players of each mask, int ``[mask, any]``; if left out, one mask without each player.

    >>> without(3, np.array([[0, 2]])).tolist()
    [[False, True, False]]
    """
    absent = np.arange(players)[:, None] if absent is None else absent
    masks = np.ones((len(absent), players), dtype=bool)
    masks[np.arange(len(absent))[:, None], absent] = False
    return masks


def removals() -> tuple[str, ...]:
    """Every way to remove a region.

    >>> removals()[0], removals()[-1]
    ('median', 'cut')
    """
    return (*FILLS, CUT)


def check_removal(name: str) -> None:
    """Raise the `InputError` that lists `removals` unless `name` is one of them."""
    if name not in removals():
        raise InputError(f"{name!r} is no way to remove a region; valid are {', '.join(removals())}.")
