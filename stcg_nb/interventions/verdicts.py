"""What attention says of an edge against what interventions say, judged by intervals and not by thresholds chosen by eye.

- *confirmed*: attention links the two, and taking one away has an effect.
- *spurious*: attention links them, but nothing is lost.
- *hidden*: there is an effect, but attention does not show it.
- *none*: neither.

There is an effect where the causal weight's interval leaves out zero. Attention links where its share is above a fair share by
interval: the map is a mean over layers, so layers are resampled (bootstrap, 200 draws), and the 2.5th percentile of the
edge's share must exceed what it would get by chance: a region its share of the area, a word one in as many as there are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from stcg_nb.attention.alignment import Alignment, align
from stcg_nb.case import Case
from stcg_nb.stats.divergence import normalised

VERDICTS = ("confirmed", "spurious", "hidden", "none")
DRAWS = 200


def attended(case: Case, maps: Mapping[str, Tensor], seed: int = 0) -> Alignment:
    """Which edges attention links, bool: ``[word, region]``, ``[step, region]`` and ``[step, word]``.

    Args:
        case: Whose words, regions and steps.
        maps: Attention captured of its picture, for each site ``[layer, query, key]``.
        seed: Of the bootstrap over layers.
    """
    rng = np.random.default_rng(seed)
    drawn = {site: m[rng.integers(len(m), size=(DRAWS, len(m)))] for site, m in maps.items()}
    samples = align("attention", drawn, case.model, case.prompt).by_region(case)
    x0, y0, x1, y1 = case.view
    seen = case.regions.labels[y0:y1, x0:x1]
    area = np.bincount(seen.ravel(), minlength=case.regions.n) / seen.size

    def above(weights: np.ndarray, fair: np.ndarray | float) -> np.ndarray:
        return np.percentile(normalised(weights), 2.5, axis=0) > fair

    return Alignment(
        above(samples.word_patch, area),
        above(samples.step_patch, area),
        above(samples.step_word, 1 / len(case.prompt.words)),
    )


def verdict(effect: np.ndarray, linked: np.ndarray) -> np.ndarray:
    """The verdicts of edges of any shape, as text.

    Args:
        effect: Whether the causal interval leaves out zero.
        linked: Whether attention links.

    >>> verdict(np.array([True, False, True, False]), np.array([True, True, False, False])).tolist()
    ['confirmed', 'spurious', 'hidden', 'none']
    """
    return np.select([effect & linked, linked, effect], VERDICTS[:3], VERDICTS[3])
