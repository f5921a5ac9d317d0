"""One-time enrolment codes: told once, kept as a slow hash."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from cloud_hub.access import audit
from cloud_hub.errors import Conflict
from cloud_hub.models import EnrolmentCode
from cloud_hub.people.services import living_person
from cloud_hub.roster.build import MOST_CODES, milliseconds
from cloud_hub.roster.services import touch
from firmware_config import codes

LIFE: Final = timedelta(days=7)


def create(
    session: Session, *, person_id: str, life: timedelta, actor: str, now: datetime
) -> tuple[EnrolmentCode, str]:
    """Make a code; those made for the person before end. Returns its row, and the code itself, which is kept nowhere.

    Args:
        session: a writing session.
        person_id: who may enrol with it.
        life: how long from now.
        actor: who makes it.
        now: aware time.

    Raises:
        NotFound: no such person.
        Conflict: too many codes are waiting for a roster.
    """
    living_person(session, person_id)
    session.execute(
        update(EnrolmentCode)
        .where(EnrolmentCode.person_id == person_id, EnrolmentCode.used_at.is_(None))
        .values(used_at=now)
    )
    live = (EnrolmentCode.used_at.is_(None), EnrolmentCode.expires_at > now)
    if (session.scalar(select(func.count()).select_from(EnrolmentCode).where(*live)) or 0) >= MOST_CODES:
        raise Conflict(f"{MOST_CODES} codes are waiting to be used; let some run out first")
    tags = set(session.scalars(select(EnrolmentCode.tag).where(*live)))
    code = codes.new_code()
    while code.partition("-")[0] in tags:
        code = codes.new_code()
    expires_at = now + life
    entry = codes.entry(code, person=person_id, expires_ms=milliseconds(expires_at))
    row = EnrolmentCode(
        person_id=person_id,
        tag=entry.tag,
        salt=entry.salt,
        digest=entry.digest,
        created_at=now,
        created_by=actor,
        expires_at=expires_at,
        used_at=None,
    )
    session.add(row)
    session.flush()
    touch(session)
    detail = {"tag": row.tag, "expires_at": expires_at.isoformat()}
    audit.record(
        session, actor=actor, action="enrolment_code:create:done", target=person_id, detail=detail, now=now
    )
    return row, code
