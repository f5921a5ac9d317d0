"""A live photograph and pictures of it before the real camera thread, engine, network and visits, up to the admission.

The camera is fed frame by frame on a clock moved by hand, so that the same frames are judged on any machine.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from firmware_config.station import FaceEntry, PassiveLiveness
from firmware_config.wire import Scalar
from station_agent.facts import CameraChanged, FaceSeen, PassSeen
from station_agent.simulate.vary import empty
from station_agent.texts import TEXTS
from station_agent.vision import attacks
from station_agent.vision.acceptance import Acceptance
from station_agent.vision.camera import PushedCamera
from station_agent.vision.enrolment import enrol_from_images
from station_agent.vision.frame import Pixels
from station_agent.vision.gallery import gallery_for
from station_agent.vision.opencv_engine import OpenCvEngine
from station_agent.vision.pipeline import VisionThread
from station_agent.vision.witnessing import Witnessing, open_witnessing
from station_agent.visits import Visits
from tests.support.faces import opencv_engine, worker
from tests.support.hand_clock import HandClock
from tests.support.liveness import SHA256, model_file, write_manifest

__all__ = ["opencv_engine"]

DOOR: Final = "main"
FRAME_S: Final = 0.125


class Admission:
    """Hears what visits found out, and opens nothing."""

    def __init__(self) -> None:
        self.granted: list[tuple[str, Mapping[str, Scalar]]] = []
        self.denied: list[tuple[str, str | None, Mapping[str, Scalar]]] = []
        self.prompts: list[str | None] = []

    def present(self, door: str) -> None:
        assert door == DOOR

    def prompt(self, _door: str, reason: str | None) -> None:
        self.prompts.append(reason)

    def face_granted(self, _door: str, person: str, data: Mapping[str, Scalar]) -> None:
        self.granted.append((person, data))

    def face_denied(
        self, _door: str, reason: str, data: Mapping[str, Scalar], *, near: bool, person: str | None = None
    ) -> None:
        assert near is (reason == "ambiguous_face")
        self.denied.append((reason, person, data))


class Doorway:
    """One camera from its pixels to the admission."""

    def __init__(self, engine: OpenCvEngine, witnessing: Witnessing, face: FaceEntry) -> None:
        self.admission = Admission()
        self.rng = np.random.default_rng(5)
        self.clock = HandClock()
        self._camera = PushedCamera(self.clock)
        admission: Any = self.admission
        self._visits = Visits(
            rules=face,
            accepted=lambda: Acceptance(engine="opencv/test", people=1, threshold=0.45),
            witnessing=witnessing,
            doors=[DOOR],
            admission=admission,
            clock=self.clock,
        )
        self._thread = VisionThread(
            door=DOOR,
            camera="entry",
            open_camera=self._camera.opened,
            engine=engine,
            gallery=gallery_for(engine, [("anna", enrol_from_images(engine, [worker()]))]),
            put=self._put,
            clock=self.clock,
            witness=witnessing.witness(),
        )

    def show(self, picture: Callable[[], Pixels], frames: int) -> None:
        for _ in range(frames):
            self.clock.advance(FRAME_S)
            self._camera.push(picture())
            assert self._thread.turn() == 0.0
            self.tick()

    def tick(self) -> None:
        """As the control loop: deadlines come by themselves."""
        deadline_s = self._visits.deadline_s
        if deadline_s is not None and deadline_s <= self.clock.monotonic_s():
            self._visits.tick()

    def leave(self) -> None:
        self.show(lambda: empty(self.rng, 640, 480), 8)

    def _put(self, fact: FaceSeen | PassSeen | CameraChanged) -> None:
        assert isinstance(fact, FaceSeen)
        self._visits.seen(fact)


def face_entry(mode: str, manifest: Path | None = None) -> FaceEntry:
    passive = (
        None if manifest is None else PassiveLiveness(model=model_file(), sha256=SHA256, manifest=manifest)
    )
    return FaceEntry(liveness=mode, passive=passive)  # type: ignore[arg-type]


def doorway_of(engine: OpenCvEngine, face: FaceEntry) -> Doorway:
    return Doorway(engine, open_witnessing(face, beside=lambda path: path), face)


@pytest.fixture
def passive(opencv_engine: OpenCvEngine, tmp_path: Path) -> Doorway:
    return doorway_of(opencv_engine, face_entry("passive", write_manifest(tmp_path)))


def alive(doorway: Doorway, engine: OpenCvEngine) -> Callable[[], Pixels]:
    portrait = worker()
    box = engine.detect(portrait)[0].box
    return lambda: attacks.live(portrait, box, doorway.rng)


def held_up(doorway: Doorway, engine: OpenCvEngine, species: str) -> Callable[[], Pixels]:
    portrait = worker()
    sheet = attacks.SPECIES[species](portrait, engine.detect(portrait)[0].box, doorway.rng)
    behind = attacks.room(portrait, doorway.rng)
    return lambda: attacks.show(sheet, attacks.Pose(face_px=150.0), behind, doorway.rng)


def test_a_live_photograph_passes_passive_and_the_event_says_by_what(
    passive: Doorway, opencv_engine: OpenCvEngine
) -> None:
    passive.show(alive(passive, opencv_engine), 9)
    ((person, data),) = passive.admission.granted
    assert person == "anna"
    assert (data["liveness"], data["gates"], data["liveness_model"]) == ("passive", "passive", SHA256)
    assert len(str(data["attempt"])) == 32
    assert "steps" not in data
    assert 0 <= float(str(data["added_ms"])) <= 1000
    assert passive.admission.denied == []


@pytest.mark.parametrize("species", ["phone", "tablet"])
def test_a_screen_with_the_same_person_is_refused(
    passive: Doorway, opencv_engine: OpenCvEngine, species: str
) -> None:
    passive.show(held_up(passive, opencv_engine, species), 16)
    assert passive.admission.granted == []
    ((reason, person, data),) = passive.admission.denied
    assert reason in {"replay_suspected", "screen_pattern", "straight_border"}
    assert person == "anna"
    assert data["liveness"] == "passive"


def test_the_live_person_may_come_right_after_the_picture(
    passive: Doorway, opencv_engine: OpenCvEngine
) -> None:
    passive.show(held_up(passive, opencv_engine, "tablet"), 12)
    passive.leave()
    passive.show(alive(passive, opencv_engine), 9)
    assert [reason for reason, _, _ in passive.admission.denied] != []
    assert [person for person, _ in passive.admission.granted] == ["anna"]


def test_a_frozen_camera_is_no_person(passive: Doorway, opencv_engine: OpenCvEngine) -> None:
    still = alive(passive, opencv_engine)()
    passive.show(lambda: still, 12)
    assert passive.admission.granted == []
    assert [reason for reason, _, _ in passive.admission.denied] == ["repeated_frame"]


def test_a_photograph_does_not_turn_its_head(opencv_engine: OpenCvEngine) -> None:
    doorway = doorway_of(opencv_engine, face_entry("active"))
    doorway.show(alive(doorway, opencv_engine), 60)
    assert doorway.admission.granted == []
    assert [reason for reason, _, _ in doorway.admission.denied] == ["too_slow"]
    asked = [prompt for prompt in doorway.admission.prompts if prompt is not None]
    assert asked[0] == "look_straight"
    assert len(asked) >= 2
    assert all(prompt in TEXTS for prompt in asked)


def test_a_camera_that_falls_silent_ends_the_attempt(opencv_engine: OpenCvEngine) -> None:
    doorway = doorway_of(opencv_engine, face_entry("active"))
    doorway.show(alive(doorway, opencv_engine), 4)
    assert doorway.admission.denied == []
    doorway.clock.advance(2.5)
    doorway.tick()
    assert [reason for reason, _, _ in doorway.admission.denied] == ["face_lost"]


def test_with_liveness_off_the_photograph_opens_as_before(opencv_engine: OpenCvEngine) -> None:
    doorway = doorway_of(opencv_engine, face_entry("off"))
    doorway.show(held_up(doorway, opencv_engine, "tablet"), 4)
    ((person, data),) = doorway.admission.granted
    assert (person, data["liveness"]) == ("anna", "off")
    assert "gates" not in data
