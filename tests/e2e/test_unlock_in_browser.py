"""An administrator unlocks a real (simulated) door from a real browser, and the page never says more than the contact did."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import chromium, picture, watch
from tests.support.demo import Demo, Station, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

ANSWER_MS = 20_000


@pytest.fixture(params=["zh_CN", "en"])
def page(request: pytest.FixtureRequest, demo: Demo) -> Iterator[Page]:
    """Signed in, in one of the two languages."""
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.set_default_timeout(ANSWER_MS)
        complaints = watch(page)
        page.goto(demo.ready["url"])
        if request.param == "en":
            page.click("button[name=language][value=en]")
        page.fill("input[name=username]", demo.ready["username"])
        page.fill("input[name=password]", demo.ready["password"])
        page.keyboard.press("Enter")
        page.wait_for_selector("main [data-live]")
        assert page.locator("html").get_attribute("lang") == {"zh_CN": "zh-CN", "en": "en"}[request.param]
        yield page
        assert complaints == []


def keep(page: Page, name: str) -> None:
    """A screenshot, named for its language."""
    picture(page, f"{name}-{page.locator('html').get_attribute('lang')}")


def order_unlock(page: Page, demo: Demo, station: Station) -> None:
    """From the station's page: two actions, the password having just been given."""
    page.goto(f"{demo.ready['url']}/stations/{station.id}")
    page.click("#unlock-main")
    page.click("form.unlock button.primary")


def states_shown(page: Page) -> list[str]:
    """Every state the order's page has shown, in order, recorded in the page itself."""
    shown: list[str] = page.evaluate("() => window.shownStates")
    return shown


RECORD = """() => {
  window.shownStates = [];
  const look = () => {
    const order = document.querySelector('[data-order]');
    const state = order && order.dataset.state;
    if (state && window.shownStates.at(-1) !== state) window.shownStates.push(state);
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
  look();
}"""


def test_opened_is_shown_only_after_the_contact_opened(page: Page, demo: Demo) -> None:
    station = demo.stations[0]
    station.calm()
    page.goto(f"{demo.ready['url']}/stations/{station.id}")
    page.evaluate(RECORD)
    page.click("#unlock-main")
    page.click("form.unlock button.primary")
    expect(page.locator("[data-order]")).to_have_attribute("data-state", "PULSING", timeout=ANSWER_MS)
    assert "OPENED" not in states_shown(page)
    station.control("contact", open=True)
    expect(page.locator("[data-order]")).to_have_attribute("data-state", "OPENED", timeout=ANSWER_MS)
    expect(page.locator("[data-order]")).to_have_attribute("data-final", "true")
    assert states_shown(page)[-1] == "OPENED"
    keep(page, "unlock-opened")
    station.calm()


def test_a_pulse_nobody_used_is_shown_as_such(page: Page, demo: Demo) -> None:
    station = demo.stations[1]
    station.calm()
    order_unlock(page, demo, station)
    expect(page.locator("[data-order]")).to_have_attribute(
        "data-state", "PULSED_NOT_OPENED", timeout=ANSWER_MS
    )
    keep(page, "unlock-not-opened")


def test_a_stopped_station_is_shown_as_offline(page: Page, demo: Demo) -> None:
    station = demo.stations[2]
    station.calm()
    demo.power(station, on=False)
    try:
        until(lambda: station.presence() == "offline", "the hub calls it offline", limit_s=20)
        order_unlock(page, demo, station)
        expect(page.locator("[data-order]")).to_have_attribute(
            "data-state", "DEVICE_OFFLINE", timeout=ANSWER_MS
        )
        keep(page, "unlock-offline")
    finally:
        demo.power(station, on=True)
        until(lambda: station.presence() == "online", "it is back", limit_s=40)


def test_a_forced_door_appears_on_the_open_page_by_itself(page: Page, demo: Demo) -> None:
    station = demo.stations[1]
    station.calm()
    page.goto(f"{demo.ready['url']}/stations/{station.id}")
    page.wait_for_selector("[data-door=main][data-state=locked]")
    station.control("contact", open=True)
    expect(page.locator("[data-door=main]")).to_have_attribute("data-state", "forced", timeout=ANSWER_MS)
    expect(page.locator(".alert[data-kind='door.forced']").first).to_be_visible(timeout=ANSWER_MS)
    keep(page, "forced")
    station.control("contact", open=False)
    for alert in station.alerts():
        demo.api("POST", f"alerts/{alert['id']}/acknowledge")
    until(lambda: not station.alerts(), "acknowledged and over")
