"""The drawing tools of phantoms: soft solids, bones and tubes, added up as X-ray attenuation.

A canvas is a square of `size` pixels; points are (x, y) in 0..1. Arrays are float32 [size, size]. Shapes are
drawn once each and summed, as attenuation along a ray sums. This module knows no anatomy.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[Any]  # [size, size], floating
Points: TypeAlias = Sequence[tuple[float, float]]
Curve: TypeAlias = NDArray[np.float32]  # [points, 2] (x, y)
Stroke: TypeAlias = tuple[Curve, float, float]  # along it, its width, its weight 0..1

_WIDE = 8  # pixels of sigma
_SUBPIXEL = 4  # bits of fraction in the coordinates that OpenCV draws


def spline(points: Points, *, closed: bool = False, steps: int = 12) -> Curve:
    """A Catmull-Rom curve through the points."""
    p = np.asarray(points, dtype=np.float32)
    p = np.vstack([p[-1:], p, p[:2]]) if closed else np.vstack([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[None, :, None]
    a, b, c, d = p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]
    cubic = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    curve = (0.5 * cubic).reshape(-1, 2)
    return curve if closed else np.vstack([curve, p[-1:]])


def rise(plane: Plane, *, soft: float = 1.0) -> Plane:
    """From 0 where the plane is well below 0 to 1 where it is well above."""
    return _plane(1 / (1 + np.exp(-np.clip(plane / soft, -30, 30))))


def hump(plane: Plane) -> Plane:
    """1 where the plane is 0, nothing where it is beyond 2."""
    return _plane(np.exp(-np.minimum(plane * plane, 30)))


class Canvas:
    """Draws shapes as planes of 0..1; the caller weighs and sums them."""

    def __init__(self, size: int) -> None:
        self.size = size
        axis = (np.arange(size, dtype=np.float32) + 0.5) / size
        self.x, self.y = np.meshgrid(axis, axis)

    def blur(self, plane: Plane, radius: float) -> Plane:
        """Gaussian; `radius` is one sigma. A wide one is done on a smaller copy, where it costs little."""
        sigma = radius * self.size
        if sigma > _WIDE:
            shrink = int(sigma // 3)
            small = cv2.resize(plane, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
            small = cv2.GaussianBlur(small, (0, 0), sigma / shrink, borderType=cv2.BORDER_REPLICATE)
            return _plane(cv2.resize(small, (self.size, self.size), interpolation=cv2.INTER_CUBIC))
        return _plane(cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.1), borderType=cv2.BORDER_REPLICATE))

    def area(self, *curves: Curve) -> Plane:
        """1 within the closed curves, 0 outside, with a smooth edge."""
        mask = np.zeros((self.size, self.size), np.uint8)
        for curve in curves:
            cv2.fillPoly(mask, [self._fixed(curve)], 255, cv2.LINE_AA, _SUBPIXEL)
        return _plane(mask) / 255

    def solid(self, area: Plane, *, depth: float) -> Plane:
        """A rounded body with this outline: thickness grows from the edge and levels off after `depth`."""
        distance = cv2.distanceTransform(np.rint(area).astype(np.uint8), cv2.DIST_L2, 5)
        grown = 1 - np.exp(-_plane(distance) / (depth * self.size))
        return self.blur(grown, 1.2 / self.size)

    def bones(self, curves: Iterable[Curve], *, width: float, cortex: float = 0.55) -> Plane:
        """Tubes of bone: brighter at both edges, where the ray meets the cortex lengthwise."""
        away = np.full((self.size, self.size), 255, np.uint8)
        for curve in curves:
            cv2.polylines(away, [self._fixed(curve)], False, 0, 1, cv2.LINE_8, _SUBPIXEL)
        distance = _plane(cv2.distanceTransform(away, cv2.DIST_L2, 5)) / (width * self.size / 2)
        marrow = np.clip(1.12 - distance, 0, 0.3) / 0.3
        edge = np.exp(-(((distance - 0.86) / 0.2) ** 2))
        return self.blur((1 - cortex) * marrow + cortex * edge, 0.8 / self.size)

    def tubes(self, strokes: Iterable[Stroke], *, soften: float) -> Plane:
        """Lines of (curve, width, weight), softened; the heavier wins where two cross."""
        drawn = np.zeros((self.size, self.size), np.uint8)
        for curve, width, weight in sorted(strokes, key=lambda stroke: stroke[2]):
            thickness = max(1, round(width * self.size))
            cv2.polylines(
                drawn, [self._fixed(curve)], False, round(255 * weight), thickness, cv2.LINE_AA, _SUBPIXEL
            )
        return self.blur(_plane(drawn) / 255, soften)

    def ball(self, x: float, y: float, radius: float) -> Plane:
        """A sphere's thickness, 1 at its centre."""
        return np.sqrt(np.clip(1 - ((self.x - x) ** 2 + (self.y - y) ** 2) / radius**2, 0, 1))

    def cloud(self, rng: np.random.Generator, *, cells: int) -> Plane:
        """Smooth noise of mean 0 and standard deviation about 1: `cells` lumps across, with finer ones on them."""
        total = np.zeros((self.size, self.size), np.float32)
        for octave in range(3):
            coarse = rng.standard_normal((cells * 2**octave + 3,) * 2).astype(np.float32) * 0.6**octave
            total += cv2.resize(coarse, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
        return total

    def _fixed(self, curve: Curve) -> NDArray[np.int32]:
        return np.asarray(np.round(curve * self.size * 2**_SUBPIXEL), dtype=np.int32)


def _plane(values: object) -> Plane:
    return np.asarray(values, dtype=np.float32)
