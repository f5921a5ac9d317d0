"""An administrator on a phone at night: adds a person, hands out a code and a pass, and lets somebody in by one tap."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect
from sqlalchemy import select
from werkzeug.serving import make_server

from cloud_hub import context
from cloud_hub.app import create_app
from cloud_hub.db import utc_now
from cloud_hub.models import (
    AuditEntry,
    CalendarDay,
    Command,
    Consent,
    EnrolmentCode,
    Erasure,
    Membership,
    PeopleGroup,
    Person,
    RosterState,
)
from cloud_hub.models.access import Role
from cloud_hub.settings import Hub, WebSettings
from firmware_config.codes import normalise
from firmware_config.passes import Keyring
from firmware_config.signing import encode_public, load_private_key
from firmware_config.vocabulary import EventKind, Outcome
from firmware_config.wire import Go, Scalar
from tests.support.bridge import MakeField
from tests.support.browser import CHROMIUM, Site, chromium, picture, site_in, watch
from tests.support.district import DEPOT, NORTH, RIVER, district, event
from tests.support.parts import free_port, require
from tests.support.station import ScriptedStation
from tests.support.web import PASSWORD, Records, WallClock

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PHONE: ViewportSize = {"width": 390, "height": 844}
LANGUAGES = ["zh_CN", "en"]
ALWAYS = [[{"opens_min": 0, "closes_min": 1440}]] * 7
NIGHTS = [[{"opens_min": 22 * 60, "closes_min": 30 * 60}]] * 5 + [[], []]
DAYS = [[{"opens_min": 420, "closes_min": 720}, {"opens_min": 780, "closes_min": 1320}]] * 6 + [[]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require(CHROMIUM.exists(), "Chromium")
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_in(tmp_path_factory.mktemp("hub")) as started:
        yield started


@pytest.fixture
def site(served: Site) -> Site:
    """A district with groups, people in every state, a calendar, and a night of decisions."""
    records = served.records
    records.clear()
    records.clock.now = now = utc_now()
    records.person("lin", Role.ADMINISTRATOR)
    records.add(*district(now), *people(records))
    for number in range(60):
        kind = "access.denied" if number % 6 == 0 else "access.granted"
        why = (
            {"reason": ("unknown_face", "ambiguous_face", "outside_hours")[number // 6 % 3]}
            if number % 6 == 0
            else {}
        )
        at, where = now - timedelta(minutes=37 * number), (NORTH, RIVER, DEPOT)[number % 3]
        records.add(
            event(100 + number, kind, at, where, door="main", via="face", light=18 + number * 3, **why)
        )
    return served


def people(records: Records) -> Iterator[object]:
    now = records.clock()
    at = {"created_at": now - timedelta(days=3)}
    yield PeopleGroup(id="couriers", weekly=ALWAYS, guest_cap=20, **at)
    yield PeopleGroup(id="cleaners", weekly=NIGHTS, holiday=[], stations=[NORTH, RIVER], **at)
    yield PeopleGroup(id="volunteers", weekly=DAYS, waits_for="cleaners", stations=[NORTH], **at)
    for number, (short, flags) in enumerate(
        [("4711", {}), ("4712", {"extended": True}), ("4713", {"active": False}), ("4714", {})]
    ):
        yield Person(id=f"p-{number}a2b3c4d5e6f", number=short, **at, **flags)
    yield Person(id="p-gone00000000", number=None, active=False, erased_at=now, **at)
    for number, group in ((0, "couriers"), (1, "cleaners"), (1, "couriers"), (2, "volunteers")):
        yield Membership(person_id=f"p-{number}a2b3c4d5e6f", group_id=group)
    given = {"kind": "face", "version": 2, "channel": "kiosk", "given_at": now - timedelta(days=2)}
    yield Consent(person_id="p-0a2b3c4d5e6f", station_id=NORTH, **given)
    for station, proven in ((NORTH, True), (RIVER, True), (DEPOT, False)):
        yield Erasure(
            request_id=(station[3:] * 4)[:32],
            person_id="p-gone00000000",
            station_id=station,
            reason="asked at the desk",
            requested_at=now - timedelta(hours=26),
            requested_by="user:lin",
            sent_at=now - timedelta(hours=26) if proven else None,
            receipted_at=now - timedelta(hours=25) if proven else None,
            found=station == NORTH if proven else None,
            root="9f" * 32 if proven else None,
            receipt="eyJzdGF0aW9uIjoi4oCmIn0" if proven else None,
        )
    yield RosterState(
        station_id=NORTH, version=12, applied_version=11, digest="d" * 64, people=4,
        issued_at=now - timedelta(minutes=14), applied_at=now - timedelta(hours=5),
    )  # fmt: skip
    first = now.date() + timedelta(days=20)
    for number in range(3):
        yield CalendarDay(day=(first + timedelta(days=number)).isoformat(), kind="holiday")
    yield CalendarDay(day=(first + timedelta(days=4)).isoformat(), kind="workday", as_weekday=2)


@pytest.fixture(params=LANGUAGES)
def page(request: pytest.FixtureRequest, browser: Browser, site: Site) -> Iterator[Page]:
    with night(browser, site.url, request.param) as opened:
        yield opened


class night:  # noqa: N801 (reads as a place to be in)
    """A phone by night, signed in, in one language; whatever its console complains about fails the test."""

    def __init__(self, browser: Browser, url: str, language: str) -> None:
        self._context = browser.new_context(viewport=PHONE, color_scheme="dark", base_url=url)
        self._context.set_default_timeout(10_000)
        self._language = language

    def __enter__(self) -> Page:
        page = self._context.new_page()
        self._complaints = watch(page)
        page.goto("/")
        if self._language == "en":
            page.click("button[name=language][value=en]")
        page.fill("#username", "lin")
        page.fill("#password", PASSWORD)
        page.click("button.primary")
        expect(page.locator("[data-live]").first).to_be_attached()
        return page

    def __exit__(self, *failure: object) -> None:
        self._context.close()
        if failure[0] is None:
            assert self._complaints == []


def keep(page: Page, name: str) -> None:
    """A picture, once nothing is wider than the phone."""
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name
    picture(page, f"{name}-{page.locator('html').get_attribute('lang')}")


def test_a_person_gets_a_code_and_a_pass_that_a_camera_reads(page: Page, site: Site) -> None:
    page.goto("/people")
    keep(page, "people")
    page.click("#new-person")
    page.check("input[value=couriers]")
    page.fill("#number", "77001")
    keep(page, "person-new")
    page.keyboard.press("Enter")
    expect(page.locator("#new-code")).to_be_visible()
    person_id = page.url.rpartition("/")[2]
    keep(page, "person")
    page.click("#new-code")
    code = page.locator(".slip").get_attribute("data-code") or ""
    assert normalise(code) is not None
    assert code.startswith(rows(site, EnrolmentCode)[-1].tag)
    keep(page, "code-slip")
    page.goto(f"/people/{person_id}")
    page.click("#new-pass")
    page.check(f"input[value={NORTH}]")
    page.click("label:has([name=often][value=some])")
    page.fill("#uses", "3")
    keep(page, "pass-new")
    page.click("button.big")
    expect(page.locator(".qr")).to_be_visible()
    keep(page, "pass")
    body = Keyring([pass_key(site)]).open(read_qr(page.screenshot()))
    assert (body.holder, body.scope, body.uses, body.guest) == (person_id, [NORTH], 3, False)
    page.emulate_media(media="print")
    keep(page, "pass-printed")
    assert read_qr(page.screenshot()), "on paper too"
    page.emulate_media(media="screen")
    page.goto("/passes")
    expect(page.locator(f"[data-pass='{body.number}']")).to_have_attribute("data-state", "valid")
    keep(page, "passes")
    page.click(f"#revoke-{body.number}")
    expect(page.locator(f"[data-pass='{body.number}']")).to_have_attribute("data-state", "revoked")


def read_qr(png: bytes) -> str:
    """What OpenCV's detector reads from a screenshot."""
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    text, _, _ = cv2.QRCodeDetector().detectAndDecode(pixels)
    assert text, "no QR code in the picture"
    return text


