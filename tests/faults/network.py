"""Faults 1 to 9 of safety.md, section 12: a bad network between station and broker, for real processes.

Each fault is a function that spoils the station's line, orders a door open, and holds what the hub says to what the
table promises; times are collected by name. The history of the whole run is judged at its end.
"""

import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from cloud_hub.models import Command
from tests.faults.proxy import Snag
from tests.faults.report import Campaign, Figure
from tests.faults.rig import mono_offset_s
from tests.faults.site import Mosquitto, Site
from tests.faults.truth import violations
from tests.support.station import wait_for

OFFLINE_S: Final = 3.5
"""Fault 1: the verdict, from the click."""

SLACK_S: Final = 1.5
"""What a machine that runs eight processes on two cores may add to a limit of the table before it counts."""

HEAL_S: Final = 60.0
HALF_OPEN_S: Final = 45.0
SPEED_S: Final = 2.0
TRIES: Final = 3
NARROW_BYTES_S: Final = 2_000
NARROW_ALARM_S: Final = 10.0
GONE_S: Final = 8.0
PULSED: Final = frozenset({"OPENED", "PULSED_NOT_OPENED"})


class Round:
    """One site, what was measured on it, and what was wrong."""

    def __init__(self, site: Site, chance: random.Random | None = None) -> None:
        self.site = site
        self.chance = chance or random.Random(0)  # noqa: S311 (a campaign, to be repeated)
        self.samples: dict[str, list[float]] = defaultdict(list)
        self.wrong: list[str] = []

    def hold(self, fault: str, *, true: bool, says: str) -> None:
        """Note a broken promise."""
        if not true:
            self.wrong.append(f"{fault}: {says}")

    def measure(self, name: str, seconds: float, *, limit_s: float | None = None) -> None:
        """Note a time, and that it is too long."""
        self.samples[name].append(seconds)
        if limit_s is not None:
            self.hold(name, true=seconds <= limit_s, says=f"{seconds:.1f} s, at most {limit_s:.1f} s")

    def figures(self) -> dict[str, Figure]:
        """Median, 95th percentile and maximum of each time."""
        found: dict[str, Figure] = {}
        for name, times in sorted(self.samples.items()):
            times.sort()
            found[f"{name} n"] = len(times)
            found[f"{name} p50 s"] = round(times[len(times) // 2], 3)
            found[f"{name} p95 s"] = round(times[min(len(times) - 1, int(len(times) * 0.95))], 3)
            found[f"{name} max s"] = round(times[-1], 3)
        return found

    def verdict_s(self, command: Command) -> float:
        """From the click to the last word."""
        assert command.ended_at is not None
        return (command.ended_at - command.requested_at).total_seconds()


def wan_down(now: Round) -> None:
    """1: the line is down before REQ, by reset or in silence: DEVICE_OFFLINE at once, and no pulse when it is back."""
    line, site = now.site.station_line, now.site
    silent = now.chance.random() < 0.5
    if silent:
        line.stall()
    else:
        line.cut()
        site.await_presence("offline", within_s=HALF_OPEN_S)
    command = site.await_final(site.order())
    now.hold("1", true=command.state in {"DEVICE_OFFLINE", "NO_CHALLENGE"}, says=command.state)
    now.measure("1 verdict", now.verdict_s(command), limit_s=OFFLINE_S + SLACK_S)
    _mend(now, "1 back online")


def cut_before_challenge(now: Round) -> None:
    """2: REQ arrives, CHAL does not: final, without a pulse, also when CHAL comes late."""
    line, site = now.site.station_line, now.site
    line.up.stalled = True
    command = site.await_final(site.order())
    now.hold("2", true=command.state in {"NO_CHALLENGE", "DEVICE_OFFLINE"}, says=command.state)
    now.measure("2 verdict", now.verdict_s(command), limit_s=OFFLINE_S + SLACK_S)
    _mend(now, "2 back online")
    now.hold(
        "2", true=site.command(command.id).state == command.state, says="a late challenge changed a last word"
    )


def cut_after_go(now: Round) -> None:
    """3: GO arrives and the line goes: UNKNOWN after 8 s, and the truth soon after the line is back."""
    site = now.site
    command_id = _cut_at_go(now, "cut_after")
    site.await_command(command_id, lambda row: row.state == "UNKNOWN", within_s=20)
    now.hold("3", true=not site.command(command_id).final, says="UNKNOWN was final")
    healed_s = time.monotonic()
    _mend(now, "3 back online")
    command = site.await_final(command_id)
    now.measure("3 truth after heal", time.monotonic() - healed_s, limit_s=HEAL_S)
    now.hold("3", true=command.state in PULSED, says=f"{command.state} after a pulse")


def cut_before_go(now: Round) -> None:
    """3: GO is lost: the order was never begun, and in the end the hub says so."""
    command_id = _cut_at_go(now, "cut_before")
    healed_s = time.monotonic()
    _mend(now, "3 back online")
    command = now.site.await_final(command_id)
    now.measure("3 truth after heal", time.monotonic() - healed_s, limit_s=HEAL_S)
    now.hold("3", true=command.state == "EXPIRED", says=f"{command.state}, and it was never begun")


def _cut_at_go(now: Round, act: Literal["cut_after", "cut_before"]) -> str:
    """The line goes at GO. An order that ends before (a busy machine may be late with its challenge) is given again."""
    for _ in range(TRIES):
        snag = Snag("/down/go", act)
        now.site.station_line.down.snags[:] = [snag]
        command_id = now.site.order()
        wait_for(lambda one=snag, it=command_id: one.caught.is_set() or now.site.command(it).final)  # type: ignore[misc]
        if snag.caught.is_set():
            return command_id
        state = now.site.command(command_id).state
        now.hold("3", true=state in {"NO_CHALLENGE", "DEVICE_OFFLINE"}, says=f"{state}, and no GO came")
    raise AssertionError(f"no GO for {TRIES} orders")


def result_lost(now: Round) -> None:
    """4: the station's word is swallowed: it says it again, and the hub has one row."""
    _lose(now, "4", Snag("/up/res", "drop", nth=now.chance.choice([1, 2])), upwards=True)


def acknowledgement_lost(now: Round) -> None:
    """5: the hub's acknowledgement is swallowed: the station says it again, and that changes nothing."""
    _lose(now, "5", Snag("/down/ack", "drop", nth=now.chance.choice([1, 2, 3])), upwards=False)


def result_doubled(now: Round) -> None:
    """23, at the proxy: every step twice."""
    for tail, upwards in (("/up/chal", True), ("/up/res", True), ("/down/req", False), ("/down/go", False)):
        line = now.site.station_line
        (line.up if upwards else line.down).snags.append(Snag(tail, "double"))
    command = now.site.await_final(now.site.order())
    now.hold("23", true=command.state in PULSED, says=command.state)


def _lose(now: Round, fault: str, snag: Snag, *, upwards: bool) -> None:
    line = now.site.station_line
    (line.up if upwards else line.down).snags.append(snag)
    began_s = time.monotonic()
    command = now.site.await_final(now.site.order(), within_s=HEAL_S)
    now.hold(fault, true=command.state in PULSED, says=command.state)
    now.measure(f"{fault} last word", time.monotonic() - began_s, limit_s=HEAL_S)
    now.hold(fault, true=snag.caught.wait(10), says="nothing was lost")
    now.site.await_quiet()
    now.measure(f"{fault} outbox empty", time.monotonic() - began_s, limit_s=HEAL_S)


def half_open(now: Round) -> None:
    """6: TCP stays, nothing passes: the hub calls the station offline, and the station finds its way back."""
    site, line = now.site, now.site.station_line
    accepted, began_s = len(line.accepted_s), time.monotonic()
    line.stall()
    now.measure("6 called offline", site.await_presence("offline", within_s=90), limit_s=HALF_OPEN_S)
    if now.chance.random() < 0.5:
        wait_for(lambda: len(line.accepted_s) > accepted, within_s=90, what="a new connection")
        now.measure("6 noticed by the station", time.monotonic() - began_s, limit_s=HALF_OPEN_S)
    _mend(now, "6 back online")


def slow(now: Round) -> None:
    """7: 300 ms ± 100 each way, 5 % of the pieces late by another 0.8 s, which is what a lost packet looks like."""
    site, line = now.site, now.site.station_line
    for way in (line.up, line.down):
        way.latency_s, way.jitter_s, way.loss, way.stall_s = 0.3, 0.1, 0.05, 0.8
    for _ in range(3):
        before = len(_starts(site))
        command = site.command(site.order())
        ended = site.await_final(command.id)
        if len(starts := _starts(site)) > before:
            clicked_s = command.requested_at.timestamp() - mono_offset_s()
            now.measure("7 click to edge", starts[-1] - clicked_s)
        truthful = ended.state in PULSED | {"NO_CHALLENGE", "DEVICE_OFFLINE", "EXPIRED"}
        now.hold("7", true=truthful, says=ended.state)
    line.mend()


def _starts(site: Site) -> list[float]:
    return [t for t, _, value in site.edges("relay:") if value]


def narrow(now: Round) -> None:
    """8: 16 kbit/s both ways, and telemetry enough to fill it for minutes: an alarm is there in time all the same."""
    site, line = now.site, now.site.station_line
    line.cut()
    gone_s = time.monotonic()
    wait_for(lambda: time.monotonic() - gone_s > GONE_S)  # 64 readings a second wait at the station
    line.mend()
    line.up.bytes_s = line.down.bytes_s = NARROW_BYTES_S
    site.await_presence("online", within_s=HEAL_S * 2)
    passed, alarms = line.up.passed, len(site.events("tamper.opened"))
    wait_for(lambda: line.up.passed - passed > 2 * NARROW_BYTES_S, within_s=HEAL_S, what="a full line")
    began_s, before = time.monotonic(), line.up.passed
    site.agent.do(op="tamper", open=True)
    wait_for(lambda: len(site.events("tamper.opened")) > alarms, within_s=HEAL_S * 4, what="the alarm")
    took_s = time.monotonic() - began_s
    now.measure("8 alarm", took_s, limit_s=NARROW_ALARM_S)
    carried = line.up.passed - before
    now.hold(
        "8", true=carried > took_s * NARROW_BYTES_S / 2, says="the line was not full, so nothing was shown"
    )
    site.agent.do(op="tamper", open=False)
    line.mend()
    site.await_quiet(within_s=HEAL_S * 2)


def _mend(now: Round, name: str) -> None:
    now.site.station_line.mend()
    # what the hub says of it may be older than the fault: a new heartbeat must come
    healed = now.site.status().heartbeat_at
    began_s = time.monotonic()
    wait_for(
        lambda: now.site.status().presence == "online" and now.site.status().heartbeat_at != healed,
        within_s=HEAL_S * 2,
        what="the station back online",
    )
    now.measure(name, time.monotonic() - began_s, limit_s=HEAL_S)


FAULTS: Final[tuple[Callable[[Round], None], ...]] = (
    wan_down,
    cut_before_challenge,
    result_lost,
    acknowledgement_lost,
    result_doubled,
    slow,
    cut_before_go,
    half_open,
    narrow,
    cut_after_go,
)


@contextmanager
def mosquitto_site(folder: Path, **how: float) -> Iterator[tuple[Mosquitto, Site]]:
    """A site behind the system's broker."""
    broker = Mosquitto(folder / "b")
    broker.start()
    try:
        with Site(folder / "s", broker.port, **how) as site:  # type: ignore[arg-type]  # its numbers by name
            yield broker, site
    finally:
        broker.kill()


def run(n: int, seed: int, folder: Path) -> Campaign:
    """``n`` faults, each kind in its turn."""
    began_s = time.monotonic()
    with mosquitto_site(folder, seed=seed) as (_, site):
        now = Round(site, random.Random(seed))  # noqa: S311 (a campaign, to be repeated)
        for number in range(n):
            fault = FAULTS[number % len(FAULTS)]
            try:
                fault(now)
            except AssertionError as error:
                now.wrong.append(f"{fault.__name__}: {error}")
            site.station_line.mend()
            with contextlib.suppress(AssertionError):
                site.await_quiet()
        wait_for(
            lambda: all(row.final for row in site.rows(Command)),
            within_s=HEAL_S,
            what="the end of all orders",
        )
        now.wrong += violations(site)
        slowest = sorted(now.samples.get("7 click to edge", []))
        if len(slowest) >= 20:
            p95_s = slowest[int(len(slowest) * 0.95)]
            now.hold(
                "7", true=p95_s <= SPEED_S, says=f"p95 {p95_s:.2f} s from click to edge, at most {SPEED_S} s"
            )
    return Campaign("network", n, seed, now.wrong, now.figures(), time.monotonic() - began_s)
