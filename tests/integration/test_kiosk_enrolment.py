"""Enrolment and withdrawal with real faces: camera thread, engine, stores and decisions are the agent's own."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from firmware_config.receipts import EnrolmentReceipt, gallery_root, verify
from firmware_config.roster import RosterPerson
from firmware_config.signing import Verifier, encode_public
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Erase, decode
from station_agent.core.enrolment import NOTICE_VERSION, Stage
from tests.support.faces import stranger, worker
from tests.support.kiosk_station import DOOR, Disk, KioskStation
from tests.support.station import wait_for

ANNA = RosterPerson(id="p-anna", number="1042", groups=["always"])
BO = RosterPerson(id="p-bo", number="2077", groups=["always"])
PIN = "580273"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
def station(disk: Disk) -> Iterator[KioskStation]:
    with disk.run(ANNA, BO) as running:
        yield running


def with_code(station: KioskStation, person: str = "p-anna", *, lives_ms: int = 3_600_000) -> str:
    """A code of the next roster, in force now."""
    code, entry = station.code(person, lives_ms=lives_ms)
    version = station.roster.version + 1 if station.roster else 1
    known = station.roster.document.enrolment_codes if station.roster else []
    station.use_roster(ANNA, BO, version=version, enrolment_codes=[*known, entry])
    return code


def granted(station: KioskStation) -> list[object]:
    return [data["person"] for data in station.of(EventKind.ACCESS_GRANTED)]


def denied(station: KioskStation) -> list[object]:
    return [data["reason"] for data in station.of(EventKind.ACCESS_DENIED)]


def refused(station: KioskStation) -> list[tuple[object, object]]:
    return [(data["reason"], data.get("person")) for data in station.of(EventKind.ENROLMENT_REFUSED)]


def enrolled_as(station: KioskStation, picture: object, person: str) -> str:
    code = with_code(station, person)
    station.show(picture)  # type: ignore[arg-type]
    view = station.enrol(code)
    assert view.stage is Stage.DONE, view
    return code


def verifier(station: KioskStation) -> Verifier:
    return Verifier.of(encode_public(station.signer.public))


def test_whoever_enrols_comes_in_at_once_withdraws_and_is_denied_at_once_and_after_a_restart(
    disk: Disk,
) -> None:
    with disk.run(ANNA, BO) as station:
        code = with_code(station)
        station.show(worker())
        wait_for(lambda: "unknown_face" in denied(station), what="a denial before", within_s=30)
        view = station.enrol(code, replication=True)
        assert (view.stage, view.progress) == (Stage.DONE, 5)
        told = [(kind.value, data.get("kind"), data.get("version")) for kind, data in station.events]
        assert [each for each in told if each[0].startswith(("consent", "person"))] == [
            ("consent.given", "face", NOTICE_VERSION),
            ("consent.given", "replication", NOTICE_VERSION),
            ("person.enrolled", None, None),
        ]
        wait_for(lambda: granted(station) == ["p-anna"], what="entry at once", within_s=30)

        assert station.enrolling.cancel(view.session)
        assert station.enrolling.withdraw_by_face(door=DOOR)
        withdrawn = station.wait_stage(Stage.DONE, Stage.REFUSED)
        assert withdrawn.stage is Stage.DONE, withdrawn
        count = len(denied(station))
        wait_for(lambda: len(denied(station)) > count, what="a denial after", within_s=30)
        assert (denied(station)[-1], granted(station)) == ("unknown_face", ["p-anna"])
    with disk.run(ANNA, BO) as station:
        station.show(worker())
        wait_for(lambda: denied(station), what="a denial after the restart", within_s=30)
        assert (denied(station)[-1], granted(station)) == ("unknown_face", [])


def test_an_enrolment_outlives_a_restart_and_its_code_is_used_up(disk: Disk) -> None:
    with disk.run(ANNA, BO) as station:
        code = enrolled_as(station, worker(), "p-anna")
        assert station.roster is not None
        document = station.roster.document
    with disk.run(ANNA, BO, version=document.version, enrolment_codes=document.enrolment_codes) as station:
        station.show(worker())
        wait_for(lambda: granted(station) == ["p-anna"], what="entry after the restart", within_s=30)
        assert station.enrolling.begin(code, door=DOOR)
        assert station.wait_stage(Stage.REFUSED).reason == "code_used"
        station.use_roster(ANNA, BO, version=document.version + 1)
        station.clear()
        wait_for(lambda: station.credentials.remembered().tallies == {}, what="no failure is left")


def test_the_receipts_are_signed_and_name_the_gallery_as_it_is(station: KioskStation) -> None:
    enrolled_as(station, worker(), "p-anna")
    receipt = station.view().receipt
    assert receipt is not None
    body = verifier(station).open(receipt["signed"].encode(), kind="enrolment")
    signed = decode(body, EnrolmentReceipt, station=station.id)
    assert signed.root == receipt["root"] == gallery_root(station.eyes.sealed_digests())
    assert (signed.person, signed.notice, signed.templates) == ("p-anna", NOTICE_VERSION, 5)
    assert (signed.engine, signed.digest) == station.eyes.engine
    (event,) = station.of(EventKind.PERSON_ENROLLED)
    assert (event["receipt"], event["liveness"]) == (receipt["signed"], "off")

    station.credentials.set_pin("p-anna", PIN, number="1042")
    assert station.enrolling.withdraw_by_pin("1042", PIN, door=DOOR)
    view = station.wait_stage(Stage.DONE, Stage.REFUSED)
    assert view.receipt is not None
    (erased,) = station.of(EventKind.PERSON_ERASED)
    request = Erase(station=station.id, request_id=view.receipt["request_id"], person="p-anna", issued_ms=0)
    proof = verify(erased, verifier(station), request=request)
    assert (proof.found, proof.people, proof.root) == (True, 0, gallery_root([]))
    assert station.of(EventKind.CONSENT_WITHDRAWN) == [{"person": "p-anna", "kind": "face"}]
    assert station.credentials.has_pin("p-anna")


def test_nothing_is_captured_before_the_consents_and_nothing_is_left_of_whoever_goes(
    station: KioskStation,
) -> None:
    station.show(worker())
    code = with_code(station)
    assert station.enrolling.begin(code, door=DOOR)
    session = station.wait_stage(Stage.NOTICE).session
    assert station.enrolling.read(session, notice=NOTICE_VERSION)
    assert station.enrolling.agree(session, notice=NOTICE_VERSION)
    assert station.enrolling.answer_replication(session, yes=True)
    assert station.view().progress == 0
    assert station.enrolling.answer_age(session, fourteen_or_older=False)
    assert station.view().reason == "under_age"
    session = station.consent(code)
    wait_for(lambda: station.view().progress >= 2, what="two good frames", within_s=30)
    assert station.enrolling.cancel(session)
    assert (station.view().stage, station.view().progress) == (Stage.IDLE, 0)
    assert station.eyes.sealed_digests() == []
    kinds = {kind for kind, _ in station.events}
    assert not kinds & {EventKind.CONSENT_GIVEN, EventKind.PERSON_ENROLLED}
    count = len(denied(station))
    wait_for(lambda: len(denied(station)) > count, what="entry by face again", within_s=30)


def test_a_face_is_enrolled_once_and_nobody_learns_as_whom(station: KioskStation) -> None:
    enrolled_as(station, worker(), "p-anna")
    station.enrolling.cancel(station.view().session)
    view = station.enrol(with_code(station, "p-bo"))
    assert (view.stage, view.reason) == (Stage.REFUSED, "already_enrolled")
    assert refused(station) == [("already_enrolled", "p-bo")]
    assert "p-anna" not in repr(view)
    assert [person for person, _ in station.eyes.sealed_digests()] == ["p-anna"]
    assert [data["person"] for data in station.of(EventKind.CONSENT_GIVEN)] == ["p-anna"]
    station.show(stranger())
    again = station.enrol(with_code(station, "p-anna"))
    assert again.stage is Stage.DONE
    wait_for(lambda: granted(station)[-1:] == ["p-anna"], what="the new face", within_s=30)


def test_codes_that_do_not_count_are_refused_each_for_its_own_reason(station: KioskStation) -> None:
    good = with_code(station)
    expired = with_code(station, "p-bo", lives_ms=0)
    unknown, _ = station.code("p-anna")
    gone = with_code(station, "p-nobody")

    def reason(code: str) -> str | None:
        assert station.enrolling.begin(code, door=DOOR)
        return station.wait_stage(Stage.REFUSED).reason

    assert [reason(code) for code in (unknown, "nonsense", expired, gone)] == [
        "code_wrong",
        "code_wrong",
        "code_expired",
        "not_on_roster",
    ]
    station.clock.trust = "unsynced"
    assert reason(good) == "code_time_unknown"
    station.clock.trust = "synced"
    assert [reason(unknown) for _ in range(6)] == [*["code_wrong"] * 5, "locked_out"]
    assert reason(good) == "locked_out"


def test_wrong_codes_are_counted_on_disk_before_they_are_judged(disk: Disk) -> None:
    with disk.run(ANNA) as station:
        for _ in range(5):
            assert station.enrolling.begin("nonsense", door=DOOR)
            station.wait_stage(Stage.REFUSED)
    with disk.run(ANNA) as station:
        assert station.enrolling.begin("nonsense", door=DOOR)
        assert station.wait_stage(Stage.REFUSED).reason == "locked_out"


def test_withdrawal_needs_proof_and_wrong_pins_wait_as_at_the_door(station: KioskStation) -> None:
    enrolled_as(station, worker(), "p-anna")
    station.credentials.set_pin("p-anna", PIN, number="1042")
    station.show(stranger())
    station.enrolling.cancel(station.view().session)
    assert station.enrolling.withdraw_by_face(door=DOOR)
    assert station.wait_stage(Stage.REFUSED).reason == "unknown_face"
    session = station.view().session
    station.enrolling.cancel(session)
    for _ in range(10):
        assert station.enrolling.withdraw_by_face(door=DOOR)
        station.enrolling.failed(station.view().session, "replay_suspected")
        assert station.wait_stage(Stage.REFUSED).reason == "replay_suspected"
    station.show(worker())
    assert station.enrolling.withdraw_by_face(door=DOOR)
    assert station.wait_stage(Stage.DONE, Stage.REFUSED).reason == "locked_out"
    for _ in range(5):
        assert station.enrolling.withdraw_by_pin("1042", "000000", door=DOOR)
        assert station.wait_stage(Stage.REFUSED).reason == "pin_wrong"
    assert station.enrolling.withdraw_by_pin("1042", PIN, door=DOOR)
    assert station.wait_stage(Stage.REFUSED).reason == "locked_out"
    assert [person for person, _ in station.eyes.sealed_digests()] == ["p-anna"]
    code = with_code(station)
    assert station.enrolling.withdraw_by_code(code, door=DOOR)
    assert station.wait_stage(Stage.DONE, Stage.REFUSED).stage is Stage.DONE
    assert station.eyes.sealed_digests() == []
    assert station.enrolling.begin(code, door=DOOR)
    assert station.wait_stage(Stage.REFUSED).reason == "code_used"


def test_no_file_of_the_station_holds_a_template_or_a_turned_or_rounded_one(station: KioskStation) -> None:
    enrolled_as(station, worker(), "p-anna")
    templates = station.eyes.templates("p-anna")
    assert templates is not None
    forms = [
        np.asarray(form, dtype=kind)
        for row in templates
        for form in (row, -row, row[::-1], row * 512, (row * 127).round(), templates.mean(axis=0))
        for kind in ("<f4", ">f4", "<f8", "<f2", "i1")
    ]
    pieces = {
        raw[at : at + 12]
        for form in forms
        for raw in (form.tobytes(),)
        for at in range(0, len(raw) - 12, 60)
        if len(set(raw[at : at + 12])) > 4
    }
    assert any(piece in templates.tobytes() for piece in pieces)
    for name, content in station.files().items():
        found = [piece for piece in pieces if piece in content]
        assert not found, name
    assert any(name.startswith("people.db") for name in station.files())


def test_a_withdrawal_cut_off_by_a_crash_is_finished_at_the_next_start(disk: Disk) -> None:
    with disk.run(ANNA) as station:
        enrolled_as(station, worker(), "p-anna")
        station.credentials.set_pin("p-anna", PIN, number="1042")
        request = Erase(station=station.id, request_id="a" * 32, person="p-anna", issued_ms=1)
        station.credentials.erasures.begin(request, face_only=True)
    with disk.run(ANNA) as station:
        kinds = [kind for kind, _ in station.events]
        assert kinds[:2] == [EventKind.CONSENT_WITHDRAWN, EventKind.PERSON_ERASED]
        assert (station.eyes.sealed_digests(), station.credentials.has_pin("p-anna")) == ([], True)


def test_whoever_leaves_the_roster_meanwhile_is_not_enrolled(station: KioskStation) -> None:
    station.show(worker())
    station.consent(with_code(station))
    station.use_roster(BO, version=9)
    view = station.wait_stage(Stage.DONE, Stage.REFUSED)
    assert (view.reason, station.eyes.sealed_digests()) == ("not_on_roster", [])
    assert station.of(EventKind.CONSENT_GIVEN) == []


def test_another_person_before_the_camera_begins_a_capture_anew(station: KioskStation) -> None:
    station.show(worker())
    station.consent(with_code(station))
    wait_for(lambda: station.view().progress >= 2, what="two good frames", within_s=30)
    station.show(stranger())
    view = station.wait_stage(Stage.DONE, Stage.REFUSED)
    assert view.stage is Stage.DONE
    wait_for(lambda: granted(station) == ["p-anna"], what="entry", within_s=30)
    station.show(worker())
    wait_for(lambda: "unknown_face" in denied(station), what="the first one is a stranger", within_s=30)
