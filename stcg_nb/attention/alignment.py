"""Structural alignment: how strongly words and answer steps are linked to image patches, computed from attention.

BLIP-2 has no direct attention from text to patches. The path is text token -> query token (in the language model) -> patch (in the
Q-Former's cross-attention to the vision model's output). Each estimator in `stcg_nb.attention.estimators` composes links along
this path in its own way.

Where a model's attention cannot be captured (`Model.sites` is empty), nothing is linked.

Attention in one forward pass correlates with what an answer rests on, but does not prove it (Jain and Wallace 2019).
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
from stcg_nb.models.layout import Layout
from stcg_nb.models.protocol import SITES, VISION_SITES, Trace

ESTIMATOR = "attention"


@dataclass(frozen=True)
class Alignment:
    """Links between words, answer steps and patches (or regions, after `by_region`); dimensionless, at least 0.

    Leading dimensions (``...``), such as one for pictures, are optional.

    Attributes:
        word_patch: S, from words to patches, ``[..., word, patch]``.
        step_patch: A, from steps to patches, ``[..., step, patch]``.
        step_word: B, from steps to words, ``[..., step, word]``.
    """

    word_patch: np.ndarray
    step_patch: np.ndarray
    step_word: np.ndarray

    def row(self, i: int) -> Alignment:
        """Entry i of the first leading dimension."""
        return Alignment(self.word_patch[i], self.step_patch[i], self.step_word[i])

    def by_region(self, case: Case) -> Alignment:
        """The same links with regions in place of patches: each patch is split among the regions by area."""
        return Alignment(self.word_patch @ case.patch_share, self.step_patch @ case.patch_share, self.step_word)

    @property
    def step_player(self) -> np.ndarray:
        """Links from each step to the words, then to the patches (or regions), ``[..., step, player]``."""
        return np.concatenate([self.step_word, self.step_patch], axis=-1)


def needed_sites(estimator: str, sites: Sequence[str] = SITES) -> tuple[str, ...]:
    """The sites whose attention an estimator needs captured.

    Args:
        estimator: One of `ESTIMATORS`.
        sites: The model's sites.

    Raises:
        InputError: For an unknown estimator.

    >>> needed_sites("attention")
    ('qformer_self', 'qformer_cross', 'encoder', 'decoder', 'cross')
    """
    whole = ESTIMATORS[estimator].reads_vision
    unneeded = "reading" if whole else "language" if "reading" in sites else None
    return tuple(s for s in sites if s != unneeded and (whole or s not in VISION_SITES))


def aligned(case: Case, estimator: str = ESTIMATOR) -> Alignment:
    """Run the model and compute the alignment of a case's words and steps with patches.

    Raises:
        InputError: For an unknown estimator.

    >>> aligned(Case.read(np.zeros((32, 32, 3), np.uint8), "what is this?", "mock")).word_patch.shape
    (3, 256)
    """
    if not case.model.sites:
        return _nothing(case)
    if ESTIMATORS[estimator].by_gradient:
        maps = case.model.relevance(case.image, case.prompt, case.answer)
        return align(estimator, maps, case.layout)
    captured = case.trace(capture=needed_sites(estimator, case.model.sites)).attention
    return align(estimator, {site: m[0] for site, m in captured.items()}, case.layout)


def traced_attention(case: Case, images: Sequence[np.ndarray], *, reuse: bool = True) -> tuple[Trace, Alignment]:
    """Teacher-force the answer on several pictures, and compute the alignment by attention on each.

    Args:
        case: The case whose prompt and answer are used.
        images: Pictures, each uint8 ``[height, width, 3]``.
        reuse: As for `stcg_nb.models.protocol.Model.trace`.

    Returns:
        The trace, and the alignment with patches, with a leading dimension for pictures.
    """
    trace = case.trace(images, capture=needed_sites("attention", case.model.sites), reuse=reuse)
    if not case.model.sites:
        return trace, _nothing(case, len(images))
    return trace, align("attention", trace.attention, case.layout)


def _nothing(case: Case, *leading: int) -> Alignment:
    """The alignment of a model whose attention cannot be captured: no links."""
    words, steps, patches = len(case.prompt.words), len(case.answer.token_ids), case.layout.n_patches
    shapes = ((words, patches), (steps, patches), (steps, words))
    return Alignment(*(np.zeros((*leading, *shape)) for shape in shapes))


def align(estimator: str, maps: Maps, layout: Layout) -> Alignment:
    """The alignment of words and steps with patches, from captured maps.

    Args:
        estimator: One of `ESTIMATORS`.
        maps: For each needed site ``[..., layer, query, key]``: attention as in `Trace.attention`, or, for an estimator by
            gradient, attention times gradient as from `Model.relevance`, with a leading dimension for steps.
        layout: The positions of the question and the picture that the maps were captured with.

    Raises:
        InputError: For an unknown estimator.
    """
    links = ESTIMATORS[estimator].compose(maps, layout)
    word_patch = _by_word(links.text_patch, layout.word_tokens, -2, torch.mean)
    step_word = _by_word(links.step_text, layout.word_tokens, -1, torch.sum)
    if links.step_query_text.shape[-1]:
        in_qformer = torch.tensor([len(tokens) > 0 for tokens in layout.query_word_tokens])
        qformer_patch = _by_word(links.query_text_patch, layout.query_word_tokens, -2, torch.mean)
        word_patch = torch.where(in_qformer[:, None], (word_patch + qformer_patch) / 2, word_patch)
        step_word = step_word + _by_word(links.step_query_text, layout.query_word_tokens, -1, torch.sum)
    return Alignment(word_patch.numpy(), links.step_patch.numpy(), step_word.numpy())


def _by_word(links: Tensor, words: Sequence[Sequence[int]], dim: int, gather: Callable[..., Tensor]) -> Tensor:
    """Gather the tokens along a dimension into words; the links of a word without tokens are 0.

    Args:
        links: ``[..., token, ...]``.
        words: Positions of each word's tokens.
        dim: The dimension of tokens.
        gather: Combines a word's tokens: `torch.mean` or `torch.sum`.
    """
    parts = []
    for tokens in words:
        part = links.index_select(dim, torch.tensor(tokens, dtype=torch.long))
        parts.append(gather(part, dim) if len(tokens) else part.sum(dim))
    return torch.stack(parts, dim)
