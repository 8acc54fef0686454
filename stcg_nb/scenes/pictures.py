"""Scenes: seeded pictures of two to five coloured objects (cars, stars, boats ...) that do not overlap, with exact masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stcg_nb.scenes.sprites import COLORS, SHAPES, draw

MAX_OBJECTS = 5


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene.

    Attributes:
        color, shape: Keys of `COLORS` and `SHAPES`.
        box: Bounding box ``(x0, y0, x1, y1)`` in pixels, x1 and y1 exclusive.
        mask: Pixels of the picture that the object covers by at least half, bool ``[height, width]``.
    """

    color: str
    shape: str
    box: tuple[int, int, int, int]
    mask: np.ndarray

    @property
    def center(self) -> tuple[float, float]:
        """The middle of the box, (x, y) in pixels."""
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2

    @property
    def name(self) -> str:
        """Colour and shape, for example ``red car``."""
        return f"{self.color} {self.shape}"

    @property
    def phrase(self) -> str:
        """The name with its article, for example ``an orange boat``."""
        return f"{'an' if self.color[0] in 'aeiou' else 'a'} {self.name}"


@dataclass(frozen=True)
class Scene:
    """A picture and its objects.

    Attributes:
        seed: The seed it was drawn from.
        image: RGB, uint8 ``[size, size, 3]``.
        objects: The objects, in no particular order.
    """

    seed: int
    image: np.ndarray
    objects: tuple[SceneObject, ...]

    @property
    def size(self) -> int:
        """Side of the picture in pixels."""
        return int(self.image.shape[0])


def make_scene(seed: int, size: int = 256, n_objects: int | None = None) -> Scene:
    """Draw a scene.

    Args:
        seed: Any non-negative integer; the same seed gives the same picture.
        size: Side in pixels, 64 to 1024.
        n_objects: 1 to 5, or None for a random number from 2 to 5.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> scene = make_scene(7)
        >>> scene.image.shape, 2 <= len(scene.objects) <= 5
        ((256, 256, 3), True)
    """
    if seed < 0:
        raise ValueError(f"seed={seed}: a scene's seed is a non-negative integer.")
    if not 64 <= size <= 1024:
        raise ValueError(f"size={size}: a scene's side is between 64 and 1024 pixels.")
    if n_objects is not None and not 1 <= n_objects <= MAX_OBJECTS:
        raise ValueError(f"n_objects={n_objects}: a scene holds between 1 and {MAX_OBJECTS} objects.")
    rng = np.random.default_rng((seed, 1))
    canvas = _background(rng, size)
    objects = []
    count = n_objects or int(rng.integers(2, MAX_OBJECTS + 1))
    # Colours and shapes come from a random subset, so some repeat; questions about numbers need that.
    colors = rng.choice(list(COLORS), rng.integers(1, len(COLORS) + 1), replace=False)
    shapes = rng.choice(list(SHAPES), rng.integers(1, len(SHAPES) + 1), replace=False)
    for x0, y0, side in _layout(rng, size, count):
        color, shape = str(rng.choice(colors)), str(rng.choice(shapes))
        jitter = rng.integers(-14, 15, 3)
        tint = tuple(int(np.clip(c + j, 0, 255)) for c, j in zip(COLORS[color], jitter, strict=True))
        sprite = draw(shape, tint, side)  # type: ignore[arg-type]
        window = canvas[y0 : y0 + side, x0 : x0 + side]
        window += sprite.alpha[..., None] * (sprite.color - window)
        mask = np.zeros((size, size), bool)
        mask[y0 : y0 + side, x0 : x0 + side] = sprite.alpha >= 0.5
        ys, xs = np.nonzero(mask)
        box = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
        objects.append(SceneObject(color, shape, box, mask))
    return Scene(seed, np.clip(canvas + 0.5, 0, 255).astype(np.uint8), tuple(objects))


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """A light, slightly tinted and mottled background, 0 to 255, float32 ``[size, size, 3]``."""
    tint = rng.uniform(178, 240) + rng.uniform(-12, 12, 3)
    mottle = cv2.resize(rng.normal(0, rng.uniform(0, 9), (6, 6, 1)), (size, size), interpolation=cv2.INTER_CUBIC)
    canvas = (tint + mottle[..., None]).astype(np.float32)
    for _ in range(rng.integers(0, 7)):  # flat patches as nameless clutter
        x, y = rng.integers(0, size, 2)
        w, h = rng.integers(size // 16, size // 3, 2)
        patch = canvas[y : y + h, x : x + w]
        patch[:] = patch.mean((0, 1)) + rng.normal(0, 3, 3)
    grain = rng.standard_normal((size // 2, size // 2, 1), np.float32) * rng.uniform(0, 4)
    return canvas + cv2.resize(grain, (size, size), interpolation=cv2.INTER_LINEAR)[..., None]


def _layout(rng: np.random.Generator, size: int, count: int) -> list[tuple[int, int, int]]:
    """Squares (x0, y0, side) in pixels that lie inside the picture and do not touch."""
    while True:
        placed: list[tuple[int, int, int]] = []
        for _ in range(40 * count):
            side = int(rng.integers(round(0.17 * size), round(0.25 * size)))
            x, y = (int(v) for v in rng.integers(2, size - side - 1, 2))
            gap = round(0.02 * size)
            if all(
                x + side + gap <= px or px + s + gap <= x or y + side + gap <= py or py + s + gap <= y
                for px, py, s in placed
            ):
                placed.append((x, y, side))
            if len(placed) == count:
                return placed
