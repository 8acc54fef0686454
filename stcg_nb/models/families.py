"""Which families of checkpoints there are, and how each is put together; `docs/families.md` says how to add one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import transformers
from torch import Tensor

from stcg_nb.models.adapters import ImageHalf, LanguageHalf
from stcg_nb.models.decoder_only import DecoderOnly
from stcg_nb.models.encoder_decoder import EncoderDecoder
from stcg_nb.models.patch_tokens import Patches
from stcg_nb.models.qformer import QFormer, QuestionQFormer
from stcg_nb.models.tokens import Reader


@dataclass(frozen=True)
class Readers:
    """What turns texts and pictures into a model's inputs.

    Attributes:
        tokenizer: The language model's.
        image_processor: From pictures to pixels.
        query_tokenizer: That of a Q-Former that reads the question.
    """

    tokenizer: Any
    image_processor: Any
    query_tokenizer: Any = None

    def pixels(self, images: Sequence[np.ndarray]) -> Tensor:
        """Pictures ``[height, width, 3]`` as the vision model takes them, ``[row, channel, height, width]``."""
        read = self.image_processor(images=list(images), return_tensors="pt", input_data_format="channels_last")
        return read["pixel_values"]

    def view(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The part of a picture that is left once it is scaled and its middle cut out: x0, y0, x1, y1 in pixels."""
        reader = self.image_processor
        size = reader.size
        if not getattr(reader, "do_center_crop", False) or "shortest_edge" not in size:
            return 0, 0, width, height
        crop = reader.crop_size
        scale = min(height, width) / size["shortest_edge"]
        tall, wide = min(height, round(crop["height"] * scale)), min(width, round(crop["width"] * scale))
        x, y = (width - wide) // 2, (height - tall) // 2
        return x, y, x + wide, y + tall


@dataclass(frozen=True)
class Family:
    """How the checkpoints of one ``model_type`` are put together.

    Attributes:
        network: The name of their class in transformers.
        template: Their prompt, with ``{}`` for the question.
        images: Makes the image half of a network.
        languages: For each ``model_type`` of a language model, what makes its half from the network and the number of image tokens.
        image_mark: The mark in the template where the image stands; none: before everything.
        image_processor: The name of their image processor's class in transformers.
        query_tokenizer: The folder of the tokenizer of a Q-Former that reads the question.
    """

    network: str
    template: str
    images: Callable[[Any], ImageHalf]
    languages: Mapping[str, Callable[[Any, int], LanguageHalf]]
    image_mark: str | None = None
    image_processor: str = "BlipImageProcessorPil"
    query_tokenizer: str | None = None

    def readers(self, source: str, **options: Any) -> Readers:
        """Load tokenizers and image processor from a folder or hub id."""
        tokenizer = partial(transformers.AutoTokenizer.from_pretrained, source, trust_remote_code=False, **options)
        query = None if self.query_tokenizer is None else tokenizer(subfolder=self.query_tokenizer)
        pictures = getattr(transformers, self.image_processor).from_pretrained(source, **options)
        return Readers(tokenizer(), pictures, query)

    def reader(self, readers: Readers) -> Reader:
        return Reader(readers.tokenizer, self.template, self.image_mark, readers.query_tokenizer)


def _inner(network: Any, n_tokens: int) -> DecoderOnly:
    return DecoderOnly(network, n_tokens, network.language_model)


def _whole(network: Any, n_tokens: int) -> DecoderOnly:
    return DecoderOnly(network, n_tokens, network)


TEMPLATE = "Question: {} Answer:"

FAMILIES: Mapping[str, Family] = {
    "blip-2": Family("Blip2ForConditionalGeneration", TEMPLATE, QFormer, {"t5": EncoderDecoder, "opt": _inner}),
    "instructblip": Family(
        "InstructBlipForConditionalGeneration",
        "Question: {} Short answer:",
        QuestionQFormer,
        {"t5": EncoderDecoder, "llama": _inner},
        query_tokenizer="qformer_tokenizer",
    ),
    "llava": Family(
        "LlavaForConditionalGeneration",
        "USER: <image>\n{} ASSISTANT:",
        Patches,
        {"llama": _whole},
        image_mark="<image>",
        image_processor="CLIPImageProcessorPil",
    ),
}
