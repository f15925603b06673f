"""A chest from the side, the patient facing left: the attenuation of each part, laid over the others.

Heights (y) are the frontal view's, so that what is drawn here lies where the other view has it.
"""

import numpy as np

from pipeline.anatomy import Anatomy
from pipeline.phantom_canvas import Canvas, Curve, Plane, Points, Stroke, hump, rise, spline

_FRONT_Y = (0.14, 0.22, 0.33, 0.45, 0.55, 0.62)
_FRONT_X = (0.46, 0.35, 0.275, 0.25, 0.25, 0.265)
_BACK_X = (0.64, 0.76, 0.825, 0.845, 0.845, 0.84)


def lateral(anatomy: Anatomy, canvas: Canvas) -> Plane:
    """Attenuation: air 0, lung about 0.4, the shoulders above 1."""
    rng = np.random.default_rng((anatomy.seed, 2))
    lung = canvas.area(_lung(anatomy))
    depth = canvas.solid(lung, depth=0.02) * (0.95 + 0.03 * canvas.cloud(rng, cells=5))
    total: Plane = (
        _body(canvas)
        - 0.6 * depth * (1 - _fluid(anatomy, canvas))
        + _middle(anatomy, canvas)
        + _bones(canvas)
        + canvas.blur(lung, 0.004) * _vessels(anatomy, canvas, rng)
        + _second_dome(anatomy, canvas, lung)
        + _disease(anatomy, canvas, lung, rng)
        + _devices(anatomy, canvas)
    )
    return total


def _lung(anatomy: Anatomy) -> Curve:
    drop = 0.05 if anatomy.hyperinflated else 0.0
    flat = 0.45 if anatomy.hyperinflated else 1.0
    deep = 0.025 if anatomy.hyperinflated else 0.0
    front = [(x - deep, y) for x, y in zip(_FRONT_X, _FRONT_Y, strict=True)]
    heights = ((0.3, 0.0), (0.4, -0.04), (0.5, -0.035), (0.6, 0.01), (0.7, 0.1), (0.78, 0.23))
    floor = [(x, 0.635 + drop + flat * rise) for x, rise in heights]
    back: Points = [
        (0.825, 0.78),
        (0.85, 0.62),
        (0.85, 0.48),
        (0.825, 0.33),
        (0.76, 0.22),
        (0.64, 0.145),
        (0.54, 0.125),
    ]
    return spline([*front, *floor, *back], closed=True)


def _body(canvas: Canvas) -> Plane:
    rim: Points = [
        (0.2, -0.1), (0.27, 0.04), (0.27, 0.14), (0.2, 0.24), (0.15, 0.36), (0.13, 0.5), (0.14, 0.64), (0.11, 0.8),
        (0.1, 1.1), (0.96, 1.1), (0.93, 0.9), (0.955, 0.7), (0.965, 0.5), (0.95, 0.33), (0.9, 0.18), (0.93, -0.1),
    ]  # fmt: skip
    torso = canvas.solid(canvas.area(spline(rim, closed=True)), depth=0.04)
    shoulders = hump((canvas.y - 0.02) / 0.16) * hump((canvas.x - 0.55) / 0.3)
    belly = rise(canvas.y - 0.66, soft=0.05)
    return torso * (0.84 + 0.5 * shoulders + 0.34 * belly)


