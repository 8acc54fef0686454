"""The language half of models with OPT or LLaMA: one causal sequence of image tokens, prompt and answer.

The site ``language`` is self-attention over the whole sequence. The position before a token predicts it: the prompt's last
position predicts the first step, each answer token the next step. Cuts and absent words are masked; no position moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig

from stcg_nb.models.adapters import Cuts, absent_keys, insert_image_tokens, log_odds, step_edges, word_edges
from stcg_nb.models.protocol import MAX_NEW_TOKENS, Prompt

PREFIX = "Answer:"  # any text that an answer can follow

PLACES = {"language": r"language_model\.(?:model\.)?(?:decoder\.)?layers\.\d+\.self_attn$"}


class DecoderOnly:
    """`LanguageHalf` of a decoder-only language model.

    Args:
        network: The whole model.
        n_tokens: Number of image tokens.
        decoder: The part of the model that maps ``inputs_embeds`` to logits.
    """

    places: Mapping[str, str] = PLACES

    def __init__(self, network: Any, n_tokens: int, decoder: Any) -> None:
        self._network, self._n, self._decoder = network, n_tokens, decoder
        self._config = network.config.text_config
        # config.json and generation_config.json may disagree on the end token; accept both.
        configured = [network.generation_config.eos_token_id, self._config.eos_token_id]
        ends = [e for end in configured if end is not None for e in (end if isinstance(end, list) else [end])]
        self.ends = tuple(dict.fromkeys(ends))
        # Replaces the checkpoint's own, which may add penalties to greedy decoding.
        decoder.generation_config = GenerationConfig(eos_token_id=ends)
        self.limit = int(self._config.max_position_embeddings) - n_tokens - MAX_NEW_TOKENS

    def embed(self, tokens: Tensor, prompt: Prompt) -> Tensor:
        return insert_image_tokens(tokens, prompt, self._network.get_input_embeddings())

    def score(self, embeds: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self._network.get_input_embeddings()
        forced = embedding(targets[:-1].to(embedding.weight.device)).to(embeds.device, embeds.dtype)
        embeds = torch.cat([embeds, forced.expand(len(embeds), -1, -1)], 1)
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
        logits = self._decoder(
            inputs_embeds=embeds, attention_mask=mask, use_cache=False, logits_to_keep=len(targets)
        ).logits
        return log_odds(logits, targets)

    def generate(self, embeds: Tensor, limit: int) -> list[list[int]]:
        generation = GenerationConfig(
            max_new_tokens=limit,
            do_sample=False,
            num_beams=1,
            eos_token_id=list(self.ends),
            pad_token_id=self.ends[0],  # padding is dropped; a checkpoint's own pad id may be no valid token
        )
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
        return self._decoder.generate(inputs_embeds=embeds, attention_mask=mask, generation_config=generation).tolist()

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
        words, steps = word_edges(prompt, self._n, cuts), step_edges(prompt, self._n, cuts, n_positions)
        width = absent.shape[-1]
        rows = max(len(absent), len(words), len(steps))
        length = width + n_positions - 1
        cut = np.zeros((rows, length if cuts else 1, length), dtype=bool)
        cut[:, :, :width] = absent
        if cuts:
            cut[:, :width, :width] |= words
            cut[:, width - 1 :, :width] |= steps
        order = self._order(prompt, length)
        return {"language": cut[:, :, order] if not cuts else cut[:, order][:, :, order]}

    def arrange(self, site: str, attention: Tensor, prompt: Prompt, steps: int) -> Tensor:
        length = self._n + len(prompt.token_ids) + steps - 1
        place = torch.from_numpy(np.argsort(self._order(prompt, length))).to(attention.device)
        return attention[..., :length, :length][..., place, :][..., place]

    def _order(self, prompt: Prompt, length: int) -> np.ndarray:
        """For each position of the real sequence, its index in the order of `stcg_nb.models.adapters`, int ``[position]``."""
        text = self._n + np.arange(length - self._n)
        return np.concatenate([text[: prompt.image_at], np.arange(self._n), text[prompt.image_at :]])

    def continuation(self, tokenizer: Any, text: str) -> list[int]:
        # Tokenised after a prefix, since a word after a space is another token than at the start of a text.
        before = tokenizer(PREFIX, add_special_tokens=False)["input_ids"]
        return tokenizer(f"{PREFIX} {text}", add_special_tokens=False)["input_ids"][len(before) :]

    def row_cost(self) -> int:
        config, positions = self._config, self._n + 100
        ffn = getattr(config, "ffn_dim", None) or config.intermediate_size
        return (
            positions * (4 * ffn + 3 * config.num_attention_heads * positions) + 3 * MAX_NEW_TOKENS * config.vocab_size
        )
