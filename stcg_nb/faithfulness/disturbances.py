"""Small changes of a picture that a stable explanation survives."""

from __future__ import annotations

import cv2
import numpy as np

NOISE = 8  # standard deviation, of 255
JPEG_QUALITY = 50  # of 100
BRIGHTER = 1.08


def disturbed(image: np.ndarray, seed: int) -> list[np.ndarray]:
    """The image with Gaussian noise, as JPEG, and brighter, in this order.

    Args:
        image: uint8 ``[height, width, 3]``.
        seed: Of the noise.

    Returns:
        Three images of the same shape and type.
    """
    noise = np.random.default_rng((seed, 3)).normal(0, NOISE, image.shape)
    _, code = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return [
        (image + noise).round().clip(0, 255).astype(np.uint8),
        cv2.cvtColor(cv2.imdecode(code, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB),
        (image * BRIGHTER).round().clip(0, 255).astype(np.uint8),
    ]
