"""What all figures share: colours, escaped text, titles, error bars, and maps laid over the picture.

Blue supports and vermilion opposes (Okabe and Ito 2008): colour-blind readers tell the two apart. They also differ in lightness and
in line style, so grey print keeps them apart too. Text from outside is escaped, since plotly renders a subset of HTML.
"""

from __future__ import annotations

import base64
import html
import math
import textwrap
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import plotly.graph_objects as go

from stcg_nb.graph.stcg import STCG
from stcg_nb.inputs.images import thumbnail

SUPPORTS = "#0072B2"  # blue
OPPOSES = "#D55E00"  # vermilion
NEUTRAL = "#999999"
INK = "#222222"  # text and outlines
HIGHLIGHT = "#E69F00"  # what is chosen
FONT = {"family": "DejaVu Sans, Verdana, Arial, sans-serif", "size": 13, "color": INK}
WIDTH = 900  # pixels of every figure of a graph
CONFIG = {"displaylogo": False, "showSendToCloud": False, "responsive": True}
"""Plotly's configuration wherever a figure is shown: no logo, no button that uploads."""
Interval = tuple[float, float | None, float | None]
"""A value with the low and high end of its interval; an end that is not known is None or NaN."""


def escape(text: str, width: int = 200) -> str:
    """Text for a figure, without markup, formulas and line breaks, shortened to `width` characters.

    >>> escape("<b>5 $ & more</b>")
    '&lt;b&gt;5 &#36; &amp; more&lt;/b&gt;'
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(text) > width:
        text = text[: width - 1] + "…"
    return html.escape(text, quote=False).replace("$", "&#36;")


def wrap(text: str, columns: int, lines: int = 2) -> str:
    """Escaped text, broken into at most `lines` lines of `columns` characters."""
    parts = textwrap.wrap(" ".join(text.split()), columns, max_lines=lines, placeholder=" …", break_long_words=True)
    return "<br>".join(escape(p) for p in parts)


def _short(text: str, width: int) -> str:
    """The beginning of a text, on one line, so that a long question leaves room for the answer."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def note_lines(note: str) -> list[str]:
    """The lines of a note below a figure; each is 14 pixels high."""
    return textwrap.wrap(note, 125)


def titled(figure: go.Figure, stcg: STCG, what: str, height: int, note: str = "") -> go.Figure:
    """Give a figure its size in pixels, its title (what, model, question, answer), and a note below it; the figure itself."""
    label = f"{escape(stcg.model, 60)}: SYNTHETIC numbers, no model" if stcg.synthetic else escape(stcg.model, 60)
    asked = wrap(f"“{_short(stcg.question, 120)}” → “{_short(stcg.answer, 60)}”", 95, 3)
    figure.update_layout(
        template="none",
        width=WIDTH,
        height=height,
        font=FONT,
        title={
            "text": f"<b>{what}</b> · {label}<br><span style='font-size:13px'>{asked}</span>",
            "x": 0.01, "y": 1 - 18 / height, "yref": "container", "xanchor": "left", "yanchor": "top", "font": {"size": 16},
        },
        paper_bgcolor="white",
        plot_bgcolor="white",
        hoverlabel={"font": {"size": 13}},
    )  # fmt: skip
    if note:
        caption = "<br>".join(escape(line) for line in note_lines(note))
        figure.add_annotation(
            text=caption, xref="paper", yref="paper", x=0, y=0, xanchor="left", yanchor="top",
            yshift=-18, showarrow=False, align="left", font={"size": 11, "color": "#555555"},
        )  # fmt: skip
    return stamped(figure, stcg.synthetic)


def stamped(figure: go.Figure, synthetic: bool, size: int = 80) -> go.Figure:
    """The figure; a synthetic one gets SYNTHETIC written across it, in letters of `size` pixels, since a mock made its numbers up."""
    if synthetic:
        figure.add_annotation(
            text="SYNTHETIC", xref="paper", yref="paper", x=0.5, y=0.5, showarrow=False, textangle=-25, opacity=0.2,
            font={"size": size, "color": OPPOSES},
        )  # fmt: skip
    return figure


