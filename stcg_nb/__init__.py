"""Structured Temporal Counterfactual Graphs: what the answer of a vision-language model rests on.

>>> import stcg_nb
>>> path, question = stcg_nb.demo()
>>> stcg = stcg_nb.explain(path, question, "mock")
>>> stcg.to_networkx().number_of_nodes() == len(stcg.words) + len(stcg.regions) + len(stcg.steps)
True
>>> from stcg_nb import explain
>>> explain is stcg_nb.explain
True
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stcg_nb.explain import explain
    from stcg_nb.graph import STCG
    from stcg_nb.models import load_model

__version__ = version("stcg-nb")
__all__ = ["STCG", "__version__", "demo", "explain", "load_model"]

# torch and transformers take seconds to import; nobody waits for them before they are used.
_HOMES = {"STCG": "stcg_nb.graph", "explain": "stcg_nb.explain", "load_model": "stcg_nb.models"}

DEMO_QUESTION = "What is to the right of the yellow car?"


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'stcg_nb' has no attribute {name!r}")


class _Package(ModuleType):
    """This package, in which `explain` is the function also once the module of that name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _HOMES and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def demo() -> tuple[str, str]:
    """The path of the demo image and a question about it."""
    return str(Path(str(files("stcg_nb"))) / "data" / "demo.png"), DEMO_QUESTION
