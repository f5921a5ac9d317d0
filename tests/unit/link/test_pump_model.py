"""The pump against a hub that loses what it likes: every event arrives, alarms first, nothing acknowledged is repeated."""

import tempfile
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from firmware_config.signing import Signer, Verifier, encode_public
from firmware_config.topics import Topic
from firmware_config.vocabulary import EventKind, Lane, lane_of
from firmware_config.wire import Ack, EventBatch, TelemetryBatch, decode
from station_agent.link import lanes
from station_agent.link.pump import EVENT_ROOM, TELEMETRY_ROOM, Pump
from tests.support.hand_clock import HandClock
from tests.support.station_store import STATION, open_store, stamp

SIGNER = Signer(Ed25519PrivateKey.generate())
VERIFIER = Verifier.of(encode_public(SIGNER.public))
KINDS = (EventKind.TAMPER_OPENED, EventKind.DOOR_OPENED, EventKind.STATION_STARTED)
BOTH = (Topic.EVENT, Topic.TELEMETRY)
LANE = {int(lane_of(kind)): kind for kind in KINDS}


class PumpBesideHub(RuleBasedStateMachine):
    """Turns of the pump are taken by hand, so that every step can be looked at."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = open_store(Path(self.folder.name))
        self.clock = HandClock()
        self.up = False
        self.sent: list[tuple[Topic, list[int]]] = []
        self.kinds: dict[int, EventKind] = {}
        self.readings = 0
        self.acked: set[int] = set()
        self.acked_readings: set[int] = set()
        self.gone: list[tuple[int, int]] = []
        self.lost: set[int] = set()
        self.unacknowledged: list[tuple[Topic, list[int]]] = []
        self.pump = Pump(station=STATION, store=self.store, clock=self.clock, signer=SIGNER, send=self.send)
        self.store.listen(self.pump._rows_came)

    def send(self, topic: Topic, payload: bytes, _correlation: str | None) -> bool:
        if not self.up:
            return False
        if topic is Topic.EVENT:
            batch = decode(VERIFIER.open(payload, kind="event"), EventBatch, station=STATION)
            seqs = [event.seq for event in batch.items]
            assert seqs == sorted(seqs)
            assert len({lane_of(event.kind) for event in batch.items}) <= 1
            assert not self.acked & set(seqs), "acknowledged, and not asked for again"
            self.alarm_goes_first(seqs)
            self.gone += [(span.first, span.last) for span in batch.gone]
        else:
            seqs = [reading.seq for reading in decode(payload, TelemetryBatch, station=STATION).items]
            assert not self.acked_readings & set(seqs)
        if seqs:
            self.sent.append((topic, seqs))
            self.unacknowledged.append((topic, seqs))
        return True

    def alarm_goes_first(self, seqs: list[int]) -> None:
        """Nothing less urgent is sent for the first time while an alarm was never sent, unless their room is full."""
        if not seqs or lane_of(self.kinds[seqs[0]]) is Lane.ALARM:
            return
        alarm = next(lane for lane in self.pump._lanes if lane.title == "alarm")
        on_disk = {event.seq for event in self.store.outbox.events(Lane.ALARM, 1000)}
        flying = {number for flight in alarm.flights for number in flight.waiting.values()}
        assert on_disk <= flying or len(alarm.flights) >= alarm.room

    def turn(self) -> None:
        """As the pump's thread does, until it would sleep."""
        for _ in range(200):
            notes = list(self.pump._notes)
            self.pump._notes.clear()
            for note in notes:
                note()
            if self.pump._turn() != 0.0:
                break
        for lane in self.pump._lanes:
            assert len(lane.flights) <= lane.room

    @rule(lane=st.sampled_from(sorted(LANE)), count=st.integers(1, 12), big=st.booleans())
    def put(self, lane: int, count: int, *, big: bool) -> None:
        for _ in range(count):
            self.store.put_event(LANE[lane], {"text": "x" * 1500} if big else {}, stamp())
            self.kinds[self.store.outbox._seq] = LANE[lane]
        assert self.store.barrier(10)

    @rule(count=st.integers(1, 5))
    def read(self, count: int) -> None:
        for _ in range(count):
            self.store.put_reading("co2", 400, stamp())
        self.readings += count
        assert self.store.telemetry.barrier(10)

    @rule(count=st.integers(1, 3))
    def lose(self, count: int) -> None:
        """Numbers that were given and never reached the disk."""
        for _ in range(count):
            self.store.outbox._seq += 1
            self.lost.add(self.store.outbox._seq)

    @rule(up=st.booleans())
    def connect(self, *, up: bool) -> None:
        self.up = up
        self.pump.connected(BOTH, up=up)
        self.unacknowledged.clear()

    @rule(seconds=st.sampled_from([0.05, 1.0, lanes.RESEND_S, 100.0]))
    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.turn()

    @rule(pick=st.randoms(use_true_random=False))
    def acknowledge(self, pick: Random) -> None:
        if self.unacknowledged:
            topic, seqs = self.unacknowledged.pop(pick.randrange(len(self.unacknowledged)))
            self.ack(topic, pick.sample(seqs, pick.randint(1, len(seqs))))
            self.turn()

    def ack(self, topic: Topic, seqs: list[int]) -> None:
        events = topic is Topic.EVENT
        install_id = self.store.install_id if events else self.store.telemetry.install_id
        ack = Ack(
            station=STATION,
            install_id=install_id,
            events=seqs if events else [],
            readings=[] if events else seqs,
        )
        self.store.acknowledge(ack)
        self.pump.acknowledged(ack)
        (self.acked if events else self.acked_readings).update(seqs)

    @rule(first=st.integers(1, 60), count=st.integers(0, 60))
    def ask_again(self, first: int, count: int) -> None:
        self.store.resend(self.store.install_id, first, first + count)
        assert self.store._safety.barrier(10)
        self.acked -= set(range(first, first + count + 1))
        self.turn()

    def teardown(self) -> None:
        """However it went, a hub that takes everything from now on gets everything: each event, and each reading."""
        self.unacknowledged.clear()
        if not self.up:
            self.connect(up=True)
        for _ in range(600):
            self.clock.advance(1.0)
            self.turn()
            for topic, seqs in self.unacknowledged:
                self.ack(topic, seqs)
            self.unacknowledged.clear()
            if self.acked == set(self.kinds) and self.acked_readings == set(range(1, self.readings + 1)):
                break
        assert self.acked == set(self.kinds)
        assert self.acked_readings == set(range(1, self.readings + 1))
        assert {seq for first, last in self.gone for seq in range(first, last + 1)} <= self.lost
        assert self.store._safety.barrier(10)
        assert self.store.backlog().rows == 0
        self.store.close()
        self.folder.cleanup()


TestPumpBesideHub = PumpBesideHub.TestCase
TestPumpBesideHub.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)


def test_the_room_of_all_lanes_together_is_thirty_two() -> None:
    assert 8 + sum(EVENT_ROOM.values()) + TELEMETRY_ROOM == 32
