"""What stations say of people: enrolled, agreed, withdrew, erased. Each event is applied once, late or not.

Rules
  1. A consent is a row of its own; withdrawing that of the face withdraws that of replication too.
  2. An erasure counts only with the station's signed receipt. One that began at the kiosk answers no request of ours:
     its receipt is kept all the same.
  3. Of people the hub does not know, or has erased, nothing but receipts is kept.
  4. Templates that a station destroyed by itself leave a receipt as erasures do. Destroyed for want of visits, they take
     the consent given there with them, unless there is one for replication: then other stations may still be visited.
  5. What a station says of a sealed template ends its way, whoever it was of.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from cloud_hub.models import Consent, EnrolmentCode, Erasure, Person, Station
from cloud_hub.models.people import ConsentKind
from cloud_hub.people.services import withdraw
from cloud_hub.replicas.services import note_answer
from cloud_hub.roster.services import touch
from firmware_config import receipts
from firmware_config.signing import Refused, Verifier
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Erase, ErasureReceipt, Scalar

log = logging.getLogger(__name__)

KINDS: Final = frozenset(
    {
        EventKind.PERSON_ENROLLED,
        EventKind.PERSON_ERASED,
        EventKind.CONSENT_GIVEN,
        EventKind.CONSENT_WITHDRAWN,
        EventKind.TEMPLATE_REPLICATED,
        EventKind.TEMPLATE_EXPIRED,
    }
)
KIOSK: Final = "kiosk"
_LARGEST: Final = 2**53


@dataclass(frozen=True, slots=True)
class Word:
    """One event about a person."""

    station: str
    kind: EventKind
    data: dict[str, Scalar]
    at: datetime

    @property
    def person(self) -> str:
        """Whom it names; empty when it names nobody."""
        person = self.data.get("person")
        return person if isinstance(person, str) else ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What goes to the audit log at the end of the transaction."""

    station: str
    action: str
    person: str
    detail: dict[str, Any]


@dataclass(slots=True)
class Outcome:
    """What the events did.

    Attributes:
        changed: rosters may have changed.
    """

    entries: list[Entry] = field(default_factory=list)
    changed: bool = False


def apply(session: Session, words: Sequence[Word], *, now: datetime) -> Outcome:
    """Apply new events, in order.

    Args:
        session: a writing session.
        words: each event once.
        now: aware time.
    """
    outcome = Outcome()
    named = sorted({word.person for word in words})
    query = select(Person).where(Person.id.in_(named)).order_by(Person.id).with_for_update()
    living = {person.id for person in session.scalars(query) if person.erased_at is None}
    for word in words:
        if word.kind in {EventKind.PERSON_ERASED, EventKind.TEMPLATE_EXPIRED}:
            _erased(session, word, outcome, now=now)
        elif word.kind is EventKind.TEMPLATE_REPLICATED:
            _replicated(session, word, outcome, now=now)
        elif word.person not in living:
            log.warning("event about nobody known", extra={"station": word.station, "kind": word.kind.value})
        elif word.kind is EventKind.PERSON_ENROLLED:
            _enrolled(session, word, outcome, now=now)
        elif word.kind is EventKind.CONSENT_GIVEN:
            _given(session, word, outcome)
        else:
            _withdrawn(session, word, outcome)
    if outcome.changed:
        touch(session)
    return outcome


def _enrolled(session: Session, word: Word, outcome: Outcome, *, now: datetime) -> None:
    """Their codes are used up."""
    session.execute(
        update(EnrolmentCode)
        .where(
            EnrolmentCode.person_id == word.person,
            EnrolmentCode.used_at.is_(None),
        )
        .values(used_at=now)
    )
    outcome.changed = True
    outcome.entries.append(Entry(word.station, "person:enrol:done", word.person, {}))


def _given(session: Session, word: Word, outcome: Outcome) -> None:
    kind, version = _kind(word), word.data.get("version")
    if (
        kind is None
        or isinstance(version, bool)
        or not isinstance(version, int)
        or not 0 < version < _LARGEST
    ):
        log.warning("consent cannot be read", extra={"station": word.station})
        return
    consent = Consent(
        person_id=word.person,
        station_id=word.station,
        kind=kind.value,
        version=version,
        channel=KIOSK,
        given_at=word.at,
        withdrawn_at=None,
        withdrawn_by=None,
    )
    session.add(consent)
    session.flush()
    detail = {"kind": kind.value, "version": version}
    outcome.changed = True
    outcome.entries.append(Entry(word.station, "consent:give:done", word.person, detail))


