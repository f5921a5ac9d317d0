"""The vision thread turn by turn: what it tells, when a camera goes and comes, and that no error ends it."""

import logging

import numpy as np
import pytest

from station_agent.core.entry import Sighting
from station_agent.facts import CameraChanged, FaceSeen, PassSeen
from station_agent.vision.camera import PushedCamera
from station_agent.vision.camera_port import Camera, CameraLost
from station_agent.vision.engine import Face, Vector, unit
from station_agent.vision.frame import Frame, Pixels
from station_agent.vision.gallery import Gallery
from station_agent.vision.motion import LINGER_S
from station_agent.vision.pipeline import FIRST_PAUSE_S, LONGEST_PAUSE_S, SETTLED_S, VisionThread
from tests.support.hand_clock import HandClock

PERIOD_S = 0.125
"""Exact in binary, so that times can be compared."""
DOOR, CAMERA = "main", "cam"


class FakeEngine:
    """Sees one good face in every picture brighter than its noise; breaks when told to."""

    name, digest, dimension = "fake", "0" * 64, 4

    def __init__(self) -> None:
        self.broken = False

    def detect(self, pixels: Pixels, *, thorough: bool = False) -> list[Face]:  # noqa: ARG002 (the port's)
        if self.broken:
            raise ZeroDivisionError
        if pixels.mean() < 50:
            return []
        eyes_nose_mouth = np.array([[60, 60], [100, 60], [80, 80], [64, 96], [96, 96]], dtype=np.float32)
        return [Face((40.0, 30.0, 80.0, 90.0), eyes_nose_mouth, 1.0)]

    def embed(self, pixels: Pixels, face: Face) -> Vector:  # noqa: ARG002 (the port's)
        return unit(np.array([1.0, 0, 0, 0]))

    def score(self, cosine: float) -> float:
        return cosine


class Scripted:
    """A camera that plays a list: a picture, None for silence, or an error; after its end it is lost."""

    def __init__(self, clock: HandClock, *script: Pixels | Exception | None) -> None:
        self._clock = clock
        self._script = iter(script)
        self.closed = 0

    def read(self, timeout_s: float) -> Frame | None:
        each = next(self._script, CameraLost("the script has ended"))
        if isinstance(each, Exception):
            raise each
        self._clock.advance(PERIOD_S if each is not None else timeout_s)
        return None if each is None else Frame(each, self._clock.monotonic_s(), 1)

    def close(self) -> None:
        self.closed += 1


class Bench:
    """A vision thread that is turned by hand."""

    def __init__(self, *cameras: Scripted | Exception, clock: HandClock) -> None:
        self.clock = clock
        self.engine = FakeEngine()
        self.told: list[FaceSeen | PassSeen | CameraChanged] = []
        self._cameras = iter(cameras)
        enrolled = unit(np.array([1.0, 0.1, 0, 0]))[np.newaxis]
        self.thread = VisionThread(
            door=DOOR,
            camera=CAMERA,
            open_camera=self._open,
            engine=self.engine,
            gallery=Gallery(4, [("anna", enrolled)]),
            put=self.told.append,
            clock=clock,
        )

    def turns(self, count: int) -> list[float]:
        """Turn, waiting as told on the hand's clock; the waits."""
        pauses = []
        for _ in range(count):
            pauses.append(self.thread.turn())
            self.clock.advance(pauses[-1])
        return pauses

    @property
    def changes(self) -> list[bool]:
        return [fact.present for fact in self.told if isinstance(fact, CameraChanged)]

    @property
    def sightings(self) -> list[Sighting]:
        return [fact.sighting for fact in self.told if isinstance(fact, FaceSeen)]

    def _open(self) -> Camera:
        camera = next(self._cameras, CameraLost("there is no camera"))
        if isinstance(camera, Exception):
            raise camera
        return camera


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def textured(grey: int) -> Pixels:
    noise = np.random.default_rng(grey).integers(-8, 9, (180, 320, 3))
    return np.clip(noise + grey, 0, 255).astype(np.uint8)


WALL, FACE = textured(20), textured(120)


def test_a_face_is_told_with_its_person(clock: HandClock) -> None:
    bench = Bench(Scripted(clock, WALL, FACE), clock=clock)
    bench.turns(2)
    (sighting,) = bench.sightings
    assert (sighting.faces, sighting.quality, sighting.person) == (1, None, "anna")
    assert sighting.score == pytest.approx(0.995, abs=1e-3)
    assert bench.changes == []


def test_an_empty_doorway_is_no_news(clock: HandClock) -> None:
    bench = Bench(Scripted(clock, *[WALL] * 50), clock=clock)
    bench.turns(50)
    assert bench.told == []


def test_a_face_that_left_is_told_for_a_while(clock: HandClock) -> None:
    bench = Bench(Scripted(clock, FACE, *[WALL] * 50), clock=clock)
    bench.turns(51)
    assert [sighting.faces for sighting in bench.sightings] == [1, *[0] * round(LINGER_S / PERIOD_S)]


def test_a_person_who_stands_still_is_told_in_every_frame(clock: HandClock) -> None:
    bench = Bench(Scripted(clock, *[FACE] * 40), clock=clock)
    bench.turns(40)
    assert len(bench.sightings) == 40


def test_another_gallery_counts_from_the_next_frame_on(clock: HandClock) -> None:
    bench = Bench(Scripted(clock, FACE, FACE), clock=clock)
    bench.turns(1)
    bench.thread.use(Gallery(4))
    bench.turns(1)
    assert [sighting.person for sighting in bench.sightings] == ["anna", None]


