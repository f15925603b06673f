"""A chest from the front (PA): the attenuation of each part, laid over the others.

Points are given as distances from the midline, as a radiologist would measure them. See `anatomy` for the units.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.anatomy import Anatomy, Side
from pipeline.phantom_canvas import Canvas, Curve, Plane, Points, Stroke, hump, rise, spline

MIDLINE = 0.5
_CAPILLARY = 0.0016  # width of the last vessels drawn
_WALL_Y = (0.10, 0.155, 0.24, 0.36, 0.5, 0.62, 0.8, 1.0)
_WALL_X = (0.13, 0.205, 0.27, 0.315, 0.345, 0.362, 0.375, 0.38)


def frontal(anatomy: Anatomy, canvas: Canvas) -> Plane:
    """Attenuation: air 0, lung about 0.3, the middle of the chest above 1."""
    rng = np.random.default_rng((anatomy.seed, 1))
    lungs = {side: canvas.area(_lung(anatomy, side)) for side in _SIGN}
    air = np.maximum(lungs["right"], lungs["left"])
    depth = canvas.solid(air, depth=0.014) * (0.95 + 0.03 * canvas.cloud(rng, cells=5))
    total: Plane = (
        _body(anatomy, canvas)
        - 0.56 * depth * (1 - _fluid(anatomy, canvas))
        + _middle(anatomy, canvas, canvas.blur(air, 0.006))
        + _bones(anatomy, canvas)
        + canvas.blur(air, 0.004) * _vessels(anatomy, canvas, rng)
        + _abdomen(canvas, rng)
        + _disease(anatomy, canvas, lungs, rng)
        + _devices(anatomy, canvas)
    )
    return total


_SIGN: dict[Side, int] = {"right": -1, "left": 1}


def _place(side: Side, points: Points, build: float = 1.0) -> Curve:
    curve = np.asarray(points, dtype=np.float32)
    return np.column_stack([MIDLINE + _SIGN[side] * build * curve[:, 0], curve[:, 1]]).astype(np.float32)


def _wall(y: float) -> float:
    return float(np.interp(y, _WALL_Y, _WALL_X))


def _floor(anatomy: Anatomy, side: Side) -> Points:
    """The diaphragm, from the costophrenic angle inwards; flat and low when the lungs are overfull."""
    low = 0.055 if anatomy.hyperinflated else 0.0
    dome = 0.35 if anatomy.hyperinflated else 1.0
    drop = low + (0.018 if side == "left" else 0.0)
    top = 0.63
    heights = ((0.358, 0.09), (0.345, 0.05), (0.31, 0.0), (0.25, -0.04), (0.18, -0.052), (0.1, -0.03), (0.05, 0.0))
    return [(x, top + drop + dome * rise) for x, rise in heights]


def _lung(anatomy: Anatomy, side: Side) -> Curve:
    wall: Points = [(0.12, 0.135), (0.185, 0.15), (0.262, 0.24), (0.31, 0.36), (0.338, 0.5), (0.353, 0.61)]
    middle: Points = [(0.045, 0.5), (0.05, 0.3), (0.07, 0.18)]
    outline = [*wall, *_floor(anatomy, side), *middle]
    return spline([(float(x), float(y)) for x, y in _place(side, outline, anatomy.build)], closed=True)


def _body(anatomy: Anatomy, canvas: Canvas) -> Plane:
    half: Points = [
        (0.115, -0.1),
        (0.12, 0.03),
        (0.16, 0.075),
        (0.3, 0.115),
        (0.44, 0.15),
        (0.53, 0.21),
        (0.6, 0.4),
    ]
    flank: Points = [(0.62, 0.7), (0.62, 1.1)]
    left = _place("left", [*half, *flank], anatomy.build)
    right = _place("right", [*half, *flank], anatomy.build)[::-1]
    torso = canvas.solid(canvas.area(np.vstack([left, right])), depth=0.035)
    beside = np.abs(canvas.x - MIDLINE) / anatomy.build - 0.4 - 0.05 * hump((canvas.y - 0.2) / 0.2)
    deeper = (0.66 + 0.16 * canvas.y + 0.1 * hump((canvas.x - MIDLINE) / 0.3)) * (
        1 - 0.42 * rise(beside, soft=0.014)
    )
    breasts = sum(
        (canvas.blur(canvas.ball(MIDLINE + sign * 0.2, 0.55, 0.15), 0.02) for sign in (-1, 1)),
        start=np.zeros_like(canvas.x),
    )
    return torso * deeper + (0.07 if anatomy.seed % 2 else 0.015) * breasts


def _middle(anatomy: Anatomy, canvas: Canvas, air: Plane) -> Plane:
    """Mediastinum, heart, great vessels, windpipe."""
    column: Points = [(-0.055, 0.0), (-0.052, 0.15), (-0.07, 0.3), (-0.06, 0.45), (-0.055, 0.7), (-0.06, 1.05)]
    other: Points = [(0.06, 1.05), (0.055, 0.7), (0.06, 0.45), (0.062, 0.33), (0.058, 0.2), (0.055, 0.0)]
    mediastinum = canvas.area(_place("left", [*column, *other]))
    knob = canvas.blur(canvas.ball(MIDLINE + 0.062, 0.28, 0.046), 0.004)
    heart = canvas.solid(canvas.area(_heart(anatomy)), depth=0.013)
    heart *= 0.25 + 0.75 * np.maximum(
        air, hump((canvas.x - MIDLINE) / 0.055)
    )  # below the domes the liver hides it
    pipe: Points = [(0.0, -0.02), (-0.002, 0.15), (-0.008, 0.3)]
    bronchi = [spline(_listed([(-0.008, 0.3), (sign * 0.05, 0.355)])) for sign in (-1, 1)]
    windpipe = canvas.tubes(
        [(spline(_listed(pipe)), 0.036, 1.0), *((curve, 0.02, 0.7) for curve in bronchi)], soften=0.004
    )
    return 0.2 * canvas.blur(mediastinum, 0.008) + 0.22 * knob + 0.46 * heart - 0.15 * windpipe


def _listed(points: Points) -> Points:
    return [(MIDLINE + x, y) for x, y in points]


def _heart(anatomy: Anatomy) -> Curve:
    width = anatomy.cardiothoracic_ratio * 2 * 0.35 * (0.86 if anatomy.hyperinflated else 1)
    right, left = 0.33 * width, 0.67 * width
    low = 0.045 if anatomy.hyperinflated else 0.0
    rim: Points = [
        (0.035, 0.33), (0.06, 0.37), (0.32 * left, 0.42), (0.62 * left, 0.48), (0.92 * left, 0.555), (left, 0.6),
        (0.9 * left, 0.635), (0.4 * left, 0.66), (-0.5 * right, 0.66), (-0.88 * right, 0.62), (-right, 0.555),
        (-0.9 * right, 0.48), (-0.058, 0.4), (-0.04, 0.34),
    ]  # fmt: skip
    return spline([(MIDLINE + anatomy.build * x, y + low * (y - 0.33) / 0.33) for x, y in rim], closed=True)


def _bones(anatomy: Anatomy, canvas: Canvas) -> Plane:
    back = [_posterior_rib(anatomy, side, n) for side in _SIGN for n in range(10)]
    front = [_anterior_rib(anatomy, side, n) for side in _SIGN for n in range(7)]
    collar = [
        spline([(float(x), float(y)) for x, y in _place(side, points, anatomy.build)])
        for side in _SIGN
        for points in [[(0.03, 0.205), (0.1, 0.185), (0.2, 0.15), (0.3, 0.122), (0.41, 0.125)]]
    ]
    blade: Points = [(0.33, 0.14), (0.42, 0.2), (0.415, 0.3), (0.36, 0.42), (0.335, 0.36), (0.335, 0.24)]
    blades = [
        spline([(float(x), float(y)) for x, y in _place(s, blade, anatomy.build)], closed=True) for s in _SIGN
    ]
    arms = [_place(side, [(0.44, 0.17), (0.475, 0.4), (0.49, 0.62)], anatomy.build) for side in _SIGN]
    return (
        0.15 * canvas.bones(back, width=0.025)
        + 0.085 * canvas.bones(front, width=0.03, cortex=0.4)
        + 0.13 * canvas.bones(collar, width=0.028)
        + 0.05 * canvas.bones(blades, width=0.012)
        + 0.2 * canvas.bones(arms, width=0.06)
        + _spine(canvas)
    )


def _posterior_rib(anatomy: Anatomy, side: Side, n: int) -> Curve:
    start = 0.125 + 0.052 * n
    fall = 0.06 + 0.012 * n
    end = _wall(start + fall) + 0.006
    t = np.linspace(0, 1, 16)
    x = 0.04 + (end - 0.04) * np.sin(t * np.pi / 2) ** 0.9
    y = start - 0.022 * np.sin(np.pi * np.minimum(t * 1.3, 1)) + fall * t**2.2
    return _place(side, list(zip(x.tolist(), y.tolist(), strict=True)), anatomy.build)


def _anterior_rib(anatomy: Anatomy, side: Side, n: int) -> Curve:
    start = 0.19 + 0.062 * n
    t = np.linspace(0, 1, 16)
    x = _wall(start) + 0.004 - (_wall(start) - 0.12 - 0.008 * n) * np.sin(t * np.pi / 2) ** 1.3
    y = start + 0.1 * t**0.8
    return _place(side, list(zip(x.tolist(), y.tolist(), strict=True)), anatomy.build)


def _spine(canvas: Canvas) -> Plane:
    """Bodies, discs and pedicles, seen through the mediastinum; paired processes at the sides."""
    period = (canvas.y + 0.02) / 0.052
    disc = hump((period - np.round(period)) / 0.13)
    across = np.abs(canvas.x - MIDLINE) / 0.033
    column = rise(1 - across, soft=0.07)
    edge = hump((across - 0.95) / 0.14)
    pedicle = hump((across - 0.6) / 0.16) * hump((period - np.round(period - 0.35) - 0.35) / 0.16)
    return np.asarray(column * (0.12 - 0.06 * disc) + 0.05 * edge + 0.06 * pedicle, dtype=np.float32)


def _vessels(anatomy: Anatomy, canvas: Canvas, rng: np.random.Generator) -> Plane:
    strokes: list[Stroke] = []
    thick = 1 + 0.5 * anatomy.congestion
    for side in _SIGN:
        root = np.array([0.07, 0.385 if side == "left" else 0.4])
        for angle in np.linspace(-1.35, 1.4, 9) + rng.normal(0, 0.08, 9):
            wide = 0.0085 * thick * (1.0 if angle > 0 else 0.75 + 0.4 * anatomy.congestion)
            strokes += _branch(side, root, float(angle), wide, rng)
    fine = canvas.tubes(strokes, soften=0.0016)
    hila = sum(
        (canvas.ball(MIDLINE + sign * 0.075, 0.39, 0.055) for sign in _SIGN.values()),
        start=np.zeros_like(canvas.x),
    )
    haze = 0.09 * anatomy.congestion * hump((canvas.y - 0.5) / 0.15)
    return 0.13 * fine + 0.1 * canvas.blur(hila, 0.012) + haze


def _branch(
    side: Side, start: NDArray[np.float64], angle: float, width: float, rng: np.random.Generator
) -> Iterator[Stroke]:
    """One vessel and, from its end, two thinner ones."""
    if width < _CAPILLARY:
        return
    length = 9.5 * width * rng.uniform(0.8, 1.2)
    bend = rng.normal(0, 0.2)
    steps = np.linspace(0, 1, 5)[:, None]
    heading = np.column_stack([np.cos(angle + bend * steps[:, 0]), np.sin(angle + bend * steps[:, 0])])
    points = start + steps * length * heading
    yield _place(side, points.tolist()), width, min(1.0, 0.25 + width * 85)
    for turn in (-0.38, 0.34):
        yield from _branch(side, points[-1], angle + bend + turn + rng.normal(0, 0.1), width * 0.7, rng)


def _abdomen(canvas: Canvas, rng: np.random.Generator) -> Plane:
    """Liver, and gas in the stomach under the left dome."""
    liver = rise(canvas.y - 0.66, soft=0.03) * (1 + 0.08 * canvas.cloud(rng, cells=4))
    gas = canvas.ball(MIDLINE + rng.uniform(0.14, 0.2), 0.7, rng.uniform(0.03, 0.06))
    return 0.3 * liver - 0.3 * canvas.blur(gas, 0.005)


def _disease(anatomy: Anatomy, canvas: Canvas, lungs: dict[Side, Plane], rng: np.random.Generator) -> Plane:
    total = np.zeros_like(canvas.x)
    for lesion in anatomy.opacities:
        where = canvas.ball(MIDLINE + _SIGN[lesion.side] * lesion.x, lesion.y, lesion.radius * 1.5)
        patchy = np.clip(0.75 + 0.35 * canvas.cloud(rng, cells=16), 0, 1.6)
        total += lungs[lesion.side] * lesion.density * canvas.blur(where * patchy, 0.008)
    for lesion in anatomy.nodules:
        ball = canvas.ball(MIDLINE + _SIGN[lesion.side] * lesion.x, lesion.y, lesion.radius)
        total += lesion.density * canvas.blur(ball, 0.002)
    return total


def _fluid(anatomy: Anatomy, canvas: Canvas) -> Plane:
    """How much of the air fluid replaces: its rim sags in the middle and climbs the chest wall (the meniscus)."""
    out = (canvas.x - MIDLINE) / (0.355 * anatomy.build)
    amount = np.where(out < 0, anatomy.effusion_right, anatomy.effusion_left)
    rim = 0.69 - 0.25 * amount - (0.04 + 0.09 * amount) * np.clip(np.abs(out), 0, 1) ** 5
    return rise(canvas.y - rim, soft=0.011) * (amount > 0) * 0.97


def _devices(anatomy: Anatomy, canvas: Canvas) -> Plane:
    total = np.zeros_like(canvas.x)
    if anatomy.pacemaker:
        low = 0.045 if anatomy.hyperinflated else 0.0
        case = canvas.area(
            spline(_listed([(0.2, 0.2), (0.27, 0.19), (0.29, 0.24), (0.24, 0.27), (0.195, 0.25)]), closed=True)
        )
        atrial: Points = [
            (0.22, 0.22),
            (0.12, 0.2),
            (0.02, 0.23),
            (-0.05, 0.32),
            (-0.07, 0.45),
            (-0.05, 0.5),
            (-0.035, 0.47),
        ]
        tip = 0.1 + 0.15 * anatomy.cardiothoracic_ratio
        chamber: Points = [
            (0.23, 0.21),
            (0.12, 0.19),
            (0.03, 0.22),
            (-0.04, 0.32),
            (-0.05, 0.5),
            (0.02, 0.59 + low),
            (tip, 0.605 + low),
        ]
        leads = [(spline(_listed(lead)), 0.004, 1.0) for lead in (atrial, chamber)]
        total += 0.95 * canvas.blur(case, 0.0015) + 0.6 * canvas.tubes(leads, soften=0.0008)
    if anatomy.central_line:
        line: Points = [(-0.13, -0.02), (-0.1, 0.08), (-0.06, 0.2), (-0.058, 0.3), (-0.06, 0.4)]
        total += 0.22 * canvas.tubes([(spline(_listed(line)), 0.006, 1.0)], soften=0.0008)
    return total
