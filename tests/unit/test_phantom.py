"""Phantoms show the anatomy they were asked for, and the same one for the same seed."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from pipeline.anatomy import Anatomy, Lesion, invent
from pipeline.phantom import radiograph
from pipeline.phantom_canvas import Plane
from pipeline.phantom_others import ct_slice, hip

SIZE = 128
HEALTHY = Anatomy(seed=3)


def view(anatomy: Anatomy, projection: Literal["frontal", "lateral"] = "frontal") -> Plane:
    return radiograph(anatomy, projection, rows=SIZE, columns=SIZE, noise=0.0)


@pytest.mark.parametrize("projection", ["frontal", "lateral"])
def test_a_view_has_black_air_and_white_bone_and_nothing_beyond(projection: Literal["frontal", "lateral"]) -> None:
    seen = view(HEALTHY, projection)
    assert seen.shape == (SIZE, SIZE)
    assert seen.dtype == np.float32
    assert 0 <= seen.min() < 0.05
    assert 0.8 < seen.max() <= 1


def test_the_same_seed_draws_the_same_patient_and_another_seed_another() -> None:
    assert np.array_equal(view(invent(7)), view(invent(7)))
    assert not np.array_equal(view(invent(7)), view(invent(8)))


def test_both_lungs_are_darker_than_the_middle() -> None:
    row = view(HEALTHY)[int(0.4 * SIZE)]
    right, middle, left = row[int(0.3 * SIZE)], row[SIZE // 2], row[int(0.7 * SIZE)]
    assert max(right, left) < middle - 0.25


@pytest.mark.parametrize(
    ("finding", "y", "x"),
    [
        ({"effusion_right": 0.6}, 0.6, 0.2),  # the patient's right is at the image's left
        ({"effusion_left": 0.6}, 0.6, 0.8),
        ({"cardiothoracic_ratio": 0.65}, 0.58, 0.76),
        ({"pacemaker": True}, 0.23, 0.74),
        ({"opacities": (Lesion(side="right", x=0.2, y=0.35, z=0.5, radius=0.08, density=0.3),)}, 0.35, 0.3),
        ({"nodules": (Lesion(side="left", x=0.2, y=0.3, z=0.5, radius=0.03, density=0.3),)}, 0.3, 0.7),
    ],
)
def test_a_finding_whitens_its_own_place(finding: dict[str, object], y: float, x: float) -> None:
    ill = replace(HEALTHY, **finding)  # type: ignore[arg-type]
    difference = view(ill) - view(HEALTHY)
    assert difference[int(y * SIZE), int(x * SIZE)] > 0.05
    assert ill.words()
    assert not ill.normal


def test_overfull_lungs_reach_lower() -> None:
    place = (int(0.64 * SIZE), int(0.32 * SIZE))
    assert view(replace(HEALTHY, hyperinflated=True))[place] < view(HEALTHY)[place] - 0.1


def test_seeds_invent_healthy_and_ill_patients() -> None:
    said = [invent(seed).words() for seed in range(60)]
    assert 10 < sum(not words for words in said) < 35
    assert len({word for words in said for word in words}) == 9


def test_a_hip_and_a_slice_can_be_drawn() -> None:
    for seen in (hip(96), ct_slice(96)):
        assert seen.shape == (96, 96)
        assert seen.std() > 0.1
