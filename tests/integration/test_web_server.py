"""The real web process: live streams, how it stops, how it dies, and a port that somebody else has."""

import contextlib
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from cloud_hub.bell import WEB, Ringer
from cloud_hub.models import LoginSession, ProcessStatus
from tests.support.browser import Site, answers, hub_file, site_in, start
from tests.support.demo import until
from tests.support.district import district
from tests.support.web import PASSWORD, hub_in


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_in(tmp_path, live_streams=6, threads=16) as served:
        served.records.person()
        yield served


def sign_in(site: Site) -> requests.Session:
    """A browser with a session of its own."""
    browser = requests.Session()
    page = browser.get(f"{site.url}/sign-in", timeout=10).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token is not None
    fields = {"csrf_token": token[1], "username": "lin", "password": PASSWORD}
    assert browser.post(f"{site.url}/sign-in", data=fields, timeout=10).status_code == 200
    return browser


class Listener:
    """Reads one live stream in a thread of its own."""

    def __init__(self, site: Site, browser: requests.Session, topics: str) -> None:
        self.lines: list[str] = []
        self.ended = threading.Event()
        self._answer = browser.get(
            f"{site.url}/live", params={"topics": topics}, stream=True, timeout=(5, 60)
        )
        self.status = self._answer.status_code
        self.type = self._answer.headers["Content-Type"]
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def heard(self, line: str) -> int:
        """How often this line came."""
        return self.lines.count(line)

    def leave(self) -> None:
        """As a browser that is closed."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._answer.raw.fileno())) as twin:
            twin.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def _read(self) -> None:
        with contextlib.suppress(requests.RequestException):
            for line in self._answer.iter_lines(chunk_size=1, decode_unicode=True):
                self.lines.append(line)
        self.ended.set()
        self._answer.close()


def test_a_ring_reaches_every_open_page_and_pages_are_served_meanwhile(site: Site) -> None:
    browser = sign_in(site)
    listeners = [Listener(site, browser, "stations,station:st-1") for _ in range(5)]
    until(lambda: all(listener.heard("event: resync") for listener in listeners), "every stream begins")
    assert {listener.type for listener in listeners} == {"text/event-stream; charset=utf-8"}
    ringer = Ringer(site.records.hub.data_dir / "bells")
    ringer.ring(WEB, "station:st-1", "station:st-2", "alerts")
    until(lambda: all(listener.heard("data: station:st-1") for listener in listeners), "every stream hears")
    assert not any(listener.heard("data: station:st-2") for listener in listeners)
    asked_s = time.monotonic()
    assert browser.get(f"{site.url}/", timeout=10).status_code == 200
    assert time.monotonic() - asked_s < 5
    ringer.close()
    for listener in listeners:
        listener.leave()


def test_one_stream_too_many_is_answered_503_and_a_page_still_comes(site: Site) -> None:
    browsers = [sign_in(site) for _ in range(2)]
    listeners = [Listener(site, browsers[number % 2], "stations") for number in range(6)]
    refused = browsers[0].get(f"{site.url}/live?topics=stations", timeout=10)
    assert (refused.status_code, refused.json()["code"]) == (503, "no_stream_left")
    assert browsers[0].get(f"{site.url}/", timeout=10).status_code == 200
    for listener in listeners:
        listener.leave()


@pytest.mark.parametrize(
    "query", ["", "?topics=", "?topics=Bad Topic", "?topics=" + ",".join(f"a:{n}" for n in range(65))]
)
def test_a_stream_of_malformed_topics_is_refused(site: Site, query: str) -> None:
    answer = sign_in(site).get(f"{site.url}/live{query}", timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")


def test_a_stream_needs_somebody_signed_in(site: Site) -> None:
    answer = requests.get(f"{site.url}/live?topics=stations", timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_a_stream_ends_when_its_sign_in_does(site: Site) -> None:
    listener = Listener(site, sign_in(site), "stations")
    until(lambda: listener.heard("event: resync"), "the stream begins")
    with site.records.sessions.begin() as session:
        for row in session.query(LoginSession):
            row.ended_at = site.records.clock()
    until(listener.ended.is_set, "the stream ends at its next ping", limit_s=25)
    assert not listener.heard("event: ping")


def test_sigterm_ends_open_streams_and_the_process_at_once(site: Site) -> None:
    listener = Listener(site, sign_in(site), "stations")
    until(lambda: listener.heard("event: resync"), "the stream begins")
    site.process.send_signal(signal.SIGTERM)
    assert site.process.wait(timeout=10) == 0
    assert listener.ended.wait(5)


def test_killing_the_supervisor_leaves_no_worker_behind(tmp_path: Path) -> None:
    with site_in(tmp_path) as site:
        site.process.kill()
        site.process.wait(timeout=10)
        until(lambda: not answers(site.url), "nobody answers on the port any more")
        port = int(site.url.rpartition(":")[2])
        again = start(hub_file(tmp_path, port))
        try:
            until(lambda: answers(site.url), "the port can be taken again")
        finally:
            again.terminate()
            again.communicate(timeout=15)


def test_a_worker_that_is_killed_is_replaced(site: Site) -> None:
    (worker,) = _children(site.process.pid)
    os.kill(worker, signal.SIGKILL)
    until(lambda: [pid for pid in _children(site.process.pid) if pid != worker], "a new worker")
    until(lambda: answers(site.url), "it answers")


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_busy_port_is_named_and_ends_with_status_1(site: Site, tmp_path: Path) -> None:
    port = int(site.url.rpartition(":")[2])
    second = start(hub_file(tmp_path, port))
    output, _ = second.communicate(timeout=20)
    assert second.returncode == 1
    assert f"127.0.0.1:{port}" in output.decode()
    assert "Address already in use" in output.decode()
    assert "Traceback" not in output.decode()
    assert answers(site.url), "the first is not disturbed"


def test_readiness_tells_what_is_missing(site: Site) -> None:
    def ready() -> tuple[int, list[str]]:
        answer = requests.get(f"{site.url}/readyz", timeout=10)
        return answer.status_code, answer.json()["reasons"]

    assert ready() == (503, ["bridge: never started"])
    bridge = ProcessStatus(
        name="bridge", started_at=site.records.clock(), seen_at=site.records.clock(), ready=False
    )
    site.records.add(bridge)
    assert ready() == (503, ["bridge: not connected to the broker"])
    with site.records.sessions.begin() as session:
        session.merge(bridge).ready = True
    assert ready() == (200, [])


def test_the_figures_are_served_for_prometheus(site: Site) -> None:
    site.records.add(*district(site.records.clock()))
    answer = requests.get(f"{site.url}/metrics", timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "# TYPE" in answer.text


@pytest.mark.parametrize("secret", [b"short", None])
def test_an_unusable_secret_is_named_before_anything_is_served(tmp_path: Path, secret: bytes | None) -> None:
    hub_in(tmp_path)
    (tmp_path / "secret").unlink()
    if secret is not None:
        (tmp_path / "secret").write_bytes(secret)
    process = start(hub_file(tmp_path, 1))
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "web.secret_key_file" in output.decode()
    assert "Traceback" not in output.decode()
