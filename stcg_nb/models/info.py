"""What a loaded model is, for people: its size, where it computes, what it takes of the memory."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

from stcg_nb.models.protocol import Model


@dataclass(frozen=True)
class Facts:
    """A loaded model.

    Attributes:
        name, revision: As on figures, and which weights.
        kind: The class of its network; ``"none"`` of the mock.
        parameters: How many.
        weight_bytes: What its weights take.
        device, dtype: Where and in what it computes.
        memory_bytes: What this process holds on that device, weights and all else.
    """

    name: str
    revision: str
    kind: str
    parameters: int
    weight_bytes: int
    device: str
    dtype: str
    memory_bytes: int


def facts(model: Model) -> Facts:
    """The facts about a model.

    >>> from stcg_nb import load_model
    >>> facts(load_model("mock")).parameters
    0
    """
    network = getattr(model, "network", None)
    if network is None:
        return Facts(model.name, model.revision, "none", 0, 0, "cpu", "none", psutil.Process().memory_info().rss)
    weights = list(network.parameters())
    device = weights[0].device
    used = torch.cuda.memory_allocated(device) if device.type == "cuda" else psutil.Process().memory_info().rss
    return Facts(
        model.name, model.revision, type(network).__name__, sum(w.numel() for w in weights),
        sum(w.numel() * w.element_size() for w in weights), str(device), str(network.dtype).removeprefix("torch."), used,
    )  # fmt: skip
