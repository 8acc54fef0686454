"""Structured Temporal Counterfactual Graphs: explain which words and regions the answer of a vision-language model rests on.

>>> import stcg_nb
>>> path, question = stcg_nb.demo()
>>> stcg = stcg_nb.explain(path, question, "mock")
>>> stcg.to_networkx().number_of_nodes() == len(stcg.words) + len(stcg.regions) + len(stcg.steps)
True
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stcg_nb.case import Case
    from stcg_nb.explanation import explain
    from stcg_nb.graph.stcg import STCG
    from stcg_nb.inputs.demo import demo
    from stcg_nb.models.load import load_model

__version__ = version("stcg-nb")
__all__ = ["STCG", "Case", "__version__", "demo", "explain", "load_model"]

# Imported on first use, because torch and transformers take seconds to import.
_HOMES = {
    "Case": "stcg_nb.case",
    "STCG": "stcg_nb.graph.stcg",
    "demo": "stcg_nb.inputs.demo",
    "explain": "stcg_nb.explanation",
    "load_model": "stcg_nb.models.load",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'stcg_nb' has no attribute {name!r}")
