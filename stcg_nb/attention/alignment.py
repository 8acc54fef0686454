"""Structural alignment: how strongly words and answer steps are linked to image patches, from what a model attends to.

BLIP-2 has no direct attention from text to patches. The path is text token -> query token (in the language model) -> patch (in the
Q-Former, over what the vision model made of it). Each estimator of `stcg_nb.attention.estimators` follows it in its own way.

Attention from one forward pass correlates with what an answer rests on; it does not prove it (Jain and Wallace 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import stcg_nb.attention.estimators  # noqa: F401 - registers them
from stcg_nb.attention.token_links import ESTIMATORS, Maps
from stcg_nb.case import Case
from stcg_nb.models.protocol import SITES, VISION_SITES, Model, Prompt, Trace


@dataclass(frozen=True)
class Alignment:
    """Links, all at least 0. Leading dimensions (``...``: counterfactual rows) are kept.

    Attributes:
        word_patch: S, ``[..., word, patch]``.
        step_patch: A, ``[..., step, patch]``.
        step_word: B, ``[..., step, word]``.
    """

    word_patch: np.ndarray
    step_patch: np.ndarray
    step_word: np.ndarray

    def row(self, i: int) -> Alignment:
        """One counterfactual row."""
        return Alignment(self.word_patch[i], self.step_patch[i], self.step_word[i])

    def by_region(self, case: Case) -> Alignment:
        """The same links with regions in place of patches: a region gathers its share of each patch."""
        return Alignment(self.word_patch @ case.patch_share, self.step_patch @ case.patch_share, self.step_word)

    @property
    def step_player(self) -> np.ndarray:
        """From each step to words, then to patches or regions, ``[..., step, player]``."""
        return np.concatenate([self.step_word, self.step_patch], axis=-1)


def needed_sites(estimator: str, sites: Sequence[str] = SITES) -> tuple[str, ...]:
    """What an estimator needs captured of a model's sites.

    Raises:
        InputError: For another estimator.

    >>> needed_sites("attention")
    ('qformer_self', 'qformer_cross', 'encoder', 'decoder', 'cross')
    """
    return tuple(s for s in sites if ESTIMATORS[estimator].reads_vision or s not in VISION_SITES)


def aligned(case: Case, estimator: str = "attention") -> Alignment:
    """Alignment of a case's words and steps with patches.

    Raises:
        InputError: For another estimator.

    >>> aligned(Case.read(np.zeros((32, 32, 3), np.uint8), "what is this?", "mock")).word_patch.shape
    (3, 256)
    """
    if ESTIMATORS[estimator].by_gradient:
        maps = case.model.relevance(case.image, case.prompt, case.answer)
        return align(estimator, maps, case.model, case.prompt)
    captured = case.trace(capture=needed_sites(estimator, case.model.sites)).attention
    return align(estimator, {site: m[0] for site, m in captured.items()}, case.model, case.prompt)


def traced_attention(case: Case, images: Sequence[np.ndarray], *, reuse: bool = True) -> tuple[Trace, Alignment]:
    """Teacher-force the answer on several pictures, and align by attention in each.

    Args:
        case: Whose prompt and answer.
        images: Each ``[height, width, 3]``.
        reuse: As for `stcg_nb.models.protocol.Model.trace`.

    Returns:
        The trace, and the alignment by patch with a leading dimension for pictures.
    """
    trace = case.trace(images, capture=needed_sites("attention", case.model.sites), reuse=reuse)
    return trace, align("attention", trace.attention, case.model, case.prompt)


def align(estimator: str, maps: Maps, model: Model, prompt: Prompt) -> Alignment:
    """Alignment of words and steps with patches, from maps that are there already.

    Args:
        estimator: One of `ESTIMATORS`.
        maps: For each needed site ``[..., layer, query, key]``: `Trace.attention`, or `Model.relevance` (a row is a step) for
            an estimator by gradient.
        model: Where they come from.
        prompt: The question.

    Raises:
        InputError: For another estimator.
    """
    links = ESTIMATORS[estimator].compose({site: m.double() for site, m in maps.items()}, model, prompt)
    word_patch = _by_word(links.text_patch, prompt.word_tokens, -2, torch.mean)
    step_word = _by_word(links.step_text, prompt.word_tokens, -1, torch.sum)
    if links.step_query_text.shape[-1]:
        heard = torch.tensor([len(tokens) > 0 for tokens in prompt.query_word_tokens])
        there = _by_word(links.query_text_patch, prompt.query_word_tokens, -2, torch.mean)
        word_patch = torch.where(heard[:, None], (word_patch + there) / 2, word_patch)
        step_word = step_word + _by_word(links.step_query_text, prompt.query_word_tokens, -1, torch.sum)
    return Alignment(word_patch.numpy(), links.step_patch.numpy(), step_word.numpy())


def _by_word(links: Tensor, words: Sequence[Sequence[int]], dim: int, gather: Callable[..., Tensor]) -> Tensor:
    """Tokens of a dimension gathered into words; a word without tokens there has nothing."""
    parts = []
    for tokens in words:
        part = links.index_select(dim, torch.tensor(tokens, dtype=torch.long))
        parts.append(gather(part, dim) if len(tokens) else part.sum(dim))
    return torch.stack(parts, dim)
