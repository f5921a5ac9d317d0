"""Ways in, side by side, and those without a face: what a PIN costs, and how small a pass the camera reads."""

import os
import time
from collections.abc import Callable

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_config.passes import Keyring, Pass, issue, short_key_id
from firmware_config.signing import encode_public
from station_agent.core import pins
from station_agent.vision.frame import Frame
from station_agent.vision.qr import QrReader
from tests.benchmarks import door
from tests.benchmarks.report import Row, spread
from tests.support.qr_scene import View, held_up, version

SEED = 1
HASHES = 40
PICTURES = 60
SIZES = ((640, 480), (1280, 720))
MODULES_PX = (1.6, 2.0, 2.5, 3.0, 4.0, 6.0)


def measure() -> list[Row]:
    """All of it, from one seed."""
    key = Ed25519PrivateKey.generate()
    text = _pass(key)
    keys = Keyring([encode_public(key.public_key())])
    rows = [
        *door.measure(),
        Row("PIN: one scrypt hash, N = 2^15, 32 MiB", HASHES, spread(_times_ms(_hash, HASHES), "ms")),
        Row("pass: signature checked", 500, spread(_times_ms(lambda: keys.open(text), 500), "ms")),
        Row("pass: characters, and version of the QR code", 1, f"{len(text)}, version {version(text)}"),
    ]
    for size in SIZES:
        rows += [_read(text, module_px, size) for module_px in MODULES_PX]
    return rows


def _pass(key: Ed25519PrivateKey) -> str:
    body = Pass(
        v=1,
        id=bytes(range(8)),
        kid=short_key_id(key.public_key()),
        holder="p-3f9c2d81",
        scope=["st-demo0001"],
        not_before=1_780_000_000,
        not_after=1_780_086_400,
        uses=1,
    )
    return issue(body, key)


def _hash() -> None:
    pins.derive("580273", person="anna", station="st-demo0001", salt=os.urandom(16), pepper=bytes(32))


def _times_ms(work: Callable[[], object], count: int) -> list[float]:
    times = []
    for _ in range(count):
        began_s = time.perf_counter()
        work()
        times.append((time.perf_counter() - began_s) * 1000)
    return times


def _read(text: str, module_px: float, size: tuple[int, int]) -> Row:
    rng = np.random.default_rng(SEED)
    hits, times = 0, []
    for number in range(PICTURES):
        shown = held_up(text, View(module_px=module_px), rng, width_px=size[0], height_px=size[1])
        reader, frame = QrReader(), Frame(shown, 1.0, number)
        began_s = time.perf_counter()
        hits += reader.read(frame) == text
        times.append((time.perf_counter() - began_s) * 1000)
    what = f"pass: read in one {size[0]}x{size[1]} picture, {module_px} px a module"
    return Row(what, PICTURES, f"{hits / PICTURES:.0%}; {spread(times, 'ms')}")
