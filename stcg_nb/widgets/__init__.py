"""Panels for notebooks: choose a model, ask, perturb, explore the graph, compare, save. Each is one call in one cell.

>>> from stcg_nb import widgets
>>> session = widgets.start(model="mock", masks=0)
>>> panel = widgets.explorer(session)  # the last line of a cell shows it

The panels only call the package's functions, and `save_panel` shows which: everything is possible without them. They begin their
work by themselves and go on beside the notebook; a checkpoint, which may take long, waits for a click. Where nobody could click,
as under papermill, they do it at once and leave pictures and tables.
Called again with the same session, as by a cell that runs twice, a function gives the same panel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from stcg_nb.errors import InputError

try:
    import anywidget  # noqa: F401
    import ipywidgets  # noqa: F401
except ImportError as error:
    raise InputError(
        f"The panels need ipywidgets and anywidget ({error}); install them: pip install 'stcg-nb[lab]'."
    ) from error

from stcg_nb.widgets.panel import Panel
from stcg_nb.widgets.panels.compare import Compare
from stcg_nb.widgets.panels.explore import Explorer
from stcg_nb.widgets.panels.input import InputPanel
from stcg_nb.widgets.panels.model import ModelPanel
from stcg_nb.widgets.panels.perturb import PerturbationPanel
from stcg_nb.widgets.panels.save import SavePanel
from stcg_nb.widgets.session import Session, start
from stcg_nb.widgets.state import State
from stcg_nb.widgets.worker import someone_watches

__all__ = [
    "Session", "State", "compare", "explorer", "input_panel", "model_panel", "perturbation_panel", "save_panel", "start",
]  # fmt: skip

QUICK = ("tiny", "mock")  # models that need no patience


def model_panel(session: Session) -> ModelPanel:
    """Choose and load a model."""
    return _shown(session, ModelPanel, ModelPanel.load)


def input_panel(session: Session) -> InputPanel:
    """Choose a picture and a question; the answer with the probability of each token."""
    return _shown(session, InputPanel, InputPanel.ask)


def perturbation_panel(session: Session) -> PerturbationPanel:
    """Perturb the picture, and measure what that does."""
    return _shown(session, PerturbationPanel, PerturbationPanel.measure)


def explorer(session: Session) -> Explorer:
    """Explain the answer and explore its graph."""
    return _shown(session, Explorer, Explorer.explain)


def compare(session: Session) -> Compare:
    """Two explanations side by side, and their difference."""
    return _shown(session, Compare)


def save_panel(session: Session) -> SavePanel:
    """Save files, and show the code that makes them again."""

    def make(session: Session) -> SavePanel:
        return SavePanel(session, explorer(session))

    return _shown(session, make)


P = TypeVar("P", bound=Panel)


def _shown(session: Session, make: Callable[[Session], P], begin: Callable[[P], None] | None = None) -> P:
    """A session's panel of a kind, made once; its work begins by itself unless it is long and somebody is there to ask for it."""
    name = getattr(make, "__qualname__", "")
    if name not in session.panels:
        panel = session.panels[name] = make(session)
        if begin is not None and (session.state.model in QUICK or not someone_watches()):
            begin(panel)
    kept: P = session.panels[name]
    return kept