def _withdrawn(session: Session, word: Word, outcome: Outcome) -> None:
    if (kind := _kind(word)) is None:
        log.warning("withdrawal cannot be read", extra={"station": word.station})
        return
    # at any kiosk, for every station
    withdraw(session, person=word.person, kind=kind, by=f"station:{word.station}", at=word.at)
    outcome.changed = True
    outcome.entries.append(Entry(word.station, "consent:withdraw:done", word.person, {"kind": kind.value}))


def _erased(session: Session, word: Word, outcome: Outcome, *, now: datetime) -> None:
    try:
        receipt = _receipt(session, word)
    except (Refused, ValueError) as refusal:
        log.warning("erasure receipt refused", extra={"station": word.station, "reason": str(refusal)[:200]})
        detail = {"reason": getattr(refusal, "reason", "malformed")}
        outcome.entries.append(Entry(word.station, "person:erase:refused", word.person[:80], detail))
        return
    actor, reason = f"station:{word.station}", str(word.data.get("reason", ""))[:48]
    lapsed = word.kind is EventKind.TEMPLATE_EXPIRED
    erasure = session.get(Erasure, receipt.request_id, with_for_update=True)
    if erasure is None:
        erasure = Erasure(
            request_id=receipt.request_id,
            person_id=receipt.person,
            station_id=word.station,
            reason=reason if lapsed else KIOSK,
            requested_at=word.at,
            requested_by=actor,
            sent_at=None,
        )
        session.add(erasure)
    if erasure.receipted_at is not None:
        return
    erasure.receipt = str(word.data["receipt"])
    erasure.receipted_at = now
    erasure.found, erasure.root = receipt.found, receipt.root
    session.flush()
    if not (lapsed and _replicates(session, receipt.person)):
        withdraw(
            session, person=receipt.person, kind=ConsentKind.FACE, by=actor, at=word.at, station=word.station
        )
    outcome.changed = True
    detail = {"request_id": receipt.request_id, "found": receipt.found, "root": receipt.root}
    action = "template:expire:receipted" if lapsed else "person:erase:receipted"
    outcome.entries.append(
        Entry(word.station, action, receipt.person, detail | {"reason": reason} if lapsed else detail)
    )


def _replicates(session: Session, person: str) -> bool:
    query = select(Consent.id).where(
        Consent.person_id == person, Consent.kind == ConsentKind.REPLICATION, Consent.withdrawn_at.is_(None)
    )
    return session.scalar(query.limit(1)) is not None


def _replicated(session: Session, word: Word, outcome: Outcome, *, now: datetime) -> None:
    replica_id, refused = word.data.get("id"), word.data.get("refused")
    if not isinstance(replica_id, str):
        log.warning("word on a replica cannot be read", extra={"station": word.station})
        return
    reason = None if refused is None else str(refused)
    if note_answer(session, replica_id=replica_id, station_id=word.station, refused=reason, now=now):
        sender = str(word.data.get("from", ""))[:40]
        action = "template:replicate:done" if reason is None else "template:replicate:refused"
        detail = {"from": sender} if reason is None else {"from": sender, "reason": reason[:48]}
        outcome.entries.append(Entry(word.station, action, word.person[:80], detail))


def _receipt(session: Session, word: Word) -> ErasureReceipt:
    """The receipt in an event, checked with the station's key and, where there is one, against the hub's request.

    Raises:
        Refused: it proves nothing.
        ValueError: the event has no such shape.
    """
    request_id = word.data.get("request_id")
    if not isinstance(request_id, str):
        raise Refused("malformed", "no request id")
    known = session.get(Erasure, request_id)
    if known is not None and (known.person_id, known.station_id) != (word.person, word.station):
        raise Refused("wrong_request", request_id)
    request = Erase(station=word.station, request_id=request_id, person=word.person, issued_ms=0)
    verifier = Verifier.of(session.get_one(Station, word.station).public_key)
    return receipts.verify(word.data, verifier, request=request)


def _kind(word: Word) -> ConsentKind | None:
    try:
        return ConsentKind(str(word.data.get("kind")))
    except ValueError:
        return None
