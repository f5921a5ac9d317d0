"""A running agent behind a real Mosquitto: lock-down and hold-open from the order to the door, over a kill -9."""

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from firmware_config.passes import Pass, issue, short_key_id
from firmware_config.roster import PassKey, seal
from firmware_config.signing import Signer, Verifier, encode_public
from firmware_config.topics import HUB_SUBSCRIPTION, Topic, parse
from firmware_config.vocabulary import DoorMode, DoorState, EventKind, Outcome
from firmware_config.wire import (
    TIMED,
    Ack,
    Challenge,
    DoorStatus,
    Event,
    EventBatch,
    Go,
    Heartbeat,
    Order,
    Result,
    Verb,
    decode,
)
from station_agent.clock import SystemClock
from station_agent.store.roster import RosterStore
from tests.support.agent import AgentProcess
from tests.support.broker import MakeBroker, make_broker
from tests.support.faces import worker_picture
from tests.support.kiosk import ANNA, ANNAS_PIN, kiosk_url, set_pins
from tests.support.parts import free_port
from tests.support.qr_scene import code
from tests.support.rosters import ALWAYS, STATION, document
from tests.support.stations import new_hub_key, write_station

__all__ = ["make_broker"]

pytestmark = [
    pytest.mark.mosquitto,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("make_broker", ["mosquitto"], indirect=True),
]


class Hub:
    """Carries orders through, and hears results, events and heartbeats."""

    def __init__(self, port: int, signer: Signer, station: Verifier) -> None:
        self._signer = signer
        self._station = station
        self._orders: dict[str, Order] = {}
        self.results: dict[str, list[Result]] = {}
        self.events: dict[int, Event] = {}
        self.door: DoorStatus | None = None
        self.client = Client(
            CallbackAPIVersion.VERSION2, client_id="hub", protocol=MQTTProtocolVersion.MQTTv5
        )
        self.client.username_pw_set("hub", "hub-secret")
        self.client.on_connect = lambda client, *_: client.subscribe(HUB_SUBSCRIPTION, qos=1)
        self.client.on_message = lambda _client, _data, message: self._heard(message)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def order(self, verb: Verb, *, duration_s: int = 600) -> str:
        """Begin an order; its id."""
        order = Order(
            station=STATION, cmd_id=os.urandom(16).hex(), door="main", verb=verb,
            pulse_ms=1000 if verb == "unlock" else 0, duration_s=duration_s if verb in TIMED else 0,
            issued_ms=time.time_ns() // 1_000_000,
        )  # fmt: skip
        self._orders[order.cmd_id] = order
        self.client.publish(Topic.REQUEST.of(STATION), self._signer.seal("order.req", order), qos=1)
        return order.cmd_id

    def of(self, kind: EventKind) -> list[dict[str, Any]]:
        return [dict(event.data) for _, event in sorted(self.events.items()) if event.kind is kind]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _heard(self, message: MQTTMessage) -> None:
        place = parse(message.topic)
        assert place is not None
        payload = bytes(message.payload)
        match place[1]:
            case Topic.HEARTBEAT:
                (self.door,) = decode(self._station.open(payload, kind="heartbeat"), Heartbeat).doors
            case Topic.CHALLENGE:
                self._go(decode(self._station.open(payload, kind="order.chal"), Challenge))
            case Topic.RESULT:
                result = decode(self._station.open(payload, kind="order.res"), Result)
                self.results.setdefault(result.cmd_id, []).append(result)
                if result.outcome.final:
                    self._acknowledge(
                        Ack(station=STATION, install_id=result.install_id, results=[result.cmd_id])
                    )
            case Topic.EVENT:
                batch = decode(self._station.open(payload, kind="event"), EventBatch)
                self.events |= {event.seq: event for event in batch.items}
                seqs = [event.seq for event in batch.items]
                self._acknowledge(Ack(station=STATION, install_id=batch.install_id, events=seqs))
            case _:
                pass

    def _go(self, challenge: Challenge) -> None:
        order = self._orders[challenge.cmd_id]
        fields = {name: getattr(order, name) for name in order.__struct_fields__}
        go = Go(**fields, boot_id=challenge.boot_id, nonce=challenge.nonce)
        self.client.publish(Topic.GO.of(STATION), self._signer.seal("order.go", go), qos=1)

    def _acknowledge(self, ack: Ack) -> None:
        self.client.publish(Topic.ACK.of(STATION), self._signer.seal("ack", ack), qos=1)


