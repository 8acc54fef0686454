"""What all figures share: colours that colour-blind people tell apart, escaped text, titles, pictures with maps over them.

Blue supports and vermilion opposes (Okabe and Ito 2008); the two also differ in lightness and in line style, so they survive grey
print. All text that comes from outside is escaped, since plotly reads a part of HTML.
"""

from __future__ import annotations

import base64
import html
import textwrap

import cv2
import numpy as np
import plotly.graph_objects as go

from stcg_nb.graph.stcg import STCG
from stcg_nb.inputs.images import thumbnail

SUPPORTS = "#0072B2"
OPPOSES = "#D55E00"
NEUTRAL = "#999999"
INK = "#222222"
HIGHLIGHT = "#E69F00"
FONT = {"family": "DejaVu Sans, Verdana, Arial, sans-serif", "size": 13, "color": INK}
WIDTH = 900
CONFIG = {"displaylogo": False, "showSendToCloud": False, "responsive": True}
"""Plotly's configuration for every place that shows a figure: no logo, no button that uploads."""


def escape(text: str, width: int = 200) -> str:
    """Text as text: no markup, no formulas, no line breaks, shortened to `width` characters.

    >>> escape("<b>5 $ & more</b>")
    '&lt;b&gt;5 &#36; &amp; more&lt;/b&gt;'
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(text) > width:
        text = text[: width - 1] + "…"
    return html.escape(text, quote=False).replace("$", "&#36;")


def wrap(text: str, columns: int, lines: int = 2) -> str:
    """Escaped text over a few lines."""
    parts = textwrap.wrap(" ".join(text.split()), columns, max_lines=lines, placeholder=" …", break_long_words=True)
    return "<br>".join(escape(p) for p in parts)


def _short(text: str, width: int) -> str:
    """The beginning of a text, on one line, so that a long question leaves room for the answer."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def titled(figure: go.Figure, stcg: STCG, what: str, height: int, note: str = "") -> go.Figure:
    """Give a figure its size, its title (what, model, question, answer), and a caption below."""
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
        caption = "<br>".join(escape(line) for line in textwrap.wrap(note, 125))
        figure.add_annotation(
            text=caption, xref="paper", yref="paper", x=0, y=0, xanchor="left", yanchor="top",
            yshift=-18, showarrow=False, align="left", font={"size": 11, "color": "#555555"},
        )  # fmt: skip
    if stcg.synthetic:
        figure.add_annotation(
            text="SYNTHETIC", xref="paper", yref="paper", x=0.5, y=0.5, showarrow=False, textangle=-25, opacity=0.15,
            font={"size": 80, "color": OPPOSES},
        )  # fmt: skip
    return figure


def jpeg(image: np.ndarray, side: int) -> str:
    """A picture as a small ``data:`` address."""
    small = thumbnail(np.ascontiguousarray(image), side)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def overlay(stcg: STCG, weights: np.ndarray, top: float, side: int) -> np.ndarray:
    """The image in pale grey, at most `side` pixels long, with regions coloured by weight: ``[region]`` to uint8 ``[y, x, 3]``.

    Opacity is |weight| / `top`; blue from 0 up, vermilion from 0 down. Grey, so that no colour is the image's own.
    """
    image = thumbnail(np.ascontiguousarray(stcg.image), side)
    labels = cv2.resize(stcg.data["region_labels"].values, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    pale = 0.6 * cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32) + 0.4 * 255
    share = np.clip(weights / top if top > 0 else 0 * weights, -1, 1)[labels]
    alpha = (0.85 * np.abs(share))[..., None]
    color = np.where(share[..., None] >= 0, rgb(SUPPORTS), rgb(OPPOSES))
    return (pale * (1 - alpha) + color * alpha).round().astype(np.uint8)


def rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32)


def outlines(labels: np.ndarray, cells: int = 128) -> tuple[list[float | None], list[float | None]]:
    """Borders between regions as one broken line in pixel coordinates, on a grid of at most `cells` a side."""
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
    """Lay a picture over x0, y0, x1, y1 in data coordinates, y downwards, behind everything else."""
    figure.add_layout_image(
        source=uri, xref=axes[0], yref=axes[1], x=box[0], y=box[1], sizex=box[2] - box[0], sizey=box[3] - box[1],
        xanchor="left", yanchor="top", sizing="stretch", layer="below",
    )  # fmt: skip
