"""People, groups, codes and passes as a program meets them; what the hub keeps of them, and what it must never keep."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from sqlalchemy import select

from cloud_hub.access import audit
from cloud_hub.bell import BRIDGE, PEOPLE, Bell
from cloud_hub.db import Base
from cloud_hub.models import AuditEntry, Consent, EnrolmentCode, EntryPass, Erasure
from cloud_hub.models.access import Role
from cloud_hub.settings import PassSettings
from firmware_config import codes
from firmware_config import passes as wire_passes
from firmware_config.roster import EnrolmentCode as RosterCode
from firmware_config.signing import encode_public, load_private_key, new_private_key
from tests.support.district import NORTH, PARK, district
from tests.support.web import Office, open_office

ALWAYS = [[{"opens_min": 0, "closes_min": 1440}]] * 7


class Program:
    """Calls the API, and checks each answer against the API's own document."""

    def __init__(self, office: Office, role: Role = Role.ADMINISTRATOR) -> None:
        self.headers = office.token(role, f"program-{role.value}")
        self.client = office.app.test_client()
        self.document = self.client.get("/api/v1/openapi.json").get_json()

    def call(self, method: str, path: str, status: int, body: Any = None) -> Any:
        answer = self.client.open(f"/api/v1{path}", method=method, headers=self.headers, json=body)
        assert answer.status_code == status, answer.text
        found = answer.get_json()
        if status < 400:
            schema = self._operation(method, path)["responses"][str(status)]["content"]["application/json"]
            jsonschema.validate(found, {**schema["schema"], "components": self.document["components"]})
        return found

    def _operation(self, method: str, path: str) -> Any:
        parts = f"/api/v1{path.partition('?')[0]}".split("/")
        for template, operations in self.document["paths"].items():
            shape = template.split("/")
            same = len(shape) == len(parts) and all(
                a == b or a.startswith("{") for a, b in zip(shape, parts, strict=True)
            )
            if same and method.lower() in operations:
                return operations[method.lower()]
        raise AssertionError(path)

    def group(self, name: str = "workers", **rules: Any) -> Any:
        return self.call("POST", "/groups", 201, {"id": name, "weekly": ALWAYS, **rules})

    def person(self, **fields: Any) -> str:
        found: str = self.call("POST", "/people", 201, fields)["id"]
        return found


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A hub with stations and a key for passes."""
    new_private_key(tmp_path / "passes.key")
    with open_office(tmp_path, passes=PassSettings(key_file=Path("passes.key"))) as opened:
        opened.add(*district(opened.clock()))
        yield opened


@pytest.fixture
def program(office: Office) -> Program:
    return Program(office)


def actions(office: Office) -> list[str]:
    with office.sessions() as session:
        found = list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))
    return [action for action in found if not action.startswith("token:")]


def test_a_person_is_a_pseudonym_a_number_and_flags(program: Program) -> None:
    program.group()
    person = program.call("POST", "/people", 201, {"groups": ["workers"], "extended": True})
    assert person["id"].startswith("p-")
    assert (person["active"], person["extended"], person["groups"]) == (True, True, ["workers"])
    assert len(person["number"]) == 6
    assert program.call("GET", f"/people/{person['id']}", 200) == person
    columns = {column.name for column in Base.metadata.tables["person"].columns}
    assert columns == {"id", "number", "active", "extended", "created_at", "erased_at"}


@pytest.mark.parametrize("field", ["name", "label", "pin", "face", "template"])
def test_what_the_hub_must_not_know_is_refused(program: Program, field: str) -> None:
    refused = program.call("POST", "/people", 422, {field: "王伟"})
    assert refused["errors"][0]["field"] == field


def test_every_look_at_people_is_one_entry_in_the_audit_log(program: Program, office: Office) -> None:
    people = sorted(program.person() for _ in range(3))
    before = len(actions(office))
    first = program.call("GET", "/people?limit=2", 200)
    assert ([item["id"] for item in first["items"]], first["next"]) == (people[:2], people[1])
    rest = program.call("GET", f"/people?limit=2&after={first['next']}", 200)
    assert ([item["id"] for item in rest["items"]], rest["next"]) == (people[2:], None)
    program.call("GET", f"/people/{people[0]}", 200)
    program.call("GET", "/consents", 200)
    program.call("GET", "/passes", 200)
    assert actions(office)[before:] == [
        "person:view:done", "person:view:done", "person:view:done", "consent:view:done", "pass:view:done",
    ]  # fmt: skip
    with office.sessions() as session:
        assert audit.verify(session).ok


def test_a_change_is_told_to_the_bridge_and_audited(program: Program, office: Office) -> None:
    program.group("night")
    person = program.person(number="4711")
    bell = Bell(office.hub.data_dir / "bells", BRIDGE)
    changed = program.call(
        "PATCH", f"/people/{person}", 200, {"active": False, "groups": ["night"], "number": "4712"}
    )
    assert (changed["active"], changed["groups"], changed["number"]) == (False, ["night"], "4712")
    assert bell.wait(1.0) == [PEOPLE]
    bell.close()
    assert actions(office)[-1] == "person:change:done"
    assert program.call("POST", "/people", 409, {"number": "4712"})["code"] == "conflict"
    assert program.call("POST", "/people", 422, {"groups": ["nobody"]})["errors"][0]["field"] == "groups"
    assert [item["id"] for item in program.call("GET", "/people?group=night", 200)["items"]] == [person]
    program.call("PATCH", "/people/p-nobody", 404, {"active": True})


def test_an_erased_person_is_nowhere_but_in_the_proof(program: Program, office: Office) -> None:
    program.group()
    person = program.person(groups=["workers"], number="4711")
    program.call("POST", "/enrolment-codes", 201, {"person": person})
    until = (office.clock() + timedelta(days=2)).isoformat()
    program.call("POST", "/passes", 201, {"person": person, "scope": ["*"], "not_after": until})
    office.add(
        Consent(
            person_id=person, station_id=NORTH, kind="face", version=1, channel="kiosk",
            given_at=office.clock(), withdrawn_at=None, withdrawn_by=None,
        )
    )  # fmt: skip
    erased = program.call("POST", f"/people/{person}/erase", 202, {"reason": "asked for it"})
    assert (erased["active"], erased["number"], erased["groups"], erased["consents"]) == (False, None, [], [])
    assert NORTH in {item["station"] for item in erased["erasures"]}
    again = program.call("POST", f"/people/{person}/erase", 202, {"reason": "twice"})
    assert again["erasures"] == erased["erasures"]
    assert program.call("GET", "/people", 200)["items"] == []
    program.call("PATCH", f"/people/{person}", 404, {"active": True})
    program.call("POST", "/enrolment-codes", 404, {"person": person})
    with office.sessions() as session:
        assert session.scalars(select(EnrolmentCode.used_at)).one() is not None
        assert session.scalars(select(EntryPass.revoked_at)).one() is not None
        assert session.scalars(select(Consent.withdrawn_by)).one() == "token:program-administrator"
        assert session.scalars(select(Erasure.receipted_at)).first() is None


def test_a_withdrawal_for_somebody_leaves_the_other_ways_in(program: Program, office: Office) -> None:
    person = program.person()
    for kind in ("face", "replication"):
        office.add(
            Consent(
                person_id=person, station_id=NORTH, kind=kind, version=1, channel="kiosk",
                given_at=office.clock(), withdrawn_at=None, withdrawn_by=None,
            )
        )  # fmt: skip
    assert len(program.call("GET", f"/people/{person}", 200)["consents"]) == 2
    after = program.call("POST", f"/people/{person}/withdraw", 200, {"kind": "face", "reason": "asked"})
    assert (after["consents"], after["active"]) == ([], True)
    assert actions(office)[-1] == "consent:withdraw:done"
    withdrawn = program.call("GET", f"/consents?person={person}&kind=face", 200)["items"]
    assert [item["withdrawn_by"] for item in withdrawn] == ["token:program-administrator"]


def test_a_code_is_told_once_and_kept_as_a_slow_hash(program: Program, office: Office) -> None:
    person = program.person()
    first = program.call("POST", "/enrolment-codes", 201, {"person": person, "days": 1})["code"]
    second = program.call("POST", "/enrolment-codes", 201, {"person": person})["code"]
    with office.sessions() as session:
        rows = session.scalars(select(EnrolmentCode).order_by(EnrolmentCode.id)).all()
        everything = str([entry.detail for entry in session.scalars(select(AuditEntry))])
    assert [row.used_at is None for row in rows] == [False, True]
    kept = RosterCode(person=person, tag=rows[1].tag, salt=rows[1].salt, digest=rows[1].digest, expires_ms=1)
    assert codes.find([kept], second) == kept
    assert codes.find([kept], first) is None
    assert second not in everything


def test_a_pass_is_signed_told_once_and_revoked(program: Program, office: Office) -> None:
    person = program.person()
    until = (office.clock() + timedelta(days=30)).isoformat()
    made = program.call(
        "POST", "/passes", 201,
        {"person": person, "scope": [NORTH], "not_after": until, "uses": 3, "extended": True},
    )  # fmt: skip
    key = load_private_key(office.hub.data_dir / "passes.key")
    body = wire_passes.Keyring([encode_public(key.public_key())]).open(made["text"])
    assert (body.number, body.holder, body.scope, body.uses) == (made["id"], person, [NORTH], 3)
    assert (body.extended, body.guest, body.not_before) == (True, False, int(office.clock().timestamp()))
    listed = program.call("GET", f"/passes?person={person}", 200)["items"]
    assert [("text" in item, item["id"]) for item in listed] == [(False, made["id"])]
    revoked = program.call("POST", f"/passes/{made['id']}/revoke", 200)
    assert revoked["revoked_by"] == "token:program-administrator"
    assert program.call("POST", f"/passes/{made['id']}/revoke", 200) == revoked
    program.call("POST", f"/passes/{'f' * 16}/revoke", 404)


def test_a_guest_gets_a_pseudonym_and_a_short_pass(program: Program, office: Office) -> None:
    def until(**length: float) -> str:
        return (office.clock() + timedelta(**length)).isoformat()

    guest = {"scope": [PARK], "uses": 1}
    made = program.call("POST", "/passes", 201, {**guest, "not_after": until(days=1)})
    assert (made["person"], made["holder"][:6]) == (None, "guest-")
    program.call("POST", "/passes", 422, {**guest, "not_after": until(days=8)})


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"scope": ["*"], "uses": 1}, id="counted-at-many-stations"),
        pytest.param({"scope": ["st-nobody01"]}, id="unknown-station"),
        pytest.param({"scope": []}, id="nowhere"),
        pytest.param({"scope": ["*"], "not_after": "2020-01-01T00:00:00Z"}, id="over"),
        pytest.param({"scope": ["*"], "not_after": "2025-11-23T00:00:00"}, id="time-without-zone"),
    ],
)
def test_a_pass_that_could_not_be_judged_is_not_made(
    program: Program, office: Office, wrong: dict[str, Any]
) -> None:
    until = (office.clock() + timedelta(days=1)).isoformat()
    program.call("POST", "/passes", 422, {"not_after": until, **wrong})


def test_without_a_key_there_are_no_passes_and_the_answer_says_so(tmp_path: Path) -> None:
    with open_office(tmp_path) as bare:
        until = (bare.clock() + timedelta(days=1)).isoformat()
        refused = Program(bare).call("POST", "/passes", 409, {"scope": ["*"], "not_after": until})
    assert refused["code"] == "not_configured"


def test_groups_keep_hours_that_a_roster_can_hold(program: Program) -> None:
    night = [[{"opens_min": 1320, "closes_min": 1800}]] * 7
    made = program.group("night", holiday=[], stations=[NORTH], doors=["main"], guest_cap=5)
    assert (made["holiday"], made["stations"], made["guest_cap"]) == ([], [NORTH], 5)
    assert program.call("PUT", "/groups/night", 200, {"weekly": night})["weekly"] == night
    assert [item["id"] for item in program.call("GET", "/groups", 200)["items"]] == ["night"]
    program.call("POST", "/groups", 409, {"id": "night", "weekly": night})
    program.call("PUT", "/groups/nobody", 404, {"weekly": night})
    backwards = [[{"opens_min": 600, "closes_min": 500}]] * 7
    program.call("POST", "/groups", 422, {"id": "odd", "weekly": backwards})
    program.call("POST", "/groups", 422, {"id": "odd", "weekly": night, "stations": ["st-nobody01"]})


def test_nobody_waits_for_a_group_that_cannot_come(program: Program) -> None:
    program.group("stewards", stations=[NORTH])
    wrong = {"id": "workers", "weekly": ALWAYS, "waits_for": "stewards"}
    assert program.call("POST", "/groups", 422, wrong)["errors"][0]["field"] == "waits_for"
    program.call("POST", "/groups", 201, {**wrong, "stations": [NORTH]})
    program.call("PUT", "/groups/stewards", 422, {"weekly": ALWAYS, "stations": [PARK]})
    program.call("PUT", "/groups/stewards", 422, {"weekly": ALWAYS, "waits_for": "workers"})
    program.call("POST", "/groups", 422, {**wrong, "id": "others", "waits_for": "nobody"})


def test_the_calendar_is_replaced_as_a_whole(program: Program) -> None:
    days = [
        {"day": "2026-10-10", "kind": "workday", "as_weekday": 4},
        {"day": "2026-10-01", "kind": "holiday", "as_weekday": 0},
    ]
    assert program.call("PUT", "/calendar", 200, {"items": days})["items"] == days[::-1]
    assert program.call("GET", "/calendar", 200)["items"] == days[::-1]
    program.call("PUT", "/calendar", 422, {"items": [days[0], days[0]]})
    program.call("PUT", "/calendar", 422, {"items": [{"day": "2026-02-30", "kind": "holiday"}]})
