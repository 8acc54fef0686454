"""The case that is explained: a model, an image at working size, a prompt, an answer and regions.

Everything that measures takes a `Case`, so that attention, interventions and faithfulness see the same picture and score the same
answer. A picture larger than `WORKING_SIDE` is scaled down first, since a model sees a few hundred pixels; its regions are
scaled with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any

import cv2
import numpy as np

from stcg_nb.inputs.images import read_image, thumbnail
from stcg_nb.inputs.regions import Regions, check_fit, make_regions
from stcg_nb.models.load import load_model
from stcg_nb.models.protocol import Answer, Model, Prompt, Trace

WORKING_SIDE = 1024  # pixels of the longer side

Image = str | PathLike[str] | np.ndarray | Any
"""A path, a PIL image, or an array ``[height, width, 3]``."""


@dataclass(frozen=True, eq=False)
class Case:
    """One answer of one model to one question about one image, and the image's regions.

    Attributes:
        model: Loaded.
        image: At working size, uint8 ``[height, width, 3]``.
        prompt: The question as the model reads it.
        answer: The answer whose tokens are scored.
        regions: Of `image`.

    Raises:
        InputError: For regions of an image of another size.
    """

    model: Model
    image: np.ndarray
    prompt: Prompt
    answer: Answer
    regions: Regions

    def __post_init__(self) -> None:
        check_fit(self.image, self.regions)

    @classmethod
    def read(
        cls,
        image: Image,
        question: str,
        model: str | Model = "tiny",
        *,
        regions: str | Regions = "slic",
        answer: str | Answer | None = None,
    ) -> Case:
        """Make a case from what a user gives.

        Args:
            image: A path, a PIL image, or an array ``[height, width, 3]``.
            question: In words; the model's prompt goes around it.
            model: A loaded model, or a name for `stcg_nb.load_model`.
            regions: ``"slic"``, ``"slic:30"``, ``"grid"``, ``"grid:8x8"`` or `Regions` of your own, of the image as it is given.
            answer: The answer to score; the model's own if left out.

        Raises:
            InputError: For an image, question, answer or regions that cannot be used.
            ModelError: If the model cannot be loaded.

        >>> case = Case.read(np.zeros((2000, 3000, 3), np.uint8), "what is this?", "mock", regions="grid:2x2")
        >>> case.image.shape, case.regions.n, case.answer.text
        ((683, 1024, 3), 4, 'a made-up reply')
        """
        whole = read_image(image)
        picture, parts = working_copy(whole, make_regions(whole, regions))
        if isinstance(model, str):
            model = load_model(model)
        prompt = model.prompt(question)
        if answer is None:
            answer = model.answer([picture], prompt)[0]
        elif isinstance(answer, str):
            answer = model.target(answer)
        return cls(model, picture, prompt, answer, parts)

    def of(self, image: np.ndarray) -> Case:
        """The same case with another picture of the same size."""
        return replace(self, image=image)

    def trace(self, images: Sequence[np.ndarray] | None = None, **masks: Any) -> Trace:
        """Teacher-force the answer.

        Args:
            images: In place of the case's own, each ``[height, width, 3]``.
            masks: As for `stcg_nb.models.protocol.Model.trace`.
        """
        return self.model.trace([self.image] if images is None else images, self.prompt, self.answer, **masks)

    @cached_property
    def patch_share(self) -> np.ndarray:
        """Which share of each patch a region covers, ``[patch, region]``."""
        return self.regions.patch_weights(*self.model.grid, self.view).T

    @cached_property
    def patch_owner(self) -> np.ndarray:
        """The region that covers most of each patch, int ``[patch]``."""
        return self.regions.patch_owner(*self.model.grid, self.view)

    @property
    def view(self) -> tuple[int, int, int, int]:
        """The part of the image that the patches cover: x0, y0, x1, y1 in pixels, the latter two exclusive."""
        return self.model.view(*self.image.shape[:2])


def working_copy(image: np.ndarray, regions: Regions) -> tuple[np.ndarray, Regions]:
    """An image ``[height, width, 3]`` and its regions at working size; as they are where scaling would lose a region."""
    small = thumbnail(image, WORKING_SIDE)
    labels = cv2.resize(regions.labels, small.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    if np.unique(labels).size < regions.n:
        return image, regions
    return small, Regions(labels, regions.names)
