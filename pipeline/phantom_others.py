"""Phantoms of what a chest archive also holds and no chest model should report: a hip, a CT slice.

Just good enough that a person sees what they are.
"""

import numpy as np

from pipeline.phantom_canvas import Canvas, Plane, spline


def hip(size: int) -> Plane:
    """A hip from the front: float32 [size, size], 0 black to 1 white."""
    canvas = Canvas(size)
    thigh = canvas.area(
        spline([(0.1, -0.1), (0.05, 0.4), (0.12, 1.1), (0.78, 1.1), (0.95, 0.6), (1.1, -0.1)], closed=True)
    )
    shaft = spline([(0.36, 1.1), (0.36, 0.7), (0.35, 0.5)])
    neck = spline([(0.36, 0.53), (0.45, 0.43), (0.53, 0.36)])
    pelvis = [
        (0.5, 0.22),
        (0.45, 0.05),
        (0.6, -0.1),
        (1.1, -0.1),
        (0.9, 0.15),
        (0.72, 0.3),
        (0.78, 0.5),
        (0.66, 0.42),
    ]
    ramus = spline([(0.66, 0.4), (0.8, 0.5), (0.95, 0.52)])
    dense = (
        0.55 * canvas.solid(thigh, depth=0.06)
        + 0.5 * canvas.bones([shaft], width=0.13)
        + 0.4 * canvas.bones([neck], width=0.11, cortex=0.35)
        + 0.45 * canvas.blur(canvas.ball(0.545, 0.345, 0.085), 0.003)
        + 0.35 * canvas.blur(canvas.ball(0.315, 0.5, 0.06), 0.006)
        + 0.4 * canvas.solid(canvas.area(spline(pelvis, closed=True)), depth=0.02)
        + 0.35 * canvas.bones([ramus], width=0.08)
    )
    return _finish(canvas, 1 - np.exp(-1.3 * dense))


def ct_slice(size: int) -> Plane:
    """A chest across: float32 [size, size], 0 black to 1 white."""
    canvas = Canvas(size)
    body = np.clip(canvas.ball(0.5, 0.5, 0.46) * 40, 0, 1) * (
        np.abs(canvas.y - 0.5) < 0.34 + 0.02 * np.cos(9 * canvas.x)
    )
    lungs = [
        spline(
            [
                (0.5 + s * x, y)
                for x, y in ((0.06, 0.3), (0.2, 0.24), (0.34, 0.4), (0.33, 0.6), (0.2, 0.72), (0.08, 0.6))
            ],
            closed=True,
        )
        for s in (-1, 1)
    ]
    air = canvas.area(*lungs)
    heart = canvas.area(spline([(0.42, 0.32), (0.58, 0.28), (0.7, 0.42), (0.62, 0.56), (0.46, 0.52)], closed=True))
    spine = canvas.area(
        spline([(0.44, 0.62), (0.56, 0.62), (0.58, 0.7), (0.52, 0.78), (0.48, 0.78), (0.42, 0.7)], closed=True)
    )
    tissue = np.maximum(0.55 * body * (1 - 0.86 * air), 0.58 * heart)
    return _finish(canvas, canvas.blur(np.maximum(tissue, 0.85 * spine), 0.002))


def _finish(canvas: Canvas, seen: Plane) -> Plane:
    grain = np.random.default_rng(7).standard_normal(seen.shape, dtype=np.float32)
    return np.asarray(np.clip(canvas.blur(seen, 0.0015) + 0.008 * grain, 0, 1), dtype=np.float32)
