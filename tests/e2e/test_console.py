"""The console in a real browser: every page in both languages and sizes, live updates, and the unlock sheet."""

import re
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect
from sqlalchemy import select

from cloud_hub.bell import WEB, Ringer
from cloud_hub.db import utc_now
from cloud_hub.models import Command, CommandStep, Door, LoginSession
from cloud_hub.models.access import Role
from cloud_hub.models.alert import Severity
from tests.support.browser import CHROMIUM, Site, chromium, hub_file, picture, site_in, start, watch
from tests.support.district import DEPOT, NORTH, RIVER, alert, district
from tests.support.parts import require
from tests.support.web import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SIZES: dict[str, ViewportSize] = {
    "desktop": {"width": 1280, "height": 800},
    "phone": {"width": 390, "height": 844},
}
PAGES = {
    "overview": "/",
    "station": f"/stations/{NORTH}",
    "station-forced": f"/stations/{RIVER}",
    "station-offline": f"/stations/{DEPOT}",
    "alerts": "/alerts",
    "events": "/events",
    "orders": "/orders",
    "order": "/orders/" + "1" * 32,
    "order-unknown": "/orders/" + "4" * 32,
}
LANGUAGES = {"zh_CN": "zh-CN", "en": "en"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require(CHROMIUM.exists(), "Chromium")
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One web process for all tests that leave it alive."""
    with site_in(tmp_path_factory.mktemp("hub")) as started:
        yield started


def furnish(site: Site) -> None:
    """The same small district before every test."""
    site.records.clear()
    site.records.clock.now = utc_now()
    site.records.person()
    site.records.add(*district(site.records.clock()))


@pytest.fixture
def site(served: Site) -> Site:
    furnish(served)
    return served


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A phone by night, signed in."""
    context = browser.new_context(viewport=SIZES["phone"], color_scheme="dark", base_url=site.url)
    context.set_default_timeout(10_000)
    opened = context.new_page()
    complaints = watch(opened)
    sign_in(opened)
    yield opened
    context.close()
    assert complaints == []


def sign_in(page: Page) -> None:
    page.goto("/")
    page.fill("#username", "lin")
    page.fill("#password", PASSWORD)
    page.click("button.primary")
    expect(page.locator(".cards")).to_be_visible()


def ring(site: Site, *topics: str) -> None:
    ringer = Ringer(site.records.hub.data_dir / "bells")
    ringer.ring(WEB, *topics)
    ringer.close()


def advance(site: Site, *states: str, final: bool = False) -> None:
    """What the bridge would do with the newest order."""
    for state in states:
        with site.records.sessions.begin() as session:
            command = session.scalars(select(Command).order_by(Command.requested_at.desc())).first()
            assert command is not None
            command.state, command.final = state, final and state == states[-1]
            session.add(CommandStep(command_id=command.id, at=utc_now(), state=state, detail={}))
        ring(site, f"command:{command.id}", f"station:{command.station_id}")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_in_both_languages_and_sizes(
    browser: Browser, site: Site, language: str, size: str
) -> None:
    scheme: Literal["dark", "light"] = "dark" if language == "zh_CN" else "light"
    context = browser.new_context(viewport=SIZES[size], color_scheme=scheme, base_url=site.url)
    page = context.new_page()
    complaints = watch(page)
    page.goto("/sign-in")
    if language == "en":
        page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", LANGUAGES[language])
    picture(page, f"sign-in-{language}-{size}")
    sign_in(page)
    for name, path in PAGES.items():
        page.goto(path)
        expect(page.locator("html")).to_have_attribute("lang", LANGUAGES[language])
        expect(page.locator("h1")).to_have_count(1)
        width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width == 0, f"{name} scrolls sideways by {width} px"
        picture(page, f"{name}-{language}-{size}")
    page.goto(f"/stations/{NORTH}")
    page.click("#unlock-main")
    expect(page.locator("#sheet h2")).to_be_visible()
    picture(page, f"unlock-{language}-{size}")
    context.close()
    assert complaints == []


SMALL_TARGETS = """
[...document.querySelectorAll("button, a.button, .tabs a, summary, select")]
  .map((node) => [node.textContent.trim().slice(0, 40), node.getBoundingClientRect().height])
  .filter(([, height]) => height > 0 && height < 40)
"""
"""In one look: parts of the page may be swapped for fresh ones between two."""


def test_everything_a_finger_must_hit_is_large_enough(page: Page) -> None:
    for path in ("/", f"/stations/{RIVER}", "/alerts", "/events"):
        page.goto(path)
        assert page.evaluate(SMALL_TARGETS) == [], path


def test_a_door_changes_on_the_page_without_reloading(page: Page, site: Site) -> None:
    page.goto(f"/stations/{NORTH}")
    door = page.locator("[data-door=main]")
    expect(door).to_have_attribute("data-state", "locked")
    page.evaluate("window.untouched = true")
    with site.records.sessions.begin() as session:
        row = session.get_one(Door, (NORTH, "main"))
        row.state, row.relay, row.contact_open = "open", True, True
    ring(site, f"station:{NORTH}")
    expect(door).to_have_attribute("data-state", "open", timeout=2_000)
    expect(door.locator("[data-contact]")).to_have_attribute("data-contact", "open")
    assert page.evaluate("window.untouched")


def test_a_new_alert_shows_everywhere_and_is_announced(page: Page, site: Site) -> None:
    page.goto(f"/stations/{NORTH}")
    expect(page.locator(".badge")).to_contain_text("3")
    site.records.add(alert(NORTH, "tamper.opened", Severity.CRITICAL, site.records.clock()))
    ring(site, "alerts", f"station:{NORTH}", "stations")
    expect(page.locator("[data-kind='tamper.opened']")).to_be_visible(timeout=2_000)
    expect(page.locator(".badge")).to_contain_text("4")
    expect(page.locator("#announce")).to_contain_text("机箱被打开")


def test_an_alert_is_acknowledged_in_one_tap(page: Page) -> None:
    page.goto("/alerts")
    row = page.locator("[data-kind='door.forced']")
    row.get_by_role("button").click()
    expect(row).to_have_attribute("data-state", "acknowledged")
    expect(page.locator(".badge")).to_contain_text("2")


def test_unlocking_takes_two_taps_and_opened_is_shown_only_when_the_station_proved_it(
    page: Page, site: Site
) -> None:
    page.goto(f"/stations/{NORTH}")
    page.click("#unlock-main")
    page.locator("#sheet").get_by_role("button", name="立即开锁").click()
    outcome = page.locator("#sheet .outcome")
    expect(outcome).to_have_attribute("data-state", "REQUESTED")
    advance(site, "SENT", "CHALLENGED", "AUTHORISED", "PULSING")
    expect(outcome).to_have_attribute("data-state", "PULSING", timeout=2_000)
    expect(page.locator("#sheet")).not_to_contain_text("门已打开")
    expect(page.locator("#sheet .story li[data-hop]")).to_have_count(5)
    advance(site, "OPENED", final=True)
    expect(outcome).to_have_attribute("data-state", "OPENED", timeout=2_000)
    expect(outcome).to_contain_text("门已打开")
    expect(page.locator("#announce")).to_contain_text("门已打开")
    picture(page, "unlocked-zh_CN-phone")
    page.get_by_label("关闭", exact=True).click()
    expect(page.locator("#sheet")).to_be_hidden()
    expect(page.locator("#last-order-main")).to_contain_text("门已打开")


def test_from_the_overview_an_unlock_is_two_taps_as_well(page: Page) -> None:
    page.click(f"#unlock-{NORTH}-main")
    page.locator("#sheet").get_by_role("button", name="立即开锁").click()
    expect(page.locator("#sheet .outcome")).to_have_attribute("data-state", "REQUESTED")


def test_an_unknown_outcome_is_never_shown_as_failed(page: Page, site: Site) -> None:
    page.goto(f"/stations/{NORTH}")
    page.click("#unlock-main")
    page.locator("#sheet").get_by_role("button", name="立即开锁").click()
    expect(page.locator("#sheet .outcome")).to_have_attribute("data-state", "REQUESTED")
    advance(site, "SENT", "CHALLENGED", "AUTHORISED", "UNKNOWN")
    expect(page.locator("#sheet .outcome")).to_contain_text("可能已开门：请查看摄像头或门磁", timeout=2_000)


def test_after_five_minutes_the_sheet_asks_for_the_password_and_goes_on(page: Page, site: Site) -> None:
    with site.records.sessions.begin() as session:
        for row in session.scalars(select(LoginSession)):
            row.authenticated_at -= timedelta(minutes=6)
    page.goto(f"/stations/{NORTH}")
    page.click("#unlock-main")
    page.fill("#step-up", "not-the-password")
    page.keyboard.press("Enter")
    expect(page.locator("#sheet .notice")).to_contain_text("密码错误")
    page.fill("#step-up", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#sheet .outcome")).to_have_attribute("data-state", "REQUESTED")
    page.reload()
    expect(page.locator("h1")).to_be_visible()


def test_a_busy_door_says_so_and_keeps_what_was_typed(page: Page) -> None:
    page.goto(f"/stations/{NORTH}")
    for reason in ("first", "second"):
        page.click("#unlock-main")
        page.fill("#reason", reason)
        page.locator("#sheet").get_by_role("button", name="立即开锁").click()
        expect(page.locator("#sheet .outcome, #sheet .notice")).to_be_visible()
        if reason == "first":
            page.keyboard.press("Escape")
            expect(page.locator("#sheet")).to_be_hidden()
    expect(page.locator("#sheet .notice")).to_contain_text("还有一条指令正在执行")
    expect(page.locator("#reason")).to_have_value("second")


def test_focus_stays_where_it_was_when_a_part_of_the_page_changes(page: Page, site: Site) -> None:
    page.goto(f"/stations/{NORTH}")
    page.focus("#unlock-main")
    with site.records.sessions.begin() as session:
        session.get_one(Door, (NORTH, "main")).relay = True
    ring(site, f"station:{NORTH}")
    expect(page.locator("[data-relay='1']")).to_be_visible(timeout=2_000)
    assert page.evaluate("document.activeElement.id") == "unlock-main"


def test_the_console_works_by_keyboard_alone(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.goto(f"/stations/{NORTH}")
    page.focus("#unlock-main")
    page.keyboard.press("Enter")
    expect(page.locator("#sheet")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#sheet")).to_be_hidden()
    expect(page.locator("#unlock-main")).to_be_focused()


def test_a_page_without_scripts_still_unlocks_and_acknowledges(browser: Browser, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=site.url)
    page = context.new_page()
    sign_in(page)
    page.goto(f"/stations/{NORTH}")
    page.click("#unlock-main")
    page.get_by_role("button", name="立即开锁").click()
    expect(page.locator(".outcome")).to_have_attribute("data-state", "REQUESTED")
    page.goto("/alerts")
    page.locator("[data-kind='door.forced']").get_by_role("button").click()
    expect(page.locator("[data-kind='door.forced']")).to_have_attribute("data-state", "acknowledged")
    context.close()


def test_when_the_hub_is_gone_the_page_says_since_when_and_recovers(browser: Browser, tmp_path: Path) -> None:
    with site_in(tmp_path) as site:
        furnish(site)
        _lose_the_hub(browser, site)


def _lose_the_hub(browser: Browser, site: Site) -> None:
    context = browser.new_context(viewport=SIZES["phone"], color_scheme="dark", base_url=site.url)
    page = context.new_page()
    sign_in(page)
    page.goto(f"/stations/{NORTH}")
    expect(page.locator("#stale")).to_be_hidden()
    site.process.send_signal(signal.SIGTERM)
    site.process.communicate(timeout=15)
    expect(page.locator("#stale")).to_contain_text(
        re.compile(r"自 \d\d:\d\d:\d\d 起未实时更新"), timeout=10_000
    )
    picture(page, "stale-zh_CN-phone")
    with site.records.sessions.begin() as session:
        session.get_one(Door, (NORTH, "main")).state = "held_open"
    folder, port = site.records.hub.data_dir, int(site.url.rpartition(":")[2])
    site.process = start(hub_file(folder, port))
    expect(page.locator("#stale")).to_be_hidden(timeout=40_000)
    expect(page.locator("[data-door=main]")).to_have_attribute("data-state", "held_open")
    context.close()


def test_when_the_sign_in_has_ended_the_page_says_so_and_leads_back(page: Page, site: Site) -> None:
    page.goto(f"/stations/{NORTH}")
    with site.records.sessions.begin() as session:
        for row in session.scalars(select(LoginSession)):
            row.ended_at = site.records.clock()
    page.click("#unlock-main")
    bar = page.locator("#stale")
    expect(bar).to_contain_text("您已退出登录")
    bar.get_by_role("link").click()
    page.fill("#username", "lin")
    page.fill("#password", PASSWORD)
    page.click("button.primary")
    expect(page).to_have_url(re.compile(rf"/stations/{NORTH}$"))


def test_a_viewer_can_look_and_cannot_touch(browser: Browser, site: Site) -> None:
    site.records.person("guest", Role.VIEWER)
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    page.goto("/")
    page.fill("#username", "guest")
    page.fill("#password", PASSWORD)
    page.click("button.primary")
    for path in PAGES.values():
        page.goto(path)
        expect(page.locator("a[href*=unlock], form[action*=acknowledge]")).to_have_count(0)
    context.close()
