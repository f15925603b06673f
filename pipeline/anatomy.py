"""What an invented patient's chest holds: the facts from which a phantom's views are drawn.

Lengths are fractions of the field of view (a square of about 43 cm); x runs to the image's right, which in a
frontal view is the patient's left, y runs down, z runs from the chest's front (0) to its back (1). The figures
are chosen to look right to a person, not measured from people; nothing here says how often a finding occurs.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

Side: TypeAlias = Literal["right", "left"]

LARGEST_NORMAL_HEART = 0.52  # cardiothoracic ratio


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesion:
    """A round or cloudy density within one lung."""

    side: Side
    x: float  # distance from the midline
    y: float
    z: float
    radius: float
    density: float  # added attenuation at its centre; a rib adds about 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Anatomy:
    """One patient. Both views of a patient are drawn from the same `Anatomy` and so agree."""

    seed: int  # of everything that is texture: vessels, noise, small irregularities
    cardiothoracic_ratio: float = 0.46  # heart's width / chest's inner width
    effusion_right: float = 0.0  # 0 none, 0.15 blunted angle, 1 half the lung
    effusion_left: float = 0.0
    opacities: tuple[Lesion, ...] = ()
    nodules: tuple[Lesion, ...] = ()
    pacemaker: bool = False
    central_line: bool = False
    hyperinflated: bool = False
    congestion: float = 0.0  # 0 none, 1 marked: wide upper vessels and a haze
    build: float = 1.0  # width of the chest against the usual
    exposure: float = 1.0  # below 1 the image is pale, above 1 dark

    @property
    def normal(self) -> bool:
        """Whether a reader would find nothing to report."""
        return not self.words()

    def words(self) -> tuple[str, ...]:
        """The findings in a reader's words, for captions and for tests."""
        said = {
            "cardiomegaly": self.cardiothoracic_ratio > LARGEST_NORMAL_HEART,
            "right pleural effusion": self.effusion_right > 0,
            "left pleural effusion": self.effusion_left > 0,
            "opacity": bool(self.opacities),
            "nodule": bool(self.nodules),
            "pacemaker": self.pacemaker,
            "central venous line": self.central_line,
            "hyperinflation": self.hyperinflated,
            "pulmonary congestion": self.congestion > 0,
        }
        return tuple(word for word, present in said.items() if present)


def invent(seed: int) -> Anatomy:
    """A patient for this seed: about a third are normal, the others have one to three findings."""
    rng = np.random.default_rng((seed, 0xA7A7))
    kinds = ["heart", "right", "left", "opacity", "nodule", "pacemaker", "line", "lungs", "congestion"]
    count = int(rng.choice([0, 1, 2, 3], p=[0.34, 0.3, 0.24, 0.12]))
    has = set(rng.choice(kinds, size=count, replace=False).tolist())
    wide = "heart" in has or "congestion" in has
    return Anatomy(
        seed=seed,
        cardiothoracic_ratio=float(rng.uniform(0.54, 0.66) if wide else rng.uniform(0.41, 0.49)),
        effusion_right=float(rng.uniform(0.15, 0.8)) if "right" in has else 0.0,
        effusion_left=float(rng.uniform(0.15, 0.8)) if "left" in has else 0.0,
        opacities=(_lesion(rng, (0.055, 0.1), (0.16, 0.3)),) if "opacity" in has else (),
        nodules=tuple(_lesion(rng, (0.012, 0.028), (0.16, 0.26)) for _ in range(rng.integers(1, 4)))
        if "nodule" in has
        else (),
        pacemaker="pacemaker" in has,
        central_line="line" in has,
        hyperinflated="lungs" in has,
        congestion=float(rng.uniform(0.4, 1.0)) if "congestion" in has else 0.0,
        build=float(rng.uniform(0.94, 1.08)),
        exposure=float(rng.uniform(0.88, 1.14)),
    )


def _lesion(rng: np.random.Generator, radius: tuple[float, float], density: tuple[float, float]) -> Lesion:
    return Lesion(
        side="right" if rng.integers(2) else "left",
        x=float(rng.uniform(0.13, 0.27)),
        y=float(rng.uniform(0.25, 0.52)),
        z=float(rng.uniform(0.3, 0.75)),
        radius=float(rng.uniform(*radius)),
        density=float(rng.uniform(*density)),
    )
