"""Regions of an image: a partition of its pixels into superpixels, grid cells, hand-drawn boxes or the masks of a segmenter.

Regions may have any shape, while a model reads patches. `Regions.patch_weights` relates the two by area.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy.ndimage import find_objects

from stcg_nb.errors import InputError
from stcg_nb.inputs.images import thumbnail
from stcg_nb.inputs.segmenter_masks import Masks, check_file, is_file_name, labelled
from stcg_nb.inputs.superpixels import superpixels

REGIONS = "slic"
SLIVER = 0.002  # share of an image below which a piece between masks is no region
SLIC_SIDE = 512  # pixels of the longer side; larger images are scaled down for segmentation
_SLIC, _GRID = re.compile(r"slic(?::(\d{1,4}))?"), re.compile(r"grid(?::(\d{1,3})x(\d{1,3}))?")


@dataclass(frozen=True, eq=False)
class Regions:
    """A partition of an image's pixels.

    Attributes:
        labels: The region of each pixel, int32 ``[height, width]``, from 0 to R - 1; each number occurs.
        names: Unique names, ``[region]``.

    >>> Regions(np.array([[0, 0], [1, 1]]), ("top", "bottom")).boxes.tolist()
    [[0, 0, 2, 1], [0, 1, 2, 2]]
    """

    labels: np.ndarray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        labels = np.array(self.labels, dtype=np.int32)
        if labels.ndim != 2 or not np.array_equal(np.unique(labels), np.arange(len(self.names))):
            last = len(self.names) - 1
            raise InputError(
                f"Region labels must be [height, width] and hold each number from 0 to {last}, one a name."
            )
        if len(set(self.names)) != len(self.names):
            raise InputError(f"Region names must differ; {self.names} do not.")
        labels.setflags(write=False)
        object.__setattr__(self, "labels", labels)

    @property
    def n(self) -> int:
        return len(self.names)

    @cached_property
    def masks(self) -> np.ndarray:
        """Which pixels belong to each region, bool ``[region, height, width]``."""
        return self.labels[None] == np.arange(self.n)[:, None, None]

    @cached_property
    def boxes(self) -> np.ndarray:
        """Bounding boxes, int ``[region, 4]``: x0, y0, x1, y1 in pixels, x1 and y1 exclusive."""
        slices = find_objects(self.labels + 1)
        return np.array([(x.start, y.start, x.stop, y.stop) for y, x in slices], dtype=np.int64)

    @cached_property
    def centers(self) -> np.ndarray:
        """A point inside each region, the centre of its pixel nearest to its centroid: x, y in pixels, float ``[region, 2]``."""
        centers = []
        for i, (x0, y0, x1, y1) in enumerate(self.boxes):
            ys, xs = np.nonzero(self.labels[y0:y1, x0:x1] == i)
            nearest = np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2)
            centers.append((x0 + xs[nearest] + 0.5, y0 + ys[nearest] + 0.5))
        return np.array(centers)

    def patch_weights(self, cover: np.ndarray) -> np.ndarray:
        """Share of each patch's area that lies in each region, float64 ``[region, patch]``; columns sum to one, or to zero for a
        patch that covers nothing.

        Args:
            cover: x0, y0, x1, y1 of each patch in pixels, float ``[patch, 4]``; edges may cut pixels, and NaN covers nothing.

        >>> Regions(np.array([[0, 0, 1]]), ("a", "b")).patch_weights(np.array([[0, 0, 1.5, 1], [1.5, 0, 3, 1]])).round(3).tolist()
        [[1.0, 0.333], [0.0, 0.667]]
        """
        weights = np.zeros((self.n, len(cover)))
        there = ~np.isnan(cover).any(1)
        x0, y0, x1, y1 = cover[there].T
        rows, row, tall = _pieces(self.labels.shape[0], y0, y1)
        cols, col, wide = _pieces(self.labels.shape[1], x0, x1)
        n_rows, n_cols = row.max(initial=-1) + 1, col.max(initial=-1) + 1
        # Area of each region in each cell between neighbouring edges, then its sums from the upper left corner.
        y, x = (np.floor(start).astype(int) for start in (rows[:-1], cols[:-1]))
        index = (self.labels[np.ix_(y, x)] * n_rows + row[:, None]) * n_cols + col
        cells = np.bincount(index.ravel(), np.outer(tall, wide).ravel(), minlength=self.n * n_rows * n_cols)
        sums = np.pad(cells.reshape(self.n, n_rows, n_cols), ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)
        edges_y, edges_x = np.unique(np.concatenate([y0, y1])), np.unique(np.concatenate([x0, x1]))
        top, bottom, left, right = (
            np.searchsorted(edges, value)
            for edges, value in ((edges_y, y0), (edges_y, y1), (edges_x, x0), (edges_x, x1))
        )
        area = sums[:, bottom, right] - sums[:, top, right] - sums[:, bottom, left] + sums[:, top, left]
        weights[:, there] = area / ((y1 - y0) * (x1 - x0))
        return weights

    def patch_owner(self, cover: np.ndarray) -> np.ndarray:
        """The region that covers most of each patch, int ``[patch]``; -1 for a patch that covers nothing. A small region may own no
        patch.

        Takes the same as `patch_weights`.

        >>> Regions(np.array([[0, 0, 1]]), ("a", "b")).patch_owner(np.array([[0, 0, 1.5, 1], [1.5, 0, 3, 1]])).tolist()
        [0, 1]
        """
        weights = self.patch_weights(cover).round(9)  # the first region wins a tie, whatever the rounding
        return np.where(weights.any(0), weights.argmax(0), -1)


def _pieces(pixels: int, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a side at every pixel edge and at every patch edge.

    Args:
        pixels: Length of the side.
        start, stop: Edges of each patch, ``[patch]``.

    Returns:
        The edges ``[piece + 1]``, the cell between neighbouring patch edges that each piece lies in, and its length, both ``[piece]``.
    """
    cells = np.unique(np.concatenate([start, stop]))
    if not cells.size:
        return np.zeros(1), np.zeros(0, dtype=int), np.zeros(0)
    inner = np.arange(np.ceil(cells[0]), np.floor(cells[-1]) + 1)
    edges = np.union1d(cells, inner[(inner > 0) & (inner < pixels)])
    return edges, np.searchsorted(cells, edges[:-1], side="right") - 1, np.diff(edges)


