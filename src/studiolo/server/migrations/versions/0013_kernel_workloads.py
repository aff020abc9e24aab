"""Which sessions are places for kernels alone"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("sessions", sa.Column("kind", sa.String(length=16), nullable=False, server_default="session"))
