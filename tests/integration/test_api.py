"""The JSON API over its whole width: what scripts and other systems rely on (design.md, outside contract)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from cloud_hub.bell import BRIDGE, Bell
from cloud_hub.models import ApiToken, Command
from cloud_hub.models.access import Role
from tests.support.district import DEPOT, NORTH, PARK, RIVER, district, event
from tests.support.web import Office, open_office

UNLOCK = f"/api/v1/stations/{NORTH}/doors/main/unlock"


def body_of(answer: TestResponse) -> Any:
    """The JSON of an answer."""
    return answer.get_json()


class Program:
    """Calls the API with a bearer token, and checks every answer against the API's own document."""

    def __init__(self, client: FlaskClient, headers: dict[str, str], document: dict[str, Any]) -> None:
        self._client = client
        self._headers = headers
        self._document = document

    def get(self, path: str, status: int = 200) -> Any:
        return self._call("GET", path, status)

    def post(self, path: str, body: Any = None, status: int = 202) -> Any:
        return self._call("POST", path, status, json=body)

    def _call(self, method: str, path: str, status: int, **options: Any) -> Any:
        answer = self._client.open(f"/api/v1{path}", method=method, headers=self._headers, **options)
        assert answer.status_code == status, answer.text
        if status < 400:
            self._check(method, path.partition("?")[0], status, body_of(answer))
        else:
            assert answer.mimetype == "application/problem+json"
            assert body_of(answer)["status"] == status
            assert body_of(answer)["type"] == f"urn:yizhan:problem:{body_of(answer)['code']}"
        return body_of(answer)

    def _check(self, method: str, path: str, status: int, body: Any) -> None:
        operation = self._operation(method, f"/api/v1{path}")
        schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
        jsonschema.validate(body, {**schema, "components": self._document["components"]})

    def _operation(self, method: str, path: str) -> Any:
        parts = path.split("/")
        for template, operations in self._document["paths"].items():
            shape = template.split("/")
            if len(shape) == len(parts) and all(
                a == b or a.startswith("{") for a, b in zip(shape, parts, strict=True)
            ):
                return operations[method.lower()]
        raise AssertionError(path)


@pytest.fixture
def office(database_url: str, tmp_path: Path) -> Iterator[Office]:
    """A hub on each database."""
    with open_office(tmp_path, database_url=database_url) as opened:
        yield opened


@pytest.fixture
def furnished(office: Office) -> Office:
    office.add(*district(office.clock()))
    return office


@pytest.fixture
def program(furnished: Office) -> Program:
    client = furnished.app.test_client()
    return Program(client, furnished.token(), body_of(client.get("/api/v1/openapi.json")))


def test_the_document_is_openapi_3_1_and_describes_every_route(furnished: Office) -> None:
    document = body_of(furnished.app.test_client().get("/api/v1/openapi.json"))
    assert document["openapi"].startswith("3.1")
    described = {(path, method.upper()) for path, ways in document["paths"].items() for method in ways}
    served = {
        (rule.rule.replace("<int:", "{").replace("<", "{").replace(">", "}"), method)
        for rule in furnished.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint.startswith("api.") and rule.endpoint != "api.openapi"
    }
    assert described == served
    operations = [ways[method.lower()] for path, method in described for ways in [document["paths"][path]]]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["security"] == [{"token": []}] and operation["summary"] for operation in operations)


def test_stations_are_listed_with_presence_people_and_doors(program: Program) -> None:
    items = {item["id"]: item for item in program.get("/stations")["items"]}
    assert {station: item["presence"] for station, item in items.items()} == {
        DEPOT: "offline",
        NORTH: "online",
        PARK: "unknown",
        RIVER: "online",
    }
    assert items[RIVER]["occupancy"] == {"estimate": 7, "low": 6, "high": 9, "capacity": 12}
    assert items[PARK]["occupancy"] is None
    (door,) = items[RIVER]["doors"]
    assert (door["id"], door["state"], door["relay"], door["contact_open"]) == ("main", "forced", False, True)
    assert items[RIVER]["open_alerts"] == 2