def _middle(anatomy: Anatomy, canvas: Canvas) -> Plane:
    """Heart behind the breast bone, aorta, windpipe, hila."""
    size = 0.5 + anatomy.cardiothoracic_ratio
    low = 0.035 if anatomy.hyperinflated else 0.0
    rim = (
        (0.0, -0.15),
        (0.09, -0.1),
        (0.125, 0.0),
        (0.1, 0.09),
        (0.0, 0.13),
        (-0.13, 0.12),
        (-0.14, 0.02),
        (-0.08, -0.08),
    )
    heart = spline([(0.4 + size * x, 0.5 + low + size * y) for x, y in rim], closed=True)
    arch: Points = [
        (0.44, 0.42),
        (0.455, 0.33),
        (0.52, 0.265),
        (0.6, 0.275),
        (0.67, 0.36),
        (0.72, 0.5),
        (0.74, 0.7),
    ]
    aorta = canvas.tubes([(spline(arch), 0.06, 1.0)], soften=0.01)
    pipe = canvas.tubes([(spline([(0.56, 0.0), (0.57, 0.15), (0.585, 0.33)]), 0.034, 1.0)], soften=0.004)
    bronchus = canvas.ball(0.588, 0.36, 0.02) + 0.8 * canvas.ball(0.592, 0.42, 0.016)
    hilum = canvas.blur(canvas.ball(0.57, 0.4, 0.07), 0.02)
    veil = hump((canvas.x - 0.5) / 0.13) * hump((canvas.y - 0.25) / 0.12)
    soft = 0.42 * canvas.solid(canvas.area(heart), depth=0.018) + 0.09 * aorta + 0.16 * hilum + 0.12 * veil
    return np.asarray(soft - 0.16 * pipe - 0.12 * canvas.blur(bronchus, 0.003), dtype=np.float32)


def _bones(canvas: Canvas) -> Plane:
    near = [_rib(n, 0.0) for n in range(9)]
    far = [_rib(n, 0.022) for n in range(9)]
    breastbone = spline([(0.31, 0.2), (0.255, 0.3), (0.232, 0.4), (0.228, 0.5)])
    blades = [spline([(0.7, 0.1), (0.77, 0.22), (0.8, 0.34)]), spline([(0.66, 0.1), (0.73, 0.23), (0.77, 0.36)])]
    arm = spline([(0.62, 0.12), (0.5, 0.04), (0.3, -0.03)])
    return (
        0.06 * canvas.bones(near, width=0.024)
        + 0.05 * canvas.bones(far, width=0.022)
        + 0.12 * canvas.bones([breastbone], width=0.03)
        + 0.08 * canvas.bones(blades, width=0.012)
        + 0.1 * canvas.bones([arm], width=0.06)
        + _spine(canvas)
    )


def _rib(n: int, offset: float) -> Curve:
    start = 0.15 + 0.058 * n + offset
    t = np.linspace(0, 1, 16)
    end = float(np.interp(start + 0.17, _FRONT_Y, _FRONT_X))
    first = float(np.interp(start, _FRONT_Y, _BACK_X)) + 0.02
    x = first + (end - first) * t
    y = start - 0.03 * np.sin(np.pi * np.minimum(1.6 * t, 1)) + (0.13 + 0.012 * n) * t**1.6
    return np.column_stack([x, y]).astype(np.float32)


def _spine(canvas: Canvas) -> Plane:
    """A curved column of vertebral bodies; lower ones look darker, as less shoulder lies over them."""
    middle = 0.838 - 0.9 * np.minimum(canvas.y - 0.55, 0) ** 2 - 0.45 * np.maximum(canvas.y - 0.55, 0) ** 2
    across = np.abs(canvas.x - middle) / 0.034
    period = (canvas.y + 0.01) / 0.062
    disc = hump((period - np.round(period)) / 0.11)
    plate = hump((np.abs(period - np.round(period)) - 0.17) / 0.06)
    column = rise(1 - across, soft=0.08)
    edge = hump((across - 0.95) / 0.12) * (1 - disc)
    processes = hump((canvas.x - middle - 0.075) / 0.035) * (0.4 + 0.6 * (1 - disc))
    bright = column * (0.14 - 0.09 * disc + 0.07 * plate) + 0.06 * edge + 0.07 * processes
    return np.asarray(bright, dtype=np.float32)


