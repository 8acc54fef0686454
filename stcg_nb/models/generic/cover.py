"""Which part of a picture each image token covers, found by experiment.

Stripes of the picture are changed while each position of the vision model attends to itself alone; an image token whose embedding
moves covers part of a stripe. Rows and columns of stripes together give a rectangle. The processor is part of the experiment, so
crops, padding, tiles, thumbnails, merged patches and windows come out by themselves. What a token sees through attention is left
out: its cover is where it comes from.

1. Stripes as wide as a token are changed one at a time: this says roughly where each token is, and how long the longest is.
2. Stripes of a sixth of that are changed many at a time, so far apart that no token covers two of them: with 1. each token knows
   which of them moved it. This takes as many pictures as the longest token has fine stripes.

Resizing mixes neighbouring pixels, so a stripe counts if it moves the token by at least a quarter of what the strongest stripe does.
A token that moves with every part of the picture (as those of a perceiver do) or with none (as a mark at a row's end) covers nothing.

Where a processor's outputs state one grid over the whole picture (`stated_cover`), that is exact and costs nothing. A statement is
believed if, on loading, no half of a picture moves tokens that it says are elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stcg_nb.models.layout import grid_cover

THRESHOLD = 0.25  # share of the strongest stripe's effect
WHOLE = 0.9  # share of the picture's area from which on a token shows all of it
FINE = 6  # fine stripes in the width of a token
HALVES = ("left", "right", "upper", "lower")
UNMOVED = 0.05  # share of the largest effect


def probed_cover(tokens: Callable[[np.ndarray], Tensor], height: int, width: int) -> np.ndarray:
    """The covers of image tokens: x0, y0, x1, y1 in pixels, float ``[token, 4]``; NaN where a token covers nothing.

    Args:
        tokens: Embeddings of image tokens ``[token, width]`` for a picture, uint8 ``[height, width, 3]``.
        height, width: Of the picture, in pixels.
    """
    rng = np.random.default_rng(0)
    base, other = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    at_rest = tokens(base)
    side = max(FINE, round((height * width / max(len(at_rest), 1)) ** 0.5))

    def moved(axis: int, changes: np.ndarray) -> np.ndarray:
        """How far each set of changed lines moves each token, ``[token, set]``, for bool ``[set, line]``."""
        far = []
        for lines in changes:
            picture = np.where(lines[:, None, None] if axis == 0 else lines[None, :, None], other, base)
            far.append((tokens(picture) - at_rest).float().norm(dim=-1).cpu())
        return torch.stack(far, 1).numpy()

    y0, y1 = _along(partial(moved, 0), height, side)
    x0, x1 = _along(partial(moved, 1), width, side)
    cover = np.stack([x0, y0, x1, y1], 1)
    with np.errstate(invalid="ignore"):
        everything = (x1 - x0) * (y1 - y0) > WHOLE * height * width
    cover[np.isnan(cover).any(1) | (everything & (len(cover) > 1))] = np.nan
    return cover


def _along(moved: Callable[[np.ndarray], np.ndarray], pixels: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last pixel edge of each token along one axis, float ``[token]`` each; NaN where it covers nothing.

    Args:
        moved: As in `probed_cover`.
        pixels: Of the axis.
        side: About the width of a token, in pixels.
    """
    line = np.arange(pixels)
    coarse = line // side
    low, high = _edges(moved(coarse == np.arange(coarse[-1] + 1)[:, None]))
    fine_size = max(1, side // FINE)
    fine = line // fine_size
    longest = np.nanmax((high - low + 2) * side, initial=side)
    period = min(int(np.ceil(longest / fine_size)), fine[-1] + 1)
    by_residue = moved(fine % period == np.arange(period)[:, None])
    # The fine stripes that a token may cover: one of each residue, the first at the edge of the coarse stripe before its own.
    first = np.clip(np.nan_to_num((low - 1) * side // fine_size), 0, fine[-1] + 1 - period).astype(int)
    place = first[:, None] + (np.arange(period) - first[:, None]) % period
    order = np.argsort(place, 1)
    place, ordered = np.take_along_axis(place, order, 1), np.take_along_axis(by_residue, order, 1)
    ordered[place > fine[-1]] = 0
    start, stop = _edges(ordered)
    start[np.isnan(low)] = np.nan
    at, end = (np.nan_to_num(v).astype(int) for v in (start, stop - 1))
    begin = np.take_along_axis(place, at[:, None], 1)[:, 0] * fine_size
    finish = np.minimum((np.take_along_axis(place, end[:, None], 1)[:, 0] + 1) * fine_size, pixels)
    return np.where(np.isnan(start), np.nan, begin), np.where(np.isnan(start), np.nan, finish)


def _edges(moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first stripe that moves each token and the one after the last, float ``[token]`` each; NaN where none does.

    Args:
        moved: How far each stripe moves each token, ``[token, stripe]``.
    """
    strongest = moved.max(1, keepdims=True)
    counts = moved > THRESHOLD * strongest
    nothing = strongest[:, 0] <= 1e-5 * max(float(moved.max(initial=0)), 1e-30)
    low, high = counts.argmax(1).astype(float), moved.shape[1] - counts[:, ::-1].argmax(1).astype(float)
    low[nothing], high[nothing] = np.nan, np.nan
    return low, high


def stated_cover(batch: Mapping[str, Any], processor: Any, n: int, height: int, width: int) -> np.ndarray | None:
    """The covers that a processor's outputs state: one grid over the whole picture. None where they state none.

    Args:
        batch: The network's inputs for one picture.
        processor: That made them.
        n: Number of image tokens.
        height, width: Of the picture, in pixels.
    """
    images = processor.image_processor
    rows = cols = 0
    pixels = batch.get("pixel_values")
    if "image_grid_thw" in batch:  # patches before merging
        rows, cols = (int(size) // images.merge_size for size in batch["image_grid_thw"][0, 1:])
    elif hasattr(processor, "side"):  # pixels after scaling
        rows, cols = (int(size) // processor.side for size in batch["image_sizes"][0])
    elif isinstance(pixels, Tensor) and pixels.dim() == 4 and len(pixels) == 1 and not _cropped(images):
        rows = cols = int(n**0.5)  # a square, to which every picture is stretched
    return grid_cover(rows, cols, (0, 0, width, height)) if n and rows * cols == n else None


def _cropped(images: Any) -> bool:
    """Whether an image processor may leave out parts of a picture, or add to it."""
    size = dict(getattr(images, "size", None) or {})
    changes = any(
        getattr(images, name, False) for name in ("do_center_crop", "do_pad", "do_image_splitting", "crop_to_patches")
    )
    return (
        changes or not {"height", "width"} <= {k for k, v in size.items() if v} or hasattr(images, "background_color")
    )


def moved_by_halves(tokens: Callable[[np.ndarray], Tensor], height: int, width: int) -> np.ndarray:
    """How far a change of the left, right, upper and lower half of a picture moves each token, relative to the largest of the four,
    ``[token, 4]``; arguments as in `probed_cover`."""
    base, other = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    at_rest, far = tokens(base), []
    for half in HALVES:
        picture = base.copy()
        y, x = _half(half, height, width)
        picture[y, x] = other[y, x]
        far.append((tokens(picture) - at_rest).float().norm(dim=-1).cpu())
    moved = torch.stack(far, 1).numpy()
    return moved / np.maximum(moved.max(1, keepdims=True), 1e-30)


def is_local(moved: np.ndarray) -> bool:
    """Whether most image tokens show a part of the picture: a half of it does not move them. `moved` is as from `moved_by_halves`.

    >>> is_local(np.array([[1.0, 0.0, 0.7, 0.8]])), is_local(np.array([[1.0, 0.4, 0.7, 0.8]]))
    (True, False)
    """
    return bool((moved.min(1) < THRESHOLD).mean() > 0.5)


def agrees(cover: np.ndarray, moved: np.ndarray, height: int, width: int) -> bool:
    """Whether no token is moved by a half of the picture that its cover keeps away from, by a tenth of the picture."""
    for i, half in enumerate(HALVES):
        y, x = _half(half, height, width)
        near = [x.start or 0, y.start or 0, x.stop or width, y.stop or height]
        gap = np.maximum(near[0] - cover[:, 2], cover[:, 0] - near[2]) / width
        gap = np.maximum(gap, np.maximum(near[1] - cover[:, 3], cover[:, 1] - near[3]) / height)
        if (moved[gap > 0.1, i] > UNMOVED).any():
            return False
    return True


def _half(name: str, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of a half of a picture."""
    return {
        "left": (slice(None), slice(0, width // 2)), "right": (slice(None), slice(width // 2, None)),
        "upper": (slice(0, height // 2), slice(None)), "lower": (slice(height // 2, None), slice(None)),
    }[name]  # fmt: skip
