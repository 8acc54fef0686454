"""What the image half makes of images, kept so that it is made once.

An encoding serves every mask of words and, where image tokens do not depend on the question, every question; where they do, what
was seen of an image serves the next question. Least recently used first out.
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

CACHE_BYTES = 1 << 30


@dataclass
class Encoded:
    """What the image half makes of one image, with the attention captured on the way.

    ``vision`` is ``[position, width]``, ``queries`` ``[token, width]``; ``maps`` has ``[layer, query, key]`` per site.
    """

    vision: Tensor
    queries: Tensor
    maps: dict[str, Tensor] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (self.vision, self.queries, *self.maps.values()))


class Encoder:
    """An image half with a memory.

    Args:
        half: The image half.
        pixels: From pictures to its input.
        batches: How many at a time.
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
        """Every image's encoding, from the cache where it holds all that `capture` wants; `besides` is kept only on the way."""
        question = prompt.text if self._half.reads_question else ""
        keys = [(hashlib.sha256(str(i.shape).encode() + i.tobytes()).hexdigest(), question) for i in images]
        found = {k: self.cache[k] for k in keys if k in self.cache and set(capture) <= set(self.cache[k].maps)}
        missing = [k for k in dict.fromkeys(keys) if k not in found]
        # Seen already, when another question was asked.
        known = {k: e for k in missing if question and (e := self._seen(k[0], capture))}
        unseen = [k for k in missing if k not in known]
        asked = list(known)

        def see(rows: slice) -> list[Encoded]:
            with probing((*capture, *besides)) as probe:
                vision = self._half.see(self._pixels([images[keys.index(k)] for k in unseen[rows]]))
                queries = self._half.read(vision, prompt)
            maps = {s: torch.stack(m, 1) for s, m in probe.maps.items()}
            return [Encoded(vision[i], queries[i], {s: m[i] for s, m in maps.items()}) for i in range(len(vision))]

        def ask(rows: slice) -> list[Encoded]:
            use = [known[k] for k in asked[rows]]
            queries, maps = self.look(torch.stack([e.vision for e in use]), prompt, (*capture, *besides), {})
            early = [{s: e.maps[s] for s in VISION_SITES if s in e.maps} for e in use]
            return [
                Encoded(e.vision, queries[i], early[i] | {s: m[i] for s, m in maps.items()}) for i, e in enumerate(use)
            ]

        for names, run in ((unseen, see), (asked, ask)):
            if names:
                fresh = [e for chunk in self._batches("encode", len(names), run) for e in chunk]
                found |= dict(zip(names, fresh, strict=True))
        for key in keys if reuse else ():
            self.cache[key] = found[key]
            self.cache.move_to_end(key)
        size = sum(e.bytes for e in self.cache.values())
        while size > CACHE_BYTES and len(self.cache) > 1:
            size -= self.cache.popitem(last=False)[1].bytes
        return [found[k] for k in keys]

    def _seen(self, image: str, capture: Sequence[str]) -> Encoded | None:
        """An encoding of the image that holds what is wanted of the vision model, whatever the question."""
        wanted = set(capture) & set(VISION_SITES)
        return next((e for (i, _), e in self.cache.items() if i == image and wanted <= set(e.maps)), None)

    def look(
        self, vision: Tensor, prompt: Prompt, capture: Sequence[str], cuts: Cuts
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The image tokens anew from what was seen, under cuts."""
        with probing([s for s in capture if s not in VISION_SITES], tensors(cuts)) as probe:
            queries = self._half.read(vision, prompt)
        return queries, {s: torch.stack(m, 1) for s, m in probe.maps.items()}


def tensors(cuts: Cuts) -> dict[str, Tensor]:
    """Cuts as `probing` takes them."""
    return {site: torch.from_numpy(cut) for site, cut in cuts.items()}
