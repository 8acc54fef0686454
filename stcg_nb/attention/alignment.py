"""Structural alignment: how strongly words and answer steps are linked to image patches, from what a model attends to.

BLIP-2 has no direct attention from text to patches. The path is text token -> query token (in the language model) ->
patch (in the Q-Former, over what the vision model made of it). Three ways to follow it:

`attention`
    Means over heads and layers. With E the encoder's attention, X the Q-Former's cross-attention and C the decoder's
    cross-attention: S = E[text, query] X, A = C[:, query] X + C[:, text] S, B = C[:, text]. In a language model that is a
    decoder alone, E and C are rows of one map: those of the text, and those of the positions that predict steps. Where it
    reads patches instead of query tokens, X is the identity.
`rollout`
    Abnar and Zuidema 2020 (arXiv 2005.00928): at each layer half attention, half residual, multiplied through all layers;
    the vision model's included. A cross-attention layer adds half of what it reads to half of what was there.
`gradient`
    Chefer et al. 2021 (arXiv 2103.15679), equations 5 to 11: relevance R += a R with a the positive part of attention times
    gradient; across modules R += n(R_reader)' a n(R_read), n normalising all but the identity. Composed through vision
    model, Q-Former and language model, once for each step.

Attention from one forward pass correlates with what an answer rests on; it does not prove it (Jain and Wallace 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stcg_nb.errors import InputError
from stcg_nb.models.protocol import SITES, VISION_SITES, Model, Prompt

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


def needed_sites(estimator: str, sites: Sequence[str] = SITES) -> tuple[str, ...]:
    """What an estimator needs captured of a model's sites.

    >>> needed_sites("attention")
    ('qformer_self', 'qformer_cross', 'encoder', 'decoder', 'cross')
    """
    return tuple(s for s in sites if estimator != "attention" or s not in VISION_SITES)


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
    links = rule({site: m.double() for site, m in maps.items()}, model, prompt)
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


@dataclass(frozen=True)
class _Image:
    """What image tokens link to.

    ``patch`` ``[..., token, patch]``; where the Q-Former reads the question, ``text_patch`` ``[..., its token, patch]`` and
    ``text`` ``[..., token, its token]``.
    """

    patch: Tensor
    text_patch: Tensor
    text: Tensor


@dataclass(frozen=True)
class _Language:
    """Links in the language model: text to image tokens, ``[..., text, token]``, steps to both ``[..., step, token or text]``."""

    text_image: Tensor
    step_image: Tensor
    step_text: Tensor


@dataclass(frozen=True)
class _Links:
    """All links, by token."""

    text_patch: Tensor
    step_patch: Tensor
    step_text: Tensor
    query_text_patch: Tensor
    step_query_text: Tensor


def _attention(maps: Maps, model: Model, prompt: Prompt) -> _Links:
    n = model.n_queries
    if "qformer_cross" in maps:
        cross, own = (
            maps["qformer_cross"].mean(-3)[..., 1:],
            maps["qformer_self"].mean(-3),
        )  # CLS is no place in the image
        image = _Image(cross, own[..., n:, :n] @ cross, own[..., :n, n:])
    else:
        image = _direct(torch.eye(n, dtype=torch.double)[:, n - model.grid[0] * model.grid[1] :])
    if "language" in maps:
        language = _rows(maps["language"].mean(-3), n, prompt)
    else:
        encoder, steps = maps["encoder"].mean(-3), maps["cross"].mean(-3)
        language = _Language(encoder[..., n:, :n], steps[..., :n], steps[..., n:])
    text_patch = language.text_image @ image.patch
    step_patch = language.step_image @ image.patch + language.step_text @ text_patch
    return _Links(text_patch, step_patch, language.step_text, image.text_patch, language.step_image @ image.text)


def _rollout(maps: Maps, model: Model, prompt: Prompt) -> _Links:
    n = model.n_queries
    patches = _through(maps["vit"])
    if "qformer_cross" in maps:
        inner = _eye(maps["qformer_self"])
        count = inner.shape[-1]
        kept = torch.ones(count, 1, dtype=torch.double)
        kept[:n] /= 2  # of the query tokens a cross-attention layer keeps half
        outer = torch.zeros(*inner.shape[:-1], patches.shape[-1], dtype=torch.double)
        for layer in range(maps["qformer_self"].shape[-3]):
            mix = (maps["qformer_self"][..., layer, :, :] + torch.eye(count)) / 2
            inner, outer = mix @ inner, mix @ outer
            reads = _cross_layer(maps, model, layer)
            if reads is not None:
                inner, outer = inner * kept, outer * kept + _below(reads @ patches / 2, count)
        image = _split(inner, outer, n)
    else:
        image = _direct(patches[..., -n:, 1:])
    if "language" in maps:
        language = _rows(_through(maps["language"]), n, prompt)
    else:
        encoder = _through(maps["encoder"])
        steps = _eye(maps["decoder"])
        read = torch.zeros_like(maps["cross"][..., 0, :, :])
        for layer in range(maps["decoder"].shape[-3]):
            mix = (maps["decoder"][..., layer, :, :] + torch.eye(steps.shape[-1])) / 2
            steps, read = mix @ steps, mix @ read
            steps, read = steps / 2, (read + maps["cross"][..., layer, :, :] @ encoder) / 2
        language = _Language(encoder[..., n:, :n], read[..., :n], read[..., n:])
    return _composed(image, language)


def _through(layers: Tensor) -> Tensor:
    """Rollout of a stack of self-attention: ``[..., layer, position, position]`` to ``[..., position, position]``."""
    out = _eye(layers)
    for layer in range(layers.shape[-3]):
        out = (layers[..., layer, :, :] @ out + out) / 2
    return out


def _gradient(maps: Maps, model: Model, prompt: Prompt) -> _Links:
    """Here a leading row is a step: its maps are those of its own token's gradient."""
    n = model.n_queries
    patches = _normalised(_relevance(maps["vit"]))
    if "qformer_cross" in maps:
        inner = _eye(maps["qformer_self"])
        outer = torch.zeros(*inner.shape[:-1], patches.shape[-1], dtype=torch.double)
        for layer in range(maps["qformer_self"].shape[-3]):
            a = maps["qformer_self"][..., layer, :, :]
            inner, outer = inner + a @ inner, outer + a @ outer
            reads = _cross_layer(maps, model, layer)
            if reads is not None:
                outer = outer + _normalised(inner)[..., :n, :].transpose(-1, -2) @ reads @ patches
        image = _split(inner, outer, n)
    else:
        image = _direct(patches[..., -n:, 1:])
    if "language" in maps:
        language = _rows(_relevance(maps["language"]), n, prompt)
    else:
        encoder = _relevance(maps["encoder"])
        steps = _eye(maps["decoder"])
        read = torch.zeros_like(maps["cross"][..., 0, :, :])
        for layer in range(maps["decoder"].shape[-3]):
            a = maps["decoder"][..., layer, :, :]
            steps, read = steps + a @ steps, read + a @ read
            read = read + _normalised(steps).transpose(-1, -2) @ maps["cross"][..., layer, :, :] @ _normalised(encoder)
        language = _Language(encoder[..., n:, :n], read[..., :n], read[..., n:])
    links = _composed(image, language)
    own = torch.arange(len(links.step_patch))
    return _Links(
        links.text_patch.mean(0),  # a word's link with a patch, over the steps
        links.step_patch[own, own], links.step_text[own, own], links.query_text_patch.mean(0), links.step_query_text[own, own],
    )  # fmt: skip


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