def pass_key(site: Site) -> str:
    return encode_public(load_private_key(site.records.hub.path.parent / "passes.key").public_key())


def rows(site: Site, table: type) -> list:  # type: ignore[type-arg]
    with site.records.sessions() as session:
        return list(session.scalars(select(table)))


def test_a_night_shift_is_set_by_keyboard_and_touch(page: Page, site: Site) -> None:
    page.goto("/groups")
    keep(page, "groups")
    page.click("#new-group")
    page.fill("#id", "night-shift")
    page.click("label:has([value=daily])")
    page.fill("#daily-from-0", "22:00")
    page.fill("#daily-to-0", "06:30")
    expect(page.locator(".when-daily [data-overnight]").first).to_be_visible()
    page.click("label:has([name=guests])")
    keep(page, "group-new")
    page.click("#save")
    expect(page.locator("[data-group=night-shift]")).to_contain_text("06:30")
    night_shift = next(group for group in rows(site, PeopleGroup) if group.id == "night-shift")
    assert night_shift.weekly == [[{"opens_min": 1320, "closes_min": 1830}]] * 7
    page.click("#group-volunteers")
    keep(page, "group-week")
    page.click("[data-copy-monday]")
    expect(page.locator("#day6-from-1")).to_have_value("13:00")


def test_what_is_wrong_is_said_on_the_form_with_everything_kept(page: Page) -> None:
    page.goto("/groups/new")
    page.fill("#id", "late")
    page.click("label:has([value=daily])")
    page.fill("#daily-from-0", "08:00")
    page.fill("#daily-to-0", "")
    page.click("#save")
    expect(page.locator("[role=alert]")).to_be_visible()
    expect(page.locator("#daily-from-0")).to_have_value("08:00")
    keep(page, "group-refused")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("person-erased", "/people/p-gone00000000"),
        ("person-agreed", "/people/p-0a2b3c4d5e6f"),
        ("calendar", "/calendar"),
        ("report", "/reports/access"),
        ("station-roster", f"/stations/{NORTH}"),
        ("people-empty", "/people?q=nobody"),
    ],
)
def test_pages_fit_a_phone_and_a_desk(page: Page, name: str, path: str) -> None:
    page.goto(path)
    keep(page, name)
    page.set_viewport_size({"width": 1280, "height": 800})
    picture(page, f"{name}-{page.locator('html').get_attribute('lang')}-desktop")


