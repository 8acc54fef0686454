"""Fills for removed regions. Each takes its colours from the image, since a black hole would itself be a new object.

``"median"`` (default) and ``"mean"``
    Each connected hole gets one colour: the mean, or the channel-wise median, of the ring of pixels around it. The pixels that
    touch the hole mix two colours and do not count. The mean tints the background beside a red car red, which would be new
    evidence. In the median, a pixel's weight is the area of its region, so background is filled with background even where
    many small objects stand at its edge. A hole larger than all regions around it together gets the image's median colour,
    because so few pixels say little about it. Without a ring, the fill is the image's mean colour (median for ``"median"``).
``"blur"``
    The image itself, blurred by an eighth of its shorter side; a trace of the region's colour remains.
``"inpaint"``
    Inpainting from the surroundings (Telea 2004, doi 10.1080/10867651.2004.10487596, in OpenCV).

A causal graph needs hundreds of filled images, so `Filler` computes once what does not depend on which regions are absent.
Whether a pixel lies in a ring depends only on its own region and on the regions within reach. Pixels that agree on these
form one group, so a ring's colour is computed from a few hundred groups instead of all pixels. The median is the weighted median
of the groups' mean colours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from scipy.sparse.csgraph import connected_components

from stcg_nb.errors import InputError
from stcg_nb.inputs.images import blank, mean_color, thumbnail
from stcg_nb.inputs.neighbours import touching
from stcg_nb.inputs.regions import Regions, check_fit
from stcg_nb.registry import Registry

FILL = "median"
BLUR_SIDE = 256  # larger images are blurred at this size
INPAINT_RADIUS = 5  # pixels

Fill = Callable[[np.ndarray], np.ndarray]
"""Takes which regions are absent, bool ``[region]``; returns packed colours to paint, broadcastable to ``[height, width]``."""

FILLS = Registry[Callable[[np.ndarray, Regions], Fill]]("fill")
"""Every fill, by name. An entry takes an image, uint8 ``[height, width, 3]``, and its regions, and returns a `Fill`."""


class Filler:
    """Removes regions from one image.

    Args:
        image: uint8 ``[height, width, 3]``.
        regions: The image's regions.
        fill: One of `FILLS`.

    Raises:
        InputError: For an unknown fill, or regions of an image of another size.

    >>> from stcg_nb.inputs.regions import box_regions
    >>> image = np.full((8, 8, 3), 200, np.uint8)
    >>> image[2:4, 2:4] = 0
    >>> filler = Filler(image, box_regions(image, {"dark": (2, 2, 4, 4)}))
    >>> int(filler(np.array([False, True])).min())
    200
    """

    def __init__(self, image: np.ndarray, regions: Regions, fill: str = FILL) -> None:
        make = FILLS[fill]
        check_fit(image, regions)
        self._image, self._regions = image, regions
        self._packed = _packed(image)
        self._painted = make(image, regions)

    def __call__(self, present: np.ndarray) -> np.ndarray:
        """The image without some regions, uint8 ``[height, width, 3]``.

        Args:
            present: bool ``[region]``; regions that are False are filled.
        """
        absent = ~np.asarray(present, dtype=bool)
        if not absent.any():
            return self._image.copy()
        return _unpacked(np.where(absent[self._regions.labels], self._painted(absent), self._packed))


@FILLS.named("median")
def _median(image: np.ndarray, regions: Regions) -> Fill:
    rings = _Rings(image, regions, "median")
    return lambda absent: _by_region(rings.colors(absent), regions)


@FILLS.named("mean")
def _mean(image: np.ndarray, regions: Regions) -> Fill:
    rings = _Rings(image, regions, "mean")
    return lambda absent: _by_region(rings.colors(absent), regions)


@FILLS.named("blur")
def _blur(image: np.ndarray, regions: Regions) -> Fill:
    small = thumbnail(image, BLUR_SIDE)
    blurred = cv2.GaussianBlur(small, (0, 0), min(small.shape[:2]) / 8)
    painted = _packed(cv2.resize(blurred, image.shape[1::-1], interpolation=cv2.INTER_LINEAR))
    return lambda absent: painted


@FILLS.named("inpaint")
def _inpaint(image: np.ndarray, regions: Regions) -> Fill:
    def paint(absent: np.ndarray) -> np.ndarray:
        # Pixels at a region's edge mix the colours of both sides, so they are inpainted too.
        fringed = cv2.dilate(absent[regions.labels].astype(np.uint8), np.ones((3, 3), np.uint8))
        if fringed.all():
            return _packed(blank(image))
        return _packed(cv2.inpaint(image, fringed, INPAINT_RADIUS, cv2.INPAINT_TELEA))

    return paint


def _by_region(colors: np.ndarray, regions: Regions) -> np.ndarray:
    """Packed colours ``[height, width]`` from one colour per region, uint8 ``[region, 3]``."""
    return _packed(colors[None])[0][regions.labels]


class _Rings:
    """Groups of the pixels that may lie in a ring around a hole. A group's pixels lie in the same rings, whatever is removed.

    Attributes:
        own: Region of each group's pixels, int ``[group]``.
        beside, near: Which regions lie within one pixel, and within reach, of the group's pixels, bool ``[group, region]``.
        count: Number of pixels, ``[group]``.
        color: Mean colour, 0 to 255, ``[group, 3]``.
        weight: Weight of a group in a ring, ``[group]``: its pixels, times its region's area for the median.
        area: Number of pixels of each region, ``[region]``.
        order: Indices of the groups from dark to light in each channel, int ``[group, 3]``.
        touching: Which regions share a pixel edge, bool ``[region, region]``.
        rest: Colour of a hole without a ring, ``[3]``.
    """

    def __init__(self, image: np.ndarray, regions: Regions, fill: str) -> None:
        labels, n = regions.labels, regions.n
        reach = 1 + max(2, round(min(labels.shape) / 64))
        beside, near = (_within(regions, distance) for distance in (1, reach))
        border = np.flatnonzero(near.sum(1) > 1)
        key = np.packbits(np.concatenate([beside[border], near[border]], 1), axis=1)
        own = labels.ravel()[border]
        key = np.concatenate([key, own[:, None].astype("<u4").view(np.uint8)], 1)
        _, first, group = np.unique(key, axis=0, return_index=True, return_inverse=True)
        group = group.ravel()
        self.own, self.beside, self.near = own[first], beside[border][first], near[border][first]
        self.count = np.bincount(group, minlength=len(first))
        colors = image.reshape(-1, 3)[border].astype(np.float64)
        total = np.stack([np.bincount(group, c, minlength=len(first)) for c in colors.T], 1)
        self.color = total / self.count[:, None]
        self.order = self.color.argsort(0, kind="stable")
        self.fill = fill
        self.area = np.bincount(labels.ravel(), minlength=n)
        self.weight = self.count * (self.area[self.own] if fill == "median" else 1)
        self.touching = touching(regions)
        self.rest = np.median(image.reshape(-1, 3), 0) if fill == "median" else mean_color(image)

    def colors(self, absent: np.ndarray) -> np.ndarray:
        """The fill colour of each absent region, uint8 ``[region, 3]``, for absent bool ``[region]``; other rows are unused."""
        ids = np.flatnonzero(absent)
        holes, hole = connected_components(self.touching[np.ix_(ids, ids)], directed=False)
        member = np.zeros((holes, len(absent)), dtype=bool)
        member[hole, ids] = True
        free = ~absent[self.own] & ~(self.beside & absent).any(1)
        in_ring = (self.near.astype(np.float32) @ member.T.astype(np.float32) > 0).T & free
        weight = in_ring * self.weight
        total = weight.sum(1)
        if self.fill == "mean":
            ring = weight @ self.color / np.maximum(total, 1)[:, None]
        else:
            ring = np.empty((holes, 3))
            for channel, order in enumerate(self.order.T):
                half = (weight[:, order].cumsum(1) * 2 >= total[:, None]).argmax(1)
                ring[:, channel] = self.color[order[half], channel]
            around = in_ring.astype(np.float32) @ np.eye(len(absent), dtype=np.float32)[self.own] > 0  # [hole, region]
            total[around @ self.area < member @ self.area] = 0
        out = np.zeros((len(absent), 3), np.uint8)
        out[ids] = np.where(total[:, None] > 0, ring.round(), self.rest)[hole]
        return out


def _within(regions: Regions, distance: int) -> np.ndarray:
    """Which regions lie within `distance` pixels (Chebyshev distance) of each pixel, bool ``[pixel, region]``."""
    kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    out = np.empty((regions.labels.size, regions.n), dtype=bool)
    for i in range(regions.n):
        out[:, i] = cv2.dilate((regions.labels == i).astype(np.uint8), kernel).ravel()
    return out


def _packed(image: np.ndarray) -> np.ndarray:
    """An image uint8 ``[height, width, 3]`` as one uint32 per pixel, ``[height, width]``; numpy copies it several times as fast."""
    return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2RGBA).view(np.uint32)[..., 0]


def _unpacked(packed: np.ndarray) -> np.ndarray:
    """The image uint8 ``[height, width, 3]`` from `_packed`."""
    return cv2.cvtColor(packed[..., None].view(np.uint8), cv2.COLOR_RGBA2RGB)


def fill_region(image: np.ndarray, regions: Regions, ids: Sequence[int], fill: str = FILL) -> np.ndarray:
    """The image with some regions filled, uint8 ``[height, width, 3]``. For many masks of one image use a `Filler`.

    Args:
        image: uint8 ``[height, width, 3]``.
        regions: The image's regions.
        ids: Indices of the regions to fill, from 0 to R - 1.
        fill: One of `FILLS`.

    Raises:
        InputError: For an unknown fill or region, or regions of an image of another size.

    >>> from stcg_nb.inputs.regions import box_regions
    >>> image = np.full((8, 8, 3), 200, np.uint8)
    >>> image[2:4, 2:4] = 0
    >>> int(fill_region(image, box_regions(image, {"dark": (2, 2, 4, 4)}), [0]).min())
    200
    """
    filler = Filler(image, regions, fill)
    unknown = [i for i in ids if not 0 <= i < regions.n]
    if unknown:
        raise InputError(f"There is no region {unknown[0]}; the regions are 0 to {regions.n - 1}.")
    return filler(~np.isin(np.arange(regions.n), np.asarray(ids, dtype=np.int64)))
