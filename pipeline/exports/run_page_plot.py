"""The geometry of the run page's plot: studies done over the time of a run, and how many per second.

Given samples (seconds since the start, studies done), never falling in either. Positions are in the units of the
drawing (`WIDTH` by `HEIGHT`); the template only writes them down. Knows no HTML.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

Sample: TypeAlias = tuple[float, int]

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT = 64, 708  # of both panels
DONE_TOP, DONE_BOTTOM = 20, 166  # the upper panel: studies done
RATE_TOP, RATE_BOTTOM = 198, 252  # the lower panel: their rate
_BARS = 46
_UNITS = ((7200, 3600, "hours"), (180, 60, "minutes"), (0, 1, "seconds"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """The rate over one stretch of time."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """Everything the drawing needs."""

    line: str  # SVG path of the studies done
    area: str  # the same, closed down to the axis
    bars: tuple[Bar, ...]
    time_ticks: tuple[Tick, ...]
    done_ticks: tuple[Tick, ...]
    rate_ticks: tuple[Tick, ...]
    time_unit: str  # "seconds", "minutes" or "hours"
    rate_unit: str  # "per second", "per minute" or "per hour"
    seconds: float
    done: int

    @property
    def sentence(self) -> str:
        """What the plot shows, for those who do not see it."""
        noun = "study" if self.done == 1 else "studies"
        return f"{self.done:,} {noun} done in {spell(self.seconds)}, {self.pace} on average."

    @property
    def pace(self) -> str:
        """The mean rate, with its unit."""
        return _pace(self.done / self.seconds)


def plot(samples: Sequence[Sample]) -> Plot | None:
    """The plot of these samples; None where there is nothing to see yet."""
    if not samples or samples[-1][0] <= 0:
        return None
    seconds, done = samples[-1]
    if samples[0][0] > 0:
        samples = [(0.0, 0), *samples]
    scale, unit = next((scale, unit) for least, scale, unit in _UNITS if seconds >= least)
    highest = _ceiling(max(done, 1))
    points = [(_x(at, seconds), _between(n / highest, DONE_BOTTOM, DONE_TOP)) for at, n in _thin(samples)]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    rates, rate_unit = _rates(samples)
    fastest = _ceiling(max(rates))
    return Plot(
        line=line,
        area=f"{line}L{points[-1][0]:.1f} {DONE_BOTTOM}L{points[0][0]:.1f} {DONE_BOTTOM}Z",
        bars=_bars(rates, fastest),
        time_ticks=tuple(Tick(at=_x(n * scale, seconds), label=_number(n)) for n in _steps(seconds / scale)),
        done_ticks=_axis(highest, DONE_BOTTOM, DONE_TOP),
        rate_ticks=tuple(
            Tick(at=_between(share, RATE_BOTTOM, RATE_TOP), label=_number(share * fastest)) for share in (0, 1)
        ),
        time_unit=unit,
        rate_unit=rate_unit,
        seconds=seconds,
        done=done,
    )


def spell(seconds: float) -> str:
    """A duration for a person: "41 s", "7 min 5 s", "3 h 20 min"."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _pace(rate: float) -> str:
    per, unit = _rate_unit(rate)
    return f"{_number(float(f'{rate * per:.2g}'))} {unit}"


def _rate_unit(rate: float) -> tuple[float, str]:
    """A rate of less than 1 is told over a longer time."""
    units = ((1.0, "per second"), (60.0, "per minute"))
    return next(((per, unit) for per, unit in units if rate * per >= 1), (3600.0, "per hour"))


def _rates(samples: Sequence[Sample]) -> tuple[list[float], str]:
    """The rate in each bar, in the unit that the fastest asks for."""
    edges = np.linspace(0, samples[-1][0], _BARS + 1)
    done = np.interp(edges, [at for at, _ in samples], [n for _, n in samples])
    rates = np.diff(done) / np.diff(edges)
    per, unit = _rate_unit(float(rates.max()))
    return [float(rate) * per for rate in rates], unit


def _bars(rates: Sequence[float], fastest: float) -> tuple[Bar, ...]:
    step = (RIGHT - LEFT) / len(rates)
    tall = RATE_BOTTOM - RATE_TOP
    return tuple(
        Bar(
            x=LEFT + n * step + 1,
            y=RATE_BOTTOM - rate / fastest * tall,
            width=step - 2,
            height=rate / fastest * tall,
        )
        for n, rate in enumerate(rates)
    )


def _thin(samples: Sequence[Sample], most: int = 300) -> Sequence[Sample]:
    every = math.ceil(len(samples) / most)
    return [*samples[:-1:every], samples[-1]]


def _x(at: float, seconds: float) -> float:
    return _between(at / seconds, LEFT, RIGHT)


def _between(share: float, low: float, high: float) -> float:
    return low + share * (high - low)


def _axis(highest: float, low: float, high: float) -> tuple[Tick, ...]:
    return tuple(Tick(at=_between(n / highest, low, high), label=_number(n)) for n in _steps(highest))


def _step(highest: float) -> float:
    """A round step (1, 2 or 5 times a power of ten) that divides the axis into 3 to 6."""
    rough = highest / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)


def _ceiling(highest: float) -> float:
    if highest <= 0:
        return 1.0
    step = _step(highest)
    return math.ceil(highest / step - 1e-9) * step


def _steps(highest: float) -> list[float]:
    step = _step(highest)
    return [n * step for n in range(math.floor(highest / step + 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.3g}"
