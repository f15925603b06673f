"""${message}.

Rules of a migration here:
 1. It runs while the previous version of the program is still at work: add, never rename or remove, in one step.
    A rename takes three releases: add and write both; read the new one; remove the old one.
 2. A new column is nullable or has a server default. Filling old rows is done in chunks by a job, not here.
 3. An index on a table that grows is made with CONCURRENTLY on PostgreSQL, in a migration of its own.
 4. It holds locks briefly; env.py sets lock and statement timeouts. If it meets them, it is too large.
 5. It imports nothing but Alembic and SQLAlchemy: what it did once, it does for ever. Texts of views are copied
    into it; a migration that changes a column of a view drops the view first and makes it again.
 6. Both engines: SQLite changes columns through `op.batch_alter_table`.
 7. There is no downgrade: a mistake is mended by the next migration, a disaster by the backup.

Revision: ${up_revision}
Follows: ${down_revision | comma,n}
Created: ${create_date}
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision: str = ${repr(up_revision)}
down_revision: str | None = ${repr(down_revision)}
branch_labels: str | Sequence[str] | None = ${repr(branch_labels)}
depends_on: str | Sequence[str] | None = ${repr(depends_on)}


def upgrade() -> None:
    """${message}."""
    ${upgrades if upgrades else "pass"}
