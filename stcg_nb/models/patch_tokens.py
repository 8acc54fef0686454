"""The image half of LLaVA: each patch, projected, is an image token. There is no Q-Former.

The config's ``vision_feature_layer`` names the layers of the vision model (CLIP) whose output is projected, usually the last but
one; later layers do not affect the answer, so they are no part of the site ``vit``. Its ``vision_feature_select_strategy`` is
``"full"`` if CLS is an image token too.
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
        feature_layers = config.vision_feature_layer
        # Hidden state 0 is the input of the first layer; negative numbers count from the end.
        last = max(r % (layers + 1) for r in ([feature_layers] if isinstance(feature_layers, int) else feature_layers))
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

    def split_cuts(self, keep_patches: np.ndarray | None, cuts: Cuts) -> tuple[np.ndarray | None, Cuts]:
        keep = keep_patches
        if keep is not None:
            keep = np.pad(np.asarray(keep, dtype=bool), ((0, 0), (self._cls, 0)), constant_values=True)
        # No edge of CLS is cut, where CLS is an image token.
        renamed = {
            kind.replace("patch", "query"): np.pad(cut, ((0, 0), (0, 0), (self._cls, 0))) if "patch" in kind else cut
            for kind, cut in cuts.items()
        }
        return keep, renamed
