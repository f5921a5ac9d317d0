"""The kiosk's page and answers, by requests: what it says, whom it lets ask, and what it never says."""

import re
import threading
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from firmware_config.station import StationConfig, load_station
from firmware_config.vocabulary import DoorState
from firmware_config.wire import DoorStatus, OccupancyStatus
from station_agent import facts
from station_agent.kiosk.app import Kiosk, create_app
from station_agent.kiosk.desk import PROMPT_S, Desk
from station_agent.kiosk.guard import HEADERS, MOST_BYTES
from station_agent.kiosk.voice import Silence
from station_agent.kiosk.words import DOOR
from station_agent.loop import Snapshot
from station_agent.texts import TEXTS
from tests.support.hand_clock import HandClock
from tests.support.stations import new_hub_key, write_station

PORT = 4711
HOST = f"127.0.0.1:{PORT}"
EMPTY = OccupancyStatus(estimate=0, low=0, high=0, capacity=4)


class Agent:
    """The agent as a desk sees it; its control thread is played by ``answer``."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.state = DoorState.LOCKED
        self.prompts: dict[str, str | None] = {"main": None}
        self.prompted_s = {"main": 0.0}
        self.online = True
        self.writes = True
        self.asked: list[facts.Fact] = []
        self.answer: Callable[[facts.Fact], None] = lambda _: None

    def put(self, fact: facts.Fact) -> None:
        self.asked.append(fact)
        self.answer(fact)

    def snapshot(self) -> Snapshot:
        door = DoorStatus(id="main", state=self.state, relay=False, contact_open=False)
        return Snapshot(doors=[door], occupancy=EMPTY, cameras={})

    def say(self, reason: str) -> None:
        self.prompts["main"], self.prompted_s["main"] = reason, self.clock.monotonic_s()


class Page:
    """A browser at the door."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, host: str = HOST) -> TestResponse:
        answer = self.client.get(path, headers={"Host": host})
        answer.get_data()
        answer.close()
        return answer

    def post(self, path: str, body: object | None = None, **headers: str) -> TestResponse:
        given = {"Host": HOST, "Origin": f"http://{HOST}", **headers}
        return self.client.post(path, json=body if body is not None else {}, headers=given)

    def english(self) -> "Page":
        form = {"Host": HOST, "Origin": f"http://{HOST}"}
        assert self.client.post("/language", data={"language": "en"}, headers=form).status_code == 303
        return self


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> StationConfig:
    folder = tmp_path_factory.mktemp("station")
    _, public = new_hub_key(folder)
    return load_station(write_station(folder, hub_public=public, kiosk='phone = "010-12345678"')[0]).config


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
def kiosk(agent: Agent, config: StationConfig) -> Kiosk:
    desk = Desk(
        "main",
        clock=agent.clock,
        put=agent.put,
        snapshot=agent.snapshot,
        prompts=agent,
        connected=lambda: agent.online,
        on_disk=lambda _: agent.writes,
    )
    kiosk = Kiosk(config, desk=desk, enrolment=None, voice=Silence())
    kiosk.port = PORT
    return kiosk


@pytest.fixture
def page(kiosk: Kiosk) -> Page:
    # cookies of a test client belong to a host without its port
    return Page(create_app(kiosk).test_client())


def test_the_page_is_chinese_until_somebody_chooses(page: Page) -> None:
    assert 'lang="zh-CN"' in page.get("/").text
    assert "密码进门" in page.get("/").text
    assert "Enter with a PIN" in page.english().get("/").text


def test_every_answer_carries_the_headers_and_nothing_comes_from_elsewhere(page: Page) -> None:
    for path in ("/", "/state", "/static/kiosk.css", "/static/kiosk.js", "/nowhere"):
        answer = page.get(path)
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, path
    text = page.get("/").text
    assert not re.search(r'(src|href)="(?!/static/|#)', text)
    for forbidden in ("<style", " style=", "<script>", "onclick=", "onload=", "https:"):
        assert forbidden not in text


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1:80", "[::1]:4711", ""])
def test_a_name_that_somebody_points_at_us_is_refused(page: Page, host: str) -> None:
    assert page.get("/", host).status_code in {400, 403}
    assert page.get("/state", host).status_code in {400, 403}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Origin": "http://evil.example"}, id="another site"),
        pytest.param({"Origin": "null"}, id="a sandboxed frame"),
        pytest.param({"Origin": "http://127.0.0.1:8080"}, id="another page on this machine"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, id="another port, by the browser's word"),
    ],
)
def test_a_press_that_another_page_made_is_refused(page: Page, agent: Agent, headers: dict[str, str]) -> None:
    for path in ("/pin", "/help", "/language"):
        assert page.post(path, {"number": "1042", "pin": "580273"}, **headers).status_code == 403
    assert page.client.post("/help", headers={"Host": HOST}).status_code == 403
    assert agent.asked == []


