"""The converters follow the champion's preprocessing, seldom asking, and never fail over it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from db.errors import DatabaseUnavailable
from pipeline.errors import CheckpointError
from pipeline.study import Preprocessing
from tests.checkpoints import MANIFEST
from worker.fitting import LOOK_SECONDS, Fitting
from worker.shelf import Model

WIDE = Preprocessing(height=32, width=48, fit="squash")


def model(version_id: int, preprocessing: Preprocessing = MANIFEST.preprocessing) -> Model:
    manifest = replace(MANIFEST, version=str(version_id), preprocessing=preprocessing)
    return Model(version_id=version_id, folder=Path(), manifest=manifest)


@dataclass
class Site:
    """Aliases, models and a pool, each as a test wants it."""

    held: dict[str, int] = field(default_factory=lambda: {"champion": 1})
    models: dict[int, Model] = field(default_factory=lambda: {1: model(1), 2: model(2, WIDE), 3: model(3)})
    away: bool = False
    asked: int = 0
    time: float = 0.0
    fitted: list[Preprocessing] = field(default_factory=list)

    def aliases(self) -> Mapping[str, int]:
        self.asked += 1
        if self.away:
            raise DatabaseUnavailable("the server does not answer")
        return self.held

    def find(self, version_id: int) -> Model:
        if version_id not in self.models:
            raise CheckpointError("its files are nowhere")
        return self.models[version_id]

    def refit(self, preprocessing: Preprocessing) -> None:
        self.fitted.append(preprocessing)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def fitting(site: Site) -> Fitting:
    return Fitting(site, model=model(1), aliases=site.aliases, find=site.find, clock=lambda: site.time)


def look(site: Site, fitting: Fitting) -> None:
    site.time += LOOK_SECONDS
    fitting()


def test_a_champion_that_wants_other_views_gets_them_once(site: Site, fitting: Fitting) -> None:
    site.held = {"champion": 2}
    for _ in range(3):
        look(site, fitting)
    assert site.fitted == [WIDE]


def test_a_champion_that_wants_the_same_views_changes_nothing(site: Site, fitting: Fitting) -> None:
    site.held = {"champion": 3}
    look(site, fitting)
    site.held = {"champion": 2}
    look(site, fitting)
    assert site.fitted == [WIDE]


def test_the_aliases_are_not_asked_for_at_every_slice(site: Site, fitting: Fitting) -> None:
    for _ in range(100):
        site.time += LOOK_SECONDS / 50
        fitting()
    assert site.asked == 2


def test_what_cannot_be_read_is_tried_again(site: Site, fitting: Fitting) -> None:
    site.away = True
    look(site, fitting)
    site.away, site.held = False, {"champion": 9}
    look(site, fitting)
    site.models[9] = model(9, WIDE)
    look(site, fitting)
    assert site.fitted == [WIDE]


@pytest.mark.parametrize("held", [{}, {"shadow": 2}])
def test_without_an_alias_the_first_model_stays(site: Site, fitting: Fitting, held: dict[str, int]) -> None:
    site.held = held
    look(site, fitting)
    assert site.fitted == []
