"""How often the answer survives the disturbances, which says over how many pictures `jaccard_noise` is taken."""

from __future__ import annotations

import numpy as np

from stcg_nb.faithfulness.card_measures.base import measure
from stcg_nb.faithfulness.context import Context


@measure("retained", "disturbed pictures whose answer stays", "context")
def retained(context: Context) -> float:
    """Share of the disturbed pictures with the same answer."""
    return float(np.mean([kept for _, kept in context.disturbed]))
