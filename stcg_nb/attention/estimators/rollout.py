"""Attention rollout (Abnar and Zuidema 2020, arXiv 2005.00928).

Each self-attention layer is half attention and half identity (the residual stream). The product runs through all layers, the
vision model's included where its attention is captured; elsewhere an image token is taken to show what it covers. A cross-attention
layer averages what it reads with the residual stream.
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
    padded,
    patch_links,
    qformer_links,
    text_rows,
)
from stcg_nb.models.layout import Layout


def _rollout(maps: Maps, layout: Layout) -> TokenLinks:
    maps = {site: m.double() for site, m in maps.items()}
    n = layout.n_image_tokens
    patches = _through(maps["vit"]) if "vit" in maps else torch.eye(n, dtype=torch.double)
    if "qformer_cross" in maps:
        inner = identity(maps["qformer_self"])
        count = inner.shape[-1]
        residual = torch.ones(count, 1, dtype=torch.double)
        residual[:n] /= 2  # cross-attention halves the residual stream of the query tokens
        outer = torch.zeros(*inner.shape[:-1], patches.shape[-1], dtype=torch.double)
        for layer in range(maps["qformer_self"].shape[-3]):
            mix = (maps["qformer_self"][..., layer, :, :] + torch.eye(count)) / 2
            inner, outer = mix @ inner, mix @ outer
            reads = cross_layer(maps, layout, layer)
            if reads is not None:
                inner, outer = inner * residual, outer * residual + padded(reads @ patches / 2, count)
        image = qformer_links(inner, outer, n)
    else:
        image = patch_links(patches[..., -n:, 1:] if "vit" in maps else patches)
    if "language" in maps and "cross" in maps:
        language = _crossed(maps, layout)
    elif "language" in maps:
        language = text_rows(_through(maps["language"]), layout)
    else:
        encoder = _through(maps["encoder"])
        steps = identity(maps["decoder"])
        read = torch.zeros_like(maps["cross"][..., 0, :, :])
        for layer in range(maps["decoder"].shape[-3]):
            mix = (maps["decoder"][..., layer, :, :] + torch.eye(steps.shape[-1])) / 2
            steps, read = mix @ steps, mix @ read
            steps, read = steps / 2, (read + maps["cross"][..., layer, :, :] @ encoder) / 2
        language = LanguageLinks(encoder[..., n:, :n], read[..., :n], read[..., n:])
    return composed(image, language)


def _crossed(maps: Maps, layout: Layout) -> LanguageLinks:
    """Rollout of a language model in which some layers attend to patches, and the others to its own positions."""
    own = identity(maps["language"])
    read = torch.zeros_like(maps["cross"][..., 0, :, :])
    for layer in range(maps["language"].shape[-3] + len(layout.cross_layers)):
        if layer in layout.cross_layers:
            own, read = own / 2, (read + maps["cross"][..., layout.cross_layers.index(layer), :, :]) / 2
        else:
            a = maps["language"][..., layer - sum(c < layer for c in layout.cross_layers), :, :]
            own, read = (a @ own + own) / 2, (a @ read + read) / 2
    return crossed_rows(own, read, layout)


def _through(layers: Tensor) -> Tensor:
    """Rollout of a stack of self-attention: ``[..., layer, position, position]`` to ``[..., position, position]``."""
    out = identity(layers)
    for layer in range(layers.shape[-3]):
        out = (layers[..., layer, :, :] @ out + out) / 2
    return out


ESTIMATORS.add("rollout", Estimator(_rollout), _rollout)
