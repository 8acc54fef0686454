"""A figure as files: PNG and SVG for papers, and one HTML page that needs no network."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go

from stcg_nb.errors import StcgError
from stcg_nb.files import write
from stcg_nb.viz.theme import CONFIG

SCALE = 2  # pixels of the PNG for each of the figure's: 390 an inch at a column's 3.4 inches


class DrawingError(StcgError, RuntimeError):
    """No browser could draw a figure as PNG or SVG."""


def save_figure(figure: go.Figure, folder: str | Path, name: str) -> list[Path]:
    """Write ``NAME.png``, ``NAME.svg`` and ``NAME.html``.

    Args:
        figure: A figure that has its width and height.
        folder: Where to write; made if there is none.
        name: Of the files, without ending.

    Raises:
        DrawingError: Without kaleido, or a Chrome or Chromium for it.
        InputError: If a file cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    images = {kind: draw(figure, kind) for kind in ("png", "svg")}
    page = figure.to_html(include_plotlyjs=True, config=CONFIG)
    return [
        *(write(folder / f"{name}.{kind}", data) for kind, data in images.items()),
        write(folder / f"{name}.html", page.encode()),
    ]


def draw(figure: go.Figure, kind: str) -> bytes:
    """The figure as PNG or SVG.

    Args:
        figure: A figure that has its width and height.
        kind: ``"png"`` or ``"svg"``.

    Raises:
        DrawingError: As `save_figure`.
    """
    try:
        data: bytes = figure.to_image(kind, width=figure.layout.width, height=figure.layout.height, scale=SCALE)
    except Exception as error:  # kaleido, choreographer and plotly raise errors of many types for what they miss
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DrawingError(
            f"The figure cannot be drawn as {kind.upper()} ({reason}); install kaleido and Chromium, or save what needs neither: HTML."
        ) from error
    return data
