"""Notebooks as programs: run one with parameters into a folder, and take widgets out of it."""

from stcg_nb.notebooks.parameters import read_value
from stcg_nb.notebooks.run import RunError, environment, run_notebook
from stcg_nb.notebooks.widget_state import drop_widgets, strip_widgets

__all__ = ["RunError", "drop_widgets", "environment", "read_value", "run_notebook", "strip_widgets"]
