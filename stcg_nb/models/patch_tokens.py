"""The image half of LLaVA: no Q-Former; a projection of each patch is an image token, and the language model reads them all.

``vision_feature_layer`` says which layers of the vision model (CLIP) are read, usually the last but one; what comes after
them is no site. ``vision_feature_select_strategy`` says whether CLS is an image token too (``"full"``) or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stcg_nb.models.adapters import Cuts
from stcg_nb.models.protocol import PATCH_CUTS, Prompt


class Patches:
    """`ImageHalf` of LLaVA."""

    edges: tuple[str, ...] = tuple(PATCH_CUTS)
    cross_layers: tuple[int, ...] = ()
    reads_question = False

    def __init__(self, network: Any) -> None:
        self._network = network
        config = network.config
        layers = config.vision_config.num_hidden_layers
        read = config.vision_feature_layer
        # Of the hidden states number 0 is what enters the first layer; negative numbers count from the end.
        last = max(r % (layers + 1) for r in ([read] if isinstance(read, int) else read))
        used = "|".join(str(i) for i in range(last))
        self.places: Mapping[str, str] = {
            "vit": rf"vision_tower\.(?:vision_model\.)?encoder\.layers\.(?:{used})\.self_attn$"
        }
        side = config.vision_config.image_size // config.vision_config.patch_size
        self.grid = (side, side)
        self._cls = int(config.vision_feature_select_strategy == "full")
        self.n_tokens = side * side + self._cls
        convolutions = (m for m in network.model.vision_tower.modules() if isinstance(m, torch.nn.Conv2d))
        self.pixel_dtype = next(convolutions).weight.dtype

    def see(self, pixels: Tensor) -> Tensor:
        return torch.stack(list(self._network.get_image_features(pixel_values=pixels).pooler_output))

    def read(self, vision: Tensor, prompt: Prompt) -> Tensor:
        return vision

    def project(self, tokens: Tensor) -> Tensor:
        return tokens

    def cuts(self, prompt: Prompt, keep_words: np.ndarray | None, keep_patches: np.ndarray | None, cuts: Cuts) -> Cuts:
        return {}

    def tokenwise(self, keep_patches: np.ndarray | None, cuts: Cuts) -> tuple[np.ndarray | None, Cuts]:
        keep = keep_patches
        if keep is not None:
            keep = np.pad(np.asarray(keep, dtype=bool), ((0, 0), (self._cls, 0)), constant_values=True)
        widened = {
            kind.replace("patch", "query"): np.pad(cut, ((0, 0), (0, 0), (self._cls, 0))) if "patch" in kind else cut
            for kind, cut in cuts.items()
        }
        return keep, widened
