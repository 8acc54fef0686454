"""Links between the tokens of a model's parts, from which every estimator composes an alignment. Links are dimensionless.

An estimator is a function from attention maps to `TokenLinks`. The modules of `stcg_nb.attention.estimators` register theirs in
`ESTIMATORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from stcg_nb.models.layout import Layout
from stcg_nb.registry import Registry

Maps = Mapping[str, Tensor]
"""Attention by site, ``[..., layer, query, key]``."""


@dataclass(frozen=True)
class ImageLinks:
    """Links of the image tokens (query tokens, or patches where the language model reads those).

    Attributes:
        patch: From image tokens to patches, ``[..., image token, patch]``.
        text_patch: From the question's tokens in the Q-Former to patches, ``[..., text token, patch]``.
        text: From image tokens to the question's tokens in the Q-Former, ``[..., image token, text token]``. Like `text_patch`
            it has no text tokens where the Q-Former does not read the question.
    """

    patch: Tensor
    text_patch: Tensor
    text: Tensor


@dataclass(frozen=True)
class LanguageLinks:
    """Links in the language model.

    Attributes:
        text_image: From text tokens to image tokens, ``[..., text token, image token]``.
        step_image: From answer steps to image tokens, ``[..., step, image token]``.
        step_text: From answer steps to text tokens, ``[..., step, text token]``.
    """

    text_image: Tensor
    step_image: Tensor
    step_text: Tensor


@dataclass(frozen=True)
class TokenLinks:
    """Composed links, by token.

    Attributes:
        text_patch: From the language model's text tokens to patches, ``[..., text token, patch]``.
        step_patch: From answer steps to patches, ``[..., step, patch]``.
        step_text: From answer steps to the language model's text tokens, ``[..., step, text token]``.
        query_text_patch: From the question's tokens in the Q-Former to patches, ``[..., Q-Former text token, patch]``.
        step_query_text: From answer steps to the question's tokens in the Q-Former, ``[..., step, Q-Former text token]``.
    """

    text_patch: Tensor
    step_patch: Tensor
    step_text: Tensor
    query_text_patch: Tensor
    step_query_text: Tensor


@dataclass(frozen=True)
class Estimator:
    """A way to compute alignment from attention.

    Attributes:
        compose: Composes the links by token from maps and layout.
        by_gradient: Whether the maps are attention times its gradient (`Model.relevance`) instead of attention.
        reads_vision: Whether the estimator also needs the vision model's attention.
    """

    compose: Callable[[Maps, Layout], TokenLinks]
    by_gradient: bool = False
    reads_vision: bool = True


ESTIMATORS = Registry[Estimator]("estimator")
"""Every estimator of alignment, by name."""


def composed(image: ImageLinks, language: LanguageLinks) -> TokenLinks:
    """The links from text tokens and steps through image tokens to patches."""
    return TokenLinks(
        language.text_image @ image.patch, language.step_image @ image.patch, language.step_text,
        image.text_patch, language.step_image @ image.text,
    )  # fmt: skip


def text_rows(joint: Tensor, layout: Layout) -> LanguageLinks:
    """The links in a decoder-only language model.

    Args:
        joint: Its map ``[..., position, position]``, or only the rows of text and answer; positions are image tokens, then text
            tokens, then the answer's tokens.
        layout: How many there are of each.
    """
    n, width = layout.n_image_tokens, layout.n_image_tokens + layout.n_text_tokens
    rows = joint[..., joint.shape[-2] - (joint.shape[-1] - n) :, :]
    steps = rows[..., width - n - 1 :, :]
    return LanguageLinks(rows[..., : width - n, :n], steps[..., :n], steps[..., n:width])


def crossed_rows(own: Tensor, read: Tensor, layout: Layout) -> LanguageLinks:
    """The links in a decoder-only language model that attends to patches in layers of its own.

    Args:
        own: Links among text and answer tokens, ``[..., position, position]``.
        read: Links from them to patches, ``[..., position, patch]``.
        layout: How many text tokens there are.
    """
    n = layout.n_text_tokens
    return LanguageLinks(read[..., :n, :], read[..., n - 1 :, :], own[..., n - 1 :, :n])


def qformer_links(inner: Tensor, outer: Tensor, n: int) -> ImageLinks:
    """The links of a Q-Former's query tokens.

    Args:
        inner: Links among the Q-Former's tokens, query tokens first, ``[..., token, token]``.
        outer: Links from its tokens to the vision model's positions, ``[..., token, 1 + patch]``; position 0, CLS, is dropped.
        n: Number of query tokens.
    """
    return ImageLinks(outer[..., :n, 1:], outer[..., n:, 1:], inner[..., :n, n:])


def patch_links(patch: Tensor) -> ImageLinks:
    """The links of image tokens where the language model reads patches.

    Args:
        patch: ``[..., image token, patch]``.
    """
    return ImageLinks(patch, patch[..., :0, :], patch[..., :, :0])


def padded(rows: Tensor, count: int) -> Tensor:
    """``[..., row, column]`` with rows of zeros appended, up to `count` rows."""
    return torch.nn.functional.pad(rows, (0, 0, 0, count - rows.shape[-2]))


def identity(layers: Tensor) -> Tensor:
    """The identity in the shape of one layer: for layers ``[..., layer, position, position]``, ``[..., position, position]``."""
    return torch.eye(layers.shape[-1], dtype=layers.dtype).expand(*layers.shape[:-3], -1, -1)


def cross_layer(maps: Maps, layout: Layout, layer: int) -> Tensor | None:
    """The cross-attention of a Q-Former layer, ``[..., query token, position]``; None for a layer without cross-attention."""
    layers = layout.cross_layers
    return maps["qformer_cross"][..., layers.index(layer), :, :] if layer in layers else None
