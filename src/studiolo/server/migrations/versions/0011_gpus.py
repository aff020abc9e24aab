"""Who has which GPU, and who waits for some"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "gpu_leases",
        sa.Column("engine", sa.String(length=32), nullable=False),
        sa.Column("gpu", sa.String(length=100), nullable=False),
        sa.Column("holder", sa.String(length=36), nullable=False),
        sa.Column("launch", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.String(length=18), nullable=False),
        sa.Column("workspace_id", sa.String(length=18), nullable=False),
        sa.Column("since", time, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_gpu_leases_person_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_gpu_leases_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("engine", "gpu", name=op.f("pk_gpu_leases")),
    )
    op.create_index(op.f("ix_gpu_leases_holder"), "gpu_leases", ["holder"])
    op.create_table(
        "gpu_waits",
        sa.Column("person_id", sa.String(length=18), nullable=False),
        sa.Column("engine", sa.String(length=32), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=True),
        sa.Column("since", time, nullable=False),
        sa.Column("told_at", time, nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_gpu_waits_person_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_gpu_waits")),
    )