@pytest.mark.parametrize(
    "body",
    [None, [], {"number": "1042"}, {"number": 1042, "pin": "580273"}, {"number": "1042", "pin": ""},
     {"number": "1042", "pin": "5" * 9}, {"number": "1042", "pin": "580273", "door": "other"}],
)  # fmt: skip
def test_a_garbled_pin_is_no_attempt(page: Page, agent: Agent, body: object) -> None:
    assert page.post("/pin", body).status_code == 400
    assert agent.asked == []


def test_a_body_that_is_too_large_is_not_read(page: Page, agent: Agent) -> None:
    assert page.post("/pin", {"number": "1" * MOST_BYTES, "pin": "580273"}).status_code in {400, 413}
    assert agent.asked == []


def answered(reason: str | None, wait_s: float | None = None) -> Callable[[facts.Fact], None]:
    def answer(fact: facts.Fact) -> None:
        assert isinstance(fact, facts.PinTyped)
        fact.done(facts.PinAnswer(reason, wait_s))

    return answer


def test_a_pin_is_answered_in_words(page: Page, agent: Agent) -> None:
    agent.answer = answered(None)
    assert page.post("/pin", {"number": "1042", "pin": "580273"}).get_json() == {
        "ok": True, "text": "门已开锁，请进。",
    }  # fmt: skip
    agent.answer = answered("pin_wrong")
    wrong = page.english().post("/pin", {"number": "1042", "pin": "580273"}).get_json()
    assert (wrong["ok"], wrong["text"]) == (False, TEXTS["pin_wrong"])
    agent.answer = answered("locked_out", 29.6)
    assert page.post("/pin", {"number": "1042", "pin": "580273"}).get_json()["wait_s"] == 30
    agent.answer = answered("locked_until_forgiven", float("inf"))
    assert page.post("/pin", {"number": "1042", "pin": "580273"}).get_json()["wait_s"] is None


def test_two_hands_do_not_make_guessing_faster(page: Page, agent: Agent, kiosk: Kiosk) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def slowly(fact: facts.Fact) -> None:
        assert isinstance(fact, facts.PinTyped)
        arrived.set()
        assert go_on.wait(10)
        fact.done(facts.PinAnswer("pin_wrong"))

    agent.answer = slowly
    first = threading.Thread(target=kiosk.desk.type_pin, args=("1042", "580273"))
    first.start()
    assert arrived.wait(10)
    assert page.post("/pin", {"number": "1042", "pin": "111222"}).status_code == 409
    go_on.set()
    first.join()
    assert len(agent.asked) == 1


@pytest.mark.parametrize(
    ("writes", "online", "code"),
    [(True, True, "help_recorded"), (True, False, "help_waiting"), (False, True, "help_failed")],
)
def test_a_call_for_help_says_what_is_known_and_no_more(
    page: Page, agent: Agent, code: str, *, writes: bool, online: bool
) -> None:
    agent.writes, agent.online = writes, online
    agent.answer = lambda fact: fact.done() if isinstance(fact, facts.HelpAsked) else None
    told = page.post("/help").get_json()
    assert (told["code"], told["ok"]) == (code, writes)


@pytest.mark.parametrize("state", DoorState)
def test_every_state_of_the_door_has_words_in_both_languages(
    page: Page, agent: Agent, state: DoorState
) -> None:
    agent.state = state
    chinese, english = page.get("/state").get_json(), page.english().get("/state").get_json()
    assert english["door"]["text"] == DOOR[state].text
    assert not re.search("[A-Za-z]{4}", chinese["door"]["text"] + chinese["door"]["short"])


@pytest.mark.parametrize("code", TEXTS)
def test_every_reason_is_shown_in_chinese_and_in_english(page: Page, agent: Agent, code: str) -> None:
    agent.say(code)
    assert page.english().get("/state").get_json()["prompt"]["text"] == TEXTS[code]
    page.client.delete_cookie("yizhan-kiosk-language", domain="127.0.0.1")
    assert re.search("[\u4e00-\u9fff]", page.get("/state").get_json()["prompt"]["text"])


def test_a_sentence_goes_away_after_a_while(page: Page, agent: Agent) -> None:
    agent.say("unknown_face")
    assert page.get("/state").get_json()["prompt"]["code"] == "unknown_face"
    agent.clock.advance(PROMPT_S + 1)
    assert page.get("/state").get_json()["prompt"] is None


def test_a_waiting_page_hears_of_a_change_and_of_the_end(page: Page, agent: Agent, kiosk: Kiosk) -> None:
    shown = page.get("/state").get_json()
    agent.state = DoorState.UNLOCKED
    changed = page.get(f"/state?after={shown['version']}").get_json()
    assert changed["door"]["state"] == "unlocked"
    kiosk.closing.set()
    assert page.get(f"/state?after={changed['version']}").get_json() == changed


def test_the_voice_says_only_what_the_catalogues_hold(page: Page) -> None:
    assert page.get("/speech.wav?text=Open+sesame").status_code == 404


def test_the_page_says_whom_to_ring_and_offers_no_enrolment_where_there_is_none(page: Page) -> None:
    text = page.english().get("/").text
    assert "010-12345678" in text
    assert "Delete my face" not in text
