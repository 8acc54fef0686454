"""Structural alignment: how strongly words and answer steps are linked to image patches, from what a model attends to.

BLIP-2 has no direct attention from text to patches. The path is text token -> query token (in the language model) ->
patch (in the Q-Former, over what the vision model made of it). Three ways to follow it:

`attention`
    Means over heads and layers. With E the encoder's attention, X the Q-Former's cross-attention and C the decoder's
    cross-attention: S = E[text, query] X, A = C[:, query] X + C[:, text] S, B = C[:, text].
`rollout`
    Abnar and Zuidema 2020 (arXiv 2005.00928): at each layer half attention, half residual, multiplied through all layers;
    the vision model's included. A cross-attention layer adds half of what it reads to half of what was there.
`gradient`
    Chefer et al. 2021 (arXiv 2103.15679), equations 5 to 11: relevance R += a R with a the positive part of attention times
    gradient; across modules R += n(R_reader)' a n(R_read), n normalising all but the identity. Composed through vision
    model, Q-Former, encoder and decoder, once for each step.

Attention from one forward pass correlates with what an answer rests on; it does not prove it (Jain and Wallace 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stcg_nb.errors import InputError
from stcg_nb.models.base import QUERY_SITES, SITES, TEXT_SITES, Model, Prompt

Maps = Mapping[str, Tensor]


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


def check_estimator(name: str) -> str:
    """The name itself, if it is one of `ESTIMATORS`.

    Raises:
        InputError: Otherwise; the sentence lists the valid ones.
    """
    if name not in ESTIMATORS:
        raise InputError(f"{name!r} is no estimator; valid are {', '.join(ESTIMATORS)}.")
    return name


def needed_sites(estimator: str) -> tuple[str, ...]:
    """What an estimator needs captured.

    >>> needed_sites("attention")
    ('qformer_self', 'qformer_cross', 'encoder', 'decoder', 'cross')
    """
    return QUERY_SITES + TEXT_SITES if estimator == "attention" else SITES


def align(estimator: str, maps: Maps, model: Model, prompt: Prompt) -> Alignment:
    """Alignment of words and steps with patches.

    Args:
        estimator: One of `ESTIMATORS`.
        maps: For each needed site ``[..., layer, query, key]``: `Trace.attention` for `attention` and `rollout`,
            `Model.relevance` (a row is a step) for `gradient`.
        model: Where they come from.
        prompt: The question.
    """
    rule = ESTIMATORS[check_estimator(estimator)]
    wide = {site: m.double() for site, m in maps.items()}
    text_patch, step_patch, step_text = (m.numpy() for m in rule(wide, model.n_queries))
    members = [list(tokens) for tokens in prompt.word_tokens]
    return Alignment(
        np.stack([text_patch[..., t, :].mean(-2) for t in members], -2),
        step_patch,
        np.stack([step_text[..., t].sum(-1) for t in members], -1),
    )


def _attention(maps: Maps, n: int) -> tuple[Tensor, Tensor, Tensor]:
    encoder, cross, queries = (maps[s].mean(-3) for s in ("encoder", "cross", "qformer_cross"))
    queries = queries[..., 1:]  # CLS is no place in the image
    text_patch = encoder[..., n:, :n] @ queries
    return text_patch, cross[..., :n] @ queries + cross[..., n:] @ text_patch, cross[..., n:]


def _rollout(maps: Maps, n: int) -> tuple[Tensor, Tensor, Tensor]:
    patches = _through(maps["vit"])
    count = maps["qformer_self"].shape[-1]
    inner = _eye(maps["qformer_self"])
    outer = torch.zeros_like(maps["qformer_cross"][..., 0, :, :])
    for layer in range(maps["qformer_self"].shape[-3]):
        mix = (maps["qformer_self"][..., layer, :, :] + torch.eye(count)) / 2
        inner, outer = mix @ inner, mix @ outer
        reads = _cross_layer(maps, layer)
        if reads is not None:
            inner, outer = inner / 2, (outer + reads @ patches) / 2
    encoder = _through(maps["encoder"])
    steps = _eye(maps["decoder"])
    read = torch.zeros_like(maps["cross"][..., 0, :, :])
    for layer in range(maps["decoder"].shape[-3]):
        mix = (maps["decoder"][..., layer, :, :] + torch.eye(steps.shape[-1])) / 2
        steps, read = mix @ steps, mix @ read
        steps, read = steps / 2, (read + maps["cross"][..., layer, :, :] @ encoder) / 2
    queries = outer[..., 1:]
    return encoder[..., n:, :n] @ queries, read[..., :n] @ queries, read[..., n:]


def _through(layers: Tensor) -> Tensor:
    """Rollout of a stack of self-attention: ``[..., layer, position, position]`` to ``[..., position, position]``."""
    out = _eye(layers)
    for layer in range(layers.shape[-3]):
        out = (layers[..., layer, :, :] @ out + out) / 2
    return out


def _gradient(maps: Maps, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Here a leading row is a step: its maps are those of its own token's gradient."""
    patches = _relevance(maps["vit"])
    inner = _eye(maps["qformer_self"])
    outer = torch.zeros_like(maps["qformer_cross"][..., 0, :, :])
    for layer in range(maps["qformer_self"].shape[-3]):
        a = maps["qformer_self"][..., layer, :, :]
        inner, outer = inner + a @ inner, outer + a @ outer
        reads = _cross_layer(maps, layer)
        if reads is not None:
            outer = outer + _normalised(inner).transpose(-1, -2) @ reads @ _normalised(patches)
    encoder = _relevance(maps["encoder"])
    steps = _eye(maps["decoder"])
    read = torch.zeros_like(maps["cross"][..., 0, :, :])
    for layer in range(maps["decoder"].shape[-3]):
        a = maps["decoder"][..., layer, :, :]
        steps, read = steps + a @ steps, read + a @ read
        read = read + _normalised(steps).transpose(-1, -2) @ maps["cross"][..., layer, :, :] @ _normalised(encoder)
    queries = outer[..., 1:]
    text_patch = (encoder[..., n:, :n] @ queries).mean(0)  # a word's link with a patch, over the steps
    own = torch.arange(read.shape[0])
    at_own_step = read[own, own]
    return text_patch, (at_own_step[:, None, :n] @ queries)[:, 0], at_own_step[:, n:]


