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

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.inputs.fills import FILLS, Filler
from stcg_nb.inputs.regions import Regions, check_fit
from stcg_nb.models import Answer, Model, Prompt
from stcg_nb.progress import progress

ABSENCES = (*FILLS, "cut")
CHUNK = 64


@dataclass(frozen=True, eq=False)
class Game:
    """The value of masks for one image, question and answer.

    Attributes:
        model, image, prompt, answer: Whose log-odds are the value; image uint8 ``[height, width, 3]``.
        regions: Of the image.
        absent: What an absent region is, one of `ABSENCES`.

    Raises:
        InputError: For another absence, or regions of another image.

    >>> from stcg_nb import load_model
    >>> from stcg_nb.inputs.regions import make_regions
    >>> image = np.zeros((32, 32, 3), np.uint8)
    >>> mock = load_model("mock")
    >>> prompt = mock.prompt("what is this?")
    >>> game = Game(mock, image, prompt, mock.answer([image], prompt)[0], make_regions(image, "grid:2x2"))
    >>> game(np.ones((5, game.n_players), bool)).shape
    (5, 3)
    """

    model: Model
    image: np.ndarray
    prompt: Prompt
    answer: Answer
    regions: Regions
    absent: str = "median"

    def __post_init__(self) -> None:
        check_absent(self.absent)
        check_fit(self.image, self.regions)

    @property
    def n_words(self) -> int:
        return len(self.prompt.words)

    @property
    def n_players(self) -> int:
        return self.n_words + self.regions.n

    @cached_property
    def _filler(self) -> Filler:
        return Filler(self.image, self.regions, self.absent)

    @cached_property
    def _owner(self) -> np.ndarray:
        """The region of each patch, ``[patch]``."""
        return self.regions.patch_owner(*self.model.grid, self.model.view(*self.image.shape[:2]))

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Log-odds of each answer token in nats, float64 ``[mask, step]``, for masks bool ``[mask, player]``."""
        masks = np.asarray(masks, dtype=bool)
        if masks.ndim != 2 or masks.shape[1] != self.n_players:
            raise InputError(
                f"The masks have shape {masks.shape}; they must be [mask, player] = (any, {self.n_players})."
            )
        values = np.empty((len(masks), len(self.answer.token_ids)))
        # Masks with the same regions stand together, so that a chunk holds as few images as can be.
        order = np.lexsort(masks[:, self.n_words :].T)
        with progress("masks", len(masks), "mask") as advance:
            for start in range(0, len(masks), CHUNK):
                rows = order[start : start + CHUNK]
                values[rows] = self._chunk(masks[rows])
                advance(len(rows))
        return values

    def _chunk(self, masks: np.ndarray) -> np.ndarray:
        words, present = masks[:, : self.n_words], masks[:, self.n_words :]
        if self.absent == "cut":
            return self.model.trace(
                [self.image], self.prompt, self.answer,
                image_index=np.zeros(len(masks), dtype=int), keep_words=words, keep_patches=present[:, self._owner],
            ).v  # fmt: skip
        distinct, index = np.unique(present, axis=0, return_inverse=True)
        images = [self._filler(p) for p in distinct]
        return self.model.trace(
            images, self.prompt, self.answer, image_index=index.ravel(), keep_words=words, reuse=False
        ).v


def check_absent(name: str) -> None:
    """Raise `InputError` unless it is one of `ABSENCES`; the sentence lists them."""
    if name not in ABSENCES:
        raise InputError(f"{name!r} is no way for a region to be absent; valid are {', '.join(ABSENCES)}.")
