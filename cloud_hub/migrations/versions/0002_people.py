"""People, consents, enrolment codes, passes, rosters and erasures. Only new tables: the release before works on."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AT = sa.DateTime(timezone=True)

TABLES = (
    "person",
    "people_group",
    "membership",
    "calendar_day",
    "consent",
    "enrolment_code",
    "entry_pass",
    "roster_revision",
    "roster_state",
    "erasure",
)


def upgrade() -> None:
    _people()
    _consents()
    _passes()
    _rosters()


def downgrade() -> None:
    for table in TABLES[::-1]:
        op.drop_table(table)


def _people() -> None:
    op.create_table(
        "person",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=8), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("extended", sa.Boolean(), nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("erased_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_person"),
        sa.UniqueConstraint("number", name="uq_person_number"),
    )
    op.create_table(
        "people_group",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("stations", sa.JSON(), nullable=False),
        sa.Column("weekly", sa.JSON(), nullable=False),
        sa.Column("holiday", sa.JSON(), nullable=True),
        sa.Column("waits_for", sa.String(length=32), nullable=True),
        sa.Column("doors", sa.JSON(), nullable=False),
        sa.Column("guest_cap", sa.Integer(), nullable=True),
        sa.Column("created_at", AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people_group"),
    )
    op.create_table(
        "membership",
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("group_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_membership_person_id"),
        sa.ForeignKeyConstraint(["group_id"], ["people_group.id"], name="fk_membership_group_id"),
        sa.PrimaryKeyConstraint("person_id", "group_id", name="pk_membership"),
    )
    op.create_index("ix_membership_group_id", "membership", ["group_id"])
    op.create_table(
        "calendar_day",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("as_weekday", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", name="pk_calendar_day"),
    )


def _consents() -> None:
    op.create_table(
        "consent",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("station_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("given_at", AT, nullable=False),
        sa.Column("withdrawn_at", AT, nullable=True),
        sa.Column("withdrawn_by", sa.String(length=80), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_consent_person_id"),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name="fk_consent_station_id"),
        sa.PrimaryKeyConstraint("id", name="pk_consent"),
    )
    op.create_index("ix_consent_person_id_kind", "consent", ["person_id", "kind"])
    op.create_table(
        "enrolment_code",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("tag", sa.String(length=4), nullable=False),
        sa.Column("salt", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("expires_at", AT, nullable=False),
        sa.Column("used_at", AT, nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_enrolment_code_person_id"),
        sa.PrimaryKeyConstraint("id", name="pk_enrolment_code"),
    )
    op.create_index("ix_enrolment_code_person_id", "enrolment_code", ["person_id"])


def _passes() -> None:
    op.create_table(
        "entry_pass",
        sa.Column("number", BIG, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("key_id", sa.String(length=8), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=True),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.JSON(), nullable=False),
        sa.Column("not_before", AT, nullable=False),
        sa.Column("not_after", AT, nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("extended", sa.Boolean(), nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("revoked_at", AT, nullable=True),
        sa.Column("revoked_by", sa.String(length=80), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_entry_pass_person_id"),
        sa.PrimaryKeyConstraint("number", name="pk_entry_pass"),
        sa.UniqueConstraint("id", name="uq_entry_pass_id"),
    )
    op.create_index("ix_entry_pass_person_id", "entry_pass", ["person_id"])
    op.create_index("ix_entry_pass_revoked_at_not_after", "entry_pass", ["revoked_at", "not_after"])


def _rosters() -> None:
    op.create_table(
        "roster_revision",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_roster_revision"),
    )
    op.create_table(
        "roster_state",
        sa.Column("station_id", sa.String(length=40), nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("issued_at", AT, nullable=False),
        sa.Column("applied_version", BIG, nullable=False),
        sa.Column("applied_at", AT, nullable=True),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name="fk_roster_state_station_id"),
        sa.PrimaryKeyConstraint("station_id", name="pk_roster_state"),
    )
    op.create_table(
        "erasure",
        sa.Column("request_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("station_id", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("requested_at", AT, nullable=False),
        sa.Column("requested_by", sa.String(length=80), nullable=False),
        sa.Column("sent_at", AT, nullable=True),
        sa.Column("receipted_at", AT, nullable=True),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.Column("found", sa.Boolean(), nullable=True),
        sa.Column("root", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["station_id"], ["station.id"], name="fk_erasure_station_id"),
        sa.PrimaryKeyConstraint("request_id", name="pk_erasure"),
    )
    op.create_index("ix_erasure_person_id", "erasure", ["person_id"])
    op.create_index("ix_erasure_receipted_at_station_id", "erasure", ["receipted_at", "station_id"])