class Borrower:
    """Takes frames; breaks when told to."""

    def __init__(self) -> None:
        self.frames = 0
        self.broken = False

    def step(self, frame: Frame) -> None:
        del frame
        self.frames += 1
        if self.broken:
            raise ZeroDivisionError


def test_while_a_camera_is_lent_nobody_enters_by_face_and_then_they_do_again(clock: HandClock) -> None:
    bench, borrower = Bench(Scripted(clock, *[FACE] * 9), clock=clock), Borrower()
    bench.turns(2)
    bench.thread.lend(borrower, until_s=clock.monotonic_s() + 60)
    bench.turns(4)
    assert (borrower.frames, len(bench.sightings)) == (4, 2)
    bench.thread.give_back()
    bench.turns(3)
    assert (borrower.frames, len(bench.sightings)) == (4, 5)


def test_a_loan_ends_by_itself(clock: HandClock) -> None:
    bench, borrower = Bench(Scripted(clock, *[FACE] * 9), clock=clock), Borrower()
    bench.thread.lend(borrower, until_s=clock.monotonic_s() + 4 * PERIOD_S)
    bench.turns(9)
    assert (borrower.frames, len(bench.sightings)) == (3, 6)


def test_a_borrower_that_fails_loses_the_camera_and_entry_goes_on(clock: HandClock) -> None:
    bench = Bench(Scripted(clock, FACE), Scripted(clock, *[FACE] * 3), clock=clock)
    borrower = Borrower()
    borrower.broken = True
    bench.thread.lend(borrower, until_s=clock.monotonic_s() + 60)
    bench.turns(4)
    assert (borrower.frames, len(bench.sightings)) == (1, 3)


def test_a_pass_is_read_while_the_camera_is_lent(clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(Scripted(clock, WALL), clock=clock)
    monkeypatch.setattr(bench.thread._qr, "read", lambda _: "P1.x")
    bench.thread.lend(Borrower(), until_s=clock.monotonic_s() + 60)
    bench.turns(1)
    assert [fact.text for fact in bench.told if isinstance(fact, PassSeen)] == ["P1.x"]


def test_a_lost_camera_is_told_once_and_once_when_it_is_back(
    clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    gone = CameraLost("no")
    first, second = Scripted(clock, WALL), Scripted(clock, WALL, WALL, WALL)
    bench = Bench(first, gone, gone, gone, second, clock=clock)
    bench.turns(8)
    assert bench.changes == [False, True]
    assert first.closed == 1
    assert [record.msg for record in caplog.records] == ["camera_lost", "camera_back"]


def test_pauses_grow_to_a_limit_and_start_over_after_a_judged_frame(clock: HandClock) -> None:
    bench = Bench(*[CameraLost("no")] * 9, Scripted(clock, WALL), clock=clock)
    pauses = bench.turns(11)
    assert pauses == [
        0.5,
        1.0,
        2.0,
        4.0,
        8.0,
        16.0,
        LONGEST_PAUSE_S,
        LONGEST_PAUSE_S,
        LONGEST_PAUSE_S,
        0.0,
        FIRST_PAUSE_S,
    ]


def test_a_camera_that_opens_but_stays_silent_is_back_once_settled(clock: HandClock) -> None:
    bench = Bench(CameraLost("no"), Scripted(clock, *[None] * 100), clock=clock)
    bench.turns(2)
    assert bench.changes == [False]
    bench.turns(round(SETTLED_S / 0.25) + 1)
    assert bench.changes == [False, True]


@pytest.mark.parametrize("error", [OSError("bus"), ValueError("odd"), MemoryError()])
def test_an_error_in_the_driver_counts_as_a_lost_camera(
    clock: HandClock, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(Scripted(clock, WALL, error), Scripted(clock, FACE), clock=clock)
    bench.turns(3)
    assert bench.changes == [False, True]
    assert len(bench.sightings) == 1
    assert "vision_failed" in caplog.text


def test_an_error_in_the_engine_does_not_end_the_watch(clock: HandClock) -> None:
    bench = Bench(Scripted(clock, FACE), Scripted(clock, FACE), Scripted(clock, FACE), clock=clock)
    bench.engine.broken = True
    assert bench.turns(2) == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S]
    assert bench.changes == [False]
    bench.engine.broken = False
    bench.turns(1)
    assert bench.changes == [False, True]
    assert len(bench.sightings) == 1


def test_a_camera_that_cannot_be_closed_is_let_go(clock: HandClock, caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Scripted):
        def close(self) -> None:
            raise OSError("stuck")

    bench = Bench(Stuck(clock), Scripted(clock, WALL), clock=clock)
    bench.turns(2)
    assert bench.changes == [False, True]
    assert "camera_close_failed" in caplog.text


def test_the_thread_tells_and_ends() -> None:
    clock = HandClock()
    camera = PushedCamera(clock)
    bench = Bench(clock=clock)
    seen: list[FaceSeen | PassSeen | CameraChanged] = []
    thread = VisionThread(
        door=DOOR,
        camera=CAMERA,
        open_camera=camera.opened,
        engine=bench.engine,
        gallery=Gallery(4),
        put=seen.append,
        clock=clock,
    )
    camera.push(FACE)
    thread.start()
    thread.stop()
    thread.stop()
    assert len(seen) <= 1
    assert not thread._thread.is_alive()


def test_a_thread_never_started_stops_too(clock: HandClock) -> None:
    Bench(clock=clock).thread.stop()
