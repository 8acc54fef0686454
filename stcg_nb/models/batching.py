"""Many rows through a network, as many at a time as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import psutil
import torch

from stcg_nb.progress import progress

HUNGRY = {"relevance": 8}  # a pass with gradients takes this many times the memory of a plain one


class Batches:
    """Calls a function on slices of rows; where memory runs out, half as many rows are tried, and stay the limit.

    Args:
        vision: The vision model's configuration.
        grid: Its patches.
        language_cost: Numbers that the language model holds for a row.
        device: Whose memory counts.
    """

    def __init__(self, vision: Any, grid: Sequence[int], language_cost: int, device: torch.device) -> None:
        positions = grid[0] * grid[1] + 1
        row = positions * (vision.intermediate_size * 4 + vision.num_attention_heads * positions * 3)
        self._bytes, self._device = 4 * (row + language_cost), device
        self._rows: dict[str, int] = {}

    def __call__(self, task: str, n: int, run: Callable[[slice], Any]) -> list[Any]:
        """What `run` returns for each slice of `n` rows."""
        size = self._rows.setdefault(task, self._fitting_rows(HUNGRY.get(task, 1)))
        results = []
        done = 0
        with progress(task, n, "row") as advance:
            while done < n:
                rows = slice(done, min(done + size, n))
                try:
                    results.append(run(rows))
                except RuntimeError as error:  # torch.OutOfMemoryError is one
                    full = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
                    if not full or size == 1:
                        raise
                    size = self._rows[task] = max(1, size // 2)
                else:
                    advance(rows.stop - done)
                    done = rows.stop
        return results

    def _fitting_rows(self, cost: int) -> int:
        """Rows whose activations take a third of the free memory, at most 64; `cost` is in units of a plain forward pass."""
        return int(np.clip(free_memory(self._device) / 3 / (self._bytes * cost), 1, 64))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, or in this machine for a device without memory of its own."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
