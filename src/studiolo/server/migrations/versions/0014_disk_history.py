"""How large workspaces were"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("usage_history", sa.Column("disk", sa.BigInteger(), nullable=True))
