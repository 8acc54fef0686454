"""Verdicts compare attention with interventions, edge by edge, by intervals instead of hand-picked thresholds.

- *confirmed*: attention links the edge, and the intervention has an effect.
- *spurious*: attention links the edge, but the intervention has no effect.
- *hidden*: the intervention has an effect, but attention does not link the edge.
- *none*: neither.

An edge has an effect if the interval of its causal weight excludes zero. Attention links an edge if its share of attention
exceeds the share expected by chance: a region's share of the image's area, or 1 / number of words. The map is a mean over layers,
so layers are resampled (bootstrap, 200 draws), and the 2.5th percentile of the edge's share must exceed chance.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from stcg_nb.attention.alignment import Alignment, align
from stcg_nb.case import Case
from stcg_nb.stats.divergence import normalised

VERDICTS = ("confirmed", "spurious", "hidden", "none")
DRAWS = 200  # of the bootstrap over layers


def attended(case: Case, maps: Mapping[str, Tensor], seed: int = 0) -> Alignment:
    """Which edges attention links, bool: ``[word, region]``, ``[step, region]`` and ``[step, word]``.

    Args:
        case: The case whose words, regions and steps are linked.
        maps: Attention captured on its image, ``[layer, query, key]`` for each site.
        seed: Seeds the bootstrap over layers.
    """
    if not maps:  # the model's attention cannot be captured: nothing is linked
        words, steps, regions = len(case.prompt.words), len(case.answer.token_ids), case.regions.n
        return Alignment(
            *(np.zeros(shape, dtype=bool) for shape in ((words, regions), (steps, regions), (steps, words)))
        )
    rng = np.random.default_rng(seed)
    drawn = {site: _resampled(m, rng) for site, m in maps.items()}
    samples = align("attention", drawn, case.layout).by_region(case)
    covered = case.patch_share.any(1)
    area = case.patch_share[covered].mean(0) if covered.any() else np.ones(case.regions.n)

    def above(weights: np.ndarray, chance: np.ndarray | float) -> np.ndarray:
        return np.percentile(normalised(weights), 2.5, axis=0) > chance

    return Alignment(
        above(samples.word_patch, area),
        above(samples.step_patch, area),
        above(samples.step_word, 1 / len(case.prompt.words)),
    )


def _resampled(layers: Tensor, rng: np.random.Generator) -> Tensor:
    """The mean over layers drawn with replacement, ``[draw, 1, query, key]``, for maps ``[layer, query, key]``."""
    picked = rng.integers(len(layers), size=(DRAWS, len(layers)))
    share = torch.from_numpy((picked[..., None] == np.arange(len(layers))).mean(1))
    return torch.einsum("dl,lqk->dqk", share, layers.double())[:, None]


def verdict(effect: np.ndarray, linked: np.ndarray) -> np.ndarray:
    """The verdict of each edge, text, in the shape of the arguments.

    Args:
        effect: Whether the interval of the causal weight excludes zero, bool ``[...]``.
        linked: Whether attention links the edge, bool ``[...]``.

    >>> verdict(np.array([True, False, True, False]), np.array([True, True, False, False])).tolist()
    ['confirmed', 'spurious', 'hidden', 'none']
    """
    return np.select([effect & linked, linked, effect], VERDICTS[:3], VERDICTS[3])
