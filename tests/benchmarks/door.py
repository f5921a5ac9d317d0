"""The ways in, side by side: from the moment somebody shows a face, shows a pass or sends a PIN to the relay's edge."""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_config.passes import Pass, issue, short_key_id
from firmware_config.roster import PassKey
from firmware_config.signing import encode_public
from tests.benchmarks.report import Row, spread
from tests.support.agent import AgentProcess
from tests.support.faces import worker_picture
from tests.support.kiosk import ANNA, ANNAS_PIN, kiosk_url, set_pins, station_with_kiosk
from tests.support.qr_scene import code
from tests.support.rosters import STATION

VISITS = 15
LIMIT_S = 20.0


def measure() -> list[Row]:
    """Each way as often, in turns, at one simulated station with real faces."""
    key = Ed25519PrivateKey.generate()
    with tempfile.TemporaryDirectory() as folder:
        agent = station_with_kiosk(
            Path(folder),
            ANNA,
            door="unlocked_s = 0.5",
            pass_keys=[PassKey(public=encode_public(key.public_key()))],
        )
        set_pins(agent, {"anna": (ANNAS_PIN, None)})
        agent.start()
        try:
            agent.do(op="enrol", person="anna", image=str(worker_picture()))
            return _rows(agent, Path(folder) / "pass.png", key)
        finally:
            agent.stop()


def _rows(agent: AgentProcess, picture: Path, key: Ed25519PrivateKey) -> list[Row]:
    url = kiosk_url(agent)
    session = requests.Session()

    def face() -> None:
        agent.do(op="show", image=str(worker_picture()), seconds=LIMIT_S)

    def card() -> None:
        cv2.imwrite(str(picture), code(_pass(key)))
        agent.do(op="show", image=str(picture), seconds=LIMIT_S)

    def pin() -> None:
        typed = {"number": ANNA.number, "pin": ANNAS_PIN}
        answer = session.post(f"{url}pin", json=typed, headers={"Origin": url.rstrip("/")}, timeout=LIMIT_S)
        assert answer.json()["ok"], answer.text

    ways: dict[str, Callable[[], None]] = {"face": face, "pass": card, "PIN": pin}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(VISITS):
        for name, go in ways.items():
            times[name].append(_visit(agent, go))
    return [
        Row(f"{name}: shown or sent, to the relay's edge", VISITS, spread(taken, "ms"))
        for name, taken in times.items()
    ] + [
        Row(
            "medians, face : pass : PIN",
            VISITS,
            " : ".join(f"{statistics.median(t):.0f} ms" for t in times.values()),
        )
    ]


def _visit(agent: AgentProcess, go: Callable[[], None]) -> float:
    before = len(_edges(agent))
    began_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    go()
    agent.wait_until(lambda: len(_edges(agent)) > before, within_s=LIMIT_S)
    edge_s = _edges(agent)[before]
    agent.do(op="clear")
    agent.wait_until(lambda: len(_edges(agent)) > before and _locked(agent), within_s=LIMIT_S)
    return (edge_s - began_s) * 1000


def _edges(agent: AgentProcess) -> list[float]:
    rows = [json.loads(line) for line in agent.trace_file.read_text(encoding="utf-8").splitlines()]
    return [row["t"] for row in rows if row["device"] == "relay:main" and row["value"] == 1]


def _locked(agent: AgentProcess) -> bool:
    status = agent.do(op="status")
    return bool(status["doors"]["main"] == "locked")


def _pass(key: Ed25519PrivateKey) -> str:
    body = Pass(
        v=1,
        id=os.urandom(8),
        kid=short_key_id(key.public_key()),
        holder="anna",
        scope=[STATION],
        not_before=0,
        not_after=0,
        uses=1,
    )
    return issue(body, key)
