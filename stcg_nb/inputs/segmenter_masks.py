"""Masks of any segmenter, as arrays or files, made into one label a pixel.

Masks may overlap: a pixel belongs to the smallest mask that covers it, so that a part shows on its whole. A mask of which smaller ones
cover nine tenths or more is left out, since what is left of it is a rim. Masks that were made at another size are scaled, each
pixel taking the value of the nearest, if the proportions agree. What no mask covers is -1 here;
`stcg_nb.inputs.regions.mask_regions` makes regions of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from stcg_nb.errors import InputError

SUFFIXES = (".png", ".npy", ".npz")
SHOWS = 0.1  # smallest share of a mask that no smaller mask covers
LABEL_MODES = ("L", "P", "I", "I;16")  # of Pillow: one number a pixel

Masks = np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray] | str | PathLike[str]
"""Bool ``[mask, height, width]``, or a label map, int ``[height, width]`` with 0 where nothing is; or by name; or a file of these."""


def is_file_name(spec: str) -> bool:
    """Whether a text names a file of masks.

    >>> is_file_name("masks.npz"), is_file_name("slic:30")
    (True, False)
    """
    return Path(spec).suffix.lower() in SUFFIXES


def check_file(path: str | PathLike[str]) -> None:
    """Raise `InputError` unless there is such a file of masks."""
    if not is_file_name(str(path)):
        raise InputError(f"{str(path)!r} is no file of masks; valid are .png (a label map), .npy and .npz.")
    if not Path(path).is_file():
        raise InputError(f"There is no file {str(path)!r}; give a label map (.png) or arrays of masks (.npy, .npz).")


def labelled(masks: Masks, height: int, width: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """The mask of each pixel, int ``[height, width]``, -1 where there is none, and the names of the masks that are left.

    Args:
        masks: See `Masks`. Unnamed masks are called r0, r1, ...
        height, width: Of the picture, in pixels.

    Raises:
        InputError: For a file that cannot be read, masks of other proportions than the picture or of a kind that is none, or if no
            mask covers anything.

    >>> part, whole = np.array([[[1, 0, 0, 0]], [[1, 1, 1, 0]]], bool)
    >>> labelled(np.array([whole, part]), 1, 4)[0].tolist()
    [[1, 0, 0, -1]]
    """
    if isinstance(masks, str | PathLike):
        masks = read_masks(masks)
    by_name = masks if isinstance(masks, Mapping) else dict(_named(masks))
    scaled = {name: _scaled(mask, name, height, width) for name, mask in by_name.items()}
    scaled = {name: mask for name, mask in scaled.items() if mask.any()}
    labels = np.full((height, width), -1, dtype=np.int32)
    area = np.array([mask.sum() for mask in scaled.values()], dtype=int)
    for i in np.argsort(-area, kind="stable"):
        labels[list(scaled.values())[i]] = i
    left = np.bincount(labels[labels >= 0], minlength=len(area)) >= SHOWS * area
    if not left.any():
        raise InputError("No mask covers anything; give at least one that holds a pixel of the picture.")
    number = np.append(np.where(left, np.cumsum(left) - 1, -1), -1)
    return number[labels].astype(np.int32), tuple(name for name, shown in zip(scaled, left, strict=True) if shown)


def read_masks(path: str | PathLike[str]) -> np.ndarray | dict[str, np.ndarray]:
    """Read masks from a PNG label map, a .npy array, or a .npz file, which holds one array or a mask under each name.

    Raises:
        InputError: If there is no such file, or it holds something else. Pickled objects are not loaded.
    """
    check_file(path)
    try:
        if Path(path).suffix.lower() == ".png":
            with Image.open(path) as image:
                if image.mode not in LABEL_MODES:
                    raise InputError(f"{str(path)!r} has colours ({image.mode}); a label map has one number a pixel.")
                return np.array(image)
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, UnidentifiedImageError) as error:
        raise InputError(f"{str(path)!r} holds no masks that can be read: {error}.") from None
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def _named(masks: np.ndarray | Sequence[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """Masks with names, from bool ``[mask, height, width]`` or a label map."""
    try:
        array = np.asarray(masks)
    except ValueError:
        raise InputError("The masks differ in size; give arrays of one size, bool [mask, height, width].") from None
    if array.ndim == 2 and array.dtype.kind in "iu":
        array = array[None] == np.unique(array[array != 0])[:, None, None]
    if array.ndim != 3:
        raise InputError(
            f"The masks have shape {array.shape} and type {array.dtype}; "
            "give bool [mask, height, width] or a label map, int [height, width]."
        )
    return [(f"r{i}", mask) for i, mask in enumerate(array)]


def _scaled(mask: np.ndarray, name: str, height: int, width: int) -> np.ndarray:
    """A mask at the picture's size, bool ``[height, width]``."""
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype.kind not in "biu":
        raise InputError(
            f"The mask {name!r} has shape {mask.shape} and type {mask.dtype}; it must be bool [height, width]."
        )
    h, w = mask.shape
    # A side that was rounded to whole pixels may be half a pixel off.
    if not h or not w or abs(h * width - w * height) > max(h + w, height + width) / 2:
        raise InputError(
            f"The mask {name!r} has {w} x {h} pixels and the picture {width} x {height}; give masks of the picture's proportions."
        )
    return cv2.resize((mask != 0).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