def test_an_erasure_shows_the_next_receipt_by_itself(page: Page, site: Site) -> None:
    page.goto("/people/p-gone00000000")
    expect(page.locator("[data-erased]")).to_have_attribute("data-erased", "2/3")
    with site.records.sessions.begin() as session:
        for erasure in session.scalars(select(Erasure).where(Erasure.receipted_at.is_(None))):
            erasure.receipted_at, erasure.found = utc_now(), True
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    expect(page.locator("[data-erased]")).to_have_attribute("data-erased", "3/3")


@pytest.fixture
def district_with_bridge(
    make_field: MakeField,
) -> Iterator[tuple[str, ScriptedStation, Records]]:
    """A bridge, a scripted station whose door opens, and the console, all on one database."""
    field = make_field()
    station = field.station()
    station.on_go = opens(station)
    web = WebSettings(secret_key_file=field.hub.settings.web.secret_key_file, secure_cookies=False)
    hub = Hub(path=field.hub.path, settings=field.hub.settings.model_copy(update={"web": web}))
    records = Records(hub=hub, sessions=field.sessions, clock=WallClock(utc_now()))
    records.person("lin")
    app = create_app(hub)
    server = make_server("127.0.0.1", free_port(), app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, name="console", daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}", station, records
    server.shutdown()
    thread.join(10)
    server.server_close()
    app.extensions[context.KEY].close()


def opens(station: ScriptedStation) -> Callable[[Go], None]:
    def play(go: Go) -> None:
        station.result(go.cmd_id, Outcome.PULSING, energised_mono_ms=1_000, relay_readback=True)
        station.result(
            go.cmd_id, Outcome.OPENED, energised_mono_ms=1_000, opened_mono_ms=1_800, released_mono_ms=1_900
        )

    return play


@pytest.mark.parametrize(("make_broker", "database_url"), [("iotcore", "sqlite")], indirect=True)
@pytest.mark.parametrize("language", LANGUAGES)
def test_one_tap_lets_in_whoever_is_shut_out(
    browser: Browser, district_with_bridge: tuple[str, ScriptedStation, Records], language: str
) -> None:
    url, station, records = district_with_bridge
    with night(browser, url, language) as page:
        page.goto("/alerts")
        shut_out: dict[str, Scalar] = {
            "door": "main", "cause": "denied_twice", "person": "p-0a2b3c4d5e6f", "reason": "outside_hours",
            "reasons": "ambiguous_face outside_hours", "denials": 3, "waited_ms": 65_000,
        }  # fmt: skip
        station.send_events(station.event_of(1, EventKind.ACCESS_WRONGFUL_DENIAL, shut_out))
        button = page.locator("[data-kind='access.wrongful_denial'] .button.primary")
        expect(button).to_be_visible()
        keep(page, "wrongful-denial")
        button.click()
        expect(page.locator(".outcome")).to_have_attribute("data-state", "OPENED")
        keep(page, "wrongful-denial-opened")
        page.keyboard.press("Escape")
        page.goto(f"/stations/{station.id}")
        expect(page.locator("[data-kind='access.wrongful_denial'] .button.primary")).to_be_visible()
        keep(page, "wrongful-denial-station")
    with records.sessions() as session:
        (command,) = session.scalars(select(Command))
        assert command.state == "OPENED"
        actions = set(session.scalars(select(AuditEntry.action).where(AuditEntry.target == command.id)))
    assert {"door:unlock:requested", "door:unlock:authorised", "door:unlock:opened"} <= actions
