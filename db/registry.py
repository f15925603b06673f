"""Models and their runs as they are registered, and the values that a database is bound to for good.

`versions` looks them up and promotes them. A version's hashes never change: whoever brings other files under a
known version is refused before any work.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine, insert, select, update

from db.base import UtcNow
from db.engine import reading, writing
from db.errors import ModelConflict, SettingConflict
from db.leases import upsert
from db.records import InferenceRunFact, ModelVersionFact
from db.report_tables import InferenceRun, ModelVersion, Setting

_FIXED = ("weights_sha256", "tokenizer_sha256", "preprocessing_sha256", "training_manifest_sha256", "device_uid")


class Registry:
    """The models and settings of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def register_model(self, fact: ModelVersionFact) -> int:
        """The id of the model version, which is added when it is new.

        Raises:
            ModelConflict: The version is known with other files.
        """
        with writing(self._engine) as connection:
            connection.execute(upsert(connection, ModelVersion).on_conflict_do_nothing(), [asdict(fact)])
            known = connection.execute(
                select(ModelVersion.__table__).where(
                    ModelVersion.name == fact.name, ModelVersion.version == fact.version
                )
            ).one()
            _require_same(known, fact)
            return int(known.id)

    def find_model(self, fact: ModelVersionFact) -> int | None:
        """The id of the model version, None when it was never registered; writes nothing.

        Raises:
            ModelConflict: The version is known with other files.
        """
        with reading(self._engine) as connection:
            known = connection.execute(
                select(ModelVersion.__table__).where(
                    ModelVersion.name == fact.name, ModelVersion.version == fact.version
                )
            ).one_or_none()
        if known is None:
            return None
        _require_same(known, fact)
        return int(known.id)

    def start_run(self, fact: InferenceRunFact) -> int:
        """The id of a new run, started now."""
        with writing(self._engine) as connection:
            made = connection.execute(insert(InferenceRun).returning(InferenceRun.id), [asdict(fact)])
            return made.scalar_one()

    def finish_run(self, run_id: int, *, studies: int, timings: Mapping[str, Any]) -> None:
        """Close a run: the studies it settled, and the seconds that its stages took."""
        closed = update(InferenceRun).where(InferenceRun.id == run_id)
        with writing(self._engine) as connection:
            connection.execute(closed.values(finished_at=UtcNow(), studies=studies, timings=dict(timings)))

    def pin(self, key: str, value: str) -> None:
        """Bind the database to a value: the first one stays.

        Raises:
            SettingConflict: It is bound to another value.
        """
        with writing(self._engine) as connection:
            connection.execute(
                upsert(connection, Setting).on_conflict_do_nothing(), [{"key": key, "value": value}]
            )
            known = connection.execute(select(Setting.value).where(Setting.key == key)).scalar_one()
        if known != value:
            raise SettingConflict(
                f"this database was filled with {key} {known!r}, not {value!r}; use that value or another database"
            )


def _require_same(known: Any, fact: ModelVersionFact) -> None:
    for name in _FIXED:
        was, now = getattr(known, name), getattr(fact, name)
        if was != now:
            raise ModelConflict(
                f"model {fact.name!r} version {fact.version!r} is registered with {name} {was!r}, "
                f"this checkpoint has {now!r}; give changed weights a new version"
            )
