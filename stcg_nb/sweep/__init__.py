"""Explain many questions into a folder that survives being killed."""

from stcg_nb.sweep.folder import read_rows
from stcg_nb.sweep.manifest import read_manifest
from stcg_nb.sweep.options import PROMPTS, SweepOptions
from stcg_nb.sweep.parts import SweepError
from stcg_nb.sweep.run import Sweep, sweep

__all__ = ["PROMPTS", "Sweep", "SweepError", "SweepOptions", "read_manifest", "read_rows", "sweep"]
