"""First light: stations, what they report, alerts, remote orders, who may sign in, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _stations()
    _reports()
    _alerts()
    _commands()
    _access()


def downgrade() -> None:
    for table in TABLES[::-1]:
        op.drop_table(table)


TABLES = (
    "station",
    "station_status",
    "door",
    "sensor",
    "process_status",
    "event",
    "reading",
    "alert",
    "command",
    "command_step",
    "user_account",
    "login_session",
    "login_attempt",
    "api_token",
    "audit_entry",
)


def _stations() -> None:
    op.create_table(
        "station",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("region", sa.String(length=120), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.String(length=64), nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("retired_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_station"),
    )
    op.create_table(
        "station_status",
        sa.Column("station_id", sa.String(length=40), nullable=False),
        sa.Column("presence", sa.String(length=8), nullable=False),
        sa.Column("presence_since", AT, nullable=False),
        sa.Column("heartbeat_at", AT, nullable=True),
        sa.Column("interval_s", sa.Double(), nullable=False),
        sa.Column("boot_id", sa.String(length=32), nullable=True),
        sa.Column("conn_no", BIG, nullable=False),
        sa.Column("install_id", sa.String(length=32), nullable=True),
        sa.Column("clock", sa.String(length=8), nullable=False),
        sa.Column("agent_version", sa.String(length=40), nullable=False),
        sa.Column("engine", sa.String(length=120), nullable=False),
        sa.Column("liveness", sa.String(length=16), nullable=False),
        sa.Column("backlog", BIG, nullable=False),
        sa.Column("backlog_age_s", sa.Double(), nullable=False),
        sa.Column("cameras", sa.JSON(), nullable=False),
        sa.Column("rejected", sa.JSON(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=True),
        sa.Column("people_low", sa.Integer(), nullable=True),
        sa.Column("people_high", sa.Integer(), nullable=True),
        sa.Column("capacity", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name="fk_station_status_station_id"),
        sa.PrimaryKeyConstraint("station_id", name="pk_station_status"),
    )
    op.create_table(
        "door",
        sa.Column("station_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("lock_kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("relay", sa.Boolean(), nullable=False),
        sa.Column("contact_open", sa.Boolean(), nullable=True),
        sa.Column("reported_at", AT, nullable=False),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name="fk_door_station_id"),
        sa.PrimaryKeyConstraint("station_id", "id", name="pk_door"),
    )
    op.create_table(
        "sensor",
        sa.Column("station_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("unit", sa.String(length=12), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("value_at", AT, nullable=True),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name="fk_sensor_station_id"),
        sa.PrimaryKeyConstraint("station_id", "name", name="pk_sensor"),
    )
    op.create_table(
        "process_status",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("started_at", AT, nullable=False),
        sa.Column("seen_at", AT, nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_process_status"),
    )


def _reports() -> None:
    op.create_table(
        "event",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("station_id", sa.String(length=40), nullable=False),
        sa.Column("install_id", sa.String(length=32), nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("occurred_at", AT, nullable=False),
        sa.Column("received_at", AT, nullable=False),
        sa.Column("clock", sa.String(length=8), nullable=False),
        sa.Column("backfilled", sa.Boolean(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name="fk_event_station_id"),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
        sa.UniqueConstraint("station_id", "install_id", "seq", name="uq_event_station_id_install_id_seq"),
    )
    op.create_index("ix_event_kind_id", "event", ["kind", "id"])
    op.create_index("ix_event_station_id_id", "event", ["station_id", "id"])
    op.create_table(
        "reading",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("station_id", sa.String(length=40), nullable=False),
        sa.Column("install_id", sa.String(length=32), nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("occurred_at", AT, nullable=False),
        sa.Column("received_at", AT, nullable=False),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name="fk_reading_station_id"),
        sa.PrimaryKeyConstraint("id", name="pk_reading"),
        sa.UniqueConstraint("station_id", "install_id", "seq", name="uq_reading_station_id_install_id_seq"),
    )
    op.create_index(
        "ix_reading_station_id_name_occurred_at", "reading", ["station_id", "name", "occurred_at"]
    )


def _alerts() -> None:
    op.create_table(
        "alert",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("station_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("latching", sa.Boolean(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("raised_at", AT, nullable=False),
        sa.Column("repeated_at", AT, nullable=False),
        sa.Column("acknowledged_at", AT, nullable=True),
        sa.Column("acknowledged_by", sa.String(length=80), nullable=True),
        sa.Column("cleared_at", AT, nullable=True),
        sa.Column("closed_at", AT, nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name="fk_alert_station_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alert"),
    )
    op.create_index("ix_alert_state_id", "alert", ["state", "id"])
    op.create_index("ix_alert_station_id", "alert", ["station_id"])
    op.create_index(
        "uq_alert_key_not_closed",
        "alert",
        ["key"],
        unique=True,
        sqlite_where=sa.text("state <> 'closed'"),
        postgresql_where=sa.text("state <> 'closed'"),
    )


def _commands() -> None:
    op.create_table(
        "command",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("station_id", sa.String(length=40), nullable=False),
        sa.Column("door_id", sa.String(length=32), nullable=False),
        sa.Column("verb", sa.String(length=16), nullable=False),
        sa.Column("pulse_ms", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("code", sa.String(length=48), nullable=True),
        sa.Column("requested_by", sa.String(length=80), nullable=False),
        sa.Column("requested_at", AT, nullable=False),
        sa.Column("due_at", AT, nullable=False),
        sa.Column("ended_at", AT, nullable=True),
        sa.Column("install_id", sa.String(length=32), nullable=True),
        sa.Column("boot_id", sa.String(length=32), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name="fk_command_station_id"),
        sa.PrimaryKeyConstraint("id", name="pk_command"),
    )
    op.create_index("ix_command_final_due_at", "command", ["final", "due_at"])
    op.create_index("ix_command_requested_by_requested_at", "command", ["requested_by", "requested_at"])
    op.create_index("ix_command_station_id_requested_at", "command", ["station_id", "requested_at"])
    op.create_index(
        "uq_command_station_id_door_id_live",
        "command",
        ["station_id", "door_id"],
        unique=True,
        sqlite_where=sa.text("final = 0 AND state <> 'UNKNOWN'"),
        postgresql_where=sa.text("NOT final AND state <> 'UNKNOWN'"),
    )
    op.create_table(
        "command_step",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("command_id", sa.String(length=32), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["command_id"], ["command.id"], name="fk_command_step_command_id"),
        sa.PrimaryKeyConstraint("id", name="pk_command_step"),
    )
    op.create_index("ix_command_step_command_id_id", "command_step", ["command_id", "id"])


def _access() -> None:
    op.create_table(
        "user_account",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=True),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("disabled_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_user_account"),
        sa.UniqueConstraint("username", name="uq_user_account_username"),
    )
    op.create_table(
        "login_session",
        sa.Column("id_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("seen_at", AT, nullable=False),
        sa.Column("authenticated_at", AT, nullable=False),
        sa.Column("ended_at", AT, nullable=True),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("browser", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name="fk_login_session_user_id"),
        sa.PrimaryKeyConstraint("id_hash", name="pk_login_session"),
    )
    op.create_index("ix_login_session_user_id", "login_session", ["user_id"])
    op.create_table(
        "login_attempt",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_login_attempt"),
    )
    op.create_index("ix_login_attempt_subject_at", "login_attempt", ["subject", "at"])
    op.create_table(
        "api_token",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("used_at", AT, nullable=True),
        sa.Column("revoked_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_token"),
        sa.UniqueConstraint("name", name="uq_api_token_name"),
        sa.UniqueConstraint("token_hash", name="uq_api_token_token_hash"),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=80), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entry"),
    )
