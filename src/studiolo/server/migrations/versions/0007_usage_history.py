"""What workspaces used over months, and how large their files are"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "workspace_sizes",
        sa.Column("workspace_id", sa.String(length=18), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("measured_at", time, nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_workspace_sizes_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_workspace_sizes")),
    )
    with op.batch_alter_table("workspace_sizes", schema=None) as batch_op:
        batch_op.create_index("ix_workspace_sizes_size", ["size"], unique=False)
        batch_op.create_index("ix_workspace_sizes_measured_at", ["measured_at"], unique=False)
    op.create_table(
        "usage_history",
        sa.Column("workspace_id", sa.String(length=18), nullable=False),
        sa.Column("span", sa.Integer(), nullable=False),
        sa.Column("at", time, nullable=False),
        sa.Column("session_seconds", sa.Float(), nullable=False),
        sa.Column("cpu_seconds", sa.Float(), nullable=False),
        sa.Column("memory_peak", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_usage_history_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "span", "at", name=op.f("pk_usage_history")),
    )
    with op.batch_alter_table("usage_history", schema=None) as batch_op:
        batch_op.create_index("ix_usage_history_span_at", ["span", "at"], unique=False)
