"""A panel as a person sees it: its visible controls by their labels, and its visible text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stcg_nb.widgets.canvas import Canvas, CopyText

QUICK = {
    "model": "mock", "image": "scene:3", "regions": "grid:2x3", "masks": 0, "perturbations": ["color_shift"],
}  # fmt: skip
"""Choices that take no time."""


def every(widget: Any) -> Iterator[Any]:
    """A widget and all within it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from every(child)


def visible(widget: Any) -> Iterator[Any]:
    """A widget and all within it, without what is hidden."""
    if widget.layout.display != "none":
        yield widget
        for child in getattr(widget, "children", ()):
            yield from visible(child)


def labels(panel: Any) -> list[str]:
    return [w.description for w in visible(panel.widget) if getattr(w, "description", "")]


def control(panel: Any, label: str) -> Any:
    """The one visible control with a label."""
    (found,) = (w for w in visible(panel.widget) if getattr(w, "description", None) == label)
    return found


def of_kind(panel: Any, kind: str) -> list[Any]:
    """The visible widgets of a class."""
    return [w for w in visible(panel.widget) if type(w).__name__ == kind]


def click(panel: Any, label: str) -> None:
    """Press a button, which must not be disabled."""
    button = control(panel, label)
    assert not button.disabled
    button.click()


def shown(panel: Any) -> str:
    """All visible text, as HTML."""
    return "\n".join(html.value for html in of_kind(panel, "HTML"))


def said(panel: Any) -> str:
    """What it says about its work: how far it is, or the sentence at its end."""
    return "\n".join(w.value for w in visible(panel.busy.widget) if type(w).__name__ == "HTML" and w.value)


def canvases(panel: Any) -> list[Canvas]:
    return [w for w in visible(panel.widget) if isinstance(w, Canvas)]


def copied(panel: Any) -> list[str]:
    """The texts that can be copied."""
    return [w.text for w in visible(panel.widget) if isinstance(w, CopyText)]


def link_between(explorer: Any, source: str, target: str) -> str:
    """The strongest link of the list between two kinds of nodes."""
    names = [name for _, name in control(explorer, "Link").options]
    return next(n for n in names if n.startswith(f"{source}:") and f">{target}:" in n)
