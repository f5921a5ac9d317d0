"""Events: which are missing, how their time is known, and how the station's disk is."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NOTHING = sa.text("''")
NONE = sa.text("0")


def status() -> list[sa.Column[Any]]:
    return [
        sa.Column("sqlite", sa.String(length=16), nullable=False, server_default=NOTHING),
        sa.Column("storage", sa.String(length=10), nullable=False, server_default=NOTHING),
        sa.Column("free_bytes", BIG, nullable=False, server_default=NONE),
        sa.Column("written_bytes_day", BIG, nullable=True),
        sa.Column("events_lost", BIG, nullable=False, server_default=NONE),
        sa.Column("readings_lost", BIG, nullable=False, server_default=NONE),
    ]


def upgrade() -> None:
    op.add_column(
        "event",
        sa.Column("dated", sa.String(length=13), nullable=False, server_default=sa.text("'estimated'")),
    )
    # what came in time was dated by the boot that sent it; of the rest only the clock's word is known
    op.execute(
        "UPDATE event SET dated = CASE WHEN NOT backfilled THEN 'live'"
        " WHEN clock = 'synced' THEN 'station_clock' ELSE 'estimated' END"
    )
    for column in status():
        op.add_column("station_status", column)
    op.create_table(
        "station_boot",
        sa.Column("station_id", sa.String(length=40), nullable=False),
        sa.Column("boot_id", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=13), nullable=False),
        sa.Column("signed", sa.Boolean(), nullable=False),
        sa.Column("knots", sa.JSON(), nullable=False),
        sa.Column("updated_at", AT, nullable=False),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name="fk_station_boot_station_id"),
        sa.PrimaryKeyConstraint("station_id", "boot_id", name="pk_station_boot"),
    )
    op.create_table(
        "event_stream",
        sa.Column("station_id", sa.String(length=40), nullable=False),
        sa.Column("install_id", sa.String(length=32), nullable=False),
        sa.Column("high", BIG, nullable=False),
        sa.Column("missing", sa.JSON(), nullable=False),
        sa.Column("lost", sa.JSON(), nullable=False),
        sa.Column("lost_count", BIG, nullable=False),
        sa.Column("updated_at", AT, nullable=False),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name="fk_event_stream_station_id"),
        sa.PrimaryKeyConstraint("station_id", "install_id", name="pk_event_stream"),
    )


def downgrade() -> None:
    op.drop_table("event_stream")
    op.drop_table("station_boot")
    for column in status():
        op.drop_column("station_status", column.name)
    op.drop_column("event", "dated")
