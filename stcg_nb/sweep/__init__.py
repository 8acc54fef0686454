"""Explain many questions into a folder that survives being killed."""

from stcg_nb.sweep.folder import SweepError, read_manifest, read_rows
from stcg_nb.sweep.options import PROMPTS, SweepOptions
from stcg_nb.sweep.run import Sweep, sweep

__all__ = ["PROMPTS", "Sweep", "SweepError", "SweepOptions", "read_manifest", "read_rows", "sweep"]
