"""Sealing keys of stations and sealed templates on their way. Only additions: the release before works on."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column(
        "station",
        sa.Column("sealing_key", sa.String(length=44), nullable=False, server_default=sa.text("''")),
    )
    op.create_table(
        "replica",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("from_station", sa.String(length=40), nullable=False),
        sa.Column("to_station", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("sent_at", AT, nullable=True),
        sa.Column("received_at", AT, nullable=True),
        sa.Column("ended", sa.String(length=48), nullable=False),
        sa.ForeignKeyConstraint(["from_station"], ["station.id"], name="fk_replica_from_station"),
        sa.ForeignKeyConstraint(["to_station"], ["station.id"], name="fk_replica_to_station"),
        sa.PrimaryKeyConstraint("id", name="pk_replica"),
    )
    op.create_index("ix_replica_person_id", "replica", ["person_id"])
    op.create_index("ix_replica_ended_to_station", "replica", ["ended", "to_station"])


def downgrade() -> None:
    op.drop_table("replica")
    op.drop_column("station", "sealing_key")
