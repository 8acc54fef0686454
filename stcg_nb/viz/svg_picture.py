"""The image of a drawing: pale, with its regions shaded by weight, their borders, and boxes over it.

Regions are drawn on a grid of `CELLS` cells a side, which keeps their outlines short. What does not depend on the weights is
prepared once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

import cv2
import numpy as np

from stcg_nb.graph.stcg import STCG
from stcg_nb.inputs.images import thumbnail
from stcg_nb.viz.svg_tags import UNIT, clickable, tag, text
from stcg_nb.viz.theme import HIGHLIGHT, OPPOSES, SUPPORTS, jpeg

CELLS = 160


class PictureLayer:
    """Draws the image of one graph many times.

    Args:
        stcg: Whose image and regions.
        box: x, y, width and height of the image in the drawing, in pixels.
    """

    def __init__(self, stcg: STCG, box: tuple[float, float, float, float]) -> None:
        self._box, self._image, self._names = box, stcg.image, stcg.regions
        self._cells = to_cells(stcg.data["region_labels"].values)

    def svg(self, weights: np.ndarray, picked: str | None, boxes: Collection[Sequence[int]]) -> str:
        """The image and all that lies on it.

        Args:
            weights: Of each region, ``[region]``: opacity is |weight| / the largest, blue above 0 and vermilion below.
            picked: The name of the chosen node or link.
            boxes: Rectangles over the image, x0, y0, x1, y1 in its pixels.
        """
        top = float(np.abs(weights).max()) or 1.0
        regions = [self._region(i, weight, top, picked) for i, weight in enumerate(weights.tolist())]
        shaded = tag("g", *regions, transform=self._from_cells)
        return f"{self._pale}{shaded}{self._borders}{''.join(map(self._outlined, boxes))}"

    def _region(self, i: int, weight: float, top: float, picked: str | None) -> str:
        name, said = f"region:{i}", f"region {self._names[i]}: {weight:+.3g}"
        chosen, alpha = name == picked, 0.85 * abs(weight) / top
        color = SUPPORTS if weight >= 0 else OPPOSES
        return tag(
            "path", tag("title", text(said)), d=self._paths[i], fill=color, fill_opacity=f"{alpha:.3f}", fill_rule="evenodd",
            stroke_linejoin="round", stroke=HIGHLIGHT if chosen else color, stroke_width=3.5 if chosen else 1,
            stroke_opacity=1 if chosen else f"{alpha:.3f}", vector_effect="non-scaling-stroke", **clickable(name, said, picked),
        )  # fmt: skip

    def _outlined(self, box: Sequence[int]) -> str:
        """A rectangle over the image, such as one that a user drew."""
        height, width = self._image.shape[:2]
        x, y, w, h = self._box
        x0, y0, x1, y1 = box
        return tag(
            "rect", x=f"{x + x0 / width * w:.1f}", y=f"{y + y0 / height * h:.1f}", width=f"{(x1 - x0) / width * w:.1f}",
            height=f"{(y1 - y0) / height * h:.1f}", fill=HIGHLIGHT, fill_opacity=0.15, stroke=HIGHLIGHT, stroke_width=2.5,
            stroke_dasharray="7 4", pointer_events="none",
        )  # fmt: skip

    @cached_property
    def _pale(self) -> str:
        """The image in pale grey, so that no colour is its own."""
        grey = cv2.cvtColor(thumbnail(np.ascontiguousarray(self._image), 2 * UNIT), cv2.COLOR_RGB2GRAY)
        pale = (0.6 * grey + 0.4 * 255).astype(np.uint8)[..., None].repeat(3, -1)
        x, y, w, h = (f"{v:.1f}" for v in self._box)
        return tag("image", x=x, y=y, width=w, height=h, preserveAspectRatio="none", href=jpeg(pale, UNIT))

    @cached_property
    def _paths(self) -> list[str]:
        return region_paths(self._cells, len(self._names))

    @cached_property
    def _borders(self) -> str:
        return tag(
            "path", d=border_path(self._cells), transform=self._from_cells, fill="none", stroke="#3c3c3c", stroke_opacity=0.4,
            stroke_width=0.8, vector_effect="non-scaling-stroke", pointer_events="none",
        )  # fmt: skip

    @property
    def _from_cells(self) -> str:
        """The transform from cells to the drawing; contours run through the middles of cells."""
        x, y, w, h = self._box
        rows, columns = self._cells.shape
        a, d = w / columns, h / rows
        return f"matrix({a:.4f} 0 0 {d:.4f} {x + a / 2:.3f} {y + d / 2:.3f})"


def to_cells(labels: np.ndarray) -> np.ndarray:
    """The region of each pixel, ``[y, x]``, on a grid of at most `CELLS` cells a side, ``[row, column]``."""
    height, width = labels.shape
    scale = min(1.0, CELLS / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)


def region_paths(cells: np.ndarray, count: int) -> list[str]:
    """The outline of each of `count` regions as path data in cells, from the region of each cell, ``[row, column]``."""
    paths = []
    for i in range(count):
        contours, _ = cv2.findContours((cells == i).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        paths.append("".join("M" + " ".join(f"{x},{y}" for x, y in c[:, 0].tolist()) + "z" for c in contours))
    return paths


def border_path(cells: np.ndarray) -> str:
    """All borders between regions as path data in cells, from the region of each cell, ``[row, column]``."""
    upright = zip(*np.nonzero(cells[:, 1:] != cells[:, :-1]), strict=True)
    level = zip(*np.nonzero(cells[1:] != cells[:-1]), strict=True)
    path = [f"M{x + 0.5:g},{y - 0.5:g}v1" for y, x in upright]
    return "".join([*path, *(f"M{x - 0.5:g},{y + 0.5:g}h1" for y, x in level)])
