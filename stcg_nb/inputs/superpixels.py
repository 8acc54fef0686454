"""Regions that follow things: small SLIC superpixels, merged pair by pair until the next merge would join two things.

1. SLIC (Achanta et al. 2012, doi 10.1109/TPAMI.2012.120) makes some thousand superpixels, which follow edges.
2. The two neighbours with the smallest merging cost are merged, again and again, until two regions are left. The cost is Ward's
   (1963, doi 10.1080/01621459.1963.10500845), the increase of the squared distance of pixels to their region's mean, times a
   factor for the edge between the two. The distance is in colour (CIELAB), position and *contrast*, the distance of a colour from
   the picture's median colour. Contrast keeps the parts of a thing from merging with the ground: they differ in colour, but all
   differ from the ground. It follows Achanta et al. 2009 (doi 10.1109/CVPR.2009.5206596), who detect salient pixels by their
   distance to the mean colour. The factor is the mean contrast along the shared edge (Arbelaez et al. 2011, doi
   10.1109/TPAMI.2010.161), up to that of a sharp edge: a sky that darkens smoothly stays whole.
3. Parts of a thing need not touch, such as a boat's hull and its sail. Superpixels that both differ from the ground are neighbours
   across a gap of `GAP` of the shorter side too. A light window is no such part of the light ground around its car.
4. How many regions are left? Where a picture shows things on a plain ground, parts merge at small costs, and the first merge of a
   thing with the ground costs many times as much. So the cut is at the largest jump of the cost, if it is `JUMP`-fold or more and
   what it leaves can be a ground with things: regions uniform in colour, and small but for the one along the rim. A photograph has
   no such jump; it keeps `FEWEST` to `MOST` regions, fewer where merges cost next to nothing.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import cv2
import numpy as np
from skimage.segmentation import slic

FINE = 1000  # SLIC superpixels before merging; twice the requested number if that is more
COMPACTNESS = 20.0  # SLIC's weight of position; a lower one follows the grain of the background
ROUNDS = 5  # SLIC's iterations
MIN_AREA = 4  # smallest mean area of the SLIC superpixels, in pixels
PLACE = 8.0  # distance in CIELAB units that weighs as much as the side of the image
CONTRAST = 4.0  # weight of the distance to the image's median colour
FARTHEST = 25.0  # CIELAB units at which that distance is capped; half of it tells things from ground
SHARP = 3.0  # CIELAB units from pixel to pixel at a sharp edge, after a blur of one pixel
GAP = 0.01  # widest gap between parts of a thing, as a share of the image's shorter side
JUMP = 4.0  # factor by which the cost must jump where things end
PLAIN = 5.0  # costs below it are as one where jumps are sought: grain and shading of a plain ground
SAME = 15.0  # CIELAB units: largest root mean square distance to the mean colour of regions that can be things
SMALL = 0.25  # largest share of the image that a thing covers
FEWEST, MOST = 8, 24  # regions of a picture without a jump
FREE = 2.0  # merges that cost no more are made even if fewer than `MOST` regions are left

Contacts = list[dict[int, tuple[float, float]]]
"""For each superpixel its neighbours: length of the shared edge in pixels, 0 across a gap, and contrast summed along it."""


class Merges(NamedTuple):
    """All merges of an image's superpixels, in their order.

    Attributes:
        fine: The superpixel of each pixel, int ``[height, width]``.
        pairs: Which group each merge joins to which; a group is named by one of its superpixels, int ``[merge, 2]``.
        costs: Increase of the mean squared distance, CIELAB units squared, ``[merge]``.
    """

    fine: np.ndarray
    pairs: np.ndarray
    costs: np.ndarray

    def regions(self, n: int) -> np.ndarray:
        """The region of each pixel when n are left, int ``[height, width]``, from 0; fewer if there are not so many superpixels."""
        group = np.arange(self.fine.max() + 1)
        for into, gone in self.pairs[: max(0, len(group) - n)]:
            group[group == gone] = into
        return np.unique(group, return_inverse=True)[1][self.fine]

    def jumps(self) -> list[int]:
        """Numbers of regions, at most `MOST`, before a jump of the cost by `JUMP` or more, the largest jump first.

        A cost jumps by its ratio to the highest before it.
        """
        before = np.maximum.accumulate(np.maximum(self.costs, PLAIN))[-MOST:-1]
        jump = self.costs[1 - MOST :] / before
        left = len(jump) + 1 - np.arange(len(jump))
        return [int(left[k]) for k in np.argsort(-jump, kind="stable") if jump[k] >= JUMP]


def superpixels(image: np.ndarray, n: int | None = None) -> np.ndarray:
    """Divide an image into regions that follow things.

    Args:
        image: uint8 ``[height, width, 3]``.
        n: Number of regions; as many as the image shows, if left out.

    Returns:
        The region of each pixel, int ``[height, width]``, from 0; n regions, or fewer if the image has too few pixels.

    >>> image = np.full((32, 32, 3), 200, np.uint8)
    >>> image[8:16, 8:16] = 0
    >>> labels = superpixels(image)
    >>> labels.max() + 1, np.unique(labels[8:16, 8:16]).size, (labels == labels[8, 8]).sum()
    (np.int64(2), 1, np.int64(64))
    """
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    merges = merge_all(image, lab, max(FINE, 2 * (n or 0)))
    if n is not None:
        return merges.regions(n)
    for few in merges.jumps():
        labels = merges.regions(few)
        if are_things(lab, labels):
            return labels
    return merges.regions(max(FEWEST, min(int((merges.costs > FREE).sum()) + 1, MOST)))


def merge_all(image: np.ndarray, lab: np.ndarray, fine: int = FINE) -> Merges:
    """Merge an image's SLIC superpixels until one is left.

    Args:
        image: uint8 ``[height, width, 3]``.
        lab: Its CIELAB colours, ``[height, width, 3]``.
        fine: Approximate number of SLIC superpixels.
    """
    labels = slic(
        image,
        n_segments=max(1, min(fine, image.shape[0] * image.shape[1] // MIN_AREA)),
        compactness=COMPACTNESS,
        max_num_iter=ROUNDS,
        start_label=0,
        min_size_factor=0.25,
    )
    area = np.bincount(labels.ravel()).astype(np.float64)
    means = np.stack([np.bincount(labels.ravel(), f.ravel()) / area for f in _features(lab)], axis=1)
    differs = means[:, -1] > CONTRAST * FARTHEST / 2
    pairs, costs = _merge(area, means, _contacts(labels, lab, differs))
    return Merges(labels, pairs, costs)


def are_things(lab: np.ndarray, labels: np.ndarray) -> bool:
    """Whether regions can be things on a plain ground: all are uniform in colour, and all are small but the one along the rim.

    Args:
        lab: CIELAB colours, ``[height, width, 3]``.
        labels: int ``[height, width]``, each number from 0 to the largest at least once.
    """
    flat, index = lab.reshape(-1, 3).astype(np.float64), labels.ravel()
    area = np.bincount(index)
    means = np.stack([np.bincount(index, channel) for channel in flat.T], 1) / area[:, None]
    spread = np.sqrt(((flat - means[index]) ** 2).sum(1).mean())
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    things = np.delete(area, np.bincount(rim).argmax())
    return bool(spread <= SAME and things.max() <= SMALL * labels.size)


def _features(lab: np.ndarray) -> list[np.ndarray]:
    """Features of each pixel, six arrays ``[height, width]``: colour, position and contrast, scaled so that squared Euclidean
    distance is the cost.

    Args:
        lab: CIELAB colours, ``[height, width, 3]``.
    """
    height, width = lab.shape[:2]
    y, x = np.mgrid[:height, :width] * (PLACE / (height * width) ** 0.5)
    contrast = np.linalg.norm(lab - np.median(lab, axis=(0, 1)), axis=2)
    return [*np.moveaxis(lab, 2, 0), y, x, CONTRAST * np.minimum(contrast, FARTHEST)]


def _contacts(labels: np.ndarray, lab: np.ndarray, differs: np.ndarray) -> Contacts:
    """The neighbours of each superpixel.

    Args:
        labels: Superpixels, int ``[height, width]``, from 0.
        lab: CIELAB colours, ``[height, width, 3]``.
        differs: Which superpixels differ from the ground, so that gaps between them count for nothing, bool ``[superpixel]``.
    """
    n, soft = len(differs), cv2.GaussianBlur(lab, (0, 0), 1.0)
    gap = 1 + round(GAP * min(labels.shape))  # steps from pixel to pixel
    keys, lengths, contrasts = [], [], []
    for down, right, touch in ((0, 1, 1), (1, 0, 1), (0, gap, 0), (gap, 0, 0), (gap, gap, 0), (gap, -gap, 0)):
        a, b = _shifted(labels, down, right)
        apart = a != b if touch else (a != b) & differs[a] & differs[b]
        i, j = a[apart].astype(np.int64), b[apart]
        keys.append(np.minimum(i, j) * n + np.maximum(i, j))
        lengths.append(np.full(len(i), float(touch)))
        first, second = _shifted(soft, down, right)
        contrasts.append(touch * np.linalg.norm(first[apart] - second[apart], axis=1))
    key, index = np.unique(np.concatenate(keys), return_inverse=True)
    length, contrast = (np.bincount(index, np.concatenate(w)).tolist() for w in (lengths, contrasts))
    contacts: Contacts = [{} for _ in range(n)]
    for k, shared in zip(key.tolist(), zip(length, contrast, strict=True), strict=True):
        contacts[k // n][k % n] = contacts[k % n][k // n] = shared
    return contacts


def _shifted(pixels: np.ndarray, down: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel and the one so far below and to the right of it, where both are in the image; `right` may be negative."""
    height, width = pixels.shape[:2]
    return (
        pixels[: height - down, max(0, -right) : width - max(0, right)],
        pixels[down:, max(0, right) : width - max(0, -right)],
    )


