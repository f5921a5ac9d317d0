"""A door held open, and one locked down, as the person before the screen sees them: by touch, by keyboard, in both languages."""

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from firmware_config.vocabulary import DoorMode, Outcome
from firmware_config.wire import Evidence, Order, Result, Verb
from station_agent.clock import SystemClock, machine_run
from station_agent.core.commands import ModeChange
from station_agent.core.modes import MODE_OF, term_of
from station_agent.store.store import Store
from tests.support.agent import AgentProcess
from tests.support.browser import chromium, picture, watch
from tests.support.kiosk import ANNA, ANNAS_PIN, kiosk_url, set_pins, station_with_kiosk
from tests.support.rosters import STATION

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WORDS = {
    "zh_CN": {
        "free": "现在人人都可以进，按一下开门。",
        "touch": "按一下开门",
        "come in": "门已开锁，请进。",
        "shut": "此门暂停进入，从里面出门不受影响。",
        "pin": "密码进门",
    },
    "en": {
        "free": "Everybody may come in. Touch to open.",
        "touch": "Touch to open",
        "come in": "The door is unlocked. Please come in.",
        "shut": "Entry is stopped at this door for now. You can always leave from inside.",
        "pin": "Enter with a PIN",
    },
}


def in_mode(folder: Path, verb: Verb) -> AgentProcess:
    """A running station that finds the mode on its disk, as after a restart."""
    agent = station_with_kiosk(folder, ANNA)
    set_pins(agent, {"anna": (ANNAS_PIN, None)})
    clock = SystemClock()
    at = clock.stamp()
    store = Store(agent.config.parent / "data", station=STATION, stamp=at)
    order = Order(
        station=STATION, cmd_id="c" * 32, door="main", verb=verb, duration_s=3600, issued_ms=at.wall_ms
    )
    answer = Result(
        station=STATION, cmd_id=order.cmd_id, install_id=store.install_id, boot_id=at.boot_id, mono_ms=at.mono_ms,
        wall_ms=at.wall_ms, clock=at.trust, outcome=Outcome.APPLIED, evidence=Evidence(),
    )  # fmt: skip
    change = ModeChange(order, "d" * 64, at.mono_ms, at.mono_ms + 60_000, answer, answer)
    done: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
    store.change_mode(change, term_of(change, at, machine_run()), lambda: at.mono_ms, done.put)
    assert done.get(timeout=10) == answer
    store.close()
    agent.start()
    assert agent.do(op="status")["modes"] == {"main": MODE_OF[verb].value}
    return agent


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def opened(browser: Browser, agent: AgentProcess, language: str, size: tuple[int, int]) -> Page:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(kiosk_url(agent))
    if language == "en":
        page.get_by_role("button", name="English").click()
    return page


def pulses(agent: AgentProcess) -> int:
    return sum(value for _, value in agent.edges("relay:main"))


def fits(page: Page) -> bool:
    return bool(
        page.evaluate(
            "() => document.documentElement.scrollWidth <= innerWidth &&"
            " document.documentElement.scrollHeight <= innerHeight &&"
            " [...document.querySelectorAll('.ways button')].filter((b) => b.offsetParent)"
            ".every((b) => b.scrollHeight <= b.clientHeight + 1 && b.scrollWidth <= b.clientWidth + 1)"
        )
    )


@pytest.fixture
def held(tmp_path: Path) -> Iterator[AgentProcess]:
    agent = in_mode(tmp_path, "hold_open")
    try:
        yield agent
    finally:
        agent.stop()


@pytest.mark.parametrize(("language", "how"), [("zh_CN", "touch"), ("en", "keyboard")])
def test_held_open_one_touch_opens_the_door(
    held: AgentProcess, browser: Browser, language: str, how: str
) -> None:
    words = WORDS[language]
    page = opened(browser, held, language, (800, 480))
    complaints = watch(page)
    expect(page.get_by_text(words["free"]).first).to_be_visible()
    button = page.get_by_role("button", name=words["touch"])
    picture(page, f"kiosk-held-open-{language}")
    assert fits(page)
    if how == "touch":
        button.tap()
    else:
        button.focus()
        page.keyboard.press("Enter")
    expect(page.get_by_text(words["come in"]).first).to_be_visible()
    held.wait_until(lambda: pulses(held) == 1)
    # nobody came in: it locks again, and offers the same to the next
    held.wait_until(lambda: held.do(op="status")["doors"]["main"] == "locked")
    expect(page.get_by_text(words["free"]).first).to_be_visible()
    assert complaints == []
    page.context.close()


@pytest.mark.parametrize("language", ["zh_CN", "en"])
def test_locked_down_the_screen_says_so_and_a_good_pin_opens_nothing(
    tmp_path: Path, browser: Browser, language: str
) -> None:
    words = WORDS[language]
    agent = in_mode(tmp_path, "lock_down")
    try:
        assert agent.do(op="status")["modes"]["main"] == DoorMode.LOCK_DOWN
        page = opened(browser, agent, language, (800, 480))
        expect(page.get_by_text(words["shut"]).first).to_be_visible()
        expect(page.get_by_role("button", name=words["touch"])).to_be_hidden()
        picture(page, f"kiosk-locked-down-{language}")
        assert fits(page)
        page.get_by_role("button", name=words["pin"]).tap()
        page.keyboard.type("1042")
        page.keyboard.press("Enter")
        page.keyboard.type(ANNAS_PIN)
        page.keyboard.press("Enter")
        expect(page.locator("#pin-message")).to_have_text(words["shut"])
        assert pulses(agent) == 0
        page.context.close()
    finally:
        agent.stop()
