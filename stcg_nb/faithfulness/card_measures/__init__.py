"""The measures of the faithfulness card, one module for each group of them.

A new measure is a function in a module of this folder, decorated with `measure`. The card, its figure and its table then have it,
after those of the modules that are named here.
"""

from __future__ import annotations

from importlib import import_module

from stcg_nb.faithfulness.card_measures.base import MEASURES, Measure, Role, measure
from stcg_nb.registry import import_all

__all__ = ["MEASURES", "Measure", "Role", "measure"]

ROW_ORDER = (
    "prediction", "leave_one_out", "interactions", "calibration", "stability", "fills", "ground_truth", "removal", "retention",
)  # fmt: skip

for _module in ROW_ORDER:
    import_module(f"{__name__}.{_module}")
import_all(__name__)
