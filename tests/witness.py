"""A witness of every lease: triggers that write down who was given which row, and until when.

It proves what the ledger's own tables cannot tell afterwards: that no row went to another worker while a lease on
it still ran, and that none was settled twice.
"""

from dataclasses import dataclass

from sqlalchemy import text

from db.engine import writing
from tests.fleet import Fleet

TABLES = ("object", "study_revision")
INSTALL = """
CREATE TABLE witness (
  id bigserial PRIMARY KEY, at timestamptz NOT NULL, name text NOT NULL, row_id bigint NOT NULL,
  old_owner text, old_until timestamptz, old_state text,
  new_owner text, new_until timestamptz, new_state text
);
CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO witness (at, name, row_id, old_owner, old_until, old_state, new_owner, new_until, new_state)
  VALUES (clock_timestamp(), TG_TABLE_NAME, NEW.id,
          OLD.lease_owner, OLD.lease_until, OLD.state, NEW.lease_owner, NEW.lease_until, NEW.state);
  RETURN NULL;
END $$;
"""
TRIGGER = """
CREATE TRIGGER witness AFTER UPDATE ON {table} FOR EACH ROW
WHEN (OLD.lease_owner IS DISTINCT FROM NEW.lease_owner OR OLD.lease_until IS DISTINCT FROM NEW.lease_until
      OR OLD.state IS DISTINCT FROM NEW.state)
EXECUTE FUNCTION witness();
"""
OVERLAPS = """
SELECT name, row_id, old_owner, new_owner, old_until - at FROM witness
WHERE old_owner IS NOT NULL AND new_owner IS NOT NULL AND old_owner <> new_owner AND old_until > at
"""
SETTLED_TWICE = """
SELECT name, row_id, count(*) FROM witness
WHERE old_state IN ('pending', 'waiting') AND new_state NOT IN ('pending', 'waiting', 'superseded')
GROUP BY name, row_id HAVING count(*) > 1
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """What was written down so far."""

    fleet: Fleet

    def overlaps(self) -> list[tuple[object, ...]]:
        """Rows that went from one owner to another while the first one's lease ran."""
        return self.fleet.query(OVERLAPS)

    def settled_twice(self) -> list[tuple[object, ...]]:
        """Rows that were worked on to an end more than once."""
        return self.fleet.query(SETTLED_TWICE)

    def owners(self, table: str) -> set[str]:
        """Who was given rows of a table."""
        rows = self.fleet.query("SELECT DISTINCT new_owner FROM witness WHERE name = :name", name=table)
        return {owner for (owner,) in rows if owner}

    def handed_over(self) -> int:
        """How many leases ran out and went to another."""
        sql = "SELECT count(*) FROM witness WHERE old_owner <> new_owner"
        return int(self.fleet.query(sql)[0][0])


def install_witness(fleet: Fleet) -> Witness:
    """Put the triggers in place."""
    engine = fleet.engine()
    with writing(engine) as connection:
        connection.execute(text(INSTALL))
        for table in TABLES:
            connection.execute(text(TRIGGER.format(table=table)))
    engine.dispose()
    return Witness(fleet=fleet)
