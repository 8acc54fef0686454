"""Do node weights agree with exact leave-one-out effects?"""

from __future__ import annotations

from stcg_nb.faithfulness import measures
from stcg_nb.faithfulness.card_measures.base import measure
from stcg_nb.faithfulness.context import Context


@measure("seed_faithfulness", "nodes agree with leave-one-out", "ours")
def seed_faithfulness(context: Context) -> float:
    """Pearson correlation of node weights with exact leave-one-out effects."""
    return measures.seed_faithfulness(context.causes.node, context.left_out.effects)
