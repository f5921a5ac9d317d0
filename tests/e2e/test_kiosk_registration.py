"""A worker registers at the kiosk, comes in, takes the consent back and is a stranger; another wants no face at all."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from firmware_config import codes
from firmware_config.roster import RosterPerson
from station_agent.clock import SystemClock
from tests.support.agent import AgentProcess
from tests.support.browser import chromium, picture, watch
from tests.support.faces import worker_picture
from tests.support.kiosk import kiosk_url, station_with_kiosk

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

NUMBERS = {"anna": "1042", "berta": "2077", "clara": "3091", "dora": "4063"}
CODES = {person: codes.new_code() for person in NUMBERS}
PEOPLE = [RosterPerson(id=person, number=number, groups=["always"]) for person, number in NUMBERS.items()]
STEP_MS = 60_000
SCREENS = {"zh_CN": (1280, 800), "en": (800, 480)}
"""One language on a large screen, the other, whose sentences are longer, on the smallest."""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    expires_ms = SystemClock().stamp().wall_ms + 3_600_000
    known = [codes.entry(code, person=person, expires_ms=expires_ms) for person, code in CODES.items()]
    station = station_with_kiosk(tmp_path_factory.mktemp("kiosk"), *PEOPLE, enrolment_codes=known)
    station.start()
    station.do(op="clock", synced=True)
    try:
        yield station
    finally:
        station.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def at_the_door(agent: AgentProcess, browser: Browser, language: str) -> Iterator[Page]:
    agent.do(op="clear")
    width, height = SCREENS[language]
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(STEP_MS)
    complaints = watch(page)
    page.goto(kiosk_url(agent))
    if language == "en":
        page.get_by_role("button", name="English").click()
    expect(page.locator("#say p[aria-live]")).not_to_be_empty()
    yield page
    assert complaints == []
    page.close()


@pytest.fixture(params=["zh_CN", "en"])
def page(request: pytest.FixtureRequest, agent: AgentProcess, browser: Browser) -> Iterator[Page]:
    yield from at_the_door(agent, browser, request.param)


@pytest.fixture
def chinese(agent: AgentProcess, browser: Browser) -> Iterator[Page]:
    yield from at_the_door(agent, browser, "zh_CN")


def events(agent: AgentProcess, kind: str) -> list[dict[str, Any]]:
    store = sqlite3.connect(f"{(agent.config.parent / 'data' / 'safety.db').as_uri()}?mode=ro", uri=True)
    rows = store.execute("SELECT data FROM event WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
    store.close()
    return [json.loads(row[0]) for row in rows]


def pulses(agent: AgentProcess) -> int:
    return sum(value for _, value in agent.edges("relay:main"))


def step(page: Page, name: str) -> None:
    """Wait for a step, look at it, and see that nothing of it is out of sight."""
    shown = page.locator(f"section:not([hidden]) [data-step={name}]:not([hidden])")
    expect(shown).to_be_visible(timeout=STEP_MS)
    picture(page, f"kiosk-enrol-{name}-{page.locator('html').get_attribute('lang')}")
    over = page.evaluate(
        """() => [...document.querySelectorAll('main, section:not([hidden]) [data-step]:not([hidden])')]
            .filter((part) => part.scrollHeight > part.clientHeight + 2).map((part) => part.className || part.tagName)"""
    )
    assert over == [], name


def press(page: Page, part: str) -> None:
    page.locator(f"section:not([hidden]) [data-step]:not([hidden]) {part}").click()


def give_code(page: Page, person: str) -> None:
    page.locator("[data-go=enrol]").click()
    page.keyboard.type(CODES[person].replace("-", "").lower())
    step(page, "code")
    page.keyboard.press("Enter")
    step(page, "notice")


def agree(page: Page) -> None:
    press(page, "[data-say=read]")
    step(page, "face_consent")
    consent = page.locator("#consent")
    assert not consent.is_checked()
    assert page.locator("[data-say=agree]").is_disabled()
    consent.check()
    press(page, "[data-say=agree]")
    step(page, "replication_consent")
    boxes = [page.locator(f"[data-say=replication][data-{word}]").bounding_box() for word in ("no", "yes")]
    assert all(boxes)
    sizes = {(round(box["width"]), round(box["height"])) for box in boxes if box}
    assert len(sizes) == 1
    press(page, "[data-say=replication][data-no]")
    step(page, "age")


def choose_pin(page: Page, pin: str, silent: str | None = None) -> None:
    step(page, "pin")
    page.keyboard.type(pin)
    page.keyboard.press("Enter")
    page.keyboard.type(pin)
    step(page, "pin")
    if silent:
        page.locator("#second").click()
        page.keyboard.type(silent)
        step(page, "pin")
    page.keyboard.press("Enter")
    step(page, "pin_kept")
    press(page, "[data-leave]")


def test_registration_entry_withdrawal_and_then_a_stranger(page: Page, agent: AgentProcess) -> None:
    person = {"zh-CN": "anna", "en": "berta"}[page.locator("html").get_attribute("lang") or ""]
    give_code(page, person)
    agree(page)
    press(page, "[data-say=age][data-yes]")
    step(page, "capture")
    agent.do(op="show", image=str(worker_picture()), seconds=60)
    step(page, "done")
    expect(page.locator("[data-screen=enrol] .receipt")).to_contain_text(person)
    assert events(agent, "consent.given")[-1]["person"] == person
    agent.do(op="clear")
    press(page, "[data-choose-pin]")
    expect(page.locator("#own-number")).to_contain_text(NUMBERS[person])
    choose_pin(page, "580273", silent="917264")

    before = pulses(agent)
    agent.do(op="show", image=str(worker_picture()), seconds=60)
    agent.wait_until(lambda: pulses(agent) == before + 1, within_s=60)
    expect(page.locator("#sign")).to_have_attribute("data-state", "unlocked")
    agent.wait_until(lambda: events(agent, "access.granted")[-1]["person"] == person, within_s=60)
    agent.do(op="clear")

    page.locator("[data-go=withdraw]").click()
    step(page, "choose")
    press(page, "[data-begin-now='/withdraw/face']")
    step(page, "capture")
    agent.do(op="show", image=str(worker_picture()), seconds=60)
    step(page, "done")
    assert events(agent, "consent.withdrawn")[-1]["person"] == person
    agent.do(op="clear")
    press(page, "[data-leave]")

    denied = len(events(agent, "access.denied"))
    agent.wait_until(lambda: agent.do(op="status")["doors"]["main"] == "locked")
    before = pulses(agent)
    agent.do(op="show", image=str(worker_picture()), seconds=60)
    agent.wait_until(lambda: len(events(agent, "access.denied")) > denied, within_s=60)
    assert events(agent, "access.denied")[-1]["reason"] == "unknown_face"
    assert pulses(agent) == before


def test_a_code_alone_sets_a_pin_and_no_face_is_asked_for(chinese: Page, agent: AgentProcess) -> None:
    given = len(events(agent, "consent.given"))
    give_code(chinese, "clara")
    press(chinese, "[data-choose-pin]")
    choose_pin(chinese, "604182")
    agent.wait_until(lambda: agent.do(op="status")["doors"]["main"] == "locked")
    before = pulses(agent)
    chinese.locator("[data-go=pin]").click()
    chinese.keyboard.type(NUMBERS["clara"])
    chinese.keyboard.press("Enter")
    chinese.keyboard.type("604182")
    chinese.keyboard.press("Enter")
    agent.wait_until(lambda: pulses(agent) == before + 1, within_s=60)
    # the relay does not wait for the record of it
    agent.wait_until(lambda: events(agent, "access.granted")[-1]["via"] == "pin", within_s=60)
    assert len(events(agent, "consent.given")) == given


def test_who_is_under_fourteen_is_refused_and_nothing_is_kept(chinese: Page, agent: AgentProcess) -> None:
    given = len(events(agent, "consent.given"))
    give_code(chinese, "dora")
    agree(chinese)
    press(chinese, "[data-say=age][data-no]")
    step(chinese, "refused")
    expect(chinese.locator("[data-screen=enrol] [data-reason]")).to_contain_text("14")
    press(chinese, "[data-leave]")
    expect(chinese.locator("[data-screen=home]")).to_be_visible()
    assert len(events(agent, "consent.given")) == given


def test_a_wrong_code_is_told_in_words(chinese: Page) -> None:
    chinese.locator("[data-go=enrol]").click()
    chinese.keyboard.type("0000 0000 0000")
    chinese.keyboard.press("Enter")
    step(chinese, "refused")
    press(chinese, "[data-leave]")


def test_who_walks_away_leaves_no_session(chinese: Page, agent: AgentProcess) -> None:
    give_code(chinese, "dora")
    chinese.keyboard.press("Escape")
    expect(chinese.locator("[data-screen=home]")).to_be_visible()
    agent.do(op="clear")
    chinese.wait_for_function("() => shown.enrol.stage === 'idle'")
