"""Random but plausible changes of a radiograph: position, exposure, noise, sharpness. Never a mirror image.

A flip would move the heart to the right and make every "left" in the report wrong. Assumes [H, W] uint8 views.
The noise and blur also stand for what another detector, a window or a resize makes of the same chest.
"""

import cv2
import numpy as np

from pipeline.study import Pixels

ROTATION = 8.0  # degrees, either way
SCALE = 0.10  # relative, either way
SHIFT = 0.06  # of the side, either way
GAMMA = 0.25  # natural logarithm, either way
CONTRAST = 0.20  # relative, either way
BRIGHTNESS = 18.0  # grey levels, either way
NOISE = 4.0  # grey levels, largest standard deviation
BLUR_CHANCE = 0.25


def _move(pixels: Pixels, random: np.random.Generator) -> Pixels:
    height, width = pixels.shape
    turn = random.uniform(-ROTATION, ROTATION)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1 + random.uniform(-SCALE, SCALE))
    matrix[:, 2] = matrix[:, 2] + random.uniform(-SHIFT, SHIFT, 2) * np.array([width, height])
    return np.asarray(cv2.warpAffine(pixels, matrix, (width, height), borderValue=0), dtype=np.uint8)


def _expose(pixels: Pixels, random: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    grey = 255.0 * (pixels / 255.0) ** np.exp(random.uniform(-GAMMA, GAMMA))
    grey = (grey - 128) * (1 + random.uniform(-CONTRAST, CONTRAST)) + 128
    return np.asarray(
        grey + random.uniform(-BRIGHTNESS, BRIGHTNESS) + random.normal(0, 1, grey.shape) * NOISE * random.random()
    )


def augment(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """One random variant of a view: [H, W] uint8 -> [H, W] uint8."""
    grey = np.clip(_expose(_move(pixels, random), random), 0, 255).round().astype(np.uint8)
    if random.random() < BLUR_CHANCE:
        grey = np.asarray(cv2.GaussianBlur(grey, (3, 3), random.uniform(0.3, 1.0)), dtype=np.uint8)
    return grey
