"""``station-agent doctor``: everything the station needs, looked at one by one, each with what to do about it."""

import shutil
import socket
import sqlite3
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

from firmware_config.replica import public_half
from firmware_config.signing import load_private_key
from firmware_config.station import Station
from station_agent.clock import SystemClock
from station_agent.core.wear import DAY_S
from station_agent.errors import AgentError
from station_agent.kiosk.voice import PROGRAM, open_voice
from station_agent.store.block import written_bytes
from station_agent.store.gallery_key import sealing_key
from station_agent.vision.acceptance import known_impostors
from station_agent.vision.engines import models_of
from station_agent.vision.models import ModelError
from station_agent.vision.witnessing import open_model

LEAST_FREE_BYTES: Final = 256 * 1024 * 1024
OWNER_ONLY: Final = 0o077
CONNECT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    ok: bool
    detail: str

    def row(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "ok": self.ok, "detail": self.detail}


def examine(station: Station) -> list[Finding]:
    """Look at everything; a check that fails unexpectedly is a finding too."""
    return [_look(name, check) for name, check in _checks(station)]


def _look(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name=name, ok=True, detail=check())
    except (AgentError, OSError, ValueError) as error:
        return Finding(name=name, ok=False, detail=str(error))


def _checks(station: Station) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "station file", lambda: f"{station.path}, profile {station.profile.title}"
    yield "signing key", lambda: _signing_key(station)
    yield "data folder", lambda: _data_folder(station.beside(station.config.data_dir))
    yield "SQLite", lambda: sqlite3.sqlite_version
    yield "disk wear", lambda: _wear(station)
    yield "clock", _clock
    if station.config.face.enabled:
        yield "face models", lambda: _models(station)
        yield "face threshold", lambda: _strangers(station)
        yield "liveness", lambda: _liveness(station)
        yield "sealing key", lambda: _sealing_key(station)
    yield "broker", lambda: _broker(station)
    if station.config.kiosk.enabled:
        yield "kiosk", lambda: _kiosk(station)
        yield "voice", lambda: _voice(station)
    if station.profile.board != "bench":
        yield "GPIO", _gpio
    for camera in station.profile.cameras:
        if camera.kind == "usb":
            yield f"camera {camera.id}", lambda source=camera.source: _device(source)  # type: ignore[misc]
    for sensor in station.profile.sensors:
        if sensor.kind != "simulated":
            yield f"sensor {sensor.name}", lambda source=sensor.source: _device(source)  # type: ignore[misc]


def _signing_key(station: Station) -> str:
    path = station.beside(station.config.signing_key_file)
    if not path.exists():
        message = f"{path}: missing; run `station-agent provision`"
        raise AgentError(message)
    load_private_key(path)
    if path.stat().st_mode & OWNER_ONLY:
        message = f"{path}: others can read it; run `chmod 600 {path}`"
        raise AgentError(message)
    return str(path)


def _data_folder(path: Path) -> str:
    path.mkdir(parents=True, exist_ok=True)
    probe = path / ".doctor"
    probe.write_bytes(b"x")
    probe.unlink()
    free = shutil.disk_usage(path).free
    if free < LEAST_FREE_BYTES:
        message = f"{path}: only {free // 2**20} MiB free, needs {LEAST_FREE_BYTES // 2**20}"
        raise AgentError(message)
    return f"{path}, {free // 2**20} MiB free"


def _wear(station: Station) -> str:
    written = written_bytes(station.beside(station.config.data_dir))
    if written is None:
        return "not known: the data folder lies on no disk of its own"
    day = written * DAY_S / SystemClock().monotonic_s()
    limit = station.config.storage.wear_mb_day
    verdict = ": more than the limit, find out what writes" if day > limit * 10**6 else ""
    return f"{day / 10**6:.0f} MB a day since the machine started, of {limit}{verdict}"


def _clock() -> str:
    trust = SystemClock().stamp().trust
    return (
        "synchronised"
        if trust == "synced"
        else "not synchronised: events are dated by the hub, the door works on"
    )


def _models(station: Station) -> str:
    first, last = models_of(station.config.face, beside=station.beside)
    return f"{station.config.face.engine}: {first.checked().name}, {last.checked().name}"


def _strangers(station: Station) -> str:
    face = station.config.face
    _, recogniser = models_of(face, beside=station.beside)
    known = known_impostors(face, face.engine, recogniser.sha256)
    if known is None:
        return f"nothing recorded under these weights; threshold {face.threshold} by configuration"
    sets = ", ".join(f"{recording.source} ({recording.people})" for recording in known.recordings)
    return f"recorded from {sets}; people enrolled: at most {known.largest}"


def _sealing_key(station: Station) -> str:
    return public_half(sealing_key(station.beside(station.config.data_dir) / "sealing.key"))


def _liveness(station: Station) -> str:
    face = station.config.face
    if face.liveness == "off":
        return "off by configuration: a picture of an enrolled person may open the door"
    if face.passive is None:
        return face.liveness
    try:
        model = open_model(face.passive, beside=station.beside)
    except ModelError as error:
        message = f"face.passive: {error}"
        raise ModelError(message) from error
    return f"{face.liveness}: {face.passive.model.name}, threshold {model.threshold}"


def _broker(station: Station) -> str:
    broker = station.config.broker
    with socket.create_connection((broker.host, broker.port), timeout=CONNECT_S) as plain:
        if not broker.tls:
            return f"{broker.host}:{broker.port} answers"
        context = ssl.create_default_context(cafile=str(broker.ca_file) if broker.ca_file else None)
        with context.wrap_socket(plain, server_hostname=broker.host) as secure:
            return f"{broker.host}:{broker.port} answers with {secure.version()}"


def _kiosk(station: Station) -> str:
    port = station.config.kiosk.port
    where = f"127.0.0.1:{port}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if _is_kiosk(port):
                return f"{where}: a kiosk is served"
            raise AgentError(f"{where}: {error.strerror}; another program has this port") from error
    return f"{where} is free" if port else "any free port; the log says which"


def _is_kiosk(port: int) -> bool:
    asked = HTTPConnection("127.0.0.1", port, timeout=CONNECT_S)
    try:
        asked.request("GET", "/state")
        return b'"door"' in asked.getresponse().read(64 * 1024)
    except (OSError, HTTPException):
        return False
    finally:
        asked.close()


def _voice(station: Station) -> str:
    if not station.config.kiosk.voice:
        return "off by configuration"
    voice = open_voice(wanted=True)
    if not voice.available:
        return f"silent: {PROGRAM} is not installed (apt-get install espeak-ng)"
    for language, text in (("zh_CN", "请进。"), ("en", "Come in.")):
        if voice.wav(text, language) is None:
            raise AgentError(f"{PROGRAM} does not speak {language}")
    return f"{PROGRAM} speaks Chinese and English"


def _gpio() -> str:
    chips = sorted(Path("/dev").glob("gpiochip*"))
    if not chips:
        message = "no /dev/gpiochip*: is this a Raspberry Pi, and may this user see it?"
        raise AgentError(message)
    return ", ".join(str(chip) for chip in chips)


def _device(source: str) -> str:
    if not Path(source).exists():
        message = f"{source}: missing"
        raise AgentError(message)
    return source
