"""Listings of buckets: who walks which one, how far it came, and what it found that the ledger did not know.

One open scan per bucket and prefix, walked by one owner at a time under a lease, like other work. A page and the
place after it are one transaction, so a scan that is killed loses and doubles nothing. Raises only `db.errors`.
Knows no bucket: pages are handed in, in the order of their keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, Update, insert, or_, select, text, update

from db import objects
from db.base import UtcIn, UtcNow
from db.engine import reading, writing
from db.errors import DatabaseError
from db.fleet_tables import Scan
from db.locks import advisory_key
from db.records import ListedObject

SCAN_KEY = advisory_key("scan")


class ScanLost(DatabaseError):
    """The lease ran out and another process walks the bucket now; what was recorded is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanWork:
    """A scan that was claimed."""

    scan_id: int
    bucket: str
    after_key: str  # the last one recorded, "" before the first
    seen: int
    new: int
    expected: int | None  # objects that the last finished scan saw, None before there was one


_FREE = or_(Scan.lease_until.is_(None), Scan.lease_until <= UtcNow())


class Scans:
    """The scans of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def is_due(self, bucket: str, prefix: str, *, every_seconds: float) -> bool:
        """Whether a scan is open and free, or none began so recently."""
        with reading(self._engine) as connection:
            open_scans = select(Scan.id).where(*_of(bucket, prefix), Scan.finished_at.is_(None))
            if connection.execute(open_scans).first():
                return connection.execute(open_scans.where(_FREE)).first() is not None
            recent = select(Scan.id).where(*_of(bucket, prefix), Scan.finished_at > UtcIn(-every_seconds))
            return connection.execute(recent.limit(1)).first() is None

    def claim(self, bucket: str, prefix: str, *, owner: str, lease_seconds: float) -> ScanWork | None:
        """Lease the open scan, or begin one; None while another owner has it."""
        with writing(self._engine) as connection:
            _one_at_a_time(connection)
            row = connection.execute(
                select(Scan.id).where(*_of(bucket, prefix), Scan.finished_at.is_(None)).order_by(Scan.id)
            ).first()
            scan_id = row.id if row else _begin(connection, bucket, prefix)
            taken = (
                update(Scan)
                .where(Scan.id == scan_id, _FREE)
                .values(lease_owner=owner, lease_until=UtcIn(lease_seconds))
                .returning(Scan.after_key, Scan.seen, Scan.new)
            )
            mine = connection.execute(taken).first()
            if mine is None:
                return None
            expected = connection.execute(
                select(Scan.seen)
                .where(*_of(bucket, prefix), Scan.finished_at.is_not(None))
                .order_by(Scan.id.desc())
                .limit(1)
            ).scalar()
        return ScanWork(
            scan_id=scan_id,
            bucket=bucket,
            after_key=mine.after_key,
            seen=mine.seen,
            new=mine.new,
            expected=expected,
        )

    def record_page(
        self, work: ScanWork, page: Sequence[ListedObject], *, owner: str, lease_seconds: float
    ) -> list[ListedObject]:
        """Record the next objects and go on after them; returns those that are new.

        Raises:
            ScanLost: The scan is another owner's now; nothing was written.
        """
        with writing(self._engine) as connection:
            new = objects.record(connection, work.bucket, page)
            moved = update(Scan).values(
                after_key=page[-1].key,
                seen=Scan.seen + len(page),
                new=Scan.new + len(new),
                lease_until=UtcIn(lease_seconds),
            )
            _move(connection, moved, work, owner)
        return new

    def finish(self, work: ScanWork, *, owner: str) -> None:
        """The bucket's end was reached."""
        ended = update(Scan).values(finished_at=UtcNow(), lease_owner=None, lease_until=None)
        with writing(self._engine) as connection:
            _move(connection, ended, work, owner)

    def let_go(self, work: ScanWork, *, owner: str) -> None:
        """Leave the rest to whoever comes next; nothing happens when it is another's already."""
        freed = update(Scan).where(Scan.id == work.scan_id, Scan.lease_owner == owner)
        with writing(self._engine) as connection:
            connection.execute(freed.values(lease_owner=None, lease_until=None))


def _of(bucket: str, prefix: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Scan.bucket == bucket, Scan.prefix == prefix


def _one_at_a_time(connection: Connection) -> None:
    """Two that find no open scan must not both begin one; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SCAN_KEY})


def _begin(connection: Connection, bucket: str, prefix: str) -> int:
    begun = insert(Scan).values(bucket=bucket, prefix=prefix).returning(Scan.id)
    return connection.execute(begun).scalar_one()


def _move(connection: Connection, moved: Update, work: ScanWork, owner: str) -> None:
    mine = moved.where(Scan.id == work.scan_id, Scan.lease_owner == owner, Scan.finished_at.is_(None))
    if not connection.execute(mine).rowcount:
        raise ScanLost(f"scan {work.scan_id} went to another process when its lease ran out: nothing to do")
