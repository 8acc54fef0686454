"""What the engine asks of a model: an image half and a language half.

A vision-language model is two halves. The image half turns pixels into image tokens; the language half reads image tokens
and the prompt's, and says the answer. A family of checkpoints (`stcg_nb.models.families`) names one of each:

- image halves: `stcg_nb.models.qformer` (BLIP-2, InstructBLIP) and `stcg_nb.models.patch_tokens`;
- language halves: `stcg_nb.models.encoder_decoder` (T5) and `stcg_nb.models.decoder_only` (OPT, LLaMA).

Both speak of the language model's positions in one order: image tokens, then the prompt's, then the answer's, wherever
they stand in the real sequence. The functions below say in that order what cannot be seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from stcg_nb.models.protocol import Prompt

Cuts = Mapping[str, np.ndarray]


class ImageHalf(Protocol):
    """From pixels to image tokens.

    Attributes:
        places: For each site a regular expression that finds its attention layers by their names.
        edges: Kinds of edges that can be cut in a model with this half, keys of `stcg_nb.models.protocol.ENDS`.
        cross_layers: Which layers of a Q-Former look at the patches, ascending.
        grid: Rows and columns of patches.
        n_tokens: Image tokens that the language model reads.
        reads_question: Whether the image tokens depend on the question.
        pixel_dtype: Of the pixels that it takes.
    """

    places: Mapping[str, str]
    edges: tuple[str, ...]
    cross_layers: tuple[int, ...]
    grid: tuple[int, int]
    n_tokens: int
    reads_question: bool
    pixel_dtype: torch.dtype

    def see(self, pixels: Tensor) -> Tensor:
        """What depends on the image alone, ``[row, position, width]``; the attention on the way is the site ``vit``."""

    def read(self, vision: Tensor, prompt: Prompt) -> Tensor:
        """The image tokens, ``[row, token, width]``, from what was seen."""

    def project(self, tokens: Tensor) -> Tensor:
        """Image tokens in the language model's width, ``[row, token, width]``."""

    def cuts(self, prompt: Prompt, keep_words: np.ndarray | None, keep_patches: np.ndarray | None, cuts: Cuts) -> Cuts:
        """What `read` cannot see, by site, ``[row, query or 1, key]``; empty if it sees all."""

    def tokenwise(self, keep_patches: np.ndarray | None, cuts: Cuts) -> tuple[np.ndarray | None, Cuts]:
        """What of it is cut in the language model: image tokens that are present ``[row, token]``, and edges to tokens."""


class LanguageHalf(Protocol):
    """From image tokens and a prompt to an answer.

    Attributes:
        places: As in `ImageHalf`.
        ends: Tokens that end an answer; the first stands for all.
        limit: The most tokens that a prompt may have.
    """

    places: Mapping[str, str]
    ends: tuple[int, ...]
    limit: int

    def embed(self, tokens: Tensor, prompt: Prompt) -> Tensor:
        """The model's input from projected image tokens, ``[row, position, width]``."""

    def score(self, embeds: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds of each target given the ones before, and the likeliest token instead, both ``[row, step]``."""

    def generate(self, embeds: Tensor, limit: int) -> list[list[int]]:
        """At most `limit` tokens of the greedy answer of each row, its end mark included."""

    def cuts(
        self,
        prompt: Prompt,
        keep_words: np.ndarray | None,
        keep_tokens: np.ndarray | None,
        cuts: Cuts,
        n_positions: int,
    ) -> Cuts:
        """What cannot be seen by site, ``[row, query or 1, key]``, if `n_positions` steps are predicted; empty if all can."""

    def arrange(self, site: str, attention: Tensor, prompt: Prompt, steps: int) -> Tensor:
        """Attention ``[..., query, key]`` in the order above, for the first `steps` steps alone."""

    def continuation(self, tokenizer: Any, text: str) -> list[int]:
        """The tokens of a text that follows a prompt."""

    def row_cost(self) -> int:
        """About how many numbers are held at once for one row."""


def log_odds(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Log-odds of targets ``[step]`` and the likeliest tokens instead, ``[row, step]``, from logits ``[row, step, token]``."""
    logits = logits.float()
    at = targets.to(logits.device).expand(len(logits), -1)[..., None]
    others = logits.scatter(-1, at, -torch.inf).logsumexp(-1)
    return logits.gather(-1, at)[..., 0] - others, logits.argmax(-1)


def join(tokens: Tensor, prompt: Prompt, embedding: nn.Embedding) -> Tensor:
    """Image tokens where they stand among the prompt's, ``[row, position, width]``."""
    ids = torch.tensor(prompt.token_ids, device=embedding.weight.device)
    text = embedding(ids).to(tokens.device, tokens.dtype).expand(len(tokens), -1, -1)
    return torch.cat([text[:, : prompt.image_at], tokens, text[:, prompt.image_at :]], 1)


def hidden(prompt: Prompt, n: int, keep_words: np.ndarray | None, keep_tokens: np.ndarray | None) -> np.ndarray:
    """Absent words and image tokens, which nothing sees: bool ``[row or 1, 1, position]``, with `n` image tokens."""
    rows = max((len(k) for k in (keep_words, keep_tokens) if k is not None), default=1)
    gone = np.zeros((rows, 1, n + len(prompt.token_ids)), dtype=bool)
    if keep_tokens is not None:
        gone[:, 0, :n] = ~np.asarray(keep_tokens, dtype=bool)
    for word, places in enumerate(prompt.word_tokens if keep_words is not None else ()):
        gone[:, 0, [n + t for t in places]] |= ~np.asarray(keep_words, dtype=bool)[:, word, None]
    return gone


def word_edges(prompt: Prompt, n: int, cuts: Cuts) -> np.ndarray:
    """Cut edges from words, bool ``[row or 1, position or 1, position]``."""
    width = n + len(prompt.token_ids)
    if "word_query" not in cuts:
        return np.zeros((1, 1, width), dtype=bool)
    cut = np.zeros((len(cuts["word_query"]), width, width), dtype=bool)
    for word, places in enumerate(prompt.word_tokens):
        cut[:, [n + t for t in places], :n] |= cuts["word_query"][:, word, None]
    return cut


def step_edges(prompt: Prompt, n: int, cuts: Cuts, n_positions: int) -> np.ndarray:
    """Cut edges from the positions that predict steps, bool ``[row or 1, step or 1, position]``."""
    width = n + len(prompt.token_ids)
    given = [cuts[kind] for kind in ("step_word", "step_query") if kind in cuts]
    if not given:
        return np.zeros((1, 1, width), dtype=bool)
    cut = np.zeros((len(given[0]), n_positions, width), dtype=bool)
    for word, places in enumerate(prompt.word_tokens if "step_word" in cuts else ()):
        by_word = cuts["step_word"][:, :n_positions, word, None]
        cut[:, : by_word.shape[1], [n + t for t in places]] |= by_word
    if "step_query" in cuts:
        by_query = cuts["step_query"][:, :n_positions]
        cut[:, : by_query.shape[1], :n] |= by_query
    return cut


def float_dtype(weight: Tensor, network: nn.Module) -> torch.dtype:
    """What a layer computes in; a quantised weight does not say, its network does."""
    return weight.dtype if weight.dtype.is_floating_point else network.dtype  # type: ignore[return-value]
