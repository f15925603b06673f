"""Everything is killed at random while studies arrive: none is lost, none is doubled."""

import pytest

from tests.chaos import endure
from tests.fleet import Fleet

STUDIES = 150


@pytest.mark.slow
def test_whatever_is_killed_every_study_ends_once(fleet: Fleet) -> None:
    ordeal = endure(fleet, studies=STUDIES, seed=1, rounds=1)
    assert ordeal.verdict.clean, f"{ordeal.line()}\n" + "\n".join(ordeal.verdict.lost[:20])
    assert not [kind for kind in ordeal.kills if kind.endswith("by itself")], ordeal.line()
