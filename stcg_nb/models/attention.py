"""The one place where attention is captured and cut.

In transformers every attention layer calls a function that is registered by name (`AttentionInterface`). `attend` is that
function for vision model, Q-Former and language model alike:

1. Without an active probe it calls `scaled_dot_product_attention`, so nothing changes.
2. If the active probe cuts edges at this site, it masks them *before* the softmax. (Editing the weights that a layer returns
   would not change the output.)
3. If the active probe captures this site, it computes softmax(QK' + bias + mask) explicitly, uses it for the output, and
   stores its mean over heads, or every head with its gradient.

transformers builds no attention mask for an implementation whose name it does not know, so `install` registers a mask
function too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import eager_mask

from stcg_nb.errors import InputError

IMPLEMENTATION = "stcg"


@dataclass
class Probe:
    """What to capture and cut during a forward pass.

    Attributes:
        capture: Sites whose attention is stored.
        cuts: For a site, True where a query must not attend to a key, bool ``[row, query or 1, key]``.
        with_gradient: Store every head in the autograd graph ``[row, head, query, key]``, not the mean ``[row, query, key]``.
        maps: The stored attention: for each site one tensor per layer.
    """

    capture: frozenset[str] = frozenset()
    cuts: Mapping[str, Tensor] = field(default_factory=dict)
    with_gradient: bool = False
    maps: dict[str, list[Tensor]] = field(default_factory=dict)


_active: ContextVar[Probe | None] = ContextVar("stcg_probe", default=None)


@contextmanager
def probing(
    capture: Iterable[str] = (), cuts: Mapping[str, Tensor] | None = None, *, with_gradient: bool = False
) -> Iterator[Probe]:
    """Capture and cut in every forward pass inside the block.

    Raises:
        InputError: If a cut leaves a query no key to attend to.
    """
    cuts = cuts or {}
    for site, cut in cuts.items():
        if cut.all(-1).any():
            raise InputError(f"The cut at {site!r} leaves a position nothing to attend to; keep at least one key.")
    probe = Probe(frozenset(capture), cuts, with_gradient)
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
    **kwargs: object,
) -> tuple[Tensor, Tensor | None]:
    """The attention function: query, key, value ``[row, head, position, width]`` to output ``[row, position, head, width]``."""
    probe, site = _active.get(), getattr(module, "stcg_site", "")
    if probe is not None and site in probe.cuts:
        cut = probe.cuts[site].to(query.device)[:, None]
        if attention_mask is None:
            attention_mask = torch.zeros(cut.shape, dtype=query.dtype, device=query.device)
        attention_mask = attention_mask.masked_fill(cut, torch.finfo(query.dtype).min)
    if probe is None or site not in probe.capture:
        return sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            dropout=dropout,
            scaling=scaling,
            position_bias=position_bias,
            **kwargs,
        )
    if module.training:
        raise RuntimeError("Attention was captured in training mode, where dropout changes it; call eval() first.")
    groups = getattr(module, "num_key_value_groups", 1)  # query heads per key head
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    scores = torch.matmul(query * (query.shape[-1] ** -0.5 if scaling is None else scaling), key.transpose(2, 3))
    for bias in (position_bias, attention_mask):
        if bias is not None:
            scores = scores + bias if probe.with_gradient else scores.add_(bias)
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    probe.maps.setdefault(site, []).append(weights if probe.with_gradient else weights.mean(1))
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


def install(model: nn.Module, places: Mapping[str, str]) -> None:
    """Route all attention of a model through `attend`; `places` maps each site to a regular expression for its layers' names."""
    AttentionInterface.register(IMPLEMENTATION, attend)
    AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)
    for name, module in model.named_modules():
        for site, pattern in places.items():
            if re.search(pattern, name):
                module.stcg_site = site
    model.set_attn_implementation(IMPLEMENTATION)  # type: ignore[operator]
