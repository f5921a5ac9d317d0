"""Everything together: true time, two stations, one hub, the broker between them, and the invariants I1 to I6."""

from collections import Counter
from dataclasses import replace
from typing import Final

from cloud_hub.commands.results import NEVER_PULSED
from cloud_hub.models.command import CommandState as S
from firmware_config.signing import Verifier, encode_public
from firmware_config.topics import Topic
from firmware_config.wire import CHALLENGE_LIFE_MS, Birth, Heartbeat
from station_agent import facts
from tests.faults.model.broker import Broker, Letter
from tests.faults.model.hub import HUB_KEY, ModelHub, Row
from tests.faults.model.station import Station
from tests.faults.model.truth import ONE_SHOT_MS, Pulse, Truth

DOORS: Final = {"st-a00001": ("main", "back"), "st-b00001": ("main",)}
EVERY_DOOR: Final = tuple((station, door) for station, doors in DOORS.items() for door in doors)
HEALED_MS: Final = 60_000
GRACE_MS: Final = 510
SHUNT_MS: Final = 10_010
"""``grace_s`` and ``exit_shunt_s`` of a door, and the step of the clock."""

_SILENT: Final = frozenset({S.REQUESTED, S.SENT, S.CHALLENGED}) | NEVER_PULSED
"""What nobody may be shown once the relay was commanded on."""


class Violation(AssertionError):  # noqa: N818 (a verdict)
    """An invariant is broken; the message begins with its name."""


