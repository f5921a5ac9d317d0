import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from flask.testing import FlaskClient

from cloud_hub.demo.control import ControlError
from cloud_hub.demo.stage import app as stage_app
from cloud_hub.demo.stage import texts
from cloud_hub.demo.stage.app import create_stage
from cloud_hub.demo.stage.pictures import BYTES_LIMIT, PictureRefused
from cloud_hub.demo.stage.world import Unknown, World
from cloud_hub.demo.stations import Simulated

PORT, KEY = 8099, "the-key"
ORIGIN = f"http://127.0.0.1:{PORT}"
STATION = "st-demo0001"


class FakeWorld:
    """Remembers what the visitor did."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []
        self.fault: Exception | None = None

    def _do(self, *what: object) -> None:
        if self.fault is not None:
            raise self.fault
        self.done.append(what)

    def act(self, station_id: str, action: str, value: object = None) -> None:
        self._do(station_id, action, value)

    def show_photo(self, station_id: str, raw: bytes, *, live: bool) -> None:
        self._do(station_id, raw, live)

    def enrol_visitor(self, station_id: str, raw: bytes) -> int:
        self._do(station_id, raw)
        return 3

    def state(self) -> list[dict[str, Any]]:
        return [{"id": STATION}]


class Browser(FlaskClient):
    """A client whose requests go to the stage's own address unless the test says otherwise."""

    def open(self, *args: Any, **more: Any) -> Any:
        return super().open(*args, **{"base_url": ORIGIN, **more})


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def stranger(world: FakeWorld, tmp_path: Path) -> Iterator[FlaskClient]:
    """A browser that has not been let in."""
    station = Simulated(STATION, "海淀中关村驿站", tmp_path, tmp_path / "control.sock")
    app = create_stage(
        cast("World", world), stations=[station], key=KEY, port=PORT, hub_url="http://127.0.0.1:8080"
    )
    app.testing = True
    app.test_client_class = Browser
    with app.test_client() as client:
        yield client


@pytest.fixture
def visitor(stranger: FlaskClient) -> FlaskClient:
    """A browser that came with the key."""
    assert stranger.get(f"/?key={KEY}").status_code == 303
    return stranger


def post(client: FlaskClient, path: str, *, origin: str | None = ORIGIN, **more: Any) -> Any:
    headers = {**({"Origin": origin} if origin else {}), **more.pop("headers", {})}
    return client.post(f"/stations/{STATION}/{path}", headers=headers, **more)


@pytest.mark.parametrize(
    "path", ["/", "/state", f"/stations/{STATION}/frame.jpg", "/static/stage.js", "/?key=wrong"]
)
def test_nobody_gets_in_without_the_key(stranger: FlaskClient, path: str) -> None:
    assert stranger.get(path).status_code == 403


def test_the_key_becomes_a_cookie_that_no_script_and_no_other_site_can_use(stranger: FlaskClient) -> None:
    answer = stranger.get(f"/?key={KEY}")
    assert answer.headers["Location"] == "/"
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert "SameSite=Strict" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("origin", [None, "http://evil.example", "http://127.0.0.1:9999", "null"])
def test_another_page_cannot_act_even_with_the_cookie(
    visitor: FlaskClient, world: FakeWorld, origin: str | None
) -> None:
    assert post(visitor, "act", origin=origin, json={"action": "worker"}).status_code == 403
    assert world.done == []


def test_another_host_name_is_refused(visitor: FlaskClient) -> None:
    assert visitor.get(f"/?key={KEY}", base_url=f"http://evil.example:{PORT}").status_code == 403


def test_an_action_reaches_the_station(visitor: FlaskClient, world: FakeWorld) -> None:
    assert post(visitor, "act", json={"action": "fire", "value": True}).get_json() == {"ok": True}
    assert world.done == [(STATION, "fire", True)]


@pytest.mark.parametrize(
    ("fault", "status"),
    [(ControlError("x"), 503), (Unknown("x"), 404), (PictureRefused("not_a_picture"), 422)],
)
def test_a_refusal_is_told_in_the_visitors_language(
    visitor: FlaskClient, world: FakeWorld, fault: Exception, status: int
) -> None:
    world.fault = fault
    answer = post(visitor, "photo", data=b"x")
    assert (answer.status_code, answer.get_json()["ok"]) == (status, False)
    assert answer.get_json()["error"]


def test_nobody_is_enrolled_without_consent(visitor: FlaskClient, world: FakeWorld) -> None:
    assert post(visitor, "enrol", data=b"face").status_code == 403
    assert world.done == []
    assert post(visitor, "enrol", data=b"face", headers={"X-Consent": "given"}).get_json()["templates"] == 3


def test_a_photo_over_the_limit_is_refused_unread(visitor: FlaskClient, world: FakeWorld) -> None:
    answer = post(visitor, "photo", data=b"x" * (BYTES_LIMIT + 5000))
    assert (answer.status_code, answer.get_json()["error"]) == (413, "文件超过 10 MB。")
    assert world.done == []


@pytest.mark.parametrize("body", ["", "[1]", '"x"', "{"])
def test_an_order_that_is_no_object_is_refused(visitor: FlaskClient, body: str) -> None:
    assert post(visitor, "act", data=body, content_type="application/json").status_code == 400


def test_the_page_is_chinese_first_and_english_by_choice(visitor: FlaskClient) -> None:
    assert "舞台" in visitor.get("/").text
    visitor.post("/language", data={"language": "en"}, headers={"Origin": ORIGIN})
    assert "The stage" in visitor.get("/").text


def test_every_answer_forbids_scripts_from_elsewhere(visitor: FlaskClient) -> None:
    policy = visitor.get("/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_every_text_is_translated() -> None:
    template = (Path(stage_app.__file__).parent / "templates" / "stage.html").read_text()
    shown = (
        set(re.findall(r"t\('([^']+)'\)", template))
        | set(stage_app.SCRIPT_TEXTS)
        | set(stage_app.REFUSALS.values())
    )
    shown |= {stage_app.NO_FACE, stage_app.ABSENT}
    assert shown - set(texts.catalogue("zh_CN")) == set()


def test_the_catalogue_holds_no_text_that_is_not_shown() -> None:
    folder = Path(stage_app.__file__).parent
    source = (folder / "templates" / "stage.html").read_text() + Path(stage_app.__file__).read_text()
    assert [text for text in texts.catalogue("zh_CN") if text not in source] == []
