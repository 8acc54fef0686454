"""Keep the number of image tokens of a picture in bounds, by the settings that a checkpoint's image processor has.

Many checkpoints read a picture of a thousand pixels as several thousand image tokens. A row of masks then costs seconds even on a
large GPU, and attention maps take gigabytes. So the setting of the image processor that the number depends on is lowered, step by
step, until the largest of `SHAPES` gives at most `BUDGET` tokens. What was lowered is said when the model is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stcg_nb.models.generic.reading import Reading

BUDGET = 2304  # image tokens: eight tiles and a thumbnail of InternVL, two tiles and a thumbnail of LLaVA-OneVision
# Heights and widths in pixels; no picture is larger (`stcg_nb.case`).
SHAPES = ((1024, 1024), (768, 1024), (512, 1024), (1024, 512))
PATIENCE = 6  # steps in vain
STEP = 0.8  # by which a size in pixels is lowered


def _smaller_size(processor: Any, config: Any) -> bool:
    """``size["longest_edge"]``: a side or an area in pixels, of models that read pictures at their own size."""
    size = dict(getattr(processor, "size", None) or {})
    edge, least = size.get("longest_edge"), size.get("shortest_edge") or 1
    if not edge or edge * STEP < least:
        return False
    processor.size = type(processor.size)(**{**size, "longest_edge": int(edge * STEP)})
    return True


def _fewer_tiles(processor: Any, config: Any) -> bool:
    """``max_patches``: the most tiles that a picture is cut into."""
    most = getattr(processor, "max_patches", None)
    if not isinstance(most, int) or most <= 1:
        return False
    processor.max_patches = most - 1
    processor.min_patches = min(getattr(processor, "min_patches", 1), most - 1)
    return True


def _smaller_grids(processor: Any, config: Any) -> bool:
    """``image_grid_pinpoints``: the sizes in pixels that a picture in tiles may be scaled to."""
    grids = getattr(processor, "image_grid_pinpoints", None)
    if not grids or len(grids) < 2:
        return False
    smaller = sorted(grids, key=lambda g: g[0] * g[1])
    processor.image_grid_pinpoints = smaller[: -max(1, len(grids) // 6)]
    config.image_grid_pinpoints = processor.image_grid_pinpoints  # the network cuts its features by the same sizes
    return True


def _fewer_soft_tokens(processor: Any, config: Any) -> bool:
    """``max_soft_tokens``: the most image tokens themselves."""
    most = getattr(processor, "max_soft_tokens", None)
    if not isinstance(most, int) or most <= 70:
        return False
    processor.max_soft_tokens = most // 2
    return True


SETTINGS: tuple[Callable[[Any, Any], bool], ...] = (_fewer_soft_tokens, _fewer_tiles, _smaller_grids, _smaller_size)
"""Each lowers one setting of an image processor, if it has it; the network's config is the second argument."""


def limit_tokens(reading: Reading, config: Any, budget: int = BUDGET) -> tuple[int, int]:
    """Lower the settings of a model's image processor until no picture has more image tokens than the budget.

    Args:
        reading: Of the model.
        config: Of its network.
        budget: The most image tokens.

    Returns:
        The most image tokens of a picture by the checkpoint's own settings, and now.
    """
    own = now = largest(reading)
    processor, in_vain = reading.processor.image_processor, 0
    kept = dict(vars(processor))
    while now > budget and in_vain < PATIENCE and any(lower(processor, config) for lower in SETTINGS):
        before, now = now, largest(reading)
        in_vain = in_vain + 1 if now >= before else 0
    if in_vain == PATIENCE:  # the number does not depend on the setting, so it stays as it was
        vars(processor).update(kept)
    return own, now


def largest(reading: Reading) -> int:
    """The most image tokens of a picture."""
    prompt = reading.prompt("what is this?")
    batches = (reading.batch(prompt, np.zeros((*shape, 3), np.uint8)) for shape in SHAPES)
    return max(len(reading.places(prompt, batch["input_ids"]).image) for batch in batches)
