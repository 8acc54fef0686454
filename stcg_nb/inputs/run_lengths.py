"""Run lengths of masks, for JSON."""

from __future__ import annotations

import numpy as np


def run_lengths(mask: np.ndarray) -> list[int]:
    """Run-length encode a mask, bool ``[height, width]``, row by row; the first run is of False and may be empty.

    >>> run_lengths(np.array([[True, False], [False, True]]))
    [0, 1, 2, 1]
    """
    flat = np.concatenate([[False], np.asarray(mask, dtype=bool).ravel()])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
