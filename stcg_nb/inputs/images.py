"""Read an image from a path, a PIL image, an array or bytes into one form: uint8 RGB ``[height, width, 3]``."""

from __future__ import annotations

import base64
import io
import os
import warnings
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from stcg_nb.errors import InputError

MIN_SIDE = 8
MAX_PIXELS = 50_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM")
"""The file formats that are read. Pillow knows more, but some start a program (EPS) and others are rarely tested."""


def read_image(source: str | PathLike[str] | Image.Image | np.ndarray) -> np.ndarray:
    """Read an image as uint8 RGB ``[height, width, 3]``.

    EXIF orientation is applied; CMYK, palette and grey become RGB; transparency is composited onto white; 16 bits are scaled
    to 8. Of an animation the first frame is read, with a warning.

    Args:
        source: A path, a PIL image (of an animation: its current frame), or an array of uint8, uint16 or floats in
            [0, 1], ``[height, width]`` or ``[height, width, channel]`` with 1 channel (grey), 3 (RGB) or 4 (RGBA).

    Returns:
        A new C-contiguous array.

    Raises:
        InputError: If the source is not a complete image, or is smaller than 8 x 8 or larger than 50 megapixels.

    >>> read_image(np.full((8, 9), 0.5)).shape
    (8, 9, 3)
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, "The array")
    if isinstance(source, Image.Image):
        return _from_pil(source, "The image")
    if not isinstance(source, (str, PathLike)):
        kind = type(source).__name__
        raise InputError(f"An image cannot be read from a {kind}; give a path, a PIL image or an array.")
    label = repr(os.fspath(source))
    path = Path(source)
    try:
        if path.is_dir():
            raise InputError(f"{label} is a folder; give the path of an image in it.")
        if path.exists() and not path.is_file():
            raise InputError(f"{label} is a device or a pipe; give the path of an image file.")
        size = path.stat().st_size
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"There is no image at {label}; check the path (web addresses are not fetched).") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path; InputError is one too
        if isinstance(error, InputError):
            raise
        raise InputError(f"{label} cannot be read ({error}); check the path and its permissions.") from None
    with file:
        if size == 0:
            raise InputError(f"{label} is empty (0 bytes); give a whole image file.")
        return _from_pil(_open(file, label), label)


def read_bytes(data: bytes, label: str) -> np.ndarray:
    """Read an image from the bytes of its file, as uint8 RGB ``[height, width, 3]``; see `read_image`.

    Args:
        data: The whole file.
        label: The image's name in error messages.

    Raises:
        InputError: As `read_image`.

    >>> read_bytes(to_png(np.zeros((8, 9, 3), np.uint8)), "The cell").shape
    (8, 9, 3)
    """
    return _from_pil(_open(io.BytesIO(data), label), label)


def _open(file: io.BufferedReader | io.BytesIO, label: str) -> Image.Image:
    """Open an image file: reads the header, not yet the pixels."""
    try:
        with warnings.catch_warnings():
            # Up to twice its limit Pillow only warns of a decompression bomb; `_check_size` checks the size in the header.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise InputError(f"{label} is larger than {MAX_PIXELS // 10**6} megapixels; scale it down first.") from None
    except Exception as error:  # on damaged bytes Pillow's decoders raise errors of any type
        raise InputError(f"{label} is no image that can be read; give a PNG, JPEG, WebP, TIFF, GIF or BMP.") from error


def _from_pil(image: Image.Image, label: str) -> np.ndarray:
    _check_size(image.height, image.width, label)
    try:
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # MPO: one photograph with previews
        image.load()
        image = ImageOps.exif_transpose(image)
    except Exception as error:  # as in `_open`
        raise InputError(f"{label} is damaged or cut off ({error}); give a whole image file.") from error
    if frames > 1:
        warnings.warn(f"{label} holds {frames} frames; one of them, the first of a file, is used.", stacklevel=3)
    if image.mode.startswith("I") or image.mode == "F":
        return _from_array(_to_unit(np.asarray(image), label), label)
    try:
        if image.has_transparency_data:
            rgba = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        return np.array(image.convert("RGB"))
    except ValueError:
        raise InputError(f"{label} has colours in mode {image.mode}; convert it to RGB first.") from None


def _to_unit(values: np.ndarray, label: str) -> np.ndarray:
    """Scale one channel ``[height, width]`` to [0, 1]: whole numbers up to 65535, or floats up to 1 or up to 255."""
    low, high = float(values.min()), float(values.max())
    top = 65535.0 if values.dtype.kind != "f" else 1.0 if high <= 1 else 255.0
    if not (low >= 0 and high <= top):  # false for NaN too
        raise InputError(
            f"{label} holds values from {low:g} to {high:g}; valid are whole numbers from 0 to 65535, or floats "
            "from 0 to 1 or from 0 to 255."
        )
    return values.astype(np.float64) / top


def _from_array(array: np.ndarray, label: str) -> np.ndarray:
    """uint8 RGB ``[height, width, 3]`` from ``[height, width]`` or ``[height, width, channel]``."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise InputError(
            f"{label} has shape {array.shape}; an image is [height, width] or [height, width, 1, 3 or 4 channels]."
        )
    _check_size(array.shape[0], array.shape[1], label)
    if array.dtype == np.uint16:
        array = array / 65535.0
    if array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):  # false for NaN too
            raise InputError(f"{label} holds floats outside [0, 1]; scale them, or give uint8 from 0 to 255.")
        array = (array * 255).round().astype(np.uint8)
    if array.dtype != np.uint8:
        raise InputError(f"{label} holds {array.dtype}; valid are uint8, uint16 and floats from 0 to 1.")
    if array.shape[2] == 4:
        alpha = array[..., 3:] / 255.0
        array = (array[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
    return np.array(np.broadcast_to(array, (*array.shape[:2], 3)), order="C")


def _check_size(height: int, width: int, label: str) -> None:
    if min(height, width) < MIN_SIDE:
        raise InputError(f"{label} is {width} x {height} pixels; at least {MIN_SIDE} x {MIN_SIDE} are needed.")
    if height * width > MAX_PIXELS:
        limit = MAX_PIXELS // 10**6
        raise InputError(
            f"{label} is {width} x {height} pixels; at most {limit} megapixels are read: scale it down first."
        )


def thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    """Scale an image ``[height, width, 3]`` down until its longer side is at most `side` pixels; smaller images stay as they are.

    >>> thumbnail(np.zeros((100, 50, 3), np.uint8), 20).shape
    (20, 10, 3)
    """
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def mean_color(image: np.ndarray) -> np.ndarray:
    """The mean colour, uint8 ``[3]``, of an image, uint8 ``[height, width, 3]``.

    >>> mean_color(np.full((2, 2, 3), 7, np.uint8)).tolist()
    [7, 7, 7]
    """
    return image.mean((0, 1)).round().astype(np.uint8)


def blank(image: np.ndarray) -> np.ndarray:
    """A uniform image of the same size in the mean colour of `image`, uint8 ``[height, width, 3]``."""
    return np.broadcast_to(mean_color(image), image.shape).copy()


def to_png(image: np.ndarray) -> bytes:
    """Encode an image, uint8 ``[height, width, 3]``, as a PNG file.

    >>> to_png(np.zeros((8, 8, 3), np.uint8))[:4]
    b'\\x89PNG'
    """
    out = io.BytesIO()
    Image.fromarray(image).save(out, format="PNG")
    return out.getvalue()


def data_uri(image: np.ndarray) -> str:
    """Encode an image, uint8 ``[height, width, 3]``, as a ``data:`` URI, for pages and figures without external files.

    >>> data_uri(np.zeros((8, 8, 3), np.uint8))[:22]
    'data:image/png;base64,'
    """
    return "data:image/png;base64," + base64.b64encode(to_png(image)).decode()
