"""The objects of the scenes: eight shapes, made of polygons and ellipses in the unit square and painted with OpenCV.

Each shape is drawn at four times its size and averaged down, so its edges are smooth and its coverage (alpha) is known for every
pixel. An object's mask is the set of pixels that it covers by at least half.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

SUPERSAMPLING = 4
"""One pixel is the average of a square of sub-pixels with this side."""

WHEEL = (45, 45, 48)
GLASS = (225, 235, 240)
TRUNK = (110, 80, 55)

RGB = tuple[int, int, int]


class Sprite(NamedTuple):
    """One painted object.

    Attributes:
        color: RGB from 0 to 255, float32 ``[height, width, 3]``.
        alpha: Share of each pixel that the object covers, 0 to 1, float32 ``[height, width]``.
    """

    color: np.ndarray
    alpha: np.ndarray


class _Canvas:
    """Paints polygons and ellipses whose coordinates lie in the unit square, x to the right and y down."""

    def __init__(self, size: int) -> None:
        self.side = size * SUPERSAMPLING
        self.paint = np.zeros((self.side, self.side, 3), np.uint8)
        self.cover = np.zeros((self.side, self.side), np.uint8)

    def polygon(self, points: list[tuple[float, float]], color: RGB) -> None:
        corners = np.round(np.array(points) * (self.side - 1)).astype(np.int32)
        cv2.fillPoly(self.paint, [corners], color)
        cv2.fillPoly(self.cover, [corners], (255,))

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, color: RGB) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: RGB) -> None:
        scale = self.side - 1
        centre = (round(x * scale), round(y * scale))
        axes = (round(rx * scale), round(ry * scale))
        cv2.ellipse(self.paint, centre, axes, 0, 0, 360, color, -1)
        cv2.ellipse(self.cover, centre, axes, 0, 0, 360, (255,), -1)

    def sprite(self, size: int) -> Sprite:
        alpha = cv2.resize(self.cover, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        paint = cv2.resize(self.paint, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
        # The average of an edge pixel includes empty, black sub-pixels; dividing by alpha removes them.
        return Sprite(paint / np.maximum(alpha, 1 / 255)[..., None], alpha)


def _shade(color: RGB, factor: float) -> RGB:
    """The colour scaled in brightness."""
    r, g, b = (min(255, max(0, round(c * factor))) for c in color)
    return r, g, b


def _car(c: _Canvas, color: RGB) -> None:
    c.polygon([(0.22, 0.48), (0.34, 0.24), (0.68, 0.24), (0.80, 0.48)], color)
    c.polygon([(0.00, 0.48), (0.96, 0.46), (1.00, 0.56), (1.00, 0.74), (0.00, 0.74)], color)
    c.polygon([(0.31, 0.46), (0.38, 0.30), (0.49, 0.30), (0.49, 0.46)], GLASS)
    c.polygon([(0.54, 0.46), (0.54, 0.30), (0.64, 0.30), (0.71, 0.46)], GLASS)
    c.ellipse(0.24, 0.74, 0.12, 0.12, WHEEL)
    c.ellipse(0.77, 0.74, 0.12, 0.12, WHEEL)


def _house(c: _Canvas, color: RGB) -> None:
    c.rectangle(0.14, 0.45, 0.86, 0.96, color)
    c.polygon([(0.02, 0.47), (0.50, 0.04), (0.98, 0.47)], _shade(color, 0.72))
    c.rectangle(0.42, 0.66, 0.58, 0.96, WHEEL)
    c.rectangle(0.22, 0.56, 0.36, 0.70, GLASS)
    c.rectangle(0.64, 0.56, 0.78, 0.70, GLASS)


def _tree(c: _Canvas, color: RGB) -> None:
    c.rectangle(0.44, 0.60, 0.56, 1.00, TRUNK)
    c.ellipse(0.32, 0.48, 0.24, 0.22, color)
    c.ellipse(0.68, 0.48, 0.24, 0.22, color)
    c.ellipse(0.50, 0.28, 0.27, 0.26, color)


def _boat(c: _Canvas, color: RGB) -> None:
    c.polygon([(0.00, 0.68), (1.00, 0.68), (0.80, 0.94), (0.18, 0.94)], color)
    c.rectangle(0.47, 0.06, 0.52, 0.68, TRUNK)
    c.polygon([(0.55, 0.08), (0.92, 0.60), (0.55, 0.60)], color)
    c.polygon([(0.44, 0.18), (0.44, 0.60), (0.12, 0.60)], _shade(color, 0.8))


def _star(c: _Canvas, color: RGB) -> None:
    angle = np.pi / 5 * np.arange(10) - np.pi / 2
    radius = np.where(np.arange(10) % 2 == 0, 0.5, 0.21)
    c.polygon(list(zip(0.5 + radius * np.cos(angle), 0.52 + radius * np.sin(angle), strict=True)), color)


def _ball(c: _Canvas, color: RGB) -> None:
    c.ellipse(0.5, 0.5, 0.46, 0.46, color)
    c.ellipse(0.36, 0.34, 0.11, 0.11, _shade(color, 1.35))


def _box(c: _Canvas, color: RGB) -> None:
    c.rectangle(0.06, 0.30, 0.74, 0.98, color)
    c.polygon([(0.06, 0.30), (0.28, 0.06), (0.96, 0.06), (0.74, 0.30)], _shade(color, 1.25))
    c.polygon([(0.74, 0.30), (0.96, 0.06), (0.96, 0.72), (0.74, 0.98)], _shade(color, 0.68))


def _fish(c: _Canvas, color: RGB) -> None:
    c.ellipse(0.40, 0.50, 0.40, 0.27, color)
    c.polygon([(0.70, 0.50), (1.00, 0.22), (1.00, 0.78)], _shade(color, 0.85))
    c.polygon([(0.34, 0.28), (0.52, 0.10), (0.58, 0.30)], _shade(color, 0.85))
    c.ellipse(0.20, 0.44, 0.055, 0.055, GLASS)


SHAPES: dict[str, Callable[[_Canvas, RGB], None]] = {
    "car": _car,
    "house": _house,
    "tree": _tree,
    "boat": _boat,
    "star": _star,
    "ball": _ball,
    "box": _box,
    "fish": _fish,
}

COLORS: dict[str, RGB] = {
    "red": (208, 34, 38),
    "orange": (242, 134, 20),
    "yellow": (244, 214, 34),
    "green": (38, 142, 56),
    "blue": (34, 84, 206),
    "purple": (128, 46, 158),
    "black": (22, 22, 26),
}


def draw(shape: str, color: RGB, size: int) -> Sprite:
    """Paint one shape.

    Args:
        shape: A key of `SHAPES`.
        color: Red, green and blue, 0 to 255.
        size: Side in pixels of the square that the shape fills.

    Example:
        >>> draw("ball", (255, 0, 0), 32).alpha[16, 16]
        np.float32(1.0)
    """
    canvas = _Canvas(size)
    SHAPES[shape](canvas, color)
    return canvas.sprite(size)
