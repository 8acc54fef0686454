"""The language half of models with T5: an encoder reads image tokens and prompt, a decoder generates the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig

from stcg_nb.models.adapters import Cuts, absent_keys, insert_image_tokens, log_odds, step_edges, word_edges
from stcg_nb.models.protocol import Prompt

PLACES = {
    "encoder": r"language_model\.encoder\.block\.\d+\.layer\.0\.SelfAttention$",
    "decoder": r"language_model\.decoder\.block\.\d+\.layer\.0\.SelfAttention$",
    "cross": r"language_model\.decoder\.block\.\d+\.layer\.1\.EncDecAttention$",
}


class EncoderDecoder:
    """`LanguageHalf` of an encoder-decoder language model.

    Args:
        network: The whole model, with a ``language_model``.
        n_tokens: Number of image tokens.
    """

    places: Mapping[str, str] = PLACES
    limit = 512  # length of the sequences that T5 was trained on

    def __init__(self, network: Any, n_tokens: int) -> None:
        self._network, self._n = network, n_tokens
        self._config = network.config.text_config
        self.ends: tuple[int, ...] = (int(self._config.eos_token_id),)
        # Replaces the checkpoint's own, which may add penalties to greedy decoding.
        network.language_model.generation_config = GenerationConfig()

    def embed(self, tokens: Tensor, prompt: Prompt) -> Tensor:
        return insert_image_tokens(tokens, prompt, self._network.get_input_embeddings())

    def score(self, embeds: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        start = torch.tensor([self._config.decoder_start_token_id], device=targets.device)
        decoder_input = torch.cat([start, targets[:-1]]).expand(len(embeds), -1)
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
        logits = self._network.language_model(
            inputs_embeds=embeds, attention_mask=mask, decoder_input_ids=decoder_input, use_cache=False
        ).logits
        return log_odds(logits, targets)

    def generate(self, embeds: Tensor, limit: int) -> list[list[int]]:
        generation = GenerationConfig(
            max_new_tokens=limit,
            do_sample=False,
            num_beams=1,
            decoder_start_token_id=self._config.decoder_start_token_id,
            eos_token_id=self.ends[0],
            pad_token_id=self._config.pad_token_id,
        )
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
        out = self._network.language_model.generate(
            inputs_embeds=embeds, attention_mask=mask, generation_config=generation
        )
        return out[:, 1:].tolist()

    def cuts(
        self,
        prompt: Prompt,
        keep_words: np.ndarray | None,
        keep_tokens: np.ndarray | None,
        cuts: Cuts,
        n_positions: int,
    ) -> Cuts:
        if keep_words is None and keep_tokens is None and not cuts:
            return {}
        absent = absent_keys(prompt, self._n, keep_words, keep_tokens)
        return {
            "encoder": absent | word_edges(prompt, self._n, cuts),
            "cross": absent | step_edges(prompt, self._n, cuts, n_positions),
        }

    def arrange(self, site: str, attention: Tensor, prompt: Prompt, steps: int) -> Tensor:
        if site == "decoder":
            return attention[..., :steps, :steps]
        return attention[..., :steps, :] if site == "cross" else attention

    def continuation(self, tokenizer: Any, text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    def row_cost(self) -> int:
        return 100 * int(self._config.vocab_size)
