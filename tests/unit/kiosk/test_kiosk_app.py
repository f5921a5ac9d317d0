"""The kiosk's page and answers, by requests: what it says, whom it lets ask, and what it never says."""

import re
import threading
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from firmware_config.station import StationConfig, load_station
from firmware_config.vocabulary import DoorMode, DoorState
from firmware_config.wire import DoorStatus, OccupancyStatus
from station_agent import facts
from station_agent.clock import Stamp
from station_agent.kiosk.app import Kiosk, create_app
from station_agent.kiosk.desk import PROMPT_S, Desk
from station_agent.kiosk.guard import HEADERS, MOST_BYTES
from station_agent.kiosk.voice import Silence
from station_agent.kiosk.words import DOOR, IN_MODE
from station_agent.loop import Snapshot
from station_agent.texts import TEXTS
from tests.support.hand_clock import HandClock
from tests.support.stations import new_hub_key, write_station

PORT = 4711
ZONE = ZoneInfo("Asia/Shanghai")
HOST = f"127.0.0.1:{PORT}"
EMPTY = OccupancyStatus(estimate=0, low=0, high=0, capacity=4)


class Agent:
    """The agent as a desk sees it; its control thread is played by ``answer``."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.state = DoorState.LOCKED
        self.mode = DoorMode.NORMAL
        self.until_mono_ms = self.clock.stamp().mono_ms + 3_600_000
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
        door = DoorStatus(id="main", state=self.state, relay=False, contact_open=False, mode=self.mode)
        ends = {} if self.mode is DoorMode.NORMAL else {"main": self.until_mono_ms}
        return Snapshot(doors=[door], occupancy=EMPTY, cameras={}, modes_end_mono_ms=ends)

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
    for path in ("/pin", "/touch", "/help", "/language"):
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


def touched(reason: str | None) -> Callable[[facts.Fact], None]:
    def answer(fact: facts.Fact) -> None:
        assert isinstance(fact, facts.OpenTouched)
        fact.done(reason)

    return answer


def test_a_touch_is_answered_in_words(page: Page, agent: Agent) -> None:
    agent.answer = touched(None)
    assert page.post("/touch").get_json() == {"ok": True, "text": "门已开锁，请进。"}
    for code in ("not_held_open", "wait_a_moment", "fire_active", "locked_down"):
        agent.answer = touched(code)
        told = page.english().post("/touch").get_json()
        assert told == {"ok": False, "reason": code, "text": TEXTS[code]}


def test_touch_to_open_is_offered_only_while_the_door_is_held_open(page: Page, agent: Agent) -> None:
    assert page.get("/state").get_json()["touch"] is False
    agent.mode = DoorMode.HOLD_OPEN
    shown = page.get("/state").get_json()
    assert shown["touch"] is True
    assert re.fullmatch(r"\d\d:\d\d 之前人人都可以进，按一下开门。", shown["door"]["text"])
    agent.mode = DoorMode.LOCK_DOWN
    assert page.get("/state").get_json()["touch"] is False


def test_a_lock_down_says_until_when_and_that_the_way_out_is_free(page: Page, agent: Agent) -> None:
    agent.mode = DoorMode.LOCK_DOWN
    until = datetime.fromtimestamp(round((agent.clock.stamp().wall_ms + 3_600_000) / 60_000) * 60, ZONE)
    chinese = page.get("/state").get_json()["door"]
    assert chinese["text"] == f"{until:%H:%M} 之前此门暂停进入，从里面出门不受影响。"
    assert (chinese["short"], chinese["symbol"]) == ("暂停进入", "lock")
    agent.say("locked_down")
    english = page.english().get("/state").get_json()
    until_then = f"Until {until:%H:%M} entry is stopped at this door. You can always leave from inside."
    assert english["prompt"]["text"] == english["door"]["text"] == until_then


def test_a_mode_without_a_known_time_is_told_without_one(
    page: Page, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = agent.clock.stamp()
    unset = Stamp(boot_id=now.boot_id, mono_ms=now.mono_ms, wall_ms=0, trust="unsynced")
    monkeypatch.setattr(agent.clock, "stamp", lambda: unset)
    for mode in (DoorMode.LOCK_DOWN, DoorMode.HOLD_OPEN):
        agent.mode = mode
        assert page.english().get("/state").get_json()["door"]["text"] == IN_MODE[mode].text


@pytest.mark.parametrize(
    "state", sorted(set(DoorState) - {DoorState.LOCKED, DoorState.GRACE, DoorState.UNSENSED})
)
def test_what_a_door_says_beside_its_welcome_is_said_in_every_mode(
    page: Page, agent: Agent, state: DoorState
) -> None:
    agent.state = state
    plain = page.get("/state").get_json()["door"]
    for mode in (DoorMode.LOCK_DOWN, DoorMode.HOLD_OPEN):
        agent.mode = mode
        assert page.get("/state").get_json()["door"] == plain


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
