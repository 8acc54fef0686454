"""Superpixels that follow objects: small SLIC superpixels, merged pair by pair.

SLIC (Achanta et al. 2012, doi 10.1109/TPAMI.2012.120) starts from a grid, so with few, large superpixels it cuts through objects
and misses small ones. Here SLIC first makes a few hundred superpixels, which follow edges. Then the two neighbours with the
smallest merging cost are merged until the requested number is left. The cost is Ward's (1963, doi
10.1080/01621459.1963.10500845): the increase of SLIC's objective, the squared distance in colour (CIELAB) and position. A third
feature, the distance of a colour from the image's median colour, keeps the parts of an object from merging with the background.
It follows Achanta et al. 2009 (doi 10.1109/CVPR.2009.5206596), who detect salient pixels by their distance to the mean colour.

Measured on scenes of `stcg_nb.scenes`, each object against the union of regions that matches it best: mean intersection over
union .975 with `regions.slic_regions`' default, 8.5 regions on average (1,053 objects of the first 150 scenes each of seeds 9400
and 9600, none below .79), and .976 with 24 regions (289 objects of the first 40 scenes each).
"""

from __future__ import annotations

import heapq

import cv2
import numpy as np
from skimage.segmentation import slic

FINE = 300  # SLIC superpixels before merging; twice the requested number if that is more
COMPACTNESS = 30.0  # SLIC's weight of position; a lower one follows the grain of the background
BLUR = 0.5  # standard deviation of the blur of SLIC's input, in pixels
PLACE = 4.0  # distance in CIELAB units that weighs as much as the spacing of the requested regions
CONTRAST = 4.0  # weight of the distance to the image's median colour
FARTHEST = 25.0  # CIELAB units at which that distance is capped
MIN_AREA = 4  # smallest mean area of the SLIC superpixels, in pixels


def superpixels(image: np.ndarray, n: int) -> np.ndarray:
    """Divide an image into connected regions of similar colour.

    Args:
        image: uint8 ``[height, width, 3]``.
        n: Number of regions.

    Returns:
        The region of each pixel, int ``[height, width]``, from 0; n regions, or fewer if the image has too few pixels.

    >>> image = np.zeros((32, 32, 3), np.uint8)
    >>> image[8:16, 8:16] = 255
    >>> labels = superpixels(image, 4)
    >>> np.unique(labels[8:16, 8:16]).size, (labels == labels[8, 8]).sum()
    (1, np.int64(64))
    """
    fine = slic(
        image,
        n_segments=max(n, min(max(FINE, 2 * n), image.shape[0] * image.shape[1] // MIN_AREA)),
        compactness=COMPACTNESS,
        sigma=BLUR,
        start_label=0,
        min_size_factor=0.25,
    )
    area = np.bincount(fine.ravel()).astype(np.float64)
    features = _features(image, (fine.size / n) ** 0.5)
    means = np.stack([np.bincount(fine.ravel(), f.ravel()) / area for f in features], axis=1)
    merged = _merge(area, means, _neighbours(fine), n)
    return merged[fine]


def _features(image: np.ndarray, spacing: float) -> list[np.ndarray]:
    """Features of each pixel, six arrays ``[height, width]``: colour, position and contrast, scaled so that squared Euclidean
    distance is the cost.

    Args:
        image: uint8 ``[height, width, 3]``.
        spacing: Side of a region of average area, in pixels.
    """
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] * (PLACE / spacing)
    contrast = np.linalg.norm(lab - np.median(lab, axis=(0, 1)), axis=2)
    return [*np.moveaxis(lab, 2, 0), y, x, CONTRAST * np.minimum(contrast, FARTHEST)]


def _neighbours(labels: np.ndarray) -> list[set[int]]:
    """For each label of int ``[height, width]`` the labels that share a pixel edge with it."""
    neighbours: list[set[int]] = [set() for _ in range(labels.max() + 1)]
    for a, b in ((labels[:-1], labels[1:]), (labels[:, :-1], labels[:, 1:])):
        apart = a != b
        for i, j in np.unique(np.stack([a[apart], b[apart]], axis=1), axis=0).tolist():
            neighbours[i].add(j)
            neighbours[j].add(i)
    return neighbours


def _merge(area: np.ndarray, means: np.ndarray, neighbours: list[set[int]], n: int) -> np.ndarray:
    """Merge superpixels until n are left: the merged region of each superpixel, int ``[superpixel]``.

    Overwrites `area`, `means` and `neighbours`.

    Args:
        area: Number of pixels, ``[superpixel]``.
        means: Mean features, ``[superpixel, feature]``.
        neighbours: The neighbours of each superpixel.
        n: Number of merged regions.
    """
    group = np.arange(len(area))
    changes = [0] * len(area)  # a cost in the heap is stale once either of its two superpixels has changed

    def cost(i: int, j: int) -> tuple[float, int, int, int, int]:
        apart = means[i] - means[j]
        return area[i] * area[j] / (area[i] + area[j]) * float(apart @ apart), i, j, changes[i], changes[j]

    heap = [cost(i, j) for i in range(len(area)) for j in neighbours[i] if i < j]
    heapq.heapify(heap)
    left = len(area)
    while left > n and heap:
        _, i, j, change_i, change_j = heapq.heappop(heap)
        if (change_i, change_j) != (changes[i], changes[j]):
            continue
        means[i] = (means[i] * area[i] + means[j] * area[j]) / (area[i] + area[j])
        area[i] += area[j]
        group[group == j] = i
        changes[i] += 1
        changes[j] += 1
        for other in neighbours[j] - {i}:
            neighbours[other].remove(j)
            neighbours[other].add(i)
        neighbours[i] = (neighbours[i] | neighbours[j]) - {i, j}
        for other in neighbours[i]:
            heapq.heappush(heap, cost(i, other))
        left -= 1
    return np.unique(group, return_inverse=True)[1]
