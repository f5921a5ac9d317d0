"""What the hub says, held against what the wires of a simulated station did: I1, I3, I4, I6, and each event once."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cloud_hub.models import Command
from tests.faults.site import STATION, Site

LONGEST_S: Final = 12.0
"""No relay is energised for longer (I6)."""

CLOSE_S: Final = 0.4
"""The evidence of a pulse and its edge on the wire are stamped one after the other, on a busy machine."""

OPEN_WINDOW_S: Final = 10.0

NEVER_PULSED: Final = frozenset({"DEVICE_OFFLINE", "NO_CHALLENGE", "REJECTED", "EXPIRED"})


@dataclass(frozen=True, slots=True)
class Pulse:
    """One pulse on the wire of a door's relay, in seconds of CLOCK_BOOTTIME."""

    door: str
    start_s: float
    end_s: float | None
    opened: bool

    @property
    def length_s(self) -> float:
        """How long the coil was energised; for ever, when it still is."""
        return float("inf") if self.end_s is None else self.end_s - self.start_s


def pulses(trace: Path) -> list[Pulse]:
    """All of a trace, in order."""
    edges: dict[str, list[tuple[float, int]]] = {}
    for line in trace.read_text(encoding="utf-8").splitlines():
        edge: dict[str, Any] = json.loads(line)
        edges.setdefault(edge["device"], []).append((edge["t"], edge["value"]))
    found = []
    for device, wire in edges.items():
        kind, _, door = device.partition(":")
        if kind != "relay":
            continue
        contacts = edges.get(f"contact:{door}", [])
        for place, (start_s, value) in enumerate(wire):
            if value:
                end_s = wire[place + 1][0] if place + 1 < len(wire) else None
                opened = any(value and start_s <= at_s <= start_s + OPEN_WINDOW_S for at_s, value in contacts)
                found.append(Pulse(door, start_s, end_s, opened))
    return sorted(found, key=lambda pulse: pulse.start_s)


def check_orders(site: Site, *, all_final: bool = True) -> list[str]:
    """One sentence for each contradiction between wires and database."""
    left = pulses(site.agent.trace_file)
    wrong = [
        f"I6: {pulse.door} energised for {pulse.length_s:.1f} s"
        for pulse in left
        if pulse.length_s > LONGEST_S
    ]
    for command in site.rows(Command):
        mine = _claimed(command, left)
        if mine is not None:
            left.remove(mine)
        wrong += _contradictions(site, command, mine, all_final=all_final)
    wrong += [
        f"I1/I3: a pulse of {pulse.door} at {pulse.start_s:.3f} s belongs to no order" for pulse in left
    ]
    return wrong


def _claimed(command: Command, free: list[Pulse]) -> Pulse | None:
    at_ms = command.evidence.get("energised_mono_ms")
    if at_ms is None:
        return None
    near = [
        pulse
        for pulse in free
        if pulse.door == command.door_id and abs(pulse.start_s - at_ms / 1000) <= CLOSE_S
    ]
    return min(near, key=lambda pulse: abs(pulse.start_s - at_ms / 1000), default=None)


def _contradictions(site: Site, command: Command, pulse: Pulse | None, *, all_final: bool) -> list[str]:
    name, state = f"order {command.id[:8]}", command.state
    wrong = []
    authorised = [step.state for step in site.steps(command.id)].count("AUTHORISED")
    if command.evidence.get("energised_mono_ms") is not None and pulse is None:
        wrong.append(f"I4: {name} claims a pulse that no wire shows")
    if pulse is not None and authorised != 1:
        wrong.append(f"I3: {name} pulsed with {authorised} authorisations")
    if pulse is not None and state in NEVER_PULSED:
        wrong.append(f"I4: {name} is {state} and has pulsed")
    if state in {"OPENED", "PULSED_NOT_OPENED"} and pulse is None:
        wrong.append(f"I4: {name} is {state} without a pulse")
    if pulse is not None and state in {"OPENED", "PULSED_NOT_OPENED"} and pulse.opened != (state == "OPENED"):
        wrong.append(f"I4: {name} is {state} and its contact says otherwise")
    if all_final and not command.final:
        wrong.append(f"I5: {name} is still {state}")
    return wrong


def check_events(site: Site) -> list[str]:
    """Each event of the station's present store is at the hub, once."""
    install = site.status().install_id
    numbers = [event.seq for event in site.events() if event.install_id == install]
    wrong = []
    if missing := sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers)):
        wrong.append(f"events lost: {missing[:20]} of {STATION}")
    if len(set(numbers)) != len(numbers):
        wrong.append("an event is there twice")
    return wrong