def _composed(image: _Image, language: _Language) -> _Links:
    return _Links(
        language.text_image @ image.patch, language.step_image @ image.patch, language.step_text,
        image.text_patch, language.step_image @ image.text,
    )  # fmt: skip


def _rows(joint: Tensor, n: int, prompt: Prompt) -> _Language:
    """The links of a decoder's one map ``[..., position, position]``: image tokens, text, answer."""
    width = n + len(prompt.token_ids)
    steps = joint[..., width - 1 :, :]
    return _Language(joint[..., n:width, :n], steps[..., :n], steps[..., n:width])


def _split(inner: Tensor, outer: Tensor, n: int) -> _Image:
    """A Q-Former's links among its tokens, and from them to the vision model's positions, of which CLS is no place."""
    return _Image(outer[..., :n, 1:], outer[..., n:, 1:], inner[..., :n, n:])


def _direct(patch: Tensor) -> _Image:
    """Image tokens that are patches."""
    return _Image(patch, patch[..., :0, :], patch[..., :, :0])


def _below(rows: Tensor, count: int) -> Tensor:
    """Rows of zeros added up to `count`."""
    return torch.nn.functional.pad(rows, (0, 0, 0, count - rows.shape[-2]))


def _eye(layers: Tensor) -> Tensor:
    """The identity in the shape of one layer."""
    return torch.eye(layers.shape[-1], dtype=layers.dtype).expand(*layers.shape[:-3], -1, -1)


def _cross_layer(maps: Maps, model: Model, layer: int) -> Tensor | None:
    """The cross-attention of a Q-Former layer, if it has one."""
    there = model.cross_layers
    return maps["qformer_cross"][..., there.index(layer), :, :] if layer in there else None


ESTIMATORS: Mapping[str, Callable[[Maps, Model, Prompt], _Links]] = {
    "attention": _attention,
    "rollout": _rollout,
    "gradient": _gradient,
}
