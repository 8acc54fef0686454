"""Links between the tokens of a model's parts, from which every estimator composes alignment.

An estimator registers itself in `ESTIMATORS` (`stcg_nb.attention.estimators`): from attention maps to `TokenLinks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from stcg_nb.models.protocol import Model, Prompt
from stcg_nb.registry import Registry

Maps = Mapping[str, Tensor]
"""Attention by site, ``[..., layer, query, key]``."""


@dataclass(frozen=True)
class ImageLinks:
    """What image tokens link to.

    ``patch`` ``[..., token, patch]``; where the Q-Former reads the question, ``text_patch`` ``[..., its token, patch]`` and
    ``text`` ``[..., token, its token]``.
    """

    patch: Tensor
    text_patch: Tensor
    text: Tensor


@dataclass(frozen=True)
class LanguageLinks:
    """Links in the language model: text to image tokens, ``[..., text, token]``, steps to both ``[..., step, token or text]``."""

    text_image: Tensor
    step_image: Tensor
    step_text: Tensor


@dataclass(frozen=True)
class TokenLinks:
    """All links, by token."""

    text_patch: Tensor
    step_patch: Tensor
    step_text: Tensor
    query_text_patch: Tensor
    step_query_text: Tensor


@dataclass(frozen=True)
class Estimator:
    """A way to read alignment off a model.

    Attributes:
        compose: From maps, the model and the prompt to links by token.
        by_gradient: Whether the maps are attention times its gradient (`Model.relevance`) instead of attention.
        reads_vision: Whether it needs the vision model's attention too.
    """

    compose: Callable[[Maps, Model, Prompt], TokenLinks]
    by_gradient: bool = False
    reads_vision: bool = True


ESTIMATORS = Registry[Estimator]("estimator")
"""Every estimator of alignment, by name."""


def composed(image: ImageLinks, language: LanguageLinks) -> TokenLinks:
    return TokenLinks(
        language.text_image @ image.patch, language.step_image @ image.patch, language.step_text,
        image.text_patch, language.step_image @ image.text,
    )  # fmt: skip


def text_rows(joint: Tensor, n: int, prompt: Prompt) -> LanguageLinks:
    """The links of a decoder's one map ``[..., position, position]``: image tokens, text, answer."""
    width = n + len(prompt.token_ids)
    steps = joint[..., width - 1 :, :]
    return LanguageLinks(joint[..., n:width, :n], steps[..., :n], steps[..., n:width])


def qformer_links(inner: Tensor, outer: Tensor, n: int) -> ImageLinks:
    """A Q-Former's links among its tokens, and from them to the vision model's positions, of which CLS is no place."""
    return ImageLinks(outer[..., :n, 1:], outer[..., n:, 1:], inner[..., :n, n:])


def patch_links(patch: Tensor) -> ImageLinks:
    """Image tokens that are patches."""
    return ImageLinks(patch, patch[..., :0, :], patch[..., :, :0])


def padded(rows: Tensor, count: int) -> Tensor:
    """Rows of zeros added up to `count`."""
    return torch.nn.functional.pad(rows, (0, 0, 0, count - rows.shape[-2]))


def identity(layers: Tensor) -> Tensor:
    """The identity in the shape of one layer."""
    return torch.eye(layers.shape[-1], dtype=layers.dtype).expand(*layers.shape[:-3], -1, -1)


def cross_layer(maps: Maps, model: Model, layer: int) -> Tensor | None:
    """The cross-attention of a Q-Former layer, if it has one."""
    there = model.cross_layers
    return maps["qformer_cross"][..., there.index(layer), :, :] if layer in there else None