def make_regions(image: np.ndarray, spec: str | Regions = REGIONS) -> Regions:
    """Make regions from a short name.

    Args:
        image: uint8 ``[height, width, 3]``.
        spec: ``"slic"`` (one a thing, see `slic_regions`), ``"slic:30"`` (about 30), ``"grid"``, ``"grid:8x8"`` (rows x
            columns), a file of masks (`mask_regions`), or `Regions` of this image.

    Raises:
        InputError: For an unknown name, a file that holds no masks of this image, or regions of an image of another size.

    >>> make_regions(np.zeros((64, 64, 3), np.uint8), "grid:2x3").names
    ('r0', 'r1', 'r2', 'r3', 'r4', 'r5')
    """
    if isinstance(spec, Regions):
        check_fit(image, spec)
        return spec
    check_regions(spec)
    if is_file_name(spec):
        return mask_regions(image, spec)
    if match := _SLIC.fullmatch(spec):
        return slic_regions(image, int(match[1]) if match[1] else None)
    match = _GRID.fullmatch(spec)
    assert match is not None
    return grid_regions(image, int(match[1] or 4), int(match[2] or 6))


def check_regions(spec: str | Regions) -> None:
    """Raise `InputError` unless `spec` is a valid name or `Regions`.

    >>> check_regions("grid:2x2")
    """
    if isinstance(spec, Regions) or _SLIC.fullmatch(spec) or _GRID.fullmatch(spec):
        return None
    if is_file_name(spec):
        return check_file(spec)
    raise InputError(
        f"{spec!r} names no regions; valid are 'slic', 'slic:30', 'grid', 'grid:8x8' (rows x columns) and files of masks."
    )


def check_fit(image: np.ndarray, regions: Regions) -> None:
    """Raise `InputError` unless the regions have the size of the image ``[height, width, 3]``."""
    if regions.labels.shape != image.shape[:2]:
        (height, width), (h, w) = image.shape[:2], regions.labels.shape
        raise InputError(f"The regions are of an image of {w} x {h} pixels, this one has {width} x {height}; make new.")


