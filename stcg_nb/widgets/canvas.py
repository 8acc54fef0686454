"""A picture that can be clicked and drawn on, and text that can be copied: the only two widgets with JavaScript of their own.

The picture is an SVG from `stcg_nb.viz.graph_svg`: thousands of links are redrawn at once, and each of its parts can take the
keyboard's focus. The browser sends the name of what is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

HERE = Path(__file__).parent


class Canvas(anywidget.AnyWidget):
    """An SVG drawing.

    Attributes:
        svg: The drawing, with all text in it escaped; ``data-pick`` marks what can be chosen.
        drawing: Whether dragging draws a box; if not, a click chooses.
        picked: Called with the name that was chosen; the background's is empty.
        boxed: Called with x0, y0, x1, y1 of a box, in the drawing's pixels.
    """

    _esm = (HERE / "canvas.js").read_text(encoding="utf-8")
    _css = (HERE / "canvas.css").read_text(encoding="utf-8")
    svg = traitlets.Unicode("").tag(sync=True)
    drawing = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        picked: Callable[[str], None] | None = None,
        boxed: Callable[[tuple[float, float, float, float]], None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.picked, self.boxed = picked, boxed
        self.on_msg(self._heard)

    def _heard(self, _: Any, content: Any, buffers: Any) -> None:
        if content.get("kind") == "pick" and self.picked is not None:
            self.picked(str(content.get("name", "")))
        if content.get("kind") == "box" and self.boxed is not None:
            x0, y0, x1, y1 = (float(v) for v in content["box"])
            self.boxed((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))


class CopyText(anywidget.AnyWidget):
    """Text in a fixed-width font, with a button that copies it."""

    _esm = (HERE / "copy.js").read_text(encoding="utf-8")
    _css = (HERE / "copy.css").read_text(encoding="utf-8")
    text = traitlets.Unicode("").tag(sync=True)
