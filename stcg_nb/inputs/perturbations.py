"""Named perturbations of an image: the original study's five and a control, with a strength and a seed.

Strength 0 leaves the image as it is. Strength sets the share of the image that is masked or shuffled, the angle by which hues
turn, or the standard deviation of the noise. Masks are filled with the image's mean colour, which adds weaker edges than black.
Equal strengths of two perturbations are not comparable; `pixel_distance` measures the size of the change. `register` adds a
perturbation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.inputs.images import blank, mean_color, read_image
from stcg_nb.registry import Registry

Function = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
"""Takes an image, uint8 ``[height, width, 3]``, a strength in (0, 1] and a random generator; returns the perturbed image."""

STRENGTH = 0.5
SALIENCY_GRID = 16
SHUFFLE_GRID = 8


@dataclass(frozen=True)
class Perturbation:
    """A named perturbation.

    Attributes:
        name: Its name, an identifier.
        function: Perturbs an image.
        description: What it does, and what its strength means.
    """

    name: str
    function: Function
    description: str


@dataclass(frozen=True, eq=False)
class Perturbed:
    """A perturbed image and how it was made.

    Attributes:
        name: The perturbation's name.
        image: uint8 ``[height, width, 3]``.
        strength: From 0 to 1.
        seed: The seed of what was drawn at random.
        pixel_distance: Root mean square difference from the original, as a share of the range of values, in [0, 1].
    """

    name: str
    image: np.ndarray
    strength: float
    seed: int
    pixel_distance: float


PERTURBATIONS = Registry[Perturbation]("perturbation")
"""Every perturbation, by name."""


def register(name: str, description: str) -> Callable[[Function], Function]:
    """A decorator that registers a function as a perturbation.

    The function takes an image, uint8 ``[height, width, 3]``, which it may overwrite, a strength in (0, 1] and a random generator,
    and returns an image of the same shape. All randomness must come from the generator. Defining the same function again, as
    when a notebook cell runs twice, replaces it.

    Args:
        name: An identifier.
        description: What the perturbation does, and what its strength means.

    Raises:
        InputError: If the name is not an identifier, or belongs to another perturbation.

    >>> @register("mirror", "mirror a share of the rows")
    ... def mirror(image, strength, rng):
    ...     rows = round(strength * len(image))
    ...     image[:rows] = image[:rows, ::-1]
    ...     return image
    >>> ramp = np.arange(64, dtype=np.uint8).repeat(3).reshape(8, 8, 3)
    >>> perturb(ramp, "mirror", strength=1).image[0, :, 0].tolist()
    [7, 6, 5, 4, 3, 2, 1, 0]
    """
    if not name.isidentifier():
        raise InputError(f"{name!r} cannot name a perturbation; use letters, digits and underscores.")

    def add(function: Function) -> Function:
        PERTURBATIONS.add(name, Perturbation(name, function, description), function)
        return function

    return add


def perturb(image: np.ndarray, name: str, strength: float = STRENGTH, seed: int = 0) -> Perturbed:
    """Perturb an image.

    Args:
        image: uint8 ``[height, width, 3]``; it is not changed.
        name: One of `PERTURBATIONS`.
        strength: From 0 (no change) to 1.
        seed: Seeds the random generator; the same seed gives the same image.

    Raises:
        InputError: For an unknown name, a strength outside [0, 1], or a perturbation that does not return a uint8 image of the
            same shape.

    >>> perturb(np.zeros((32, 32, 3), np.uint8), "gaussian_noise", strength=0).pixel_distance
    0.0
    """
    function = PERTURBATIONS[name].function
    image = read_image(image)
    if not 0 <= strength <= 1:
        raise InputError(f"The strength is {strength}; valid is 0 (nothing) to 1.")
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"The seed is {seed}; give a whole number from 0 on.")
    out = image.copy() if strength == 0 else function(image.copy(), float(strength), np.random.default_rng(seed))
    if not isinstance(out, np.ndarray) or out.shape != image.shape or out.dtype != np.uint8:
        got = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise InputError(f"The perturbation {name!r} returned {got}; it must return uint8 {image.shape}.")
    return Perturbed(name, np.ascontiguousarray(out), float(strength), seed, pixel_distance(image, out))


def pixel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square difference of two images uint8 ``[height, width, 3]``, as a share of the range of values, in [0, 1].

    >>> pixel_distance(np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8))
    1.0
    """
    if a.shape != b.shape:
        raise InputError(f"Images of shape {a.shape} and {b.shape} have no distance; give two of the same size.")
    return float(np.sqrt(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)) / 255)


