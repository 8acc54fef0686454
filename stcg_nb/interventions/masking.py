"""The game that a causal graph explains: its players are words and regions, its value the log-odds of the answer's tokens.

A mask says for each player whether it is present: the question's words first, then the image's regions. An absent word
is cut from the language model's attention. What an absent region is, is a choice that changes the question which is
asked, so each has a name and results of two are never mixed:

``"median"``, ``"mean"``, ``"blur"``, ``"inpaint"``
    The region is filled (`stcg_nb.inputs.fills`) and the model looks at that picture: what would it say if this were not there?
``"cut"``
    The Q-Former (or the language model, where that reads patches) cannot attend to the region's patches, though the vision
    model has seen them: does what it said come through there? The vision model runs once for all masks. A patch belongs to
    the region that covers most of it.

Masks that agree on the regions share one encoding of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.inputs.fills import FILLS, Filler
from stcg_nb.progress import progress

CUT = "cut"
CHUNK = 64


class LeftOut(NamedTuple):
    """Values with everything present, ``[step]``, and without each player, ``[player, step]``, in nats."""

    full: np.ndarray
    without: np.ndarray

    @property
    def effects(self) -> np.ndarray:
        """What each step's token loses without each player, ``[step, player]``."""
        return (self.full - self.without).T


@dataclass(frozen=True, eq=False)
class Game:
    """The value of masks for one case.

    Attributes:
        case: Whose answer's log-odds are the value.
        removal: What an absent region is, one of `removals`.

    Raises:
        InputError: For another removal.

    >>> case = Case.read(np.zeros((32, 32, 3), np.uint8), "what is this?", "mock", regions="grid:2x2")
    >>> game = Game(case)
    >>> game(np.ones((5, game.n_players), bool)).shape
    (5, 3)
    """

    case: Case
    removal: str = "median"

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
        # Masks with the same regions stand together, so that a chunk holds as few images as can be.
        order = np.lexsort(masks[:, self.n_words :].T)
        with progress("masks", len(masks), "mask") as advance:
            for start in range(0, len(masks), CHUNK):
                rows = order[start : start + CHUNK]
                values[rows] = self._chunk(masks[rows])
                advance(len(rows))
        return values

    def leave_one_out(self) -> LeftOut:
        """Values with all players and without each of them alone."""
        full, without_one = np.split(
            self(np.concatenate([np.ones((1, self.n_players), bool), without(self.n_players)])), [1]
        )
        return LeftOut(full[0], without_one)

    def _chunk(self, masks: np.ndarray) -> np.ndarray:
        words, present = masks[:, : self.n_words], masks[:, self.n_words :]
        if self.removal == CUT:
            return self.case.trace(
                image_index=np.zeros(len(masks), dtype=int), keep_words=words, keep_patches=present[:, self.case.patch_owner]
            ).v  # fmt: skip
        distinct, index = np.unique(present, axis=0, return_inverse=True)
        images = [self._filler(p) for p in distinct]
        return self.case.trace(images, image_index=index.ravel(), keep_words=words, reuse=False).v


def without(players: int, absent: np.ndarray | None = None) -> np.ndarray:
    """Masks bool ``[mask, player]`` that lack the players of each row of ``[mask, any]``; each player once if left out.

    >>> without(3, np.array([[0, 2]])).tolist()
    [[False, True, False]]
    """
    absent = np.arange(players)[:, None] if absent is None else absent
    masks = np.ones((len(absent), players), dtype=bool)
    masks[np.arange(len(absent))[:, None], absent] = False
    return masks


def removals() -> tuple[str, ...]:
    """Every way for a region to be absent.

    >>> removals()
    ('median', 'mean', 'blur', 'inpaint', 'cut')
    """
    return (*FILLS, CUT)


def check_removal(name: str) -> None:
    """Raise `InputError` unless it is one of `removals`; the sentence lists them."""
    if name not in removals():
        raise InputError(f"{name!r} is no way to remove a region; valid are {', '.join(removals())}.")
