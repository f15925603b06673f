"""How sure the view classifier is of an instance's projection, and how the instance stands among its study's.

Revision: 0007
Follows: 0006
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Widen the table."""
    op.add_column("instance", sa.Column("projection_confidence", sa.Double(), nullable=True))
    op.add_column("instance", sa.Column("standing", sa.JSON(), nullable=False, server_default="{}"))
