"""The image half of BLIP-2 and InstructBLIP: a vision model, and a Q-Former whose query tokens attend to its patches.

BLIP-2's Q-Former does not read the question. InstructBLIP's reads it after the query tokens, through its own tokenizer, so the
image tokens depend on the question, and an absent word is masked in the Q-Former too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stcg_nb.models.adapters import Cuts, float_dtype
from stcg_nb.models.protocol import CUTS, Prompt

PLACES = {
    "vit": r"vision_model\.encoder\.layers\.\d+\.self_attn$",
    "qformer_self": r"qformer\.encoder\.layer\.\d+\.attention\.attention$",
    "qformer_cross": r"qformer\.encoder\.layer\.\d+\.crossattention\.attention$",
}


class QFormer:
    """`ImageHalf` of BLIP-2."""

    places: Mapping[str, str] = PLACES
    edges: tuple[str, ...] = tuple(CUTS)
    reads_question = False

    def __init__(self, network: Any) -> None:
        self._network = network
        vision = network.config.vision_config
        side = vision.image_size // vision.patch_size
        self.grid = (side, side)
        self.n_tokens = int(network.config.num_query_tokens)
        layers = network.qformer.encoder.layer
        self.cross_layers = tuple(i for i, layer in enumerate(layers) if layer.has_cross_attention)
        self.pixel_dtype: torch.dtype = network.vision_model.embeddings.patch_embedding.weight.dtype

    def see(self, pixels: Tensor) -> Tensor:
        return self._network.vision_model(pixel_values=pixels).last_hidden_state

    def read(self, vision: Tensor, prompt: Prompt) -> Tensor:
        tokens = self._network.query_tokens.expand(len(vision), -1, -1)
        return self._network.qformer(query_embeds=tokens, encoder_hidden_states=vision).last_hidden_state

    def project(self, tokens: Tensor) -> Tensor:
        projection = self._network.language_projection
        return projection(tokens.to(projection.weight.device, float_dtype(projection.weight, self._network)))

    def cuts(self, prompt: Prompt, keep_words: np.ndarray | None, keep_patches: np.ndarray | None, cuts: Cuts) -> Cuts:
        if keep_patches is None and "query_patch" not in cuts:
            return {}
        cut_keys = np.zeros((1, 1, 1), dtype=bool)
        if keep_patches is not None:
            cut_keys = cut_keys | ~np.asarray(keep_patches, dtype=bool)[:, None]
        if "query_patch" in cuts:
            cut_keys = cut_keys | cuts["query_patch"]
        return {"qformer_cross": np.pad(cut_keys, ((0, 0), (0, 0), (1, 0)))}  # CLS is never cut

    def split_cuts(self, keep_patches: np.ndarray | None, cuts: Cuts) -> tuple[np.ndarray | None, Cuts]:
        return None, {kind: cut for kind, cut in cuts.items() if kind != "query_patch"}


class QuestionQFormer(QFormer):
    """`ImageHalf` of InstructBLIP."""

    reads_question = True

    def read(self, vision: Tensor, prompt: Prompt) -> Tensor:
        tokens = self._network.query_tokens.expand(len(vision), -1, -1)
        ids = torch.tensor(prompt.query_text_ids, device=vision.device).expand(len(vision), -1)
        out = self._network.qformer(input_ids=ids, query_embeds=tokens, encoder_hidden_states=vision)
        return out.last_hidden_state[:, : self.n_tokens]

    def cuts(self, prompt: Prompt, keep_words: np.ndarray | None, keep_patches: np.ndarray | None, cuts: Cuts) -> Cuts:
        masks = dict(super().cuts(prompt, keep_words, keep_patches, cuts))
        if keep_words is not None:
            cut_keys = np.zeros((len(keep_words), 1, self.n_tokens + len(prompt.query_text_ids)), dtype=bool)
            for word, places in enumerate(prompt.query_word_tokens):
                at = [self.n_tokens + t for t in places]
                cut_keys[:, 0, at] |= ~np.asarray(keep_words, dtype=bool)[:, word, None]
            masks["qformer_self"] = cut_keys
        return masks
