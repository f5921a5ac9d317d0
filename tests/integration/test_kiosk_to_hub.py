"""From a code made at the hub to a face enrolled by it, and from a withdrawal at the kiosk to its receipt at the hub."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from cloud_hub.bell import BRIDGE, PEOPLE, Ringer
from cloud_hub.db import utc_now
from cloud_hub.models import Consent, EnrolmentCode, Erasure
from cloud_hub.people import codes, hours, services
from cloud_hub.people.hours import GroupRules
from firmware_config.roster import RosterDocument, content_digest, join
from firmware_config.vocabulary import EventKind
from station_agent.core.enrolment import NOTICE_VERSION, Stage
from station_agent.core.roster import Roster
from tests.support.bridge import Field
from tests.support.faces import worker
from tests.support.kiosk_station import DOOR, Disk, KioskStation
from tests.support.station import ScriptedStation, wait_for

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.parametrize(
        ("make_broker", "database_url"),
        [pytest.param("iotcore", "sqlite", id="iotcore-sqlite")],
        indirect=True,
    ),
]
"""Brokers and databases differ in nothing that matters here; test_roster_delivery.py runs on all of them."""

ALWAYS = [[{"opens_min": 0, "closes_min": 1440}]] * 7
BY = "user:lin"


def person_with_code(field: Field) -> tuple[str, str]:
    with field.sessions.begin() as session:
        rules = GroupRules(weekly=ALWAYS, stations=())
        hours.create_group(session, group_id="workers", rules=rules, actor=BY, now=utc_now())
        person = services.create_person(
            session, groups=("workers",), number=None, extended=False, actor=BY, now=utc_now()
        )
        _, code = codes.create(session, person_id=person.id, life=timedelta(days=1), actor=BY, now=utc_now())
        made = person.id
    ringer = Ringer(field.hub.data_dir / "bells")
    ringer.ring(BRIDGE, PEOPLE)
    ringer.close()
    return made, code


def newest(link: ScriptedStation) -> RosterDocument | None:
    """The newest roster whose parts have all come."""
    version = max((part.version for part in link.roster_parts), default=0)
    parts = {part.part: part for part in link.roster_parts if part.version == version}
    if not parts or len(parts) < next(iter(parts.values())).parts:
        return None
    return join([parts[number] for number in sorted(parts)])


def obey(kiosk: KioskStation, document: RosterDocument) -> None:
    kiosk.obey(Roster(document, content_digest(msgspec.json.encode(document))))


def send_new(link: ScriptedStation, kiosk: KioskStation, sent: int) -> int:
    """Send the kiosk's events about people that were not sent yet; how many have been."""
    told = [(kind, data) for kind, data in list(kiosk.events) if kind.value.startswith(("consent", "person"))]
    for seq, (kind, data) in enumerate(told[sent:], start=sent + 1):
        link.send_events(link.event_of(seq, kind, data))
    return len(told)


def test_the_hub_s_code_enrols_and_the_hub_hears_of_consent_use_and_withdrawal(
    field: Field, tmp_path: Path
) -> None:
    link = field.station()
    person, code = person_with_code(field)
    wait_for(lambda: (found := newest(link)) and found.enrolment_codes, what="a roster with the code")
    document = newest(link)
    assert document is not None
    disk = Disk(tmp_path / "kiosk")
    disk.signer = link.signer
    with disk.run() as kiosk:
        obey(kiosk, document)
        assert [found.face for found in document.people] == [False]
        kiosk.show(worker())
        assert kiosk.enrol(code, replication=True).stage is Stage.DONE
        wait_for(lambda: kiosk.of(EventKind.ACCESS_GRANTED), what="entry before any roster", within_s=30)
        sent = send_new(link, kiosk, 0)
        wait_for(lambda: len(field.all(Consent)) == 2, what="both consents")
        wait_for(lambda: field.all(EnrolmentCode)[0].used_at is not None, what="the used code")
        assert {(row.person_id, row.kind, row.version) for row in field.all(Consent)} == {
            (person, "face", NOTICE_VERSION),
            (person, "replication", NOTICE_VERSION),
        }

        def agreed() -> bool:
            found = newest(link)
            return found is not None and [each.face for each in found.people] == [True]

        wait_for(agreed, what="the roster that says so too")
        told = newest(link)
        assert told is not None
        assert told.enrolment_codes == []
        obey(kiosk, told)
        assert kiosk.enrolling.cancel(kiosk.view().session)
        assert kiosk.enrolling.withdraw_by_face(door=DOOR)
        assert kiosk.wait_stage(Stage.DONE, Stage.REFUSED).stage is Stage.DONE
        root = kiosk.of(EventKind.PERSON_ERASED)[0]["root"]
        send_new(link, kiosk, sent)
        wait_for(lambda: [row.root for row in field.all(Erasure)] == [root], what="the receipt")
        assert all(row.withdrawn_by == f"station:{link.id}" for row in field.all(Consent))
        wait_for(lambda: not agreed(), what="the roster without the face")
