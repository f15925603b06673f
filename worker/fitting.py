"""The converters' fit to the champion: they make its views, from within a minute after it changed.

A captioner that misses a view makes it itself from the object, so nothing depends on this but speed.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from db.aliases import CHAMPION
from db.errors import DatabaseError
from pipeline.errors import NightreadError
from pipeline.study import Preprocessing
from worker.shelf import Model

LOOK_SECONDS = 15.0

log = structlog.get_logger()


class Refitted(Protocol):
    """Whoever makes views."""

    def refit(self, preprocessing: Preprocessing) -> None:
        """Make them like this from now on."""


class Fitting:
    """Called before each slice; looks at the aliases every few seconds."""

    def __init__(
        self,
        pool: Refitted,
        *,
        model: Model,
        aliases: Callable[[], Mapping[str, int]],
        find: Callable[[int], Model],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`model` is what the pool makes views for now; `find` gives a version by its id."""
        self._pool, self._model = pool, model
        self._aliases, self._find, self._clock = aliases, find, clock
        self._look_at = clock() + LOOK_SECONDS

    def __call__(self) -> None:
        """Refit the pool if the champion asks for other views; a model that cannot be had changes nothing."""
        if self._clock() < self._look_at:
            return
        self._look_at = self._clock() + LOOK_SECONDS
        try:
            wanted = self._aliases().get(CHAMPION, self._model.version_id)
            if wanted == self._model.version_id:
                return
            was, self._model = self._model, self._find(wanted)
        except (DatabaseError, NightreadError) as error:
            log.warning("champion_not_read", reason=str(error))
            return
        if self._model.manifest.preprocessing != was.manifest.preprocessing:
            log.info("views_refitted", model=self._model.manifest.title, was=was.manifest.title)
            self._pool.refit(self._model.manifest.preprocessing)