def test_one_station_comes_with_its_equipment(program: Program) -> None:
    station = program.get(f"/stations/{DEPOT}")
    assert station["cameras"] == {"entrance": "lost"}
    assert (station["backlog"], station["clock"], station["liveness"]) == (42, "unsynced", "off")
    assert [sensor["name"] for sensor in station["sensors"]] == ["co2", "humidity", "temperature"]
    assert station["storage"] == {
        "state": "low",
        "free_bytes": 40_000_000,
        "written_bytes_day": None,
        "events_lost": 3,
        "readings_lost": 0,
    }


@pytest.mark.parametrize(
    ("path", "limit", "total"),
    [("/stations", 3, 4), ("/events", 4, 11), ("/telemetry", 2, 3), ("/alerts", 2, 5), ("/commands", 2, 5)],
)
def test_every_list_can_be_walked_to_its_end(program: Program, path: str, limit: int, total: int) -> None:
    seen: list[Any] = []
    cursor = ""
    while cursor is not None:
        page = program.get(f"{path}?limit={limit}" + (f"&after={cursor}" if cursor else ""))
        assert len(page["items"]) <= limit
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen)) == total


def test_a_page_that_holds_exactly_all_rows_is_the_last(program: Program) -> None:
    assert program.get("/stations?limit=4")["next"] is None
    assert program.get("/stations?limit=3")["next"] is not None


def test_events_come_oldest_first_with_where_they_belong(program: Program) -> None:
    items = program.get(f"/events?station={NORTH}")["items"]
    assert [item["kind"] for item in items][:3] == ["station.started", "access.granted", "door.opened"]
    assert [item["seq"] for item in items] == list(range(1, 10))
    granted = items[1]
    assert granted["data"] == {"door": "main", "via": "face", "person": "w-7f3a", "score": 0.71}
    assert (granted["station"], granted["backfilled"], granted["clock"]) == (NORTH, False, "synced")
    assert granted["occurred_at"].endswith("Z")


def test_new_events_can_be_followed_by_the_last_id(program: Program, furnished: Office) -> None:
    last = program.get("/events?order=desc&limit=1")["items"][0]["id"]
    assert program.get(f"/events?after={last}")["items"] == []
    furnished.add(event(50, "door.opened", furnished.clock()))
    assert [item["seq"] for item in program.get(f"/events?after={last}")["items"]] == [50]


def test_events_can_be_narrowed_to_a_kind_or_a_subject(program: Program) -> None:
    assert {item["kind"] for item in program.get("/events?kind=door.opened")["items"]} == {"door.opened"}
    subject = {item["kind"] for item in program.get("/events?kind=door.*")["items"]}
    assert subject == {"door.opened", "door.closed", "door.forced"}


def test_readings_can_be_narrowed_to_a_sensor(program: Program) -> None:
    items = program.get(f"/telemetry?station={NORTH}&name=temperature")["items"]
    assert [item["value"] for item in items] == [21.5, 22.0, 22.5]
    assert program.get("/telemetry?name=humidity")["items"] == []


def test_open_alerts_are_those_that_wait_for_somebody(program: Program) -> None:
    assert {item["kind"] for item in program.get("/alerts?state=open")["items"]} == {
        "door.forced",
        "sensor.out_of_range",
        "station.silent",
    }


def test_an_alert_can_be_acknowledged_once(program: Program) -> None:
    alert = program.get("/alerts?state=open")["items"][0]
    acknowledged = program.post(f"/alerts/{alert['id']}/acknowledge", status=200)
    assert (acknowledged["state"], acknowledged["acknowledged_by"]) == ("acknowledged", "token:program")
    assert alert["id"] not in {item["id"] for item in program.get("/alerts?state=open")["items"]}
    program.post("/alerts/9999/acknowledge", status=404)
    closed = program.get("/alerts?state=closed")["items"][0]
    program.post(f"/alerts/{closed['id']}/acknowledge", status=409)


