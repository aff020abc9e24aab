"""Datasets and who may read them"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(length=18), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("folder", sa.String(length=4096), nullable=False),
        sa.Column("everybody", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("name", name=op.f("uq_datasets_name")),
    )
    for of, kind in (("person", "people"), ("workspace", "workspaces")):
        table = f"dataset_{kind}"
        op.create_table(
            table,
            sa.Column("dataset_id", sa.String(length=18), nullable=False),
            sa.Column(f"{of}_id", sa.String(length=18), nullable=False),
            sa.ForeignKeyConstraint(
                ["dataset_id"], ["datasets.id"], name=op.f(f"fk_{table}_dataset_id"), ondelete="CASCADE"
            ),
            sa.ForeignKeyConstraint([f"{of}_id"], [f"{kind}.id"], name=op.f(f"fk_{table}_{of}_id"), ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("dataset_id", f"{of}_id", name=op.f(f"pk_{table}")),
        )
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.create_index(f"ix_{table}_{of}_id", [f"{of}_id"], unique=False)
