"""The families of checkpoints that have adapters of their own; any other takes `stcg_nb.models.generic`."""

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
class Processor:
    """A checkpoint's tokenizers and image processor.

    Attributes:
        tokenizer: The language model's tokenizer.
        image_processor: Turns images into pixels.
        query_tokenizer: The tokenizer of a Q-Former that reads the question; None for other models.
    """

    tokenizer: Any
    image_processor: Any
    query_tokenizer: Any = None

    def pixels(self, images: Sequence[np.ndarray]) -> Tensor:
        """Images, each ``[height, width, 3]``, as the vision model takes them: ``[row, channel, height, width]``."""
        inputs = self.image_processor(images=list(images), return_tensors="pt", input_data_format="channels_last")
        return inputs["pixel_values"]

    def view(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The part of an image that is left after scaling and centre crop: x0, y0, x1, y1 in its pixels, x1 and y1 exclusive."""
        processor = self.image_processor
        size = processor.size
        if not getattr(processor, "do_center_crop", False) or "shortest_edge" not in size:
            return 0, 0, width, height
        crop = processor.crop_size
        scale = min(height, width) / size["shortest_edge"]
        tall, wide = min(height, round(crop["height"] * scale)), min(width, round(crop["width"] * scale))
        x, y = (width - wide) // 2, (height - tall) // 2
        return x, y, x + wide, y + tall


@dataclass(frozen=True)
class Family:
    """The parts of all checkpoints of one ``model_type``.

    Attributes:
        template: The prompt, with ``{}`` for the question.
        images: Makes the image half from a network.
        languages: For each ``model_type`` of a language model, makes the language half from a network and its number of image
            tokens.
        image_mark: The placeholder of the image in the template; None: the image tokens come first.
        image_processor: Name of the image processor's class in transformers.
        query_tokenizer: Subfolder with the tokenizer of a Q-Former that reads the question; None for other models.
        vision: The ``model_type`` of the vision model that the image half reads. A checkpoint with another one, or with another
            language model, takes the generic adapter. None: there is no other.
    """

    template: str
    images: Callable[[Any], ImageHalf]
    languages: Mapping[str, Callable[[Any, int], LanguageHalf]]
    image_mark: str | None = None
    image_processor: str = "BlipImageProcessorPil"
    query_tokenizer: str | None = None
    vision: str | None = None

    def processor(self, source: str, **options: Any) -> Processor:
        """Load tokenizers and image processor from a folder or hub id; `options` go to ``from_pretrained``."""
        tokenizer = partial(transformers.AutoTokenizer.from_pretrained, source, trust_remote_code=False, **options)
        query = None if self.query_tokenizer is None else tokenizer(subfolder=self.query_tokenizer)
        image_processor = getattr(transformers, self.image_processor).from_pretrained(source, **options)
        return Processor(tokenizer(), image_processor, query)

    def reader(self, processor: Processor) -> Reader:
        return Reader(processor.tokenizer, self.template, self.image_mark, processor.query_tokenizer)


def _decoder_inside(network: Any, n_tokens: int) -> DecoderOnly:
    """BLIP-2: the inner language model maps embeddings to logits."""
    return DecoderOnly(network, n_tokens, network.language_model)


def _decoder_outside(network: Any, n_tokens: int) -> DecoderOnly:
    """LLaVA: the inner language model has no output layer; the whole network maps embeddings to logits."""
    return DecoderOnly(network, n_tokens, network)


TEMPLATE = "Question: {} Answer:"

FAMILIES: Mapping[str, Family] = {
    "blip-2": Family(TEMPLATE, QFormer, {"t5": EncoderDecoder, "opt": _decoder_inside}),
    "instructblip": Family(
        "Question: {} Short answer:",
        QuestionQFormer,
        {"t5": EncoderDecoder, "llama": _decoder_inside},
        query_tokenizer="qformer_tokenizer",
    ),
    "llava": Family(
        "USER: <image>\n{} ASSISTANT:",
        Patches,
        {"llama": _decoder_outside},
        image_mark="<image>",
        image_processor="CLIPImageProcessorPil",
        vision="clip_vision_model",
    ),
}