def test_an_unlock_is_accepted_and_can_be_followed(program: Program, furnished: Office) -> None:
    bell = Bell(furnished.hub.data_dir / "bells", BRIDGE)
    client, headers = furnished.app.test_client(), furnished.token(name="second")
    answer = client.post(UNLOCK, headers=headers, json={"reason": " delivery ", "pulse_ms": 1500})
    assert answer.status_code == 202
    command = body_of(answer)
    assert answer.headers["Location"] == f"/api/v1/commands/{command['id']}"
    assert (command["state"], command["final"], command["evidence"]) == ("REQUESTED", False, {})
    assert (command["reason"], command["pulse_ms"], command["requested_by"]) == (
        "delivery",
        1500,
        "token:second",
    )
    assert [step["state"] for step in command["timeline"]] == ["REQUESTED"]
    assert program.get(f"/commands/{command['id']}") == command
    assert bell.wait(1.0) is not None
    bell.close()


def test_a_finished_order_tells_its_evidence_and_its_hops(program: Program) -> None:
    command = program.get("/commands/" + "1" * 32)
    assert (command["state"], command["final"]) == ("OPENED", True)
    assert command["evidence"]["opened_mono_ms"] == 1840
    assert [step["state"] for step in command["timeline"]] == [
        "REQUESTED",
        "SENT",
        "CHALLENGED",
        "AUTHORISED",
        "PULSING",
        "OPENED",
    ]


def test_orders_can_be_narrowed_to_a_station(program: Program) -> None:
    assert [item["state"] for item in program.get(f"/commands?station={RIVER}")["items"]] == [
        "REJECTED",
        "PULSED_NOT_OPENED",
    ]


def test_a_second_order_for_a_busy_door_is_a_conflict(program: Program, furnished: Office) -> None:
    program.post(f"/stations/{NORTH}/doors/main/unlock", {"reason": "first"})
    problem = program.post(f"/stations/{NORTH}/doors/main/unlock", {"reason": "second"}, status=409)
    assert problem["code"] == "door_busy"
    with furnished.sessions() as session:
        assert (
            len(session.scalars(select(Command).where(Command.final.is_(False))).all()) == 2
        )  # and the unknown one


def test_an_unknown_outcome_must_be_confirmed(program: Program) -> None:
    path = f"/stations/{DEPOT}/doors/main/unlock"
    assert program.post(path, {"reason": "again"}, status=409)["code"] == "outcome_unknown"
    program.post(path, {"reason": "again", "confirm_unknown": True})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({}, "reason", id="missing"),
        pytest.param({"reason": "  "}, "reason", id="blank"),
        pytest.param({"reason": "x" * 201}, "reason", id="too-long"),
        pytest.param({"reason": "a\x00b"}, "reason", id="control-character"),
        pytest.param({"reason": 7}, "reason", id="not-text"),
        pytest.param({"reason": "x", "pulse_ms": 10_001}, "pulse_ms", id="pulse-too-long"),
        pytest.param({"reason": "x", "pulse_ms": 499}, "pulse_ms", id="pulse-too-short"),
        pytest.param({"reason": "x", "forever": True}, "forever", id="unknown-field"),
        pytest.param([1, 2], "body", id="a-list"),
        pytest.param("text", "body", id="a-text"),
        pytest.param(None, "body", id="nothing"),
    ],
)
def test_a_wrong_field_is_named(program: Program, body: Any, field: str) -> None:
    problem = program.post(f"/stations/{NORTH}/doors/main/unlock", body, status=422)
    assert field in {error["field"] for error in problem["errors"]}
    assert field in problem["detail"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("/events?limit=0", "limit"),
        ("/events?limit=1001", "limit"),
        ("/events?after=-1", "after"),
        ("/events?after=x", "after"),
        ("/events?order=sideways", "order"),
        ("/events?colour=red", "colour"),
        ("/alerts?state=asleep", "state"),
        ("/telemetry?limit=many", "limit"),
    ],
)
def test_a_wrong_query_is_named(program: Program, query: str, field: str) -> None:
    assert {error["field"] for error in program.get(query, status=422)["errors"]} == {field}


