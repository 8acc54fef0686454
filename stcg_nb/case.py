"""The case that is explained: a model, an image at working size, a prompt, an answer and regions.

All measurements take a `Case`, so attention, interventions and faithfulness use the same image and score the same answer. An
image larger than `WORKING_SIDE` is scaled down together with its regions, since models read a few hundred pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any

import cv2
import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.inputs.images import read_image, thumbnail
from stcg_nb.inputs.regions import REGIONS, Regions, check_fit, make_regions
from stcg_nb.models.layout import Layout
from stcg_nb.models.load import load_model
from stcg_nb.models.protocol import Answer, Model, Prompt, Trace

WORKING_SIDE = 1024  # pixels of the longer side

Image = str | PathLike[str] | np.ndarray | Any
"""A path, a PIL image, or an array ``[height, width, 3]``."""


@dataclass(frozen=True, eq=False)
class Case:
    """One answer of one model to one question about one image, and the image's regions.

    Attributes:
        model: The loaded model.
        image: The image at working size, uint8 ``[height, width, 3]``.
        prompt: The question as the model reads it.
        answer: The answer whose tokens are scored.
        regions: The regions of `image`.

    Raises:
        InputError: If the regions are of an image of another size.
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
        regions: str | Regions = REGIONS,
        answer: str | Answer | None = None,
    ) -> Case:
        """Make a case from an image, a question and a model.

        Args:
            image: A path, a PIL image, or an array ``[height, width, 3]``.
            question: The question alone; the model's prompt template is added to it.
            model: A loaded model, or a name for `stcg_nb.load_model`.
            regions: ``"slic"``, ``"slic:30"``, ``"grid"``, ``"grid:8x8"``, a file of masks, or `Regions` of the image
                at its original size.
            answer: The answer to score; the model's greedy answer if left out.

        Raises:
            InputError: If the image, question, answer or regions are invalid.
            ModelError: If the model cannot be loaded.

        >>> case = Case.read(np.zeros((2000, 3000, 3), np.uint8), "what is this?", "mock", regions="grid:2x2")
        >>> case.image.shape, case.regions.n, case.answer.text
        ((683, 1024, 3), 4, 'a made-up reply')
        """
        original = read_image(image)
        working_image, working_regions = working_copy(original, make_regions(original, regions))
        if isinstance(model, str):
            model = load_model(model)
        prompt = model.prompt(question)
        if answer is None:
            answer = model.answer([working_image], prompt)[0]
        elif isinstance(answer, str):
            answer = model.target(answer)
        return cls(model, working_image, prompt, answer, working_regions)

    def of(self, image: np.ndarray) -> Case:
        """The same case with another image of the same size, uint8 ``[height, width, 3]``."""
        return replace(self, image=image)

    def trace(self, images: Sequence[np.ndarray] | None = None, **masks: Any) -> Trace:
        """Teacher-force the answer, on the case's image unless others are given.

        Args:
            images: Images in place of the case's, each uint8 ``[height, width, 3]``.
            masks: Masks, cuts and captures, as for `stcg_nb.models.protocol.Model.trace`.
        """
        return self.model.trace([self.image] if images is None else images, self.prompt, self.answer, **masks)

    @cached_property
    def layout(self) -> Layout:
        """Where the question's words and the image's patches are among the model's positions."""
        return self.model.layout(self.prompt, *self.image.shape[:2])

    @cached_property
    def patch_share(self) -> np.ndarray:
        """Share of each patch's area that each region covers, 0 to 1, ``[patch, region]``; rows sum to one, or to zero for a patch
        that covers no part of the image."""
        return self.regions.patch_weights(self.layout.cover).T

    @cached_property
    def patch_owner(self) -> np.ndarray:
        """The region that covers most of each patch, int ``[patch]``; -1 for a patch that covers no part of the image."""
        return self.regions.patch_owner(self.layout.cover)

    def patches_of(self, regions: np.ndarray) -> np.ndarray:
        """Which patches belong to chosen regions, bool ``[..., patch]`` for bool ``[..., region]``.

        Raises:
            InputError: If no patch covers a region, because each image token of the model shows the whole image.
        """
        owner = self.patch_owner
        if not (owner >= 0).any():
            raise InputError(
                f"No image token of {self.model.name} shows a part of the image, so no region can be cut from its attention; "
                "take another way to remove regions, such as 'median'."
            )
        return np.asarray(regions, dtype=bool)[..., owner] & (owner >= 0)


def working_copy(image: np.ndarray, regions: Regions) -> tuple[np.ndarray, Regions]:
    """Scale an image ``[height, width, 3]`` and its regions to working size; both stay as they are if a region would vanish."""
    small = thumbnail(image, WORKING_SIDE)
    labels = cv2.resize(regions.labels, small.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    if np.unique(labels).size < regions.n:
        return image, regions
    return small, Regions(labels, regions.names)
