"""The language half of models with OPT or LLaMA: one causal sequence of image tokens, prompt and answer.

The site ``language`` is self-attention over that whole sequence. The token of step t is predicted by the position before
it: the prompt's last for the first step, then the answer's own. Cut edges and absent words keep everybody's position.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig

from stcg_nb.models.adapters import Cuts, hidden, join, log_odds, step_edges, word_edges
from stcg_nb.models.protocol import MAX_NEW_TOKENS, Prompt

PREFIX = "Answer:"  # any text that an answer may follow

PLACES = {"language": r"language_model\.(?:model\.)?(?:decoder\.)?layers\.\d+\.self_attn$"}


class DecoderOnly:
    """`LanguageHalf` of a decoder.

    Args:
        network: The whole model.
        n_tokens: Image tokens.
        speaker: The part of it that turns ``inputs_embeds`` into logits.
    """

    places: Mapping[str, str] = PLACES

    def __init__(self, network: Any, n_tokens: int, speaker: Any) -> None:
        self._network, self._n, self._speaker = network, n_tokens, speaker
        self._config = network.config.text_config
        # Some checkpoints say in one file what the other has wrong.
        said = [network.generation_config.eos_token_id, self._config.eos_token_id]
        ends = [e for end in said if end is not None for e in (end if isinstance(end, list) else [end])]
        self.ends = tuple(dict.fromkeys(ends))
        speaker.generation_config = GenerationConfig(
            eos_token_id=ends
        )  # plainly greedy, without a checkpoint's penalties
        self.limit = int(self._config.max_position_embeddings) - n_tokens - MAX_NEW_TOKENS

    def embed(self, tokens: Tensor, prompt: Prompt) -> Tensor:
        return join(tokens, prompt, self._network.get_input_embeddings())

    def score(self, embeds: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self._network.get_input_embeddings()
        said = embedding(targets[:-1].to(embedding.weight.device)).to(embeds.device, embeds.dtype)
        embeds = torch.cat([embeds, said.expand(len(embeds), -1, -1)], 1)
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
        logits = self._speaker(
            inputs_embeds=embeds, attention_mask=mask, use_cache=False, logits_to_keep=len(targets)
        ).logits
        return log_odds(logits, targets)

    def generate(self, embeds: Tensor, limit: int) -> list[list[int]]:
        generation = GenerationConfig(
            max_new_tokens=limit,
            do_sample=False,
            num_beams=1,
            eos_token_id=list(self.ends),
            pad_token_id=self.ends[0],  # what follows an end is cut; a checkpoint's own may be no token at all
        )
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
        return self._speaker.generate(inputs_embeds=embeds, attention_mask=mask, generation_config=generation).tolist()

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
        gone = hidden(prompt, self._n, keep_words, keep_tokens)
        words, steps = word_edges(prompt, self._n, cuts), step_edges(prompt, self._n, cuts, n_positions)
        width = gone.shape[-1]
        rows = max(len(gone), len(words), len(steps))
        length = width + n_positions - 1
        cut = np.zeros((rows, length if cuts else 1, length), dtype=bool)
        cut[:, :, :width] = gone
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
        """Which place in the order of `stcg_nb.models.adapters` each position of the sequence has, ``[position]``."""
        text = self._n + np.arange(length - self._n)
        return np.concatenate([text[: prompt.image_at], np.arange(self._n), text[prompt.image_at :]])

    def continuation(self, tokenizer: Any, text: str) -> list[int]:
        # Not alone: a word after a space is another token than one at the start of a text.
        before = tokenizer(PREFIX, add_special_tokens=False)["input_ids"]
        return tokenizer(f"{PREFIX} {text}", add_special_tokens=False)["input_ids"][len(before) :]

    def row_cost(self) -> int:
        config, positions = self._config, self._n + 100
        ffn = getattr(config, "ffn_dim", None) or config.intermediate_size
        return (
            positions * (4 * ffn + 3 * config.num_attention_heads * positions) + 3 * MAX_NEW_TOKENS * config.vocab_size
        )
