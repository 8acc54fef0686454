"""The one place where attention is captured and cut.

transformers lets every attention layer call a function registered by name (`AttentionInterface`). The function here
is that call for vision model, Q-Former and language model alike:

1. no probe is active: hand over to `scaled_dot_product_attention`, so nothing changes;
2. the active probe cuts edges at this site: mask them *before* the softmax (editing the weights that a layer returns would
   change nothing);
3. the active probe captures this site: compute softmax(QK' + bias + mask) openly, use it for the output, and keep it:
   its mean over heads, or the whole with its gradient.

The library builds no mask at all for a name that it does not know, so the mask function is registered too.
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
        capture: Sites to keep.
        cuts: For a site, True where a key must not be seen: ``[row, query or 1, key]``.
        with_gradient: Keep every head with its graph ``[row, head, query, key]``, not the mean ``[row, query, key]``.
        maps: What was kept: one tensor for each layer of a site.
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
        InputError: If a cut would leave a row nothing to attend to.
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
    """The attention function: query, key, value ``[row, head, position, width]``, result ``[row, position, head, width]``."""
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
    groups = getattr(module, "num_key_value_groups", 1)  # heads of queries that share one of keys
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    scores = torch.matmul(query * (query.shape[-1] ** -0.5 if scaling is None else scaling), key.transpose(2, 3))
    for extra in (position_bias, attention_mask):
        if extra is not None:
            scores = scores + extra if probe.with_gradient else scores.add_(extra)
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    probe.maps.setdefault(site, []).append(weights if probe.with_gradient else weights.mean(1))
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


def install(model: nn.Module, places: Mapping[str, str]) -> None:
    """Send all attention of a model through `attend` and tell each layer its site, by regular expressions for names."""
    AttentionInterface.register(IMPLEMENTATION, attend)
    AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)
    for name, module in model.named_modules():
        for site, pattern in places.items():
            if re.search(pattern, name):
                module.stcg_site = site
    model.set_attn_implementation(IMPLEMENTATION)  # type: ignore[operator]