class Door:
    """The station, its kiosk and the hub."""

    def __init__(self, folder: Path, port: int) -> None:
        signer, public = new_hub_key(folder)
        config, station = write_station(
            folder / "station", hub_public=public, port=port,
            door="unlocked_s = 1.0\nprealarm_s = 1.0\nheld_open_s = 2.0",
            kiosk=f"port = {free_port()}",
        )  # fmt: skip
        self.pass_key = Ed25519PrivateKey.generate()
        clock = SystemClock()
        keys = [PassKey(public=encode_public(self.pass_key.public_key()))]
        made = document(ANNA, groups=[ALWAYS], pass_keys=keys, issued_ms=clock.stamp().wall_ms)
        store = RosterStore(
            config.parent / "data" / "roster.bin", verifier=Verifier.of(public), station=STATION
        )
        for payload in seal(made, signer):
            store.take(payload, clock.stamp())
        self.folder = folder
        self.agent = AgentProcess(config)
        set_pins(self.agent, {"anna": (ANNAS_PIN, None)})
        self.hub = Hub(port, signer, Verifier.of(encode_public(station.public)))

    def start(self) -> None:
        self.agent.start()
        self.agent.wait_until(lambda: self.hub.door is not None)

    def give(self, verb: Verb, *, duration_s: int = 600) -> Result:
        """An order and its final answer; orders are given again while the station is not connected."""
        cmd_id = self.hub.order(verb, duration_s=duration_s)
        results = self.hub.results
        self.agent.wait_until(lambda: any(result.outcome.final for result in results.get(cmd_id, [])))
        return next(result for result in results[cmd_id] if result.outcome.final)

    def await_mode(self, mode: DoorMode) -> DoorStatus:
        self.agent.wait_until(lambda: self.hub.door is not None and self.hub.door.mode is mode)
        assert self.hub.door is not None
        return self.hub.door

    def post(self, path: str, **fields: str) -> dict[str, Any]:
        """Somebody presses something at the kiosk."""
        url = kiosk_url(self.agent)
        request = urllib.request.Request(  # noqa: S310 (the kiosk of this test)
            url + path,
            data=json.dumps(fields).encode(),
            headers={"Content-Type": "application/json", "Origin": url.rstrip("/")},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            told: dict[str, Any] = json.load(answer)
        return told

    def type_pin(self) -> dict[str, Any]:
        return self.post("pin", number="1042", pin=ANNAS_PIN)

    def show_pass(self) -> None:
        body = Pass(
            v=1, id=os.urandom(8), kid=short_key_id(self.pass_key.public_key()), holder="anna", scope=[STATION],
            not_before=0, not_after=0, uses=1,
        )  # fmt: skip
        picture = self.folder / "pass.png"
        cv2.imwrite(str(picture), code(issue(body, self.pass_key)))
        self.agent.do(op="show", image=str(picture), seconds=20)

    def pulses(self) -> int:
        return sum(value for _, value in self.agent.edges("relay:main"))

    def denied(self, via: str) -> list[str]:
        return [data["reason"] for data in self.hub.of(EventKind.ACCESS_DENIED) if data["via"] == via]


@pytest.fixture
def door(make_broker: MakeBroker, tmp_path: Path) -> Iterator[Door]:
    broker = make_broker({STATION: "secret", "hub": "hub-secret"})
    made = Door(tmp_path, broker.port)
    made.start()
    try:
        yield made
    finally:
        made.agent.stop()
        made.hub.close()


def test_a_lock_down_shuts_every_way_in_over_a_kill_until_it_is_ended(door: Door) -> None:
    agent = door.agent
    agent.do(op="enrol", person="anna", image=str(worker_picture()))
    applied = door.give("lock_down")
    assert (applied.outcome, applied.code) == (Outcome.APPLIED, None)
    status = door.await_mode(DoorMode.LOCK_DOWN)
    assert 0 < status.mode_left_s <= 600
    told = door.type_pin()
    assert (told["ok"], told["reason"]) == (False, "locked_down")
    assert "暂停进入" in told["text"]
    assert door.post("touch")["reason"] == "locked_down"
    door.show_pass()
    agent.wait_until(lambda: "locked_down" in door.denied("pass"))
    agent.do(op="clear")
    agent.do(op="show", image=str(worker_picture()), seconds=20)
    agent.wait_until(lambda: "locked_down" in door.denied("face"), within_s=60)
    agent.do(op="clear")
    unlock = door.give("unlock")
    assert (unlock.outcome, unlock.code) == (Outcome.REJECTED, "locked_down")
    assert door.pulses() == 0
    agent.do(op="exit")
    agent.wait_until(lambda: door.pulses() == 1)

    agent.kill()
    door.hub.door = None
    door.start()
    status = door.await_mode(DoorMode.LOCK_DOWN)
    assert 0 < status.mode_left_s < 600
    assert agent.do(op="status")["modes"] == {"main": "lock_down"}
    assert door.type_pin()["reason"] == "locked_down"
    before = door.pulses()
    ended = door.give("end_lock_down")
    assert ended.outcome is Outcome.APPLIED
    door.await_mode(DoorMode.NORMAL)
    assert door.type_pin()["ok"]
    agent.wait_until(lambda: door.pulses() == before + 1)
    agent.wait_until(lambda: len(door.hub.of(EventKind.DOOR_MODE_CHANGED)) == 3)
    turns = [(data["mode"], data["cause"]) for data in door.hub.of(EventKind.DOOR_MODE_CHANGED)]
    assert turns == [("lock_down", "ordered"), ("lock_down", "restart"), ("normal", "ended")]


def test_held_open_a_touch_opens_and_an_open_door_is_warned_about_only_afterwards(door: Door) -> None:
    agent = door.agent
    assert door.post("touch")["reason"] == "not_held_open"
    assert door.give("hold_open", duration_s=8).outcome is Outcome.APPLIED
    assert door.pulses() == 0
    door.await_mode(DoorMode.HOLD_OPEN)
    assert door.post("touch")["ok"]
    agent.wait_until(lambda: door.pulses() == 1)
    agent.do(op="contact", open=True)
    agent.wait_until(lambda: door.hub.door is not None and door.hub.door.state is DoorState.OPEN)
    door.await_mode(DoorMode.NORMAL)
    assert door.hub.of(EventKind.DOOR_PREALARM) == []
    agent.wait_until(lambda: door.hub.of(EventKind.DOOR_HELD_OPEN) != [])
    agent.do(op="contact", open=False)
    (granted,) = door.hub.of(EventKind.ACCESS_GRANTED)
    assert granted == {"door": "main", "via": "held_open", "pulsed": True}
    turns = [(data["mode"], data["cause"]) for data in door.hub.of(EventKind.DOOR_MODE_CHANGED)]
    assert turns == [("hold_open", "ordered"), ("normal", "expired")]
    assert door.give("unlock").code != "locked_down"
