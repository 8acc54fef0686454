"""The two adapters through which the engine uses a model: an image half and a language half.

The image half turns pixels into image tokens. The language half reads image tokens and prompt, and generates or scores an
answer. A family of checkpoints (`stcg_nb.models.families`) names one of each:

- image halves: `stcg_nb.models.qformer` (BLIP-2, InstructBLIP) and `stcg_nb.models.patch_tokens`;
- language halves: `stcg_nb.models.encoder_decoder` (T5) and `stcg_nb.models.decoder_only` (OPT, LLaMA).

Masks and attention of the language model use one order of positions: image tokens, then the prompt's tokens, then the
answer's, whatever their order in the real sequence. `absent_keys`, `word_edges` and `step_edges` make masks in that order.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from stcg_nb.models.protocol import Prompt

Cuts = Mapping[str, np.ndarray]  # bool masks, True where cut, by kind of edge or by site


class ImageHalf(Protocol):
    """From pixels to image tokens.

    Attributes:
        places: For each site a regular expression that matches the names of its attention layers.
        edges: Kinds of edges that can be cut in a model with this half, keys of `stcg_nb.models.protocol.ENDS`.
        cross_layers: The Q-Former's layers that have cross-attention to the patches, ascending; empty without a Q-Former.
        grid: Rows and columns of patches.
        n_tokens: Number of image tokens that the language model reads.
        reads_question: Whether the image tokens depend on the question.
        pixel_dtype: Number format of the pixels that it takes.
    """

    places: Mapping[str, str]
    edges: tuple[str, ...]
    cross_layers: tuple[int, ...]
    grid: tuple[int, int]
    n_tokens: int
    reads_question: bool
    pixel_dtype: torch.dtype

    def see(self, pixels: Tensor) -> Tensor:
        """Vision features ``[row, position, width]`` of pixels ``[row, channel, height, width]``. Its site is ``vit``."""

    def read(self, vision: Tensor, prompt: Prompt) -> Tensor:
        """Image tokens ``[row, token, width]`` from the vision features that `see` returned."""

    def project(self, tokens: Tensor) -> Tensor:
        """Image tokens ``[row, token, width]`` projected to the width of the language model."""

    def cuts(self, prompt: Prompt, keep_words: np.ndarray | None, keep_patches: np.ndarray | None, cuts: Cuts) -> Cuts:
        """Masks of `read`: for a site, True where a key is cut, bool ``[row, query or 1, key]``; empty if none is."""

    def split_cuts(self, keep_patches: np.ndarray | None, cuts: Cuts) -> tuple[np.ndarray | None, Cuts]:
        """Image tokens that are present, bool ``[row, token]``, or None if all are; and the cuts left to the language model, patch
        ends renamed to image tokens."""


class LanguageHalf(Protocol):
    """From image tokens and a prompt to an answer.

    Attributes:
        places: As in `ImageHalf`.
        ends: Ids of the tokens that end an answer; the first one stands for all of them.
        limit: The largest number of tokens in a prompt.
    """

    places: Mapping[str, str]
    ends: tuple[int, ...]
    limit: int

    def embed(self, tokens: Tensor, prompt: Prompt) -> Tensor:
        """The language model's input embeddings ``[row, position, width]``, from projected image tokens ``[row, token, width]``."""

    def score(self, embeds: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds in nats of each target ``[step]`` given the targets before it, and the likeliest token, both ``[row, step]``."""

    def generate(self, embeds: Tensor, limit: int) -> list[list[int]]:
        """Token ids of each row's greedy answer, at most `limit`, the end token included."""

    def cuts(
        self,
        prompt: Prompt,
        keep_words: np.ndarray | None,
        keep_tokens: np.ndarray | None,
        cuts: Cuts,
        n_positions: int,
    ) -> Cuts:
        """Masks for `n_positions` predicted steps: for a site, True where a key is cut, bool ``[row, query or 1, key]``; empty if
        none is."""

    def arrange(self, site: str, attention: Tensor, prompt: Prompt, steps: int) -> Tensor:
        """Attention ``[..., query, key]`` of the first `steps` steps, its positions in the order of this module."""

    def continuation(self, tokenizer: Any, text: str) -> list[int]:
        """Token ids of a text as it continues a prompt."""

    def row_cost(self) -> int:
        """About how many numbers the language model holds in memory at once for one row."""


def log_odds(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Log-odds of targets ``[step]`` in nats, and the likeliest tokens, both ``[row, step]``; logits are ``[row, step, token]``."""
    logits = logits.float()
    at = targets.to(logits.device).expand(len(logits), -1)[..., None]
    others = logits.scatter(-1, at, -torch.inf).logsumexp(-1)
    return logits.gather(-1, at)[..., 0] - others, logits.argmax(-1)


def differs(likeliest: Tensor, targets: Tensor, ends: tuple[int, ...]) -> Tensor:
    """Whether the likeliest token is not the target, bool ``[row, step]``. All end tokens count as the same token."""
    targets = targets.to(likeliest.device)
    end = torch.tensor(ends, device=likeliest.device)
    return (likeliest != targets) & ~(torch.isin(likeliest, end) & torch.isin(targets, end))


def shuffled(network: Any, seed: int) -> Any:
    """A copy of a network in which the entries of every weight are shuffled. In quantised weights the codes are; the scales stay."""
    network = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return network


def insert_image_tokens(tokens: Tensor, prompt: Prompt, embedding: nn.Embedding) -> Tensor:
    """Insert image tokens ``[row, token, width]`` into the embedded prompt: ``[row, position, width]``."""
    ids = torch.tensor(prompt.token_ids, device=embedding.weight.device)
    text = embedding(ids).to(tokens.device, tokens.dtype).expand(len(tokens), -1, -1)
    return torch.cat([text[:, : prompt.image_at], tokens, text[:, prompt.image_at :]], 1)


def absent_keys(prompt: Prompt, n: int, keep_words: np.ndarray | None, keep_tokens: np.ndarray | None) -> np.ndarray:
    """Keys to which nothing attends, because their word or image token is absent.

    Args:
        prompt: The question.
        n: Number of image tokens.
        keep_words: True where a word is present, bool ``[row, word]``.
        keep_tokens: True where an image token is present, bool ``[row, token]``.

    Returns:
        bool ``[row or 1, 1, position]``, True where absent.
    """
    rows = max((len(k) for k in (keep_words, keep_tokens) if k is not None), default=1)
    absent = np.zeros((rows, 1, n + len(prompt.token_ids)), dtype=bool)
    if keep_tokens is not None:
        absent[:, 0, :n] = ~np.asarray(keep_tokens, dtype=bool)
    for word, places in enumerate(prompt.word_tokens if keep_words is not None else ()):
        absent[:, 0, [n + t for t in places]] |= ~np.asarray(keep_words, dtype=bool)[:, word, None]
    return absent


def word_edges(prompt: Prompt, n: int, cuts: Cuts) -> np.ndarray:
    """Cut edges from words to the `n` image tokens, bool ``[row or 1, position or 1, position]``, True where cut."""
    width = n + len(prompt.token_ids)
    if "word_query" not in cuts:
        return np.zeros((1, 1, width), dtype=bool)
    cut = np.zeros((len(cuts["word_query"]), width, width), dtype=bool)
    for word, places in enumerate(prompt.word_tokens):
        cut[:, [n + t for t in places], :n] |= cuts["word_query"][:, word, None]
    return cut


def step_edges(prompt: Prompt, n: int, cuts: Cuts, n_positions: int) -> np.ndarray:
    """Cut edges from the positions that predict steps, bool ``[row or 1, step or 1, position]``, True where cut."""
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
    """The number format in which a layer computes: its weight's, or its network's if the weight is quantised to integers."""
    return weight.dtype if weight.dtype.is_floating_point else network.dtype  # type: ignore[return-value]