class World:
    """One history."""

    def __init__(self, *, hub: type[ModelHub] = ModelHub, tally: Counter[str] | None = None) -> None:
        self.tally: Counter[str] = Counter() if tally is None else tally
        self.truth = Truth()
        self.broker = Broker()
        self.lies: str | None = None
        self._made = 0
        self._mids = 0
        verifier = Verifier.of(encode_public(HUB_KEY.public_key()))
        self.stations = {
            name: Station(
                self.truth, name, doors=doors, verifier=verifier, post=self._from_station, tally=self.tally,
                fresh=self.fresh,
            )
            for name, doors in DOORS.items()
        }  # fmt: skip
        keys = {name: Verifier.of(encode_public(item.signer.public)) for name, item in self.stations.items()}
        self.hub = hub(self.truth, keys=keys, post=self._from_hub, tally=self.tally)
        self.settle()

    def fresh(self) -> str:
        """32 hex digits that were never used."""
        self._made += 1
        return f"{self._made:032x}"

    # time

    def advance(self, length_ms: int) -> None:
        """Let true time pass, and do whatever falls due on the way, when it does."""
        target_ms = self.truth.now_ms + length_ms
        while self.truth.now_ms < target_ms:
            due = [self.hub.due_ms(), *(station.due_ms() for station in self.stations.values())]
            moment = min((item for item in due if item is not None), default=target_ms)
            self._pass(min(target_ms, max(moment, self.truth.now_ms + 1)))
            for station in self.stations.values():
                station.work()
            self.hub.look_if_due()

    def _pass(self, now_ms: int) -> None:
        length_ms = now_ms - self.truth.now_ms
        self.truth.now_ms = now_ms
        for station in self.stations.values():
            for coil in station.coils.values():
                if not station.running:
                    coil.stand(length_ms)
                coil.look()

    def hop(self) -> bool:
        """The next thing that honest parts would do: commit, or deliver the oldest letter. False when all is done."""
        for station in self.stations.values():
            if station.running and station.disk.can_flush:
                station.flush()
                return True
        for index, letter in enumerate(self.broker.waiting):
            if self.can_take(letter):
                self.hand(self.broker.waiting.pop(index))
                return True
        return False

    def settle(self, most: int = 60, pause_ms: int = 0) -> None:
        """Hops until there is nothing left to do."""
        for _ in range(most):
            if not self.hop():
                return
            if pause_ms:
                self.advance(pause_ms)

    # the network

    def can_take(self, letter: Letter) -> bool:
        """The other end is there."""
        if letter.up:
            return self.hub.alive
        station = self.stations[letter.station]
        return station.alive and station.line_up

    def hand(self, letter: Letter) -> None:
        """Deliver, whatever it is."""
        if letter.up:
            self.hub.deliver(letter)
        elif (station := self.stations[letter.station]).line_up:
            station.deliver(letter)

    def _from_station(self, letter: Letter) -> None:
        self.broker.post(letter)

    def _from_hub(self, letter: Letter) -> int:
        self._mids += 1
        self.broker.post(letter)
        nobody = not self.stations[letter.station].line_up
        if self.lies is not None:
            nobody, self.lies = self.lies == "nobody", None
        if letter.topic in {Topic.REQUEST, Topic.GO}:
            self.broker.post(Letter(None, letter.station, mid=self._mids, nobody=nobody))
        return self._mids

    # doors

    def move(self, station: str, door: str, *, is_open: bool | None) -> None:
        """A contact moves, or falls silent."""
        place = self.stations[station]
        if is_open and place.contacts[door] is not True:
            self.truth.edges.setdefault((station, door), []).append(self.truth.now_ms)
        place.contacts[door] = is_open
        fact = facts.ContactFaulted(door) if is_open is None else facts.ContactChanged(door, is_open)
        place.tell(fact)

    def press_exit(self, station: str, door: str) -> None:
        """Somebody inside presses the exit button."""
        place = self.stations[station]
        if (pulse := place.coils[door].pulse) is not None:
            pulse.exits = True
        place.tell(facts.ExitPressed(door))

    def burn(self, station: str, *, active: bool) -> None:
        """The fire panel's contact moves."""
        place = self.stations[station]
        place.fire = active
        for coil in place.coils.values():
            coil.fire(active=active)
        place.tell(facts.FireChanged(active))

    # the end

    def heal(self, *, reconnect: bool) -> None:
        """Mend everything, then let ``HEALED_MS`` pass with an honest broker."""
        if not self.hub.alive:
            self.hub.restart()
        self.hub.dies = self.lies = None
        for station in self.stations.values():
            station.disk.full = False
            station.clock.trust, station.clock.wall_off_ms = "synced", 0
            if not station.alive:
                station.boot()
            if station.frozen:
                station.thaw()
            if reconnect or not station.line_up:
                station.connect()
        self.settle()
        for _ in range(HEALED_MS // 2_500):
            self.advance(2_500)
            self.settle()

    # the judge

    def check(self) -> None:
        """I1 to I4 and I6, as they stand now.

        Raises:
            Violation: one of them is broken.
        """
        for cmd_id, pulses in self.truth.pulses.items():
            if len(pulses) > 1:
                raise Violation(f"I1: {len(pulses)} pulses of {cmd_id}")
            row = self.hub.rows.get(cmd_id)
            self._check_pulse(pulses[0], row)
        for cmd_id, changes in self.truth.applied.items():
            self._check_mode(cmd_id, changes)
        for row in self.hub.rows.values():
            self._check_shown(row)
        if self.truth.longest_ms > ONE_SHOT_MS:
            raise Violation(f"I6: a relay was energised for {self.truth.longest_ms} ms")

    def check_healed(self) -> None:
        """I5, after ``heal``.

        Raises:
            Violation: an order is not over, or a contradiction was raised without a lost store.
        """
        for row in self.hub.rows.values():
            if not row.final:
                raise Violation(
                    f"I5: {row.id} is still {row.state} {HEALED_MS} ms after everything was mended"
                )
        for said in self.hub.contradictions:
            if self.hub.rows[said.split(":")[0]].station not in self.truth.lost:
                raise Violation(f"I4: a station that lost nothing contradicted itself about {said}")
        for station in self.stations.values():
            for coil in station.coils.values():
                if coil.energised and not station.fire:
                    raise Violation(f"I6: a relay of {station.name} is energised although nothing happens")

    def _check_pulse(self, pulse: Pulse, row: Row | None) -> None:
        if pulse.nonce_ms is None or pulse.at_ms - pulse.nonce_ms > CHALLENGE_LIFE_MS:
            raise Violation(f"I2: {pulse.cmd_id} pulsed at {pulse.at_ms}, its nonce is of {pulse.nonce_ms}")
        if row is None or len(row.authorised_ms) != 1 or row.authorised_ms[0] > pulse.at_ms:
            found = None if row is None else row.authorised_ms
            raise Violation(f"I3: {pulse.cmd_id} pulsed at {pulse.at_ms}, authorised at {found}")
        if (row.station, row.door) != (pulse.station, pulse.door):
            raise Violation(
                f"I3: {pulse.cmd_id} pulsed {pulse.station} {pulse.door}, not what was authorised"
            )

    def _check_mode(self, cmd_id: str, changes: list[tuple[int, int]]) -> None:
        """A door's mode changes once, in time and authorised, as a pulse does."""
        if len(changes) > 1:
            raise Violation(f"I1: {cmd_id} changed the mode {len(changes)} times")
        at_ms, made_ms = changes[0]
        if made_ms < 0 or at_ms - made_ms > CHALLENGE_LIFE_MS:
            raise Violation(f"I2: {cmd_id} changed the mode at {at_ms}, its nonce is of {made_ms}")
        row = self.hub.rows.get(cmd_id)
        if row is None or len(row.authorised_ms) != 1 or row.authorised_ms[0] > at_ms:
            raise Violation(f"I3: {cmd_id} changed the mode at {at_ms} and was not authorised")
        if row.state in _SILENT:
            raise Violation(f"I4: {cmd_id} shows {row.state} {row.code} and changed the mode at {at_ms}")

    def _check_shown(self, row: Row) -> None:
        """States shown are a subset of the states consistent with the truth (safety.md C13)."""
        pulse = next(iter(self.truth.pulses.get(row.id, ())), None)
        if pulse is None:
            if row.state is S.APPLIED and row.id not in self.truth.applied:
                raise Violation(f"I4: {row.id} shows {row.state} and changed nothing")
            if row.state in {S.PULSING, S.OPENED, S.PULSED_NOT_OPENED, S.ACTUATOR_FAULT}:
                raise Violation(f"I4: {row.id} shows {row.state} and never pulsed")
        elif row.state in _SILENT:
            raise Violation(f"I4: {row.id} shows {row.state} {row.code} and pulsed at {pulse.at_ms}")
        elif row.state is S.ACTUATOR_FAULT and pulse.worked:
            raise Violation(f"I4: {row.id} shows {row.state} and its relay worked")
        elif row.state in {S.OPENED, S.PULSED_NOT_OPENED}:
            self._check_opening(row, pulse)
        if row.state is S.UNKNOWN_FINAL and row.station not in self.truth.lost:
            raise Violation(f"I4: {row.id} shows {row.state} and no store was lost")

    def _check_opening(self, row: Row, pulse: Pulse) -> None:
        edges = self.truth.edges.get((pulse.station, pulse.door), ())
        end_ms = pulse.at_ms + ONE_SHOT_MS if pulse.end_ms is None else pulse.end_ms
        last_ms = end_ms + (SHUNT_MS if pulse.exits else GRACE_MS)
        if row.state is S.OPENED and not any(pulse.at_ms <= edge <= last_ms for edge in edges):
            raise Violation(f"I4: {row.id} shows OPENED; pulsed {pulse.at_ms} to {end_ms}, edges {edges}")
        if row.state is S.PULSED_NOT_OPENED and any(pulse.at_ms < edge < end_ms for edge in edges):
            raise Violation(
                f"I4: {row.id} shows PULSED_NOT_OPENED; pulsed {pulse.at_ms} to {end_ms}, edges {edges}"
            )


def as_retained(letter: Letter) -> Letter:
    """As the broker would give it to a new subscriber."""
    return replace(letter, retain=True)


def is_presence(letter: Letter) -> bool:
    """Birth or heartbeat."""
    return isinstance(letter.payload, Birth | Heartbeat)
