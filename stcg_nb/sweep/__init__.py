"""Explain many questions into a folder that survives being killed."""

from stcg_nb.sweep.folder import SweepError, read_manifest, read_rows
from stcg_nb.sweep.run import PROMPTS, How, Sweep, sweep

__all__ = ["PROMPTS", "How", "Sweep", "SweepError", "read_manifest", "read_rows", "sweep"]
