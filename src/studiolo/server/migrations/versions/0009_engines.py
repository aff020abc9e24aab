"""What a session waits for, when its time is over, and which engine its handle belongs to"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    time = sa.DateTime(timezone=True)
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("handle_engine", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("progress", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("placed_at", time, nullable=True))
        batch_op.add_column(sa.Column("ends_at", time, nullable=True))
