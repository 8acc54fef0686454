"""Encodings of images, cached so that each image is encoded once.

An encoding serves every mask of words. It also serves every question, unless the image tokens depend on the question; then the
vision features are reused and only the Q-Former runs again. The least recently used encoding is dropped first.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from stcg_nb.models.adapters import Cuts, ImageHalf
from stcg_nb.models.attention import probing
from stcg_nb.models.batching import Batches
from stcg_nb.models.protocol import VISION_SITES, Prompt

CACHE_BYTES = 1 << 30  # most that the cached encodings take


@dataclass
class Encoded:
    """The encoding of one image.

    Attributes:
        vision: Vision features, ``[position, width]``.
        queries: Image tokens, ``[token, width]``.
        maps: For each captured site its attention, ``[layer, query, key]``.
    """

    vision: Tensor
    queries: Tensor
    maps: dict[str, Tensor] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (self.vision, self.queries, *self.maps.values()))


class Encoder:
    """An image half with a cache.

    Args:
        half: The image half.
        pixels: Turns images, each ``[height, width, 3]``, into pixels ``[row, channel, height, width]``.
        batches: Splits images into batches.
    """

    def __init__(self, half: ImageHalf, pixels: Callable[[Sequence[np.ndarray]], Tensor], batches: Batches) -> None:
        self._half, self._pixels, self._batches = half, pixels, batches
        self.cache: OrderedDict[tuple[str, str], Encoded] = OrderedDict()

    def encode(
        self,
        images: Sequence[np.ndarray],
        prompt: Prompt,
        capture: Sequence[str],
        reuse: bool = True,
        besides: Sequence[str] = (),
    ) -> list[Encoded]:
        """Encode images, from the cache where it holds what is wanted.

        Args:
            images: Each ``[height, width, 3]``.
            prompt: The question.
            capture: Sites whose attention the encodings must hold.
            reuse: Keep the encodings in the cache.
            besides: Also capture these sites on a cache miss.

        Returns:
            One encoding per image.
        """
        question = prompt.text if self._half.reads_question else ""
        keys = [(hashlib.sha256(str(i.shape).encode() + i.tobytes()).hexdigest(), question) for i in images]
        encodings = {k: self.cache[k] for k in keys if k in self.cache and set(capture) <= set(self.cache[k].maps)}
        missing = [k for k in dict.fromkeys(keys) if k not in encodings]
        # Their vision features are cached, for another question.
        reusable = {k: e for k in missing if question and (e := self._vision_of(k[0], capture))}
        new = [k for k in missing if k not in reusable]
        requeried = list(reusable)

        def encode_new(rows: slice) -> list[Encoded]:
            with probing((*capture, *besides)) as probe:
                vision = self._half.see(self._pixels([images[keys.index(k)] for k in new[rows]]))
                queries = self._half.read(vision, prompt)
            maps = {s: torch.stack(m, 1) for s, m in probe.maps.items()}
            return [Encoded(vision[i], queries[i], {s: m[i] for s, m in maps.items()}) for i in range(len(vision))]

        def requery(rows: slice) -> list[Encoded]:
            use = [reusable[k] for k in requeried[rows]]
            queries, maps = self.look(torch.stack([e.vision for e in use]), prompt, (*capture, *besides), {})
            early = [{s: e.maps[s] for s in VISION_SITES if s in e.maps} for e in use]
            return [
                Encoded(e.vision, queries[i], early[i] | {s: m[i] for s, m in maps.items()}) for i, e in enumerate(use)
            ]

        for names, run in ((new, encode_new), (requeried, requery)):
            if names:
                fresh = [e for chunk in self._batches("encode", len(names), run) for e in chunk]
                encodings |= dict(zip(names, fresh, strict=True))
        for key in keys if reuse else ():
            self.cache[key] = encodings[key]
            self.cache.move_to_end(key)
        size = sum(e.bytes for e in self.cache.values())
        while size > CACHE_BYTES and len(self.cache) > 1:
            size -= self.cache.popitem(last=False)[1].bytes
        return [encodings[k] for k in keys]

    def _vision_of(self, image: str, capture: Sequence[str]) -> Encoded | None:
        """A cached encoding of the image, for any question, whose `vit` attention is there if `capture` wants it."""
        wanted = set(capture) & set(VISION_SITES)
        return next((e for (i, _), e in self.cache.items() if i == image and wanted <= set(e.maps)), None)

    def look(
        self, vision: Tensor, prompt: Prompt, capture: Sequence[str], cuts: Cuts
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute image tokens ``[row, token, width]`` again from vision features ``[row, position, width]``, under cuts.

        Also returns the attention of the captured sites after the vision model, each ``[row, layer, query, key]``.
        """
        with probing([s for s in capture if s not in VISION_SITES], tensors(cuts)) as probe:
            queries = self._half.read(vision, prompt)
        return queries, {s: torch.stack(m, 1) for s, m in probe.maps.items()}


def tensors(cuts: Cuts, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Cuts by site as tensors, for `stcg_nb.models.attention.probing`; on the layers' device they are copied once for all layers."""
    return {site: torch.from_numpy(cut).to(device) for site, cut in cuts.items()}
