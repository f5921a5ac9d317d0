"""Speed of a visit: the station's pipeline over the bare calls of both networks, and over plain face_recognition.

All three take turns on the same frames in the same run, so that a busy machine slows all of them alike.
"""

import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from firmware_config.station import FaceEntry
from station_agent.core.entry import Entry
from station_agent.simulate.vary import vary
from station_agent.vision.acceptance import Policy
from station_agent.vision.engine import FaceEngine, unit
from station_agent.vision.engines import open_engine
from station_agent.vision.enrolment import enrol_from_images
from station_agent.vision.frame import Frame, Pixels
from station_agent.vision.gallery import Gallery
from station_agent.vision.models import opencv_models
from station_agent.vision.motion import MotionGate
from station_agent.vision.sight import Sight
from station_agent.visits import rules_for
from tests.benchmarks.report import Row, percentile
from tests.support.agent import AgentProcess
from tests.support.faces import worker
from tests.support.stations import new_hub_key, write_station

FRAMES = 60
PLAIN_FRAMES = 12
"""Plain face_recognition takes a third of a second a frame."""

WIDTH_PX, HEIGHT_PX = 1280, 720
ENROLLED = 200
SEARCHED = 100_000
IDLE_S = 20.0
FACE = FaceEntry(liveness="off")


def measure() -> list[Row]:
    """Every figure of item 9 of the face entry's requirements."""
    return [*_frames(), *_search(), *_idle()]


def _frames() -> list[Row]:
    rng = np.random.default_rng(1)
    shown = [vary(worker(), rng, WIDTH_PX, HEIGHT_PX) for _ in range(FRAMES)]
    station, bare = _station(open_engine(FACE), rng), _bare()
    for frame in shown[:3]:
        station(frame), bare(frame)
    took: dict[str, list[float]] = {"station": [], "bare": [], "plain": []}
    for frame in shown:
        took["bare"].append(_timed_ms(bare, frame))
        took["station"].append(_timed_ms(station, frame))
    plain = _plain()
    plain(shown[0])
    beside = []
    for frame in shown[:PLAIN_FRAMES]:
        took["plain"].append(_timed_ms(plain, frame))
        beside.append(_timed_ms(station, frame))
    middle = {name: statistics.median(times) for name, times in took.items()}
    # a pair of neighbours saw the same machine: the median of their ratios is steadier than the ratio of medians
    over_bare = statistics.median(a / b for a, b in zip(took["station"], took["bare"], strict=True))
    faster = statistics.median(a / b for a, b in zip(took["plain"], beside, strict=True))
    at = f"{WIDTH_PX}x{HEIGHT_PX}"
    return [
        Row(f"{at}: bare detector on 320x180 and SFace", FRAMES, f"median {middle['bare']:.1f} ms"),
        Row(
            f"{at}: gate, detect, quality, embed, search of {ENROLLED}, decide",
            FRAMES,
            f"median {middle['station']:.1f} ms",
        ),
        Row("over the bare model calls (at most 1.25)", FRAMES, f"{over_bare:.2f}"),
        Row(
            f"{at}: plain face_recognition, {ENROLLED} enrolled",
            PLAIN_FRAMES,
            f"median {middle['plain']:.1f} ms",
        ),
        Row("plain face_recognition over the station (at least 12)", PLAIN_FRAMES, f"{faster:.1f}"),
    ]


def _station(engine: FaceEngine, rng: np.random.Generator) -> Callable[[Pixels], object]:
    """Everything the vision and control threads do with a frame."""
    others = [(f"p{n}", unit(rng.normal(size=engine.dimension))[np.newaxis]) for n in range(ENROLLED - 1)]
    gallery = Gallery(
        engine.dimension, [*others, ("eileen", enrol_from_images(engine, [worker()]))], score=engine.score
    )
    sight, gate, entry = Sight(engine, gallery), MotionGate(), Entry()
    rules = rules_for(FACE, Policy(FACE, engine).of(gallery))
    numbers = iter(range(1, 10**6))

    def judge(pixels: Pixels) -> object:
        number = next(numbers)
        frame = Frame(pixels, number * 0.1, number)
        return entry.step(sight.look(frame)[0], rules) if gate.opens(frame) else None

    return judge


def _bare() -> Callable[[Pixels], object]:
    """YuNet on a reduced copy and SFace, as OpenCV's own sample calls them."""
    models = opencv_models(None)
    small = (320, 180)
    detector = cv2.FaceDetectorYN.create(str(models.detector.path), "", small, 0.6)
    recogniser = cv2.FaceRecognizerSF.create(str(models.recogniser.path), "")

    def call(pixels: Pixels) -> object:
        _, rows = detector.detect(cv2.resize(pixels, small, interpolation=cv2.INTER_AREA))
        row = rows[0].copy()
        row[:14] *= WIDTH_PX / small[0]
        return recogniser.feature(recogniser.alignCrop(pixels, row))

    return call


def _plain() -> Callable[[Pixels], object]:
    """As the library's own examples recognise a face: locate, encode, compare with everybody."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library finds its models through pkg_resources
        library: Any = import_module("face_recognition")
    known = list(np.random.default_rng(2).normal(size=(ENROLLED, 128)))

    def call(pixels: Pixels) -> object:
        rgb = np.ascontiguousarray(pixels[:, :, ::-1])
        encodings = library.face_encodings(rgb, library.face_locations(rgb))
        return [library.compare_faces(known, encoding) for encoding in encodings]

    return call


def _search() -> list[Row]:
    rng = np.random.default_rng(3)
    faces = rng.normal(size=(SEARCHED, 128)).astype(np.float32)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    gallery = Gallery(128, ((f"p{n}", faces[n : n + 1]) for n in range(SEARCHED)))
    matrix, bare, ours = gallery.faces, [], []
    for number in range(50):
        probe = faces[number * 7]
        bare.append(_timed_ms(lambda probe=probe: matrix @ probe))
        ours.append(_timed_ms(gallery.nearest, probe))
    ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    return [
        Row(
            f"search of {SEARCHED} templates, best and next person",
            50,
            f"median {statistics.median(ours):.2f} ms",
        ),
        Row("over the bare matrix product (at most 2)", 50, f"{ratio:.2f}"),
    ]


def _idle() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="yizhan-idle-") as folder:
        _, public = new_hub_key(Path(folder))
        config, _ = write_station(Path(folder), hub_public=public)
        agent = AgentProcess(config)
        agent.start()
        try:
            samples = [_used(agent.pid)]
            for _ in range(5):
                time.sleep(IDLE_S / 5)
                samples.append(_used(agent.pid))
            resident_mib = _resident_mib(agent.pid)
        finally:
            agent.stop()
    shares = [100 * (later[1] - before[1]) / (later[0] - before[0]) for before, later in pairwise(samples)]
    return [
        Row(
            "idle agent before an empty doorway, its 1280x720 camera simulated by itself: share of one core",
            len(shares),
            f"median {statistics.median(shares):.0f} %, most {percentile(shares, 1.0):.0f} %",
        ),
        Row("idle agent: resident memory", 1, f"{resident_mib:.0f} MiB"),
    ]


def _used(pid: int) -> tuple[float, float]:
    """Now, and processor time used so far, in seconds (proc(5): fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return time.monotonic(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def _timed_ms(call: Callable[..., object], *given: object) -> float:
    began_s = time.perf_counter()
    call(*given)
    return (time.perf_counter() - began_s) * 1000
