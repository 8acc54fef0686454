"""A loaded model's size, device, number format and memory, as shown to people."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

from stcg_nb.models.protocol import Model


@dataclass(frozen=True)
class ModelInfo:
    """A loaded model.

    Attributes:
        name, revision: Its name on figures, and which weights it has.
        kind: The class of its network; ``"none"`` for the mock.
        parameters: Number of weights.
        weight_bytes: Bytes that its weights take.
        device, dtype: The device and the number format in which it computes.
        memory_bytes: Bytes that this process holds on that device, weights included.
    """

    name: str
    revision: str
    kind: str
    parameters: int
    weight_bytes: int
    device: str
    dtype: str
    memory_bytes: int


def model_info(model: Model) -> ModelInfo:
    """Size, device and memory of a loaded model.

    >>> from stcg_nb import load_model
    >>> model_info(load_model("mock")).parameters
    0
    """
    network = getattr(model, "network", None)
    if network is None:
        return ModelInfo(model.name, model.revision, "none", 0, 0, "cpu", "none", psutil.Process().memory_info().rss)
    weights = list(network.parameters())
    device = weights[0].device
    used = torch.cuda.memory_allocated(device) if device.type == "cuda" else psutil.Process().memory_info().rss
    return ModelInfo(
        model.name, model.revision, type(network).__name__, sum(w.numel() for w in weights),
        sum(w.numel() * w.element_size() for w in weights), str(device), str(network.dtype).removeprefix("torch."), used,
    )  # fmt: skip
