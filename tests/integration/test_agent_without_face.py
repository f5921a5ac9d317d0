"""A running agent, a real broker, and a hub played by hand: roster, QR pass, schedule, erasure with a receipt."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from firmware_config.passes import PREFIX, Keyring, Pass, issue, short_key_id
from firmware_config.receipts import gallery_root, verify
from firmware_config.roster import Group, PassKey, RosterDocument, RosterPerson, seal
from firmware_config.signing import Refused, Signer, Verifier, encode_public
from firmware_config.topics import HUB_SUBSCRIPTION, Topic, parse
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Ack, Erase, Event, EventBatch, Heartbeat, decode
from tests.support.agent import AgentProcess
from tests.support.broker import MakeBroker, make_broker
from tests.support.faces import worker_picture
from tests.support.qr_scene import code
from tests.support.rosters import DAY, NOON, document
from tests.support.stations import new_hub_key, write_station

__all__ = ["make_broker"]

STATION = "st-test0001"
ALWAYS = Group(id="always", weekly=[[DAY]] * 7)
NEVER = Group(id="never", weekly=[[]] * 7)
ONE_PULSE = [("relay:main", 0), ("relay:main", 1), ("relay:main", 0)]
HOUR_S = 3_600

pytestmark = pytest.mark.parametrize("make_broker", ["iotcore"], indirect=True)
"""What the agent does here owes nothing to the broker; test_link.py runs on both."""


@dataclass
class Hub:
    """Signs what goes down, verifies and acknowledges what comes up."""

    port: int
    signer: Signer
    verifier: Verifier
    events: list[Event] = field(default_factory=list)
    roster_version: int = 0
    wanted: RosterDocument | None = None

    def __post_init__(self) -> None:
        self.client = Client(
            CallbackAPIVersion.VERSION2, client_id="hub", protocol=MQTTProtocolVersion.MQTTv5
        )
        self.client.username_pw_set("hub", "hub-secret")
        self.client.on_connect = lambda client, *_: client.subscribe(HUB_SUBSCRIPTION, qos=1)
        self.client.on_message = lambda _client, _data, message: self._heard(message)
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()

    def _heard(self, message: MQTTMessage) -> None:
        place = parse(message.topic)
        assert place is not None
        payload = bytes(message.payload)
        if place[1] is Topic.HEARTBEAT:
            body = decode(self.verifier.open(payload, kind="heartbeat"), Heartbeat)
            self.roster_version = body.roster_version
            if self.wanted is not None and body.roster_version < self.wanted.version:
                self.send_roster(self.wanted)
        elif place[1] is Topic.EVENT:
            batch = decode(self.verifier.open(payload, kind="event"), EventBatch)
            self.events += [
                event for event in batch.items if event.seq not in {one.seq for one in self.events}
            ]
            ack = Ack(
                station=STATION, install_id=batch.install_id, events=[event.seq for event in batch.items]
            )
            self.client.publish(Topic.ACK.of(STATION), self.signer.seal("ack", ack), qos=1)

    def of_kind(self, kind: EventKind) -> list[dict[str, Any]]:
        return [dict(event.data) for event in self.events if event.kind is kind]

    def send_roster(self, roster: RosterDocument) -> None:
        for payload in seal(roster, self.signer):
            self.client.publish(Topic.ROSTER.of(STATION), payload, qos=1)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class World:
    agent: AgentProcess
    hub: Hub
    pass_key: Ed25519PrivateKey
    folder: Path

    def roster(self, *people: RosterPerson, version: int = 1) -> None:
        """Put a roster in force."""
        keys = [PassKey(public=encode_public(self.pass_key.public_key()))]
        self.hub.wanted = document(
            *people, version=version, groups=[ALWAYS, NEVER], pass_keys=keys, issued_ms=NOON.wall_ms
        )
        self.agent.wait_until(lambda: self.hub.roster_version == version)

    def show_pass(
        self,
        holder: str,
        *,
        scope: str = STATION,
        window: tuple[int, int] = (0, 0),
        again: str | None = None,
    ) -> str:
        """Hold a pass before the camera; returns its text. Its window is in seconds from now, (0, 0) for none.

        It stays there: not every look reads it, and a busy machine takes few.
        """
        now = int(time.time())
        not_before, not_after = (now + edge if any(window) else 0 for edge in window)
        body = Pass(
            v=1,
            id=os.urandom(8),
            kid=short_key_id(self.pass_key.public_key()),
            holder=holder,
            scope=[scope],
            not_before=not_before,
            not_after=not_after,
            uses=1,
        )
        text = again or issue(body, self.pass_key)
        picture = self.folder / "pass.png"
        cv2.imwrite(str(picture), code(text))
        self.agent.do(op="show", image=str(picture), seconds=30)
        return text

    def denials(self) -> list[str]:
        return [event["reason"] for event in self.hub.of_kind(EventKind.ACCESS_DENIED)]


@pytest.fixture
def world(make_broker: MakeBroker, tmp_path: Path) -> Iterator[World]:
    broker = make_broker({STATION: "secret", "hub": "hub-secret"})
    signer, public = new_hub_key(tmp_path)
    config, station = write_station(
        tmp_path / "station", hub_public=public, port=broker.port, door="unlocked_s = 1.0"
    )
    agent = AgentProcess(config)
    hub = Hub(port=broker.port, signer=signer, verifier=Verifier.of(encode_public(station.public)))
    agent.start()
    try:
        yield World(agent=agent, hub=hub, pass_key=Ed25519PrivateKey.generate(), folder=tmp_path)
    finally:
        agent.stop()
        hub.close()


def test_a_pass_opens_once_and_its_copy_does_not(world: World) -> None:
    world.roster(RosterPerson(id="anna", groups=["always"]))
    text = world.show_pass("anna")
    world.agent.wait_edges("relay:main", expected=ONE_PULSE)
    world.agent.do(op="clear")
    world.agent.wait_until(lambda: len(world.hub.of_kind(EventKind.ACCESS_GRANTED)) == 1)
    assert world.hub.of_kind(EventKind.ACCESS_GRANTED)[0]["via"] == "pass"
    world.agent.kill()
    world.agent.start()
    world.show_pass("anna", again=text)
    world.agent.wait_until(lambda: world.denials() == ["pass_replayed"], within_s=20)
    assert world.agent.edges("relay:main")[-1] == ("relay:main", 0)
    assert sum(value for _, value in world.agent.edges("relay:main")) == 1


@pytest.mark.parametrize(
    ("person", "scope", "reason"),
    [
        pytest.param(
            RosterPerson(id="anna", groups=["always"]), "st-other001", "pass_wrong_station", id="elsewhere"
        ),
        pytest.param(
            RosterPerson(id="anna", groups=["never"]),
            STATION,
            "clock_unsynchronised",
            id="closed by a clock nobody trusts",
        ),
        pytest.param(
            RosterPerson(id="anna", groups=["always"], active=False), STATION, "person_inactive", id="barred"
        ),
        pytest.param(RosterPerson(id="berta", groups=["always"]), STATION, "not_on_roster", id="unknown"),
    ],
)
def test_a_pass_is_refused_with_its_own_reason(
    world: World, person: RosterPerson, scope: str, reason: str
) -> None:
    world.roster(person)
    world.show_pass("anna", scope=scope)
    world.agent.wait_until(lambda: world.denials() == [reason], within_s=20)
    assert world.agent.edges("relay:main") == [("relay:main", 0)]


def altered(text: str, key: Ed25519PrivateKey) -> str:
    """A pass with one character changed such that it still reads as a pass."""
    keyring = Keyring([encode_public(key.public_key())])
    for place in range(len(text) - 1, len(PREFIX), -1):
        changed = text[:place] + ("1" if text[place] == "0" else "0") + text[place + 1 :]
        try:
            keyring.open(changed)
        except Refused as refusal:
            if refusal.reason == "pass_altered":
                return changed
    raise AssertionError("every change is malformed")


def test_windows_and_signatures_are_judged_at_the_station_and_a_good_pass_opens_it_offline(
    world: World,
) -> None:
    world.roster(RosterPerson(id="anna", groups=["always"]))

    def refused(reason: str, **options: Any) -> None:
        count = len(world.denials())
        world.show_pass("anna", **options)
        world.agent.wait_until(lambda: reason in world.denials()[count:])
        world.agent.do(op="clear")

    refused("clock_unsynchronised", window=(-HOUR_S, HOUR_S))
    world.agent.do(op="clock", synced=True)
    refused("pass_not_yet_valid", window=(HOUR_S, 2 * HOUR_S))
    refused("pass_expired", window=(-2 * HOUR_S, -HOUR_S))
    text = world.show_pass("berta")
    world.agent.wait_until(lambda: world.denials()[-1] == "not_on_roster")
    refused("pass_altered", again=altered(text, world.pass_key))
    assert world.agent.edges("relay:main") == [("relay:main", 0)]
    world.agent.do(op="network", up=False)
    world.show_pass("anna", window=(-HOUR_S, HOUR_S))
    world.agent.wait_edges("relay:main", expected=ONE_PULSE)


def test_without_a_roster_no_pass_opens(world: World) -> None:
    world.show_pass("anna")
    world.agent.wait_until(lambda: world.denials() == ["no_roster"], within_s=20)


def test_a_roster_bars_an_enrolled_face_that_it_does_not_allow(world: World) -> None:
    world.agent.do(op="enrol", person="anna", image=str(worker_picture()))
    world.roster(RosterPerson(id="anna", groups=["always"], face=False))
    world.agent.do(op="show", image=str(worker_picture()), seconds=3)
    world.agent.wait_until(lambda: "face_not_allowed" in world.denials(), within_s=20)
    assert world.agent.edges("relay:main") == [("relay:main", 0)]
    world.agent.stop()  # a visit is decided once; the next one begins with the next start
    world.agent.start()
    world.roster(RosterPerson(id="anna", groups=["always"], face=True, consent=1), version=2)
    world.agent.do(op="show", image=str(worker_picture()), seconds=3)
    world.agent.wait_edges("relay:main", expected=ONE_PULSE)


def test_an_older_roster_changes_nothing(world: World) -> None:
    world.roster(RosterPerson(id="anna", groups=["always"], active=False), version=5)
    world.hub.send_roster(
        document(RosterPerson(id="anna", groups=["always"]), version=4, groups=[ALWAYS, NEVER])
    )
    world.show_pass("anna")
    world.agent.wait_until(lambda: len(world.denials()) == 1, within_s=20)
    assert world.hub.roster_version == 5


def test_an_erased_person_is_gone_with_a_receipt_that_the_hub_can_check(world: World) -> None:
    world.agent.do(op="enrol", person="anna", image=str(worker_picture()))
    request = Erase(station=STATION, request_id="e" * 32, person="anna", issued_ms=1)
    for _ in range(2):
        world.hub.client.publish(Topic.ERASE.of(STATION), world.hub.signer.seal("erase", request), qos=1)
    world.agent.wait_until(lambda: len(world.hub.of_kind(EventKind.PERSON_ERASED)) == 2, within_s=20)
    first, second = world.hub.of_kind(EventKind.PERSON_ERASED)
    assert first == second
    receipt = verify(first, world.hub.verifier, request=request)
    assert (receipt.found, receipt.people, receipt.root) == (True, 0, gallery_root([]))
    world.agent.do(op="show", image=str(worker_picture()), seconds=3)
    world.agent.wait_until(lambda: "unknown_face" in world.denials(), within_s=20)