def _centered_box(shape: tuple[int, ...], share: float) -> tuple[slice, slice]:
    """Rows and columns of a centred box that covers `share` of the area of ``[height, width, ...]``."""
    margins = [min(round(side * (1 - share**0.5) / 2), (side - 1) // 2) for side in shape[:2]]
    return slice(margins[0], shape[0] - margins[0]), slice(margins[1], shape[1] - margins[1])


@register("center_mask", "hide a box in the middle; strength is its share of the area")
def _center_mask(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    image[_centered_box(image.shape, strength)] = mean_color(image)
    return image


@register("color_shift", "turn every hue; strength 1 is half the colour circle")
def _color_shift(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    hsv = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)  # hue in degrees
    hsv[..., 0] = (hsv[..., 0] + 180 * strength) % 360
    return (cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255).round().clip(0, 255).astype(np.uint8)


@register("patch_shuffle", "let patches of an 8 x 8 grid change places; strength is the share that does")
def _patch_shuffle(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    ys, xs = (np.arange(SHUFFLE_GRID + 1) * side // SHUFFLE_GRID for side in image.shape[:2])
    cells = [(slice(*ys[i : i + 2]), slice(*xs[j : j + 2])) for i in range(SHUFFLE_GRID) for j in range(SHUFFLE_GRID)]
    count = max(2, round(strength * len(cells)))
    # A cycle moves every chosen patch. Prefixes of one order make the patches of a weaker shuffle a subset of a stronger one's.
    chosen = [cells[i] for i in rng.permutation(len(cells))[:count]]
    out = image.copy()
    for source, target in zip(chosen, chosen[1:] + chosen[:1], strict=True):
        # Patches differ by one pixel where the image's side is no multiple of 8.
        size = out[target].shape[1::-1]
        out[target] = cv2.resize(image[source], size, interpolation=cv2.INTER_NEAREST)
    return out


@register("peripheral_mask", "hide all but a box in the middle; strength is the share that is hidden")
def _peripheral_mask(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    out = blank(image)
    if strength < 1:
        box = _centered_box(image.shape, 1 - strength)
        out[box] = image[box]
    return out


@register("saliency_patch_mask", "hide the most salient patches of a 16 x 16 grid; strength 1 hides half of them")
def _saliency_patch_mask(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    scores = cv2.resize(saliency(image), (SALIENCY_GRID, SALIENCY_GRID), interpolation=cv2.INTER_AREA)
    order = np.argsort(-scores.ravel(), kind="stable")
    hidden = np.zeros(scores.size, dtype=np.uint8)
    hidden[order[: max(1, round(strength * scores.size / 2))]] = 1
    mask = cv2.resize(hidden.reshape(scores.shape), image.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    color = mean_color(image)
    image[mask == 1] = color
    return image


@register("gaussian_noise", "control: add noise to every pixel; strength 1 is a deviation of 64 of 255")
def _gaussian_noise(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    return (image + rng.normal(0, 64 * strength, image.shape)).round().clip(0, 255).astype(np.uint8)


DEFAULT = (
    "center_mask", "color_shift", "patch_shuffle", "peripheral_mask", "saliency_patch_mask", "gaussian_noise",
)  # fmt: skip
"""The original study's five and the control."""


def saliency(image: np.ndarray) -> np.ndarray:
    """Saliency by the spectral residual (Hou and Zhang 2007), which needs no model, float32 ``[64, 64]``, at least 0.

    The residual is the log amplitude spectrum minus its local mean: what distinguishes this image from natural images in general.

    Args:
        image: uint8 ``[height, width, 3]``.

    >>> image = np.random.default_rng(0).integers(190, 200, (128, 128, 3)).astype(np.uint8)
    >>> image[80:96, 20:36] = 20, 60, 200
    >>> y, x = np.unravel_index(saliency(image).argmax(), (64, 64))
    >>> bool(40 <= y < 48 and 10 <= x < 18)
    True
    """
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (64, 64), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    spectrum = cv2.dft(grey, flags=cv2.DFT_COMPLEX_OUTPUT)
    amplitude, phase = cv2.cartToPolar(spectrum[..., 0], spectrum[..., 1])
    log = np.log(amplitude + 1e-6)
    residual = np.exp(log - cv2.blur(log, (3, 3)))
    real, imaginary = cv2.polarToCart(residual, phase)
    back = cv2.dft(np.dstack([real, imaginary]), flags=cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_COMPLEX_OUTPUT)
    return cv2.GaussianBlur((back**2).sum(-1), (0, 0), 2.5)
