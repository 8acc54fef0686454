"""The one place where attention is captured and cut.

In transformers every attention layer calls a function that is registered by name (`AttentionInterface`). `attend` is that
function for vision model, Q-Former and language model alike:

1. Without an active probe it calls `scaled_dot_product_attention`, so nothing changes.
2. If the active probe cuts edges at this site, it masks them *before* the softmax. (Editing the weights that a layer returns
   would not change the output.)
3. If the active probe captures this site, it computes softmax(cap(QK') + bias + mask) explicitly, uses it for the output, and
   stores its mean over heads, or every head with its gradient. A layer that caps its scores or has an attention sink is always
   computed explicitly, since `scaled_dot_product_attention` knows neither.

transformers builds no attention mask for an implementation whose name it does not know, so `install` registers its eager mask
function. With it, as in transformers' eager attention, nothing is masked unless a mask is given. (Its sdpa guesses from the
layer's ``is_causal`` instead, which is wrong for some vision models.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask

from stcg_nb.errors import InputError

IMPLEMENTATION = "stcg"


@dataclass
class Probe:
    """What to capture and cut during a forward pass.

    Attributes:
        capture: Sites whose attention is stored.
        cuts: For a site, True where a query must not attend to a key, bool ``[row, query or 1, key]``. If a call has fewer
            queries (the positions before them are cached), the last rows of the cut are used.
        with_gradient: Store every head in the autograd graph ``[row, head, query, key]``, not the mean ``[row, query, key]``.
        queries: Positions of the queries whose attention is stored; None: all.
        local: Sites where every position attends to itself alone, to find out which part of its input a position covers.
        maps: The stored attention: for each site one tensor per layer.
        heard: The layers that called `attend`, in order, each with the shape of its queries ``(row, head, position, width)``.
    """

    capture: frozenset[str] = frozenset()
    cuts: Mapping[str, Tensor] = field(default_factory=dict)
    with_gradient: bool = False
    queries: Tensor | None = None
    local: frozenset[str] = frozenset()
    maps: dict[str, list[Tensor]] = field(default_factory=dict)
    heard: list[tuple[nn.Module, torch.Size]] = field(default_factory=list)


_active: ContextVar[Probe | None] = ContextVar("stcg_probe", default=None)


@contextmanager
def probing(
    capture: Iterable[str] = (),
    cuts: Mapping[str, Tensor] | None = None,
    *,
    with_gradient: bool = False,
    queries: Tensor | None = None,
    local: Iterable[str] = (),
) -> Iterator[Probe]:
    """Capture and cut in every forward pass inside the block.

    Raises:
        InputError: If a cut leaves a query no key to attend to.
    """
    cuts = cuts or {}
    for site, cut in cuts.items():
        if cut.all(-1).any():
            raise InputError(f"The cut at {site!r} leaves a position nothing to attend to; keep at least one key.")
    probe = Probe(frozenset(capture), cuts, with_gradient, queries, frozenset(local))
    token = _active.set(probe)
    try:
        yield probe
    finally:
        _active.reset(token)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    position_bias: Tensor | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """The attention function: query, key, value ``[row, head, position, width]`` to output ``[row, position, head, width]``.

    Args:
        module: The layer.
        query, key, value: What the layer computed; there may be fewer heads of keys and values than of queries.
        attention_mask: Added to the scores, ``[row or 1, 1, query, key]``.
        scaling: Factor of the scores.
        dropout: Not used: the model is in eval mode.
        position_bias: Added to the scores.
        softcap: The largest size of a score: scores become softcap x tanh(score / softcap).
        s_aux: The score of each head's attention sink, ``[head]``, which takes a share of attention and gives no value.
        kwargs: Passed to sdpa.
    """
    probe, site = _active.get(), getattr(module, "stcg_site", "")
    if probe is not None:
        probe.heard.append((module, query.shape))
        if site in probe.local:
            return _local(query, value), None
        if site in probe.cuts:
            attention_mask = _cut(attention_mask, probe.cuts[site].to(query.device), query)
    captured = probe is not None and site in probe.capture
    if not captured and softcap is None and s_aux is None:
        causal = {"is_causal": False} if attention_mask is None else {}
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, position_bias=position_bias,
            **{**kwargs, **causal},
        )  # fmt: skip
    if module.training:
        raise RuntimeError("Attention was computed in training mode, where dropout changes it; call eval() first.")
    keeps_heads = probe is not None and probe.with_gradient
    key, value = _repeated(key, query), _repeated(value, query)
    scores = torch.matmul(query * (query.shape[-1] ** -0.5 if scaling is None else scaling), key.transpose(2, 3))
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    for bias in (position_bias, attention_mask):
        if bias is not None:
            scores = scores + bias if keeps_heads else scores.add_(bias)
    if s_aux is not None:
        sink = s_aux.to(scores.dtype).view(1, -1, 1, 1).expand(len(scores), -1, scores.shape[2], 1)
        scores = torch.cat([scores, sink], -1)
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    if s_aux is not None:
        weights = weights[..., :-1]
    if probe is not None and captured:
        kept = weights if probe.queries is None else weights[:, :, probe.queries.to(weights.device)]
        probe.maps.setdefault(site, []).append(kept if keeps_heads else kept.mean(1))
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


def _cut(mask: Tensor | None, cut: Tensor, query: Tensor) -> Tensor:
    """The mask ``[row, 1, query, key]`` with a cut ``[row, query or 1, key]`` added to it."""
    if cut.shape[1] > 1:
        cut = cut[:, -query.shape[2] :]
    cut = cut[:, None]
    if mask is None:
        mask = torch.zeros(cut.shape, dtype=query.dtype, device=query.device)
    return mask.masked_fill(cut, torch.finfo(query.dtype).min)


def _repeated(states: Tensor, query: Tensor) -> Tensor:
    """Keys or values with each head repeated, so that there are as many heads as in the queries."""
    groups = query.shape[1] // states.shape[1]
    return states if groups == 1 else states.repeat_interleave(groups, 1)


def _local(query: Tensor, value: Tensor) -> Tensor:
    """The output if each position attends to itself alone; to all alike, where queries and keys are not the same positions."""
    value = _repeated(value, query)
    if value.shape[2] != query.shape[2]:
        value = value.mean(2, keepdim=True).expand(-1, -1, query.shape[2], -1)
    return value.transpose(1, 2).contiguous()


def install(model: nn.Module, places: Mapping[str, str]) -> None:
    """Route all attention of a model through `attend`; `places` maps each site to a regular expression for its layers' names."""
    AttentionInterface.register(IMPLEMENTATION, attend)
    AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)
    for name, module in model.named_modules():
        for site, pattern in places.items():
            if re.search(pattern, name):
                module.stcg_site = site
    model.set_attn_implementation(IMPLEMENTATION)  # type: ignore[operator]
