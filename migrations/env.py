"""How Alembic reaches the database: over the caller's connection, or over `-x url=…` on its own command line.

One transaction holds the whole upgrade, on SQLite too, so that a migration is there whole or not at all. Whoever
upgrades holds a lock first and reads the schema's version after: two that start at once do it once.
"""

from alembic import context
from sqlalchemy import Connection, text

import db.fleet_tables
import db.report_tables  # noqa: F401
from db.base import Base
from db.engine import open_engine
from db.locks import MIGRATION_KEY
from db.tables import Object

LOCK_TIMEOUT = "30s"  # give up rather than queue every reader behind us
STATEMENT_TIMEOUT = "15min"

assert Object.metadata is Base.metadata


def main() -> None:
    """Upgrade or compare, over whichever connection there is."""
    if context.is_offline_mode():
        raise SystemExit("Nightread's migrations need a database; --sql is not supported")
    connection = context.config.attributes.get("connection")
    if connection is not None:
        migrate(connection)
        return
    url = context.get_x_argument(as_dictionary=True).get("url")
    if not url:
        raise SystemExit("name the database: alembic -c migrations/alembic.ini -x url=sqlite:///FILE …")
    engine = open_engine(url)
    try:
        with engine.begin() as own:
            migrate(own)
    finally:
        engine.dispose()


def migrate(connection: Connection) -> None:
    """Run what Alembic was asked for inside the connection's transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_KEY})
        connection.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


main()
