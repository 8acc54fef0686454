"""Pictures as a network reads them, each seen once: what is kept of them, and which part each image token covers.

Vision features serve every question about a picture; what the language model is called with serves every mask of one question and
answer. The least recently used are dropped first.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stcg_nb.errors import InputError
from stcg_nb.models.attention import probing
from stcg_nb.models.generic.calls import Arguments, Calls
from stcg_nb.models.generic.cover import probed_cover, stated_cover
from stcg_nb.models.generic.reading import Batch, Places, Reading
from stcg_nb.models.image_cache import CACHE_BYTES
from stcg_nb.models.protocol import MAX_NEW_TOKENS, Prompt

PLACES = 512  # prompts and sizes whose places are kept
ENTRIES = 1024  # kept pictures and fronts


@dataclass
class Pictures:
    """The pictures of one model.

    Attributes:
        calls: Runs the network.
        reading: Its prompts.
        crossed: Whether its language model has no image tokens in its sequence, and attends to patches in layers of its own.
        kept: Vision features by picture, and arguments of the language model by picture, prompt and answer.
        found: Places by prompt and size of the picture.
        stated: Whether covers that the processor states are believed.
        types: Names of the network's inputs that give each position a type, once a picture has been read.
        covers: Covers of image tokens, by size of the picture.
    """

    calls: Calls
    reading: Reading
    crossed: bool
    kept: OrderedDict[tuple[Any, ...], Any] = field(default_factory=OrderedDict)
    found: OrderedDict[tuple[Any, ...], Places] = field(default_factory=OrderedDict)
    covers: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    stated: bool = False
    types: tuple[str, ...] = ()

    def places(self, prompt: Prompt, height: int, width: int) -> Places:
        """Places of a prompt with a picture of this size in pixels. Raises `InputError` if both are too long for the model."""
        if (prompt.text, prompt.question, height, width) not in self.found:
            self.batch(prompt, np.full((height, width, 3), 128, np.uint8))
        return self.found[prompt.text, prompt.question, height, width]

    def batch(self, prompt: Prompt, image: np.ndarray) -> Batch:
        """The network's inputs for a prompt and a picture, uint8 ``[height, width, 3]``.

        Raises:
            InputError: If both together are too long for the model.
        """
        batch = self._moved(self.reading.batch(prompt, image))
        ids = batch["input_ids"]
        others = (k for k in batch if k not in ("input_ids", "attention_mask"))
        self.types = tuple(k for k in others if isinstance(batch[k], Tensor) and batch[k].shape == ids.shape)
        self.found[prompt.text, prompt.question, *image.shape[:2]] = self.reading.places(prompt, ids)
        if len(self.found) > PLACES:
            self.found.popitem(last=False)
        length, limit = ids.shape[1], self._limit()
        if length > limit:
            raise InputError(
                f"Question and picture have {length:,} tokens; {self.reading.label} takes at most {limit:,}: shorten the question or "
                "take a smaller picture."
            )
        return batch

    def seen(self, image: np.ndarray) -> list[Any]:
        """The picture's vision features for `Calls.front`: empty until they are computed."""
        self._drop()
        features = self.kept.setdefault((_digest(image),), [])
        self.kept.move_to_end((_digest(image),))
        return features

    def front(self, image: np.ndarray, prompt: Prompt, targets: Sequence[int], reuse: bool = True) -> Arguments:
        """What the language model is called with for a picture, a prompt and an answer whose tokens are `targets`."""
        key = (_digest(image), prompt.text, tuple(targets))
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key]
        batch = self.reading.extended(self.batch(prompt, image), targets)
        taken = self.calls.front(batch, self.seen(image) if reuse else list(self.kept.get(key[:1], [])))
        if reuse:
            self.kept[key] = taken
        return taken

    def cover(self, prompt: Prompt, height: int, width: int) -> np.ndarray:
        """The cover of each image token for pictures of this size in pixels, ``[token, 4]``."""
        size = height, width
        if size not in self.covers:
            found = self.statement(prompt, *size) if self.stated else None
            self.covers[size] = probed_cover(lambda i: self.tokens(prompt, i), *size) if found is None else found
        return self.covers[size]

    def statement(self, prompt: Prompt, height: int, width: int) -> np.ndarray | None:
        """The cover that the processor states, if it states one."""
        batch = self.reading.batch(prompt, np.full((height, width, 3), 128, np.uint8))
        return stated_cover(batch, self.reading.processor, len(self.places(prompt, height, width).image), height, width)

    def tokens(self, prompt: Prompt, image: np.ndarray) -> Tensor:
        """Embeddings of image tokens ``[token, width]``, each of what it covers alone: no position attends to another."""
        with torch.no_grad(), probing(local=["vit"]):
            return self._tokens(prompt, image)

    def _tokens(self, prompt: Prompt, image: np.ndarray) -> Tensor:
        arguments = self.calls.front(self.batch(prompt, image))
        if self.crossed:
            states = arguments["cross_attention_states"]
            return states.reshape(-1, states.shape[-1])
        return arguments["inputs_embeds"][0, self.places(prompt, *image.shape[:2]).image]

    def _moved(self, batch: Batch) -> Batch:
        """The batch on the network's device, its floating-point numbers in the network's format."""
        network = self.calls.network
        return {
            k: v.to(network.device, network.dtype if v.is_floating_point() else v.dtype) if isinstance(v, Tensor) else v
            for k, v in batch.items()
        }

    def _limit(self) -> int:
        most = getattr(self.calls.network.config.get_text_config(), "max_position_embeddings", None) or 10**9
        return int(most) - MAX_NEW_TOKENS

    def _drop(self) -> None:
        """Forget what was used least recently, until the rest is small enough."""
        while len(self.kept) > ENTRIES:
            self.kept.popitem(last=False)
        size = sum(_bytes(v) for v in self.kept.values())
        while size > CACHE_BYTES and len(self.kept) > 1:
            size -= _bytes(self.kept.popitem(last=False)[1])


def _digest(image: np.ndarray) -> str:
    return hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest()


def _bytes(value: Any) -> int:
    """Bytes of the tensors in nested containers."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return sum(_bytes(part) for part in parts)