def error_bars(intervals: Iterable[Interval], digits: int, **look: Any) -> dict[str, Any]:
    """Plotly's error bars, one for each interval; an end that is not known gets none.

    Args:
        intervals: Value, low end and high end of each.
        digits: Decimals to round lengths to.
        look: Plotly's ``color``, ``thickness`` and ``width``.

    >>> bars = error_bars([(0.5, 0.25, 1.0), (2.0, None, None)], 2)
    >>> bars["array"], bars["arrayminus"]
    ([0.5, 0.0], [0.25, 0.0])
    """

    def length(start: float | None, end: float | None) -> float:
        return 0.0 if start is None or end is None or math.isnan(end - start) else round(end - start, digits)

    intervals = list(intervals)
    return {
        "type": "data", "symmetric": False, **look,
        "array": [length(value, high) for value, _, high in intervals],
        "arrayminus": [length(low, value) for value, low, _ in intervals],
    }  # fmt: skip


def jpeg(image: np.ndarray, side: int) -> str:
    """A picture, uint8 ``[height, width, 3]``, as a JPEG in a ``data:`` address, its longer side at most `side` pixels."""
    small = thumbnail(np.ascontiguousarray(image), side)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def overlay(stcg: STCG, weights: np.ndarray, top: float, side: int) -> np.ndarray:
    """The image in pale grey with its regions coloured by weight, blue above 0 and vermilion below.

    It is grey so that no colour is the image's own.

    Args:
        stcg: Whose image and regions.
        weights: Of each region, ``[region]``.
        top: The |weight| of full opacity.
        side: Pixels of the longer side, at most.

    Returns:
        uint8 ``[height, width, 3]``.
    """
    image = thumbnail(np.ascontiguousarray(stcg.image), side)
    labels = cv2.resize(stcg.data["region_labels"].values, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    pale = 0.6 * cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32) + 0.4 * 255
    share = np.clip(weights / top if top > 0 else 0 * weights, -1, 1)[labels]
    alpha = (0.85 * np.abs(share))[..., None]
    color = np.where(share[..., None] >= 0, rgb(SUPPORTS), rgb(OPPOSES))
    return (pale * (1 - alpha) + color * alpha).round().astype(np.uint8)


def rgb(color: str) -> np.ndarray:
    """A colour such as ``"#0072B2"`` as red, green and blue from 0 to 255, float32 ``[3]``."""
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32)


def outlines(labels: np.ndarray, cells: int = 128) -> tuple[list[float | None], list[float | None]]:
    """Borders between regions as one broken line.

    Args:
        labels: The region of each pixel, ``[y, x]``.
        cells: Borders follow a grid of at most so many cells a side.

    Returns:
        x and y of the line in pixels; None breaks it.
    """
    height, width = labels.shape
    scale = min(1.0, cells / max(height, width))
    rows, cols = max(1, round(height * scale)), max(1, round(width * scale))
    small = labels[np.ix_((np.arange(rows) * height // rows), (np.arange(cols) * width // cols))]
    xs: list[float | None] = []
    ys: list[float | None] = []
    for edges, vertical in ((small[:, 1:] != small[:, :-1], True), (small.T[:, 1:] != small.T[:, :-1], False)):
        for line in range(edges.shape[1]):
            run = np.flatnonzero(np.diff(np.concatenate([[False], edges[:, line], [False]]).astype(int)))
            for start, stop in zip(run[::2], run[1::2], strict=True):
                across, along = (width / cols, height / rows) if vertical else (height / rows, width / cols)
                here, ends = round((line + 1) * across, 1), [round(start * along, 1), round(stop * along, 1)]
                xs += [here, here, None] if vertical else [*ends, None]
                ys += [*ends, None] if vertical else [here, here, None]
    return xs, ys


def add_picture(
    figure: go.Figure, uri: str, box: tuple[float, float, float, float], axes: tuple[str, str] = ("x", "y")
) -> None:
    """Put a picture behind everything else.

    Args:
        figure: Whose axes; y runs downwards.
        uri: The picture as a ``data:`` address.
        box: x0, y0, x1 and y1 in the axes' units.
        axes: Names of the axes.
    """
    figure.add_layout_image(
        source=uri, xref=axes[0], yref=axes[1], x=box[0], y=box[1], sizex=box[2] - box[0], sizey=box[3] - box[1],
        xanchor="left", yanchor="top", sizing="stretch", layer="below",
    )  # fmt: skip
