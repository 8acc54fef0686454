"""What a reader sees of a figure: its texts and its pictures."""

from __future__ import annotations

import base64
import html
import json
import re

import cv2
import numpy as np
import plotly.graph_objects as go

TAGS = re.compile(r"</?(?:b|br|span style='font-size:1[13]px'|span)>")


def texts(figure: go.Figure) -> list[str]:
    """Every text that a figure shows."""
    found: list[str] = []

    def collect(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ("text", "ticktext", "name", "hovertext"):
                    found.extend([inner] if isinstance(inner, str) else inner if isinstance(inner, list) else [])
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    collect(json.loads(figure.to_json()))
    return [t for t in found if isinstance(t, str)]


def seen(text: str) -> str:
    """What a reader sees of plotly's text."""
    return html.unescape(TAGS.sub(" ", text))


def picture(uri: str) -> np.ndarray:
    """The picture of a ``data:`` address, uint8 ``[height, width, 3]``."""
    data = np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
