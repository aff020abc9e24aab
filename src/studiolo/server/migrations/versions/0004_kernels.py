"""Kernels, and keys of their own kind"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "kernels",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("workspace_id", sa.String(length=18), nullable=False),
        sa.Column("session_id", sa.String(length=18), nullable=True),
        sa.Column("person_id", sa.String(length=18), nullable=False),
        sa.Column("spec", sa.String(length=200), nullable=False),
        sa.Column("display_name", sa.String(length=200), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("stop_reason", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("allowed", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("environment", sa.String(length=80), nullable=True),
        sa.Column("connections", sa.Integer(), server_default="0", nullable=False),
        sa.Column("output", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("started_at", time, nullable=True),
        sa.Column("last_active_at", time, nullable=True),
        sa.Column("ended_at", time, nullable=True),
        sa.Column("reason", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_kernels_person_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_kernels_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kernels")),
    )
    with op.batch_alter_table("kernels", schema=None) as batch_op:
        batch_op.create_index("ix_kernels_workspace_id_created_at", ["workspace_id", "created_at"], unique=False)
        batch_op.create_index("ix_kernels_person_id_state", ["person_id", "state"], unique=False)
        batch_op.create_index("ix_kernels_session_id", ["session_id"], unique=False)
        batch_op.create_index("ix_kernels_state", ["state"], unique=False)
    with op.batch_alter_table("keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kernel_id", sa.String(length=36), nullable=True))
        batch_op.create_index(op.f("ix_keys_kernel_id"), ["kernel_id"], unique=False)
