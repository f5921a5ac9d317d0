"""A visitor plays the world on the stage, in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import chromium, picture, watch
from tests.support.demo import Demo, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture
def page(demo: Demo) -> Iterator[Page]:
    """The stage, in Chinese, with every station online; a page that complained fails the test."""
    for station in demo.stations:
        station.calm()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        complaints = watch(page)
        page.goto(demo.ready["stage_url"])
        expect(page.locator(".pill.good")).to_have_count(3)
        yield page
        # the camera's pictures are blobs of the page itself; a refused upload is one test's subject
        allowed = ("request to blob:", "status of 422")
        assert [said for said in complaints if not any(part in said for part in allowed)] == []


def test_a_worker_sent_on_the_stage_enters(page: Page, demo: Demo) -> None:
    station = demo.stations[0]
    after = station.last_event()
    card = page.locator(f"[data-station={station.id}]")
    card.get_by_role("button", name="劳动者刷脸并进门").click()
    expect(card.locator("[data-lamp='contact:main']")).to_have_class("lamp amber on")
    picture(page, "stage-zh-CN")
    until(
        lambda: "door.closed" in [event["kind"] for event in station.events(after=after)],
        "the worker is inside",
    )
    expect(card.locator("[data-role=door-state]")).to_have_text("已锁")


def test_a_stranger_is_told_no_on_the_stage_in_english(page: Page, demo: Demo) -> None:
    station = demo.stations[1]
    page.get_by_role("button", name="English").click()
    card = page.locator(f"[data-station={station.id}]")
    pulses = station.pulses()
    card.get_by_role("button", name="A stranger").click()
    expect(card.locator("[data-role=prompt]")).to_have_text("Not known here", timeout=10_000)
    picture(page, "stage-en")
    assert station.pulses() == pulses


def test_a_file_that_is_no_picture_is_refused_in_words(page: Page, demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "note.jpg").write_text("not a picture")
    card = page.locator(f"[data-station={demo.stations[2].id}]")
    with page.expect_response("**/photo") as answer:
        card.locator("[data-role=photo]").set_input_files(tmp_path / "note.jpg")
    assert answer.value.status == 422
    expect(card.locator("[data-role=message]")).to_have_text("这不是 JPEG 或 PNG 图片。")


def test_the_visitors_own_photo_stands_before_the_camera(page: Page, demo: Demo) -> None:
    station = demo.stations[2]
    after = station.last_event()
    card = page.locator(f"[data-station={station.id}]")
    card.locator("[data-role=photo]").set_input_files(station.stranger)
    until(
        lambda: "access.denied" in [event["kind"] for event in station.events(after=after)],
        "the photo is judged",
    )


def test_the_stage_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    picture(page, "stage-phone")


def test_the_stages_address_without_its_key_lets_nobody_in(demo: Demo) -> None:
    with chromium() as browser:
        page = browser.new_page()
        answer = page.goto(demo.ready["stage_url"].partition("?")[0])
        assert answer is not None
        assert answer.status == 403
