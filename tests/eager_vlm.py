"""A slow plain implementation of cuts and captures: the library's eager attention, one row at a time, changed at its softmax."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import transformers


class Eager:
    """A checkpoint with the library's eager attention.

    Args:
        folder: The checkpoint.
        sites: The site of each attention layer, by the layer's name.
    """

    def __init__(self, folder: Path, sites: Mapping[str, str]) -> None:
        load = transformers.AutoModelForImageTextToText.from_pretrained
        self.network = load(folder, attn_implementation="eager").eval()
        self.place: str | None = None
        self.weights: dict[str, list[torch.Tensor]] = {}
        self.cuts: Mapping[str, np.ndarray] = {}
        modules = dict(self.network.named_modules())
        for name, site in sites.items():
            modules[name].register_forward_pre_hook(lambda *_, site=site: setattr(self, "place", site))
            modules[name].register_forward_hook(lambda *_: setattr(self, "place", None))

    def scores(
        self, batch: Mapping[str, torch.Tensor], targets: list[int], cuts: Mapping[str, np.ndarray] | None = None
    ):
        """Log-odds of each target, with edges cut: by site, bool ``[query, key]`` or ``[key]``; keeps the weights of all heads."""
        self.cuts, self.weights = cuts or {}, {}
        for module in self.network.modules():
            if hasattr(module, "rope_deltas"):
                module.rope_deltas = None
        with self._changed_softmax():
            logits = self.network(**batch, use_cache=False).logits[0, -len(targets) :].float()
        p = logits.log_softmax(-1)[torch.arange(len(targets)), targets]
        return p - torch.log1p(-p.exp())

    @contextmanager
    def _changed_softmax(self) -> Iterator[None]:
        plain = torch.nn.functional.softmax

        def changed(scores: torch.Tensor, *args: object, **options: object) -> torch.Tensor:
            if self.place is None:
                return plain(scores, *args, **options)
            if self.place in self.cuts:
                scores = scores.masked_fill(torch.from_numpy(self.cuts[self.place]), -torch.inf)
            out = plain(scores, *args, **options)
            self.weights.setdefault(self.place, []).append(out)
            return out

        torch.nn.functional.softmax = changed
        try:
            yield
        finally:
            torch.nn.functional.softmax = plain
