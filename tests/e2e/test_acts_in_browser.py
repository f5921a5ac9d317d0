"""Modes in real browsers: the password after five minutes, a second person, and a lock-down at a scripted station."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select, update

from cloud_hub.db import utc_now
from cloud_hub.models import AuditEntry, Command, Door, LoginSession, StationStatus
from firmware_config.vocabulary import DoorMode, Outcome
from firmware_config.wire import Go
from tests.support.bridge import STATIONS, MakeField
from tests.support.browser import CHROMIUM, Site, chromium, picture, site_in, watch
from tests.support.district import NORTH, district, hard_orders
from tests.support.parts import require
from tests.support.station import ScriptedStation, wait_for
from tests.support.web import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ANSWER_MS = 20_000
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require(CHROMIUM.exists(), "Chromium")
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A hub whose doors are held open by two people."""
    with site_in(tmp_path_factory.mktemp("hub"), orders='two_person = ["hold_open"]') as started:
        yield started


@pytest.fixture
def site(served: Site) -> Site:
    served.records.clear()
    served.records.clock.now = utc_now()
    served.records.person("lin")
    served.records.person("wang")
    served.records.add(*district(served.records.clock()))
    return served


@contextmanager
def signed_in(browser: Browser, site: Site, name: str) -> Iterator[Page]:
    """A phone of somebody's own, in Chinese; its page may complain about nothing."""
    context = browser.new_context(viewport=PHONE, color_scheme="dark", base_url=site.url)  # type: ignore[arg-type]
    context.set_default_timeout(ANSWER_MS)
    page = context.new_page()
    complaints = watch(page)
    page.goto("/sign-in")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("main [data-live]")
    yield page
    assert complaints == []
    context.close()


def order_mode(page: Page, verb: str, *, station: str = NORTH, reason: str = "drill") -> None:
    """From the station's page, over the sheet."""
    page.goto(f"/stations/{station}")
    page.click(f"#{verb}-main")
    page.fill("#reason", reason)
    if verb in {"hold_open", "lock_down"}:
        page.check("input[name=duration_s][value='3600']")
    page.click(f"form.{verb} button.big")


def test_after_five_minutes_the_sheet_asks_for_the_password_and_keeps_what_was_typed(
    browser: Browser, site: Site
) -> None:
    with signed_in(browser, site, "lin") as page:
        page.goto(f"/stations/{NORTH}")
        page.click("#lock_down-main")
        page.fill("#reason", "smoke outside")
        page.check("input[name=duration_s][value='14400']")
        with site.records.sessions.begin() as session:
            session.execute(update(LoginSession).values(authenticated_at=utc_now() - timedelta(seconds=301)))
        page.click("form.lock_down button.big")
        expect(page.locator("#step-up")).to_be_visible()
        expect(page.locator("#reason")).to_have_value("smoke outside")
        expect(page.locator("input[name=duration_s][value='14400']")).to_be_checked()
        picture(page, "step-up-phone")
        page.fill("#step-up", PASSWORD)
        page.click("form.lock_down button.big")
        expect(page.locator(".outcome[data-order]")).to_be_visible()
    with site.records.sessions() as session:
        command = session.scalars(select(Command).where(Command.verb == "lock_down")).one()
        rows = session.scalars(select(LoginSession)).all()
    assert (command.reason, command.duration_s) == ("smoke outside", 14_400)
    assert sorted(row.ended_at is None for row in rows) == [False, True], "the session's id was renewed"
    assert len({row.sign_in_id for row in rows}) == 1


def test_a_second_person_in_a_second_browser_approves_live(browser: Browser, site: Site) -> None:
    with signed_in(browser, site, "lin") as first, signed_in(browser, site, "wang") as second:
        second.goto("/")
        order_mode(first, "hold_open")
        expect(first.locator(".outcome[data-proposal]")).to_have_attribute("data-state", "pending")
        expect(first.locator("#approve")).to_have_count(0)
        expect(first.locator("#decline")).to_be_visible()
        second.click(".waiting-rows a")
        picture(second, "proposal-phone")
        second.click("#approve")
        expect(second.locator(".outcome[data-order]")).to_be_visible()
        expect(first.locator(".outcome[data-proposal]")).to_have_attribute("data-state", "approved")
    with site.records.sessions() as session:
        command = session.scalars(select(Command).where(Command.verb == "hold_open")).one()
        actions = session.scalars(select(AuditEntry.action)).all()
    assert (command.requested_by, command.approved_by) == ("user:lin", "user:wang")
    assert {"door:hold_open:proposed", "door:hold_open:approved"} <= set(actions)


@pytest.mark.parametrize("language", ["zh_CN", "en"])
def test_stories_of_trouble_fit_a_phone_and_a_desk(browser: Browser, site: Site, language: str) -> None:
    site.records.add(*hard_orders(utc_now()))
    with signed_in(browser, site, "lin") as page:
        page.click(f"button[name=language][value={language}]") if language == "en" else None
        for size in (PHONE, {"width": 1280, "height": 800}):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            for order in "678b":
                page.goto("/orders/" + order * 32)
                expect(page.locator(".story li")).not_to_have_count(0)
                wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
                assert not wide, (order, size)
                picture(page, f"story-{order}-{language}-{size['width']}")


def applies(station: ScriptedStation) -> Callable[[Go], None]:
    """The script of a station that carries out modes."""

    def play(go: Go) -> None:
        timed = go.duration_s > 0
        station.mode = DoorMode(go.verb) if timed else DoorMode.NORMAL
        station.mode_left_s = go.duration_s
        until: dict[str, Any] = (
            {"mode_until_mono_ms": station.mono_ms() + go.duration_s * 1_000} if timed else {}
        )
        station.result(go.cmd_id, Outcome.APPLIED, **until)

    return play


@pytest.mark.parametrize(("make_broker", "database_url"), [("iotcore", "sqlite")], indirect=True)
def test_a_lock_down_and_its_end_at_a_station(browser: Browser, make_field: MakeField) -> None:
    field = make_field()
    station = field.station()
    station.on_go = applies(station)
    with ExitStack() as stack:
        folder = field.hub.path.parent
        site = stack.enter_context(site_in(folder, database=field.hub.database_url))
        site.records.person("lin")
        page = stack.enter_context(signed_in(browser, site, "lin"))
        order_mode(page, "lock_down", station=STATIONS[0])
        outcome = page.locator(".outcome[data-order]")
        expect(outcome).to_have_attribute("data-state", "APPLIED", timeout=ANSWER_MS)
        station.heartbeat()
        page.goto(f"/stations/{STATIONS[0]}")
        expect(page.locator("[data-mode=lock_down]")).to_be_visible()
        expect(page.locator("#unlock-main")).to_have_count(0)
        picture(page, "locked-down-phone")
        order_mode(page, "end_lock_down", station=STATIONS[0])
        expect(outcome).to_have_attribute("data-state", "APPLIED", timeout=ANSWER_MS)
        station.heartbeat()
        page.goto(f"/stations/{STATIONS[0]}")
        expect(page.locator("#unlock-main")).to_be_visible()
        expect(page.locator("[data-mode]")).to_have_count(0)
    assert [(order.verb, order.duration_s) for order in station.orders] == [
        ("lock_down", 3_600),
        ("end_lock_down", 0),
    ]
    wait_for(lambda: len(station.acknowledged("results")) == 2)
    with field.sessions() as session:
        assert session.get_one(Door, (STATIONS[0], "main")).mode == "normal"
        assert session.get_one(StationStatus, STATIONS[0]).presence == "online"