def _relevance(layers: Tensor) -> Tensor:
    out = _eye(layers)
    for layer in range(layers.shape[-3]):
        out = out + layers[..., layer, :, :] @ out
    return out


def _normalised(relevance: Tensor) -> Tensor:
    """Rows of all but the identity sum to one (a row of zeros stays one), plus the identity: equations 8 and 9."""
    eye = torch.eye(relevance.shape[-1], dtype=relevance.dtype)
    rest = relevance - eye
    total = rest.sum(-1, keepdim=True)
    return rest / total.where(total > 0, torch.ones_like(total)) + eye


def _eye(layers: Tensor) -> Tensor:
    """The identity in the shape of one layer."""
    return torch.eye(layers.shape[-1], dtype=layers.dtype).expand(*layers.shape[:-3], -1, -1)


def _cross_layer(maps: Maps, layer: int) -> Tensor | None:
    """The cross-attention of a Q-Former layer, which only every `frequency`-th has, the first included."""
    frequency = maps["qformer_self"].shape[-3] // maps["qformer_cross"].shape[-3]
    return maps["qformer_cross"][..., layer // frequency, :, :] if layer % frequency == 0 else None


ESTIMATORS: Mapping[str, Callable[[Maps, int], tuple[Tensor, Tensor, Tensor]]] = {
    "attention": _attention,
    "rollout": _rollout,
    "gradient": _gradient,
}
