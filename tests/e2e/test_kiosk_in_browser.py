"""Somebody stands at the door and uses the kiosk: by touch, by keyboard, in both languages, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.agent import AgentProcess
from tests.support.browser import chromium, picture, watch
from tests.support.faces import stranger_picture
from tests.support.kiosk import ANNA, ANNAS_PIN, ANNAS_SILENT_PIN, kiosk_url, set_pins, station_with_kiosk

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SCREENS = {"a 7 inch screen": (800, 480), "a 10 inch screen": (1280, 800), "a phone on the wall": (480, 854)}
WORDS = {
    "zh_CN": {
        "welcome": "请看摄像头，或出示通行码，或用密码。",
        "pin": "密码进门",
        "come in": "门已开锁，请进。",
        "wrong": "编号与密码不符，请再试一次。",
        "help": "求助",
        "call": "呼叫帮助",
        "called": "求助已记录。现在没有网络，一连上就会发出。",
        "stranger": "没有认出您，请用通行码或密码，或按“求助”。",
        "lost": "屏幕与驿站的连接断开了。从里面出门始终可以。",
    },
    "en": {
        "welcome": "Look at the camera, show your pass, or use your PIN.",
        "pin": "Enter with a PIN",
        "come in": "The door is unlocked. Please come in.",
        "wrong": "The number and the PIN do not go together. Please try again.",
        "help": "Help",
        "call": "Call for help",
        "called": "Your call for help is recorded. There is no connection just now; it is sent as soon as there is one.",
        "stranger": "Your face was not recognised. Please use your pass or PIN, or press Help.",
        "lost": "The screen has lost the station. The door's exit always works from inside.",
    },
}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    station = station_with_kiosk(tmp_path_factory.mktemp("kiosk"), ANNA)
    set_pins(station, {"anna": (ANNAS_PIN, ANNAS_SILENT_PIN)})
    station.start()
    try:
        yield station
    finally:
        station.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(params=["zh_CN", "en"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def words(language: str) -> dict[str, str]:
    return WORDS[language]


@pytest.fixture
def page(agent: AgentProcess, browser: Browser, language: str) -> Iterator[Page]:
    """The screen at the door, in one of the languages; a page that complained fails the test."""
    agent.do(op="clear")
    locked(agent)
    context = browser.new_context(viewport={"width": 1280, "height": 800}, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    complaints = watch(page)
    page.goto(kiosk_url(agent))
    if language == "en":
        page.get_by_role("button", name="English").click()
    expect(page.locator("#say p[aria-live]")).to_have_text(WORDS[language]["welcome"], timeout=60_000)
    yield page
    assert [said for said in complaints if "net::ERR_" not in said] == []
    context.close()


def locked(agent: AgentProcess) -> None:
    agent.wait_until(lambda: agent.do(op="status")["doors"]["main"] == "locked")


def pulses(agent: AgentProcess) -> int:
    return sum(value for _, value in agent.edges("relay:main"))


def keep(page: Page, name: str) -> None:
    picture(page, f"kiosk-{name}-{page.locator('html').get_attribute('lang')}")


def tap(page: Page, digits: str) -> None:
    for digit in digits:
        page.locator("section:not([hidden]) [data-keys=digits] button").get_by_text(digit, exact=True).tap()


def type_pin(page: Page, words: dict[str, str], pin: str, number: str = "1042") -> None:
    page.get_by_role("button", name=words["pin"]).tap()
    tap(page, number)
    page.locator("#pin-digits").tap()
    tap(page, pin)
    page.locator("#pin-form .main").tap()


def test_the_right_pin_opens_by_touch_and_the_screen_says_so(
    page: Page, agent: AgentProcess, words: dict[str, str]
) -> None:
    before = pulses(agent)
    keep(page, "home")
    page.get_by_role("button", name=words["pin"]).tap()
    tap(page, "1042")
    page.locator("#pin-digits").tap()
    tap(page, ANNAS_PIN)
    keep(page, "pin")
    page.locator("#pin-form .main").tap()
    expect(page.locator("#say p[aria-live]")).to_have_text(words["come in"])
    expect(page.locator("#sign")).to_have_attribute("data-state", "unlocked")
    keep(page, "unlocked")
    assert pulses(agent) == before + 1


def test_the_silent_pin_looks_exactly_like_the_other(
    page: Page, agent: AgentProcess, words: dict[str, str]
) -> None:
    before = pulses(agent)
    type_pin(page, words, ANNAS_SILENT_PIN)
    expect(page.locator("#say p[aria-live]")).to_have_text(words["come in"])
    assert pulses(agent) == before + 1
    assert "duress" not in agent.log_file.read_text(encoding="utf-8")
    assert "duress" not in agent.trace_file.read_text(encoding="utf-8")


def test_everything_works_by_keyboard_alone_with_the_focus_in_sight(
    page: Page, agent: AgentProcess, words: dict[str, str]
) -> None:
    before = pulses(agent)
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == words["pin"]:
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    keep(page, "focus")
    page.keyboard.press("Enter")
    page.keyboard.type("1042")
    page.keyboard.press("Enter")
    page.keyboard.type(ANNAS_PIN)
    page.keyboard.press("Enter")
    expect(page.locator("#say p[aria-live]")).to_have_text(words["come in"])
    assert pulses(agent) == before + 1


def test_a_stranger_is_told_what_to_do_next(page: Page, agent: AgentProcess, words: dict[str, str]) -> None:
    agent.do(op="show", image=str(stranger_picture()), seconds=6)
    expect(page.locator("#say p[aria-live]")).to_have_text(words["stranger"], timeout=60_000)
    keep(page, "stranger")


def test_help_says_what_is_known_of_the_call(page: Page, words: dict[str, str]) -> None:
    page.get_by_role("button", name=words["help"]).tap()
    expect(page.locator("section:not([hidden]) .phone")).to_contain_text("010-12345678")
    page.get_by_role("button", name=words["call"]).tap()
    expect(page.locator("#help-message")).to_have_text(words["called"])
    keep(page, "help")


@pytest.mark.parametrize("size", SCREENS.values(), ids=SCREENS.keys())
def test_every_screen_fits_without_scrolling(page: Page, size: tuple[int, int], language: str) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    for screen in ("home", "pin", "pass", "help"):
        page.evaluate("name => go(name)", screen)
        over = page.evaluate(
            """() => [...document.querySelectorAll('body, header, main, section:not([hidden]), section:not([hidden]) button, .say')]
                .filter((part) => part.scrollWidth > part.clientWidth + 2 || part.scrollHeight > part.clientHeight + 2)
                .map((part) => part.className || part.tagName)"""
        )
        picture(page, f"kiosk-{screen}-{size[0]}-{language}")
        assert over == [], screen


def test_every_button_is_large_enough_for_a_cold_hand(page: Page) -> None:
    page.set_viewport_size({"width": 800, "height": 480})
    for screen in ("home", "pin", "pass", "help"):
        page.evaluate("name => go(name)", screen)
        small = page.evaluate(
            """() => [...document.querySelectorAll('button, input')].filter((part) => part.offsetParent !== null)
                .map((part) => [part.textContent.trim(), part.getBoundingClientRect()])
                .filter(([, box]) => box.width < 44 || box.height < 44).map(([name]) => name)"""
        )
        assert small == [], screen


@pytest.mark.parametrize("language", ["zh_CN"], indirect=True)
def test_too_many_wrong_pins_make_the_next_wait_and_nothing_else(
    page: Page, agent: AgentProcess, words: dict[str, str]
) -> None:
    type_pin(page, words, "604182", number="2077")
    expect(page.locator("#pin-message")).to_have_text(words["wrong"])
    keep(page, "wrong")
    for _ in range(8):
        page.locator("#pin-digits").fill("604182")
        page.locator("#pin-form .main").tap()
        expect(page.locator("#pin-form .main")).to_be_enabled()
        if "秒" in (page.locator("#pin-message").text_content() or ""):
            break
    expect(page.locator("#pin-message")).to_contain_text("尝试次数太多")
    keep(page, "locked-out")
    before = pulses(agent)
    agent.do(op="exit")
    agent.wait_until(lambda: pulses(agent) == before + 1)
    page.keyboard.press("Escape")
    page.get_by_role("button", name=words["help"]).tap()
    page.get_by_role("button", name=words["call"]).tap()
    expect(page.locator("#help-message")).to_have_text(words["called"])


@pytest.mark.parametrize("language", ["zh_CN"], indirect=True)
def test_a_screen_without_its_station_says_so_and_recovers(
    page: Page, agent: AgentProcess, words: dict[str, str]
) -> None:
    agent.kill()
    expect(page.locator("#lost")).to_be_visible(timeout=60_000)
    expect(page.locator("#lost")).to_contain_text(words["lost"])
    keep(page, "lost")
    agent.start()
    expect(page.locator("#lost")).to_be_hidden(timeout=60_000)
    expect(page.locator("#say p[aria-live]")).to_have_text(words["welcome"])