def _vessels(anatomy: Anatomy, canvas: Canvas, rng: np.random.Generator) -> Plane:
    strokes: list[Stroke] = []
    for angle in rng.uniform(0, 2 * np.pi, 26):
        reach = rng.uniform(0.1, 0.26)
        t = np.linspace(0, 1, 8)
        bend = angle + rng.normal(0, 0.3) * t
        path = np.column_stack([0.58 + reach * t * np.cos(bend), 0.41 + reach * t * np.sin(bend)])
        for part in range(0, 6, 2):
            width = (0.008 - 0.001 * part) * (1 + 0.4 * anatomy.congestion)
            strokes.append((path[part : part + 3].astype(np.float32), width, 0.8 - 0.1 * part))
    haze = 0.08 * anatomy.congestion * hump((canvas.y - 0.5) / 0.15)
    return np.asarray(0.11 * canvas.tubes(strokes, soften=0.0022) + haze, dtype=np.float32)


def _second_dome(anatomy: Anatomy, canvas: Canvas, lung: Plane) -> Plane:
    """The left dome stands a little lower in front and shows through the right one."""
    drop = 0.05 if anatomy.hyperinflated else 0.0
    rim = (
        0.61 + drop + 0.7 * np.clip(canvas.x - 0.5, 0, 1) ** 1.7 - 0.25 * np.clip(0.42 - canvas.x, -0.1, 0.1) ** 2
    )
    return np.asarray(lung * 0.16 * rise(canvas.y - rim, soft=0.004), dtype=np.float32)


def _disease(anatomy: Anatomy, canvas: Canvas, lung: Plane, rng: np.random.Generator) -> Plane:
    total = np.zeros_like(canvas.x)
    for lesion in anatomy.opacities:
        where = canvas.ball(0.27 + 0.55 * lesion.z, lesion.y, lesion.radius * 1.4)
        patchy = np.clip(0.75 + 0.35 * canvas.cloud(rng, cells=16), 0, 1.6)
        total += lung * 0.75 * lesion.density * canvas.blur(where * patchy, 0.008)
    for lesion in anatomy.nodules:
        ball = canvas.ball(0.27 + 0.55 * lesion.z, lesion.y, lesion.radius)
        total += 0.8 * lesion.density * canvas.blur(ball, 0.002)
    return total


def _fluid(anatomy: Anatomy, canvas: Canvas) -> Plane:
    """Of both sides, what shows here: it gathers in the angle behind. One side alone replaces half the air."""
    total = np.zeros_like(canvas.x)
    back = np.clip((canvas.x - 0.55) / 0.3, 0, 1)
    for amount in (anatomy.effusion_right, anatomy.effusion_left):
        if amount:
            rim = 0.86 - 0.3 * amount - (0.04 + 0.08 * amount) * back**4
            total += 0.48 * rise(canvas.y - rim, soft=0.012)
    return total


def _devices(anatomy: Anatomy, canvas: Canvas) -> Plane:
    total = np.zeros_like(canvas.x)
    if anatomy.pacemaker:
        case = canvas.area(
            spline([(0.265, 0.2), (0.285, 0.195), (0.3, 0.24), (0.275, 0.27), (0.258, 0.25)], closed=True)
        )
        atrial = spline([(0.28, 0.22), (0.4, 0.2), (0.5, 0.28), (0.5, 0.42), (0.46, 0.48), (0.43, 0.45)])
        chamber = spline([(0.28, 0.21), (0.42, 0.19), (0.52, 0.3), (0.5, 0.5), (0.42, 0.58), (0.34, 0.585)])
        leads = [(atrial, 0.004, 1.0), (chamber, 0.004, 1.0)]
        total += 0.95 * canvas.blur(case, 0.0015) + 0.6 * canvas.tubes(leads, soften=0.0008)
    if anatomy.central_line:
        line = spline([(0.5, 0.0), (0.52, 0.12), (0.5, 0.25), (0.49, 0.4)])
        total += 0.2 * canvas.tubes([(line, 0.006, 1.0)], soften=0.0008)
    return total
