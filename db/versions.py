"""Model versions as people and workers ask for them: listed, looked up, judged, promoted, taken back.

One method, one transaction. A promotion names the champion that it was judged against: where another one took its
place meanwhile, nothing is changed. Raises only `db.errors`. Knows no file and no criterion.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from db import aliases
from db.aliases import CHAMPION, PREVIOUS, SHADOW, AliasEvent
from db.engine import reading, writing
from db.errors import ChampionChanged
from db.report_tables import ModelVersion, Promotion


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionEntry:
    """A model version as it is registered."""

    id: int
    name: str
    version: str
    device_uid: str
    architecture: str
    weights_sha256: str
    tokenizer_sha256: str
    preprocessing_sha256: str
    training_manifest_sha256: str
    git_commit: str
    metrics: dict[str, Any]
    license: str
    created_at: datetime
    aliases: tuple[str, ...]  # that point at it now

    @property
    def title(self) -> str:
        """As a person names it."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """How a version did by written criteria."""

    criteria: str  # the file's text
    criteria_sha256: str
    passed: bool
    lines: tuple[Mapping[str, Any], ...]  # one for each criterion
    figures: Mapping[str, Any]  # of "candidate" and "champion"


@dataclass(frozen=True, kw_only=True, slots=True)
class PromotionEntry:
    """A judgement that was stored."""

    candidate_id: int
    champion_id: int | None
    actor: str
    criteria: str
    criteria_sha256: str
    passed: bool
    promoted: bool
    reason: str
    verdict: dict[str, Any]
    figures: dict[str, Any]
    created_at: datetime


class Versions:
    """The model versions of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def aliases(self) -> dict[str, int]:
        """The version that each alias points at."""
        with reading(self._engine) as connection:
            return aliases.held(connection)

    def entries(self) -> list[VersionEntry]:
        """All versions, the newest first."""
        with reading(self._engine) as connection:
            return _entries(connection)

    def entry(self, version_id: int) -> VersionEntry:
        """The version of this id."""
        with reading(self._engine) as connection:
            return _entries(connection, ModelVersion.id == version_id)[0]

    def named(self, name: str, version: str) -> VersionEntry | None:
        """The version of this name, None when it is not registered."""
        with reading(self._engine) as connection:
            found = _entries(connection, ModelVersion.name == name, ModelVersion.version == version)
        return found[0] if found else None

    def history(self, version_id: int) -> list[AliasEvent]:
        """What aliases pointed at a version, and when that ended."""
        with reading(self._engine) as connection:
            return aliases.history(connection, version_id)

    def judgements(self, version_id: int) -> list[PromotionEntry]:
        """What was judged of a version, the oldest first."""
        wanted = select(Promotion.__table__).where(Promotion.candidate_id == version_id).order_by(Promotion.id)
        with reading(self._engine) as connection:
            return [
                PromotionEntry(**{name: getattr(row, name) for name in PromotionEntry.__slots__})
                for row in connection.execute(wanted)
            ]

    def refresh(self, version_id: int, *, metrics: Mapping[str, Any], actor: str) -> None:
        """Store figures that were measured anew; the files of the version are the same."""
        changed = update(ModelVersion).where(ModelVersion.id == version_id)
        with writing(self._engine) as connection:
            connection.execute(changed.values(metrics=dict(metrics)))
            aliases.audit(connection, actor, "figures stored", version_id, {})

    def adopt(self, version_id: int, *, actor: str, reason: str) -> int:
        """Make a version champion where there is none yet; the champion's id."""
        with writing(self._engine) as connection:
            was = aliases.lock(connection)
            if CHAMPION not in was:
                aliases.crown(connection, version_id, was, actor=actor, reason=reason)
            return was.get(CHAMPION, version_id)

    def keep(
        self, version_id: int, judgement: Judgement, *, champion_id: int | None, actor: str, reason: str = ""
    ) -> None:
        """Store a judgement after which nothing was promoted."""
        with writing(self._engine) as connection:
            _store(connection, version_id, champion_id, judgement, actor=actor, reason=reason, promoted=False)

    def promote(
        self, version_id: int, judgement: Judgement, *, champion_id: int | None, actor: str, reason: str = ""
    ) -> None:
        """Make a version champion, and the champion `previous`. `reason`: why, where it did not pass.

        Raises:
            ChampionChanged: The champion is no longer the one that it was judged against; nothing was changed.
        """
        with writing(self._engine) as connection:
            was = aliases.lock(connection)
            _require(was, champion_id)
            _store(connection, version_id, champion_id, judgement, actor=actor, reason=reason, promoted=True)
            told = reason or "it met the criteria"
            aliases.crown(connection, version_id, was, actor=actor, reason=told)

    def rollback(self, *, actor: str, reason: str) -> tuple[int, int] | None:
        """Make `previous` champion again: (champion before, champion now); None where there is no previous one."""
        with writing(self._engine) as connection:
            was = aliases.lock(connection)
            if CHAMPION not in was or PREVIOUS not in was:
                return None
            aliases.crown(connection, was[PREVIOUS], was, actor=actor, reason=reason)
            return was[CHAMPION], was[PREVIOUS]

    def set_shadow(self, version_id: int | None, *, actor: str, reason: str) -> None:
        """Put a version on trial beside the champion, or none."""
        with writing(self._engine) as connection:
            if aliases.lock(connection).get(SHADOW) != version_id:
                aliases.point(connection, SHADOW, version_id, actor=actor, reason=reason)


def _require(was: Mapping[str, int], champion_id: int | None) -> None:
    if was.get(CHAMPION) != champion_id:
        raise ChampionChanged("another version became champion meanwhile; judge this one against it")


def _store(
    connection: Connection,
    version_id: int,
    champion_id: int | None,
    judgement: Judgement,
    *,
    actor: str,
    reason: str,
    promoted: bool,
) -> None:
    row = {
        "candidate_id": version_id,
        "champion_id": champion_id,
        "actor": actor,
        "criteria": judgement.criteria,
        "criteria_sha256": judgement.criteria_sha256,
        "passed": judgement.passed,
        "promoted": promoted,
        "reason": reason,
        "verdict": {"lines": [dict(line) for line in judgement.lines]},
        "figures": dict(judgement.figures),
    }
    connection.execute(insert(Promotion), [row])
    told = "passed" if judgement.passed else "did not pass"
    judged = update(ModelVersion).where(ModelVersion.id == version_id)
    connection.execute(judged.values(criteria={"sha256": judgement.criteria_sha256}, verdict=told))
    aliases.audit(connection, actor, "model judged", version_id, {"passed": judgement.passed, "reason": reason})


def _entries(connection: Connection, *where: Any) -> list[VersionEntry]:
    pointing: dict[int, list[str]] = {}
    for alias, version_id in sorted(aliases.held(connection).items()):
        pointing.setdefault(version_id, []).append(alias)
    rows = connection.execute(select(ModelVersion.__table__).where(*where).order_by(ModelVersion.id.desc()))
    columns = [name for name in VersionEntry.__slots__ if name != "aliases"]
    return [
        VersionEntry(**{name: getattr(row, name) for name in columns}, aliases=tuple(pointing.get(row.id, ())))
        for row in rows
    ]
