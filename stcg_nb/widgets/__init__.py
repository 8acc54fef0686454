"""Panels for notebooks: choose a model, ask, perturb, explore the graph, compare, save. Each is one call in one cell.

>>> from stcg_nb import widgets
>>> session = widgets.start(model="mock", masks=0)
>>> panel = widgets.explorer(session)  # the last line of a cell shows it

The panels only call the package's functions, and `save_panel` shows which: everything is possible without them. They begin their
work by themselves and run beside the notebook; a checkpoint, which may take long, waits for a click. Where nobody can click, as under
papermill, they work at once and leave pictures and tables.
Called again with the same session, as by a cell that runs twice, a function gives the same panel.

Each registered panel (`stcg_nb.widgets.panel.PANELS`) is such a function; `dir(widgets)` lists them.
"""

from __future__ import annotations

from collections.abc import Callable

from stcg_nb.errors import InputError
from stcg_nb.registry import import_all

try:
    import anywidget  # noqa: F401
    import ipywidgets  # noqa: F401
except ImportError as error:
    raise InputError(
        f"The panels need ipywidgets and anywidget ({error}); install them: pip install 'stcg-nb[lab]'."
    ) from error

from stcg_nb.widgets.panel import PANELS, Panel, shown
from stcg_nb.widgets.session import Session, start
from stcg_nb.widgets.state import State

import_all("stcg_nb.widgets.panels")

__all__ = ["Session", "State", "start", *PANELS]


def __getattr__(name: str) -> Callable[[Session], Panel]:
    if name not in PANELS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _function(name, PANELS[name])


def __dir__() -> list[str]:
    return sorted({*globals(), *PANELS})


def _function(name: str, kind: type[Panel]) -> Callable[[Session], Panel]:
    """The function that shows a session's panel of a class."""

    def show(session: Session) -> Panel:
        return shown(session, kind)

    show.__name__ = show.__qualname__ = name
    show.__doc__, show.__annotations__["return"] = kind.__doc__, kind
    return show