@pytest.mark.parametrize(
    "path",
    ["/stations/st-nowhere", "/commands/none", "/nope", "/stations/" + "x" * 64, "/commands?after=none"],
)
def test_what_does_not_exist_is_a_problem_document(program: Program, path: str) -> None:
    assert program.get(path, status=404)["code"] == "not_found"


def test_a_wrong_method_names_the_right_one(furnished: Office) -> None:
    answer = furnished.app.test_client().delete("/api/v1/stations")
    assert (answer.status_code, answer.mimetype) == (405, "application/problem+json")
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize(
    "credential", [None, "Bearer", "Bearer wrong", "Basic bGluOng=", "bearer  ", "Bearer \udcff"]
)
def test_without_a_valid_token_everything_is_refused_the_same_way(
    furnished: Office, credential: str | None
) -> None:
    headers = (
        {}
        if credential is None
        else {"Authorization": credential.encode("latin-1", "replace").decode("latin-1")}
    )
    answer = furnished.app.test_client().get("/api/v1/stations", headers=headers)
    assert (answer.status_code, body_of(answer)["code"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_token_is_refused_at_once(furnished: Office) -> None:
    headers = furnished.token()
    client = furnished.app.test_client()
    assert client.get("/api/v1/stations", headers=headers).status_code == 200
    with furnished.sessions.begin() as session:
        session.scalars(select(ApiToken)).one().revoked_at = furnished.clock()
    assert client.get("/api/v1/stations", headers=headers).status_code == 401


def test_the_database_holds_no_token(furnished: Office) -> None:
    secret = furnished.token()["Authorization"].split()[1]
    with furnished.sessions() as session:
        kept = session.scalars(select(ApiToken.token_hash)).one()
    assert secret not in kept
    assert len(kept) == 64


def test_a_viewer_s_token_orders_nothing(furnished: Office) -> None:
    answer = furnished.app.test_client().post(
        UNLOCK, headers=furnished.token(Role.VIEWER), json={"reason": "x"}
    )
    assert (answer.status_code, body_of(answer)["code"]) == (403, "forbidden")


def test_bodies_that_no_program_should_send_are_refused_in_words(furnished: Office) -> None:
    client, headers = furnished.app.test_client(), furnished.token()
    deep = b'{"reason":' * 60_000 + b"1" + b"}" * 60_000
    bodies = [b"{", b"\xff\xfe", deep, b'{"reason":"\\ud800"}', b'{"reason":NaN}', b""]
    for body in bodies:
        answer = client.post(UNLOCK, headers=headers, data=body, content_type="application/json")
        assert (answer.status_code, answer.mimetype) == (422, "application/problem+json"), body[:40]
    huge = client.post(
        UNLOCK, headers=headers, data=b"x" * (1024 * 1024 + 1), content_type="application/json"
    )
    assert (huge.status_code, body_of(huge)["code"]) == (413, "request_entity_too_large")


def test_too_many_orders_say_how_long_to_wait(program: Program, furnished: Office) -> None:
    path = f"/stations/{NORTH}/doors/main/unlock"
    for number in range(3):
        program.post(path, {"reason": f"{number}"})
        with furnished.sessions.begin() as session:
            for command in session.scalars(
                select(Command).where(Command.final.is_(False), Command.station_id == NORTH)
            ):
                command.final, command.state = True, "EXPIRED"
        furnished.clock.forward(seconds=1)
    problem = program.post(path, {"reason": "once more"}, status=429)
    assert problem["code"] == "too_many"
    assert problem["retry_after_s"] > 0