def grid_regions(image: np.ndarray, rows: int = 4, cols: int = 6) -> Regions:
    """Divide an image ``[height, width, 3]`` into equal rectangles, numbered row by row.

    Raises:
        InputError: For fewer than two cells, or cells smaller than a pixel.

    >>> grid_regions(np.zeros((8, 12, 3), np.uint8), 1, 2).boxes.tolist()
    [[0, 0, 6, 8], [6, 0, 12, 8]]
    """
    height, width = image.shape[:2]
    if not (1 <= rows <= height and 1 <= cols <= width and rows * cols > 1):
        raise InputError(
            f"A grid of {rows} x {cols} does not fit an image of {height} x {width} (rows x columns); "
            "ask for at least 2 cells and at most one a pixel."
        )
    labels = (np.arange(height)[:, None] * rows // height) * cols + np.arange(width)[None] * cols // width
    return _numbered(labels)


def slic_regions(image: np.ndarray, n: int | None = None) -> Regions:
    """Divide an image into regions that follow things. The result is deterministic; `Regions.n` is the resulting number.

    Args:
        image: uint8 ``[height, width, 3]``.
        n: Approximate number of regions, 2 to 1,024. If left out, one for each thing and one for the ground where things stand on
            a plain ground, and up to 24 in other pictures (`stcg_nb.inputs.superpixels`).

    Raises:
        InputError: For n outside 2 to 1024.

    >>> slic_regions(np.zeros((64, 64, 3), np.uint8), 10).n
    10
    >>> slic_regions(np.zeros((64, 64, 3), np.uint8)).n
    8
    """
    if n is not None and not 2 <= n <= 1024:
        raise InputError(f"{n} superpixels were asked for; valid are 2 to 1024.")
    small = thumbnail(image, SLIC_SIDE)
    labels = superpixels(small, n).astype(np.int32)
    return _numbered(cv2.resize(labels, image.shape[1::-1], interpolation=cv2.INTER_NEAREST))


def box_regions(image: np.ndarray, boxes: Mapping[str, Sequence[int]]) -> Regions:
    """Regions from boxes, such as hand-drawn ones. Where boxes overlap the earlier wins; all other pixels are ``"rest"``.

    Args:
        image: uint8 ``[height, width, 3]``.
        boxes: By name: x0, y0, x1, y1 in pixels, x1 and y1 exclusive.

    Raises:
        InputError: For a box outside the image, or one that earlier boxes cover entirely.

    >>> box_regions(np.zeros((8, 8, 3), np.uint8), {"left": (0, 0, 4, 8)}).names
    ('left', 'rest')
    """
    height, width = image.shape[:2]
    labels = np.full((height, width), len(boxes), dtype=np.int32)
    for i, (name, box) in reversed(list(enumerate(boxes.items()))):
        try:
            x0, y0, x1, y1 = (int(v) for v in box)
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"The box {name!r} is {box}; give four numbers x0, y0, x1, y1.") from None
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise InputError(
                f"The box {name!r} is {tuple(box)}; it must lie within 0, 0, {width}, {height} and not be empty."
            )
        labels[y0:y1, x0:x1] = i
    names = [*boxes, "rest"]
    visible = np.unique(labels)
    for i, name in enumerate(boxes):
        if i not in visible:
            raise InputError(f"The box {name!r} is hidden by earlier ones; leave it out or move it.")
    return Regions(labels, tuple(names[: len(visible)]))


def mask_regions(image: np.ndarray, masks: Masks, holes: str = "rest") -> Regions:
    """Regions from the masks of any segmenter. Where masks overlap the smaller wins (`stcg_nb.inputs.segmenter_masks`).

    Args:
        image: uint8 ``[height, width, 3]``.
        masks: Bool ``[mask, height, width]``; a label map, int ``[height, width]``, 0 where nothing is; masks by name; or a file:
            a PNG label map, .npy or .npz. Masks of another size but the same proportions are scaled.
        holes: What no mask covers: ``"rest"``, one region of that name, or a name for `make_regions` that divides it, such as
            ``"slic:12"``; pieces smaller than `SLIVER` of the image are ``"rest"`` then.

    Raises:
        InputError: For masks that cannot be read, have other proportions or cover nothing, an unknown name, or a mask called
            ``"rest"`` beside a hole.

    >>> image = np.zeros((8, 8, 3), np.uint8)
    >>> mask = np.zeros((8, 8), bool)
    >>> mask[2:5, 2:5] = True
    >>> mask_regions(image, {"thing": mask}).names, mask_regions(image, [mask], holes="grid:1x2").names
    (('thing', 'rest'), ('r0', 'r1', 'r2'))
    """
    labels, names = labelled(masks, *image.shape[:2])
    hole = labels < 0
    if holes != "rest" and hole.any():
        pieces = np.where(hole, make_regions(image, holes).labels, -1)
        size = np.bincount(pieces[hole])
        large = size >= SLIVER * labels.size
        labels = np.where(hole & np.append(large, False)[pieces], len(names) + pieces, labels)
        names += tuple(f"r{len(names) + i}" for i in range(large.sum()))
    labels = np.where(labels < 0, labels.max() + 1, labels)
    numbers = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    return Regions(numbers, names if numbers.max() < len(names) else (*names, "rest"))


def _numbered(labels: np.ndarray) -> Regions:
    """Regions from labels int ``[height, width]``, renumbered from 0 without gaps and named r0, r1, ..."""
    distinct, numbers = np.unique(labels, return_inverse=True)
    return Regions(numbers.reshape(labels.shape), tuple(f"r{i}" for i in range(len(distinct))))
