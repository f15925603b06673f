"""Chest-like phantoms: invented radiographs with the anatomy that a report speaks of.

For demonstrations and tests: no patient was ever in them. A view is drawn as summed attenuation, then scattered,
developed and given quantum noise. The same `Anatomy` and size give the same pixels on the same versions of numpy
and OpenCV. They look like chests; they say nothing about how well a model reads real ones.
"""

from typing import Literal

import cv2
import numpy as np

from pipeline.anatomy import Anatomy, Lesion, invent
from pipeline.phantom_canvas import Canvas, Plane
from pipeline.phantom_frontal import frontal
from pipeline.phantom_lateral import lateral

__all__ = ["Anatomy", "Lesion", "invent", "radiograph"]

_LARGEST_DRAWN = 720  # pixels; larger images are enlarged from this: detectors blur too, and noise comes after


def radiograph(
    anatomy: Anatomy, view: Literal["frontal", "lateral"], *, rows: int, columns: int, noise: float = 0.006
) -> Plane:
    """One view: float32 [rows, columns], 0 black (air) to 1 white, as MONOCHROME2 displays it."""
    canvas = Canvas(min(max(rows, columns), _LARGEST_DRAWN))
    attenuation = frontal(anatomy, canvas) if view == "frontal" else lateral(anatomy, canvas)
    seen = _develop(canvas, attenuation, anatomy.exposure)
    seen = np.asarray(cv2.resize(seen, (columns, rows), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    _mark(seen, view)
    return _grain(seen, np.random.default_rng((anatomy.seed, 3, view == "frontal")), noise)


def _develop(canvas: Canvas, attenuation: Plane, exposure: float) -> Plane:
    """Scatter softens large shapes; the film's curve saturates where much was absorbed."""
    scattered = 0.86 * attenuation + 0.14 * canvas.blur(attenuation, 0.05)
    dark = 1.65 / exposure
    film = 1 - np.exp(-dark * np.clip(scattered, 0, None))
    return np.asarray(1.06 * film**1.35, dtype=np.float32)


def _grain(seen: Plane, rng: np.random.Generator, noise: float) -> Plane:
    """Quantum noise, relatively more where fewer photons arrived, i.e. in white areas."""
    grain = rng.standard_normal(seen.shape, dtype=np.float32) * noise
    return np.clip(0.015 + 0.97 * seen + grain * (0.5 + seen), 0, 1)


def _mark(seen: Plane, view: str) -> None:
    """The lead letter that tells the side."""
    rows, columns = seen.shape
    letter, x, y = ("R", 0.055, 0.1) if view == "frontal" else ("L", 0.06, 0.62)
    lead = np.zeros(seen.shape, np.uint8)
    where = (round(x * columns), round(y * rows))
    cv2.putText(lead, letter, where, cv2.FONT_HERSHEY_SIMPLEX, rows / 620, 255, max(2, rows // 260), cv2.LINE_AA)
    np.maximum(seen, lead.astype(np.float32) * (0.97 / 255), out=seen)
