"""Orders that change a door's mode, acts that two people decide, and who was signed in when an order was given.

Only additions: the release before works on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)
LIVE = "uq_command_station_id_door_id_live"
RESTRICTING = "uq_command_station_id_door_id_live_restricting"
ALIVE = "state <> 'UNKNOWN'"


def upgrade() -> None:
    _proposals()
    op.add_column("door", sa.Column("mode", sa.String(length=16), nullable=False, server_default="normal"))
    op.add_column("door", sa.Column("mode_until", AT, nullable=True))
    op.add_column("api_token", sa.Column("owner", sa.String(length=64), nullable=True))
    op.add_column(
        "login_session",
        sa.Column("sign_in_id", sa.String(length=32), nullable=False, server_default=sa.text("''")),
    )
    op.create_index("ix_login_session_sign_in_id", "login_session", ["sign_in_id"])
    op.execute("UPDATE login_session SET sign_in_id = substr(id_hash, 1, 32)")
    for column in (
        sa.Column("duration_s", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("sign_in_id", sa.String(length=32), nullable=True),
        sa.Column("proven_at", AT, nullable=True),
        sa.Column("approved_by", sa.String(length=80), nullable=True),
        sa.Column("asked", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("asked_at", AT, nullable=True),
    ):
        op.add_column("command", column)
    op.drop_index(LIVE, table_name="command")
    _index_live(LIVE, f"{ALIVE} AND verb NOT IN ('end_hold_open', 'lock_down')")
    _index_live(RESTRICTING, f"{ALIVE} AND verb IN ('end_hold_open', 'lock_down')")


def downgrade() -> None:
    op.drop_index(RESTRICTING, table_name="command")
    op.drop_index(LIVE, table_name="command")
    # the release before knows no other verb, and a second live order of a door would break its index
    op.execute("DELETE FROM command_step WHERE command_id IN (SELECT id FROM command WHERE verb <> 'unlock')")
    op.execute("DELETE FROM command WHERE verb <> 'unlock'")
    _index_live(LIVE, ALIVE)
    for column in ("asked_at", "asked", "approved_by", "proven_at", "sign_in_id", "duration_s"):
        op.drop_column("command", column)
    op.drop_index("ix_login_session_sign_in_id", table_name="login_session")
    op.drop_column("login_session", "sign_in_id")
    op.drop_column("api_token", "owner")
    op.drop_column("door", "mode_until")
    op.drop_column("door", "mode")
    op.drop_table("proposal_decision")
    op.drop_table("proposal")


def _index_live(name: str, alive: str) -> None:
    op.create_index(
        name,
        "command",
        ["station_id", "door_id"],
        unique=True,
        sqlite_where=sa.text(f"final = 0 AND {alive}"),
        postgresql_where=sa.text(f"NOT final AND {alive}"),
    )


def _proposals() -> None:
    op.create_table(
        "proposal",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("station_id", sa.String(length=40), nullable=False),
        sa.Column("door_id", sa.String(length=32), nullable=False),
        sa.Column("verb", sa.String(length=16), nullable=False),
        sa.Column("pulse_ms", sa.Integer(), nullable=False),
        sa.Column("duration_s", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("confirm_unknown", sa.Boolean(), nullable=False),
        sa.Column("proposed_by", sa.String(length=80), nullable=False),
        sa.Column("proposer", sa.String(length=64), nullable=False),
        sa.Column("proposed_at", AT, nullable=False),
        sa.Column("sign_in_id", sa.String(length=32), nullable=True),
        sa.Column("proven_at", AT, nullable=True),
        sa.Column("expires_at", AT, nullable=False),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name="fk_proposal_station_id_station"),
        sa.PrimaryKeyConstraint("id", name="pk_proposal"),
        sa.UniqueConstraint("id", "proposer", name="uq_proposal_id_proposer"),
    )
    op.create_index("ix_proposal_station_id_proposed_at", "proposal", ["station_id", "proposed_at"])
    op.create_index("ix_proposal_expires_at", "proposal", ["expires_at"])
    op.create_table(
        "proposal_decision",
        sa.Column("proposal_id", sa.String(length=32), nullable=False),
        sa.Column("proposer", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=8), nullable=False),
        sa.Column("decided_by", sa.String(length=80), nullable=False),
        sa.Column("decider", sa.String(length=64), nullable=False),
        sa.Column("decided_at", AT, nullable=False),
        sa.Column("sign_in_id", sa.String(length=32), nullable=True),
        sa.Column("proven_at", AT, nullable=True),
        sa.Column("command_id", sa.String(length=32), nullable=True),
        sa.CheckConstraint("verdict <> 'approved' OR decider <> proposer", name="two_people"),
        sa.CheckConstraint("(verdict = 'approved') = (command_id IS NOT NULL)", name="order_if_approved"),
        sa.ForeignKeyConstraint(
            ["proposal_id", "proposer"],
            ["proposal.id", "proposal.proposer"],
            name="fk_proposal_decision_proposal_id_proposal",
        ),
        sa.ForeignKeyConstraint(
            ["command_id"], ["command.id"], name="fk_proposal_decision_command_id_command"
        ),
        sa.UniqueConstraint("command_id", name="uq_proposal_decision_command_id"),
        sa.PrimaryKeyConstraint("proposal_id", name="pk_proposal_decision"),
    )
