"""Which regions touch."""

from __future__ import annotations

import numpy as np

from stcg_nb.inputs.regions import Regions


def touching(regions: Regions) -> np.ndarray:
    """Which regions share a pixel edge, bool ``[region, region]``, False for a region and itself.

    >>> touching(Regions(np.array([[0, 1, 2]]), ("a", "b", "c"))).astype(int).tolist()
    [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    """
    labels = regions.labels
    touch = np.zeros((regions.n, regions.n), dtype=bool)
    for a, b in ((labels[:-1], labels[1:]), (labels[:, :-1], labels[:, 1:])):
        touch[a.ravel(), b.ravel()] = True
    touch |= touch.T
    np.fill_diagonal(touch, False)
    return touch
