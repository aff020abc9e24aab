"""The number that owns a workspace's files on this machine"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "workspace_accounts",
        sa.Column("account", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("workspace_id", sa.String(length=18), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_workspace_accounts")),
        sa.UniqueConstraint("workspace_id", name=op.f("uq_workspace_accounts_workspace_id")),
    )
