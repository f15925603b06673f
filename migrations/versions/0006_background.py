"""What was known of a study before its images, and what of it a report's model was told.

Revision: 0006
Follows: 0005
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Widen the tables."""
    op.add_column("instance", sa.Column("indication", sa.Text(), nullable=False, server_default=""))
    op.add_column("instance", sa.Column("age", sa.Double(), nullable=True))
    op.add_column("instance", sa.Column("sex", sa.Text(), nullable=False, server_default=""))
    op.add_column("report", sa.Column("background", sa.JSON(), nullable=False, server_default="{}"))