def _merge(area: np.ndarray, means: np.ndarray, contacts: Contacts) -> tuple[np.ndarray, np.ndarray]:
    """Merge superpixels until none has a neighbour: the pairs, int ``[merge, 2]``, and costs ``[merge]``, as in `Merges`.

    Overwrites its arguments.

    Args:
        area: Number of pixels, ``[superpixel]``.
        means: Mean features, ``[superpixel, feature]``.
        contacts: The neighbours of each superpixel.
    """
    total = area.sum()
    changes = [0] * len(area)  # a cost in the heap is stale once either of its two superpixels has changed

    def cost(i: int, j: int) -> tuple[float, int, int, int, int]:
        apart = means[i] - means[j]
        length, contrast = contacts[i][j]
        edge = min(1.0, contrast / length / SHARP) if length else 1.0
        ward = area[i] * area[j] / (area[i] + area[j]) * float(apart @ apart) / total
        return edge * ward, i, j, changes[i], changes[j]

    heap = [cost(i, j) for i in range(len(area)) for j in contacts[i] if i < j]
    heapq.heapify(heap)
    pairs, costs = [], []
    while heap:
        least, i, j, change_i, change_j = heapq.heappop(heap)
        if (change_i, change_j) != (changes[i], changes[j]):
            continue
        pairs.append((i, j))
        costs.append(least)
        means[i] = (means[i] * area[i] + means[j] * area[j]) / (area[i] + area[j])
        area[i] += area[j]
        changes[i] += 1
        changes[j] += 1
        for other, (length, contrast) in contacts[j].items():
            del contacts[other][j]
            if other != i:
                known = contacts[i].get(other, (0.0, 0.0))
                contacts[i][other] = contacts[other][i] = (known[0] + length, known[1] + contrast)
        contacts[j] = {}
        for other in contacts[i]:
            heapq.heappush(heap, cost(min(i, other), max(i, other)))
    return np.array(pairs, dtype=int).reshape(-1, 2), np.array(costs)
