"""The running demo, timed from outside: face to relay, order to relay, broken-in door to alert."""

import shutil
import tempfile
import time
from http import HTTPStatus
from pathlib import Path

from tests.benchmarks.report import Row, spread
from tests.support.demo import Demo, Station, until

VISITS = 50
STRANGERS = 10
"""More failures in a row shut the door to faces for a while (``station_agent.core.lockout``)."""

ORDERS = 6
"""Three a minute and door is the limit."""

ALERTS = 20


def measure() -> list[Row]:
    """Start a demo, measure, stop it."""
    folder = Path(tempfile.mkdtemp(prefix="yizhan-bench-"))
    demo = Demo(folder)
    began_s = time.monotonic()
    try:
        demo.start()
        rows = [Row("start of the demo to three stations online", 1, f"{time.monotonic() - began_s:.1f} s")]
        worker, stranger, third = demo.stations
        rows += _visits(worker, stranger)
        rows += _orders(demo, third)
        rows += _alerts(demo, stranger)
        rows += _silence(demo, worker)  # the third one's door has had its orders for this minute
    finally:
        demo.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return rows


def _now_s() -> float:
    """The trace's clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _first_pulse_after(station: Station, since_s: float) -> float | None:
    return next(
        (
            edge["t"]
            for edge in station.trace()
            if edge["device"] == f"relay:{station.door}" and edge["value"] == 1 and edge["t"] > since_s
        ),
        None,
    )


def _visits(worker: Station, stranger: Station) -> list[Row]:
    waits_ms, entered = [], 0
    for _ in range(VISITS):
        worker.calm()
        worker.control("walk_through")
        shown_s = _now_s()
        worker.control("show", image=str(worker.worker), seconds=2)
        deadline_s = time.monotonic() + 4
        while (pulsed_s := _first_pulse_after(worker, shown_s)) is None and time.monotonic() < deadline_s:
            time.sleep(0.02)
        if pulsed_s is not None:
            entered += 1
            waits_ms.append((pulsed_s - shown_s) * 1000)
    before, denied = stranger.pulses(), 0
    for _ in range(STRANGERS):
        stranger.calm()
        after = stranger.last_event()
        stranger.control("show", image=str(stranger.stranger), seconds=4)
        deadline_s = time.monotonic() + 6
        while time.monotonic() < deadline_s:
            if any(event["kind"] == "access.denied" for event in stranger.events(after=after)):
                denied += 1
                break
            time.sleep(0.05)
    return [
        Row("worker's visits that opened the door", VISITS, str(entered)),
        Row("stranger's visits that opened the door", STRANGERS, str(stranger.pulses() - before)),
        Row("stranger's visits denied by an event", STRANGERS, str(denied)),
        Row("worker's face shown to relay energised", len(waits_ms), spread(waits_ms, "ms")),
    ]


def _orders(demo: Demo, station: Station) -> list[Row]:
    waits_ms: list[float] = []
    while len(waits_ms) < ORDERS:
        station.calm()
        station.control("walk_through")
        asked_s = _now_s()
        answer = demo.api(
            "POST", f"stations/{station.id}/doors/{station.door}/unlock", json={"reason": "measurement"}
        )
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            time.sleep(float(answer.json()["retry_after_s"]))
            continue
        command = demo.outcome(answer.json())
        pulsed_s = _first_pulse_after(station, asked_s)
        assert pulsed_s is not None, command
        waits_ms.append((pulsed_s - asked_s) * 1000)
    return [Row("unlock asked by API to relay energised", len(waits_ms), spread(waits_ms, "ms"))]


def _alerts(demo: Demo, station: Station) -> list[Row]:
    waits_ms = []
    for _ in range(ALERTS):
        time.sleep(1.2)  # more than 20 edges in 10 s would count as a chattering contact
        station.calm()
        for alert in station.alerts():
            demo.api("POST", f"alerts/{alert['id']}/acknowledge")
        until(lambda: not station.alerts(), "no alert is open")
        opened_s = time.monotonic()
        station.control("contact", open=True)
        until(station.alerts, "the alert is raised", every_s=0.01)
        waits_ms.append((time.monotonic() - opened_s) * 1000)
    return [Row("door forced to alert in the API", len(waits_ms), spread(waits_ms, "ms"))]


def _silence(demo: Demo, station: Station) -> list[Row]:
    station.calm()
    demo.power(station, on=False)
    cut_s = time.monotonic()
    asked_s = time.monotonic()
    verdict = demo.outcome(demo.unlock(station))["state"]
    told_s = time.monotonic() - asked_s
    until(lambda: _silent(station), "the silent alert", limit_s=60)
    alerted_s = time.monotonic() - cut_s
    demo.power(station, on=True)
    until(lambda: not _silent(station), "the alert cleared by itself", limit_s=60)
    return [
        Row(f"order to a station without power, to its verdict {verdict}", 1, f"{told_s:.2f} s"),
        Row("power cut to the silent alert", 1, f"{alerted_s:.1f} s"),
    ]


def _silent(station: Station) -> bool:
    return any(alert["kind"] == "station.silent" for alert in station.alerts())
