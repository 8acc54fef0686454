"""Batches as large as memory allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import torch

from stcg_nb.progress import progress

MEMORY_FACTOR = {"relevance": 8}  # memory of a pass with gradients, relative to a plain forward pass


class Batches:
    """Calls a function on slices of rows. When memory runs out, it halves the batch size, for all later calls too.

    Args:
        row_numbers: About how many numbers a forward pass holds in memory at once for one row.
        device: The device whose memory is used.
    """

    def __init__(self, row_numbers: int, device: torch.device) -> None:
        self._bytes, self._device = 4 * row_numbers, device
        self._rows: dict[str, int] = {}

    def __call__(self, task: str, n: int, run: Callable[[slice], Any]) -> list[Any]:
        """Call `run` on consecutive slices of `n` rows and return its results; `task` names the work in the progress bar."""
        size = self._rows.setdefault(task, self._fitting_rows(MEMORY_FACTOR.get(task, 1)))
        results = []
        done = 0
        with progress(task, n, "row") as advance:
            while done < n:
                rows = slice(done, min(done + size, n))
                try:
                    results.append(run(rows))
                except RuntimeError as error:  # torch.OutOfMemoryError is a subclass
                    out_of_memory = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
                    if not out_of_memory or size == 1:
                        raise
                    size = self._rows[task] = max(1, size // 2)
                else:
                    advance(rows.stop - done)
                    done = rows.stop
        return results

    def _fitting_rows(self, cost: int) -> int:
        """How many rows take a third of the free memory, 1 to 64; `cost` is memory relative to a plain forward pass."""
        return int(np.clip(free_memory(self._device) / 3 / (self._bytes * cost), 1, 64))


def free_memory(device: torch.device) -> int:
    """Free bytes of a CUDA device, or of the host for any other device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
