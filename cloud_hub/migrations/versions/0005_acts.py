"""Orders that change a door's mode, acts that two people decide, and who was signed in when an order was given."""

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
