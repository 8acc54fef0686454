"""Attention times its gradient (Chefer et al. 2021, arXiv 2103.15679, equations 5 to 11).

Relevance is updated layer by layer: R += a R in self-attention, where a is the positive part of attention times gradient, and
R += n(R_reader)' a n(R_read) in cross-attention, where n normalises all but the identity. It is composed through vision model,
Q-Former and language model, once for each step. Where the vision model's attention is not captured, an image token is taken to show
what it covers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stcg_nb.attention.token_links import (
    ESTIMATORS,
    Estimator,
    LanguageLinks,
    Maps,
    TokenLinks,
    composed,
    cross_layer,
    crossed_rows,
    identity,
    patch_links,
    qformer_links,
    text_rows,
)
from stcg_nb.models.layout import Layout


def _gradient(maps: Maps, layout: Layout) -> TokenLinks:
    """The leading dimension is the step; the gradient in its maps is that of the step's own token."""
    maps = {site: m.double() for site, m in maps.items()}
    n = layout.n_image_tokens
    patches = _normalised(_relevance(maps["vit"])) if "vit" in maps else torch.eye(n, dtype=torch.double)
    if "qformer_cross" in maps:
        inner = identity(maps["qformer_self"])
        outer = torch.zeros(*inner.shape[:-1], patches.shape[-1], dtype=torch.double)
        for layer in range(maps["qformer_self"].shape[-3]):
            a = maps["qformer_self"][..., layer, :, :]
            inner, outer = inner + a @ inner, outer + a @ outer
            reads = cross_layer(maps, layout, layer)
            if reads is not None:
                outer = outer + _normalised(inner)[..., :n, :].transpose(-1, -2) @ reads @ patches
        image = qformer_links(inner, outer, n)
    else:
        image = patch_links(patches[..., -n:, 1:] if "vit" in maps else patches)
    if "language" in maps and "cross" in maps:
        language = _crossed(maps, layout)
    elif "language" in maps:
        language = text_rows(_relevance(maps["language"]), layout)
    else:
        encoder = _relevance(maps["encoder"])
        steps = identity(maps["decoder"])
        read = torch.zeros_like(maps["cross"][..., 0, :, :])
        for layer in range(maps["decoder"].shape[-3]):
            a = maps["decoder"][..., layer, :, :]
            steps, read = steps + a @ steps, read + a @ read
            read = read + _normalised(steps).transpose(-1, -2) @ maps["cross"][..., layer, :, :] @ _normalised(encoder)
        language = LanguageLinks(encoder[..., n:, :n], read[..., :n], read[..., n:])
    links = composed(image, language)
    own = torch.arange(len(links.step_patch))
    return TokenLinks(
        links.text_patch.mean(0),  # mean over steps
        links.step_patch[own, own], links.step_text[own, own], links.query_text_patch.mean(0), links.step_query_text[own, own],
    )  # fmt: skip


def _crossed(maps: Maps, layout: Layout) -> LanguageLinks:
    """Relevance in a language model in which some layers attend to patches, and the others to its own positions."""
    own = identity(maps["language"])
    read = torch.zeros_like(maps["cross"][..., 0, :, :])
    for layer in range(maps["language"].shape[-3] + len(layout.cross_layers)):
        if layer in layout.cross_layers:
            a = maps["cross"][..., layout.cross_layers.index(layer), :, :]
            read = read + _normalised(own).transpose(-1, -2) @ a
        else:
            a = maps["language"][..., layer - sum(c < layer for c in layout.cross_layers), :, :]
            own, read = own + a @ own, read + a @ read
    return crossed_rows(own, read, layout)


def _relevance(layers: Tensor) -> Tensor:
    """Relevance through a stack of self-attention: ``[..., layer, position, position]`` to ``[..., position, position]``."""
    out = identity(layers)
    for layer in range(layers.shape[-3]):
        out = out + layers[..., layer, :, :] @ out
    return out


def _normalised(relevance: Tensor) -> Tensor:
    """Equations 8 and 9, ``[..., position, position]``: without the identity, rows are scaled to sum to one (rows of zeros stay
    zero); the identity is added again."""
    eye = torch.eye(relevance.shape[-1], dtype=relevance.dtype)
    rest = relevance - eye
    total = rest.sum(-1, keepdim=True)
    return rest / total.where(total > 0, torch.ones_like(total)) + eye


ESTIMATORS.add("gradient", Estimator(_gradient, by_gradient=True), _gradient)
