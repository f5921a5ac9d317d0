"""Everything that sees: one face engine, the enrolled people, and a vision thread per camera."""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_config.profiles import CameraWiring
from firmware_config.station import Station
from station_agent.clock import Clock
from station_agent.core.consents import Word
from station_agent.core.enrolment import Purpose, SessionRefusal
from station_agent.core.threshold import GalleryTooLargeError
from station_agent.errors import AgentError
from station_agent.facts import Fact
from station_agent.people.proofs import Proven
from station_agent.store.consents import Said, UsedCode
from station_agent.store.copies import Origin
from station_agent.store.people import PeopleStore, Person
from station_agent.vision.acceptance import Acceptance, Policy
from station_agent.vision.camera import Camera, PushedCamera, open_camera
from station_agent.vision.capture import TO_PROVE, Capture, CaptureRules, Listener
from station_agent.vision.engines import open_engine
from station_agent.vision.enrolment import enrol_from_images
from station_agent.vision.frame import Pixels
from station_agent.vision.gallery import Gallery, check_faces
from station_agent.vision.liveness import Witness
from station_agent.vision.matching import recognised, shows_another
from station_agent.vision.pipeline import VisionThread
from station_agent.vision.witnessing import OFF, open_witnessing

SIMULATED_CONSENT: Final = "simulated"
"""Consent reference of people enrolled through the simulator's socket: a real one comes from the hub."""


class Eyes:
    """Opens engine and gallery at once, cameras at ``start``. With face entry off there are none of them.

    Attributes:
        engine_name: name and first digits of the weights' digest; empty when face entry is off.
        changes: counts changes of who is enrolled.
        acceptance: what a score must reach now; replaced as a whole whenever the gallery changes.
        witnessing: what liveness is judged with.
        damaged_file: name under which damaged templates, or their key, were set aside: everybody must be enrolled anew.
    """

    def __init__(
        self,
        station: Station,
        *,
        clock: Clock,
        put: Callable[[Fact], None],
        pushed: Mapping[str, PushedCamera],
    ) -> None:
        """Load and warm up the models, open the gallery.

        Args:
            station: its configuration.
            clock: for frames and enrolments.
            put: the control thread's inbox.
            pushed: simulated cameras by id, in place of the wired ones.

        Raises:
            AgentError: models, key or gallery cannot be used.
        """
        self._clock = clock
        self._parts = ExitStack()
        self._threads: list[VisionThread] = []
        self._by_door: dict[str, VisionThread] = {}
        self._changing = threading.Lock()
        self._face = station.config.face
        self.engine_name = ""
        self.damaged_file: str | None = None
        self.changes = 0
        self.acceptance = Acceptance()
        self.witnessing = OFF
        if not station.config.face.enabled:
            return
        self.witnessing = open_witnessing(station.config.face, beside=station.beside)
        data_dir = station.beside(station.config.data_dir)
        self._engine = open_engine(station.config.face, beside=station.beside)
        self._policy = Policy(station.config.face, self._engine)
        self._people = PeopleStore(
            data_dir / "people.db", data_dir / "gallery.key", station=station.config.station
        )
        self._parts.callback(self._people.close)
        if self._people.set_aside is not None:
            self.damaged_file = self._people.set_aside.name
        gallery = self._searched = self._gallery()
        self.acceptance = self._policy.of(gallery)
        self.engine_name = self.acceptance.engine
        for wiring in station.profile.cameras:
            thread = VisionThread(
                door=wiring.door,
                camera=wiring.id,
                open_camera=_opener(wiring, pushed.get(wiring.id), clock),
                engine=self._engine,
                gallery=gallery,
                put=put,
                clock=clock,
                witness=self.witnessing.witness(),
            )
            self._threads.append(thread)
            self._by_door.setdefault(wiring.door, thread)

    def start(self) -> None:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()
            self._parts.callback(thread.stop)

    def close(self) -> None:
        """End all threads, give the cameras back, close the gallery. Safe to call twice."""
        self._parts.pop_all().close()

    def enrol(self, person: str, pictures: list[Pixels]) -> int:
        """Enrol a person and search for them from the next frame on.

        Args:
            person: pseudonymous id.
            pictures: shape (H, W, 3) each, uint8, BGR; none is kept.

        Returns:
            Templates kept.

        Raises:
            AgentError: face entry is off, the gallery is full, the id is no pseudonym, or a picture does not show exactly
                one good face.
        """
        self._refuse_when_off()
        templates = enrol_from_images(self._engine, pictures)
        try:
            self._enrol(person, templates, None, None)
        except (GalleryTooLargeError, ValueError) as error:
            raise AgentError(str(error)) from error
        return len(templates)

    def erase(self, person: str) -> bool:
        """Erase a person's templates; from the next frame on they are a stranger. False when nobody had that id.

        Raises:
            AgentError: face entry is off.
        """
        self._refuse_when_off()
        return self._erase(person, None, None)

    def forget(self, person: str, *, said: Said | None = None, code: UsedCode | None = None) -> bool:
        """As ``erase``, and False when face entry is off: nothing is kept then."""
        return bool(self.engine_name) and self._erase(person, said, code)

    def used(self, digest: str) -> bool:
        """Whether an enrolment code was used here."""
        return bool(self.engine_name) and self._people.used(digest)

    # Sessions at the kiosk

    @property
    def engine(self) -> tuple[str, str]:
        """Name of the engine, and SHA-256 of its weights."""
        return self._engine.name, self._engine.digest

    def refusal(self, door: str, person: str | None) -> str | None:
        """Why nobody, or not this person, can be captured at a door and enrolled; None when they can."""
        if not self.engine_name:
            return SessionRefusal.FACE_OFF.value
        if door not in self._by_door:
            return SessionRefusal.NO_CAMERA.value
        try:
            if person is not None:
                self._policy.refuse_one_more(self._searched, person)
        except GalleryTooLargeError:
            return "gallery_too_large"
        return None

    def lend(self, door: str, listener: Listener, *, purpose: Purpose, until_s: float) -> Capture:
        """Capture somebody before a door's camera, in place of entry by face.

        Raises:
            AgentError: there is no camera.
        """
        if (reason := self.refusal(door, None)) is not None:
            raise AgentError(reason)
        proof = replace(TO_PROVE, wanted=max(TO_PROVE.wanted, self._face.agreeing_frames))
        capture = Capture(
            self._engine,
            Witness(self.witnessing.model),
            demands=self.witnessing.demands,
            rules=CaptureRules() if purpose == "enrol" else replace(proof, least=proof.wanted),
            listener=listener,
        )
        self._by_door[door].lend(capture, until_s=until_s)
        return capture

    def give_back(self, door: str) -> None:
        """End a loan. Harmless without one."""
        if (thread := self._by_door.get(door)) is not None:
            thread.give_back()

    def whose(self, vectors: NDArray[np.float32]) -> str | None:
        """The enrolled person that every frame of a capture shows, by threshold and margin; None when there is none."""
        return recognised(
            self._searched, vectors, threshold=self.acceptance.threshold, margin=self._face.margin
        )

    def somebody_else(self, person: str, vectors: NDArray[np.float32]) -> bool:
        """Whether a capture shows another enrolled person."""
        return shows_another(self._searched, person, vectors, threshold=self.acceptance.threshold)

    def enrol_captured(self, person: str, vectors: NDArray[np.float32], said: Said, proven: Proven) -> None:
        """Keep and search a person's templates. See ``people.registrar.Faces``."""
        self._enrol(person, vectors, said, proven.code)

    # Copies to and from other stations

    @property
    def store(self) -> PeopleStore:
        """Where templates are kept. Only with face entry on."""
        return self._people

    def templates(self, person: str) -> NDArray[np.float32] | None:
        """A person's templates, shape (K, D), unit-length rows; None when there are none that open."""
        gallery = self._searched
        return gallery.of(person) if person in gallery.people else None

    def adopt(self, person: Person, templates: NDArray[np.float32], origin: Origin) -> None:
        """Keep and search templates that another station made.

        Raises:
            GalleryTooLargeError: there is no room for another person.
            ValueError: they are no templates of this engine.
        """
        engine = self._engine
        check_faces(templates, engine.dimension, whose=person.id)
        with self._changing:
            self._policy.refuse_one_more(self._searched, person.id)
            self._people.enrol(person, templates, engine=engine.name, digest=engine.digest, origin=origin)
            self._search_in(self._gallery())

    def words(self) -> dict[str, Word]:
        """By person, the latest they said at this kiosk."""
        if not self.engine_name:
            return {}
        return {person: said.word for person, said in self._people.said().items()}

    def sealed_digests(self) -> list[tuple[str, list[bytes]]]:
        """Everybody enrolled, with the digests of their sealed templates."""
        return self._people.sealed_digests() if self.engine_name else []

    def _enrol(
        self, person: str, templates: NDArray[np.float32], said: Said | None, code: UsedCode | None
    ) -> None:
        someone = Person(
            id=person,
            enrolled_at_ms=self._clock.stamp().wall_ms,
            consent=said.reference if said else SIMULATED_CONSENT,
        )
        engine = self._engine
        with self._changing:
            self._policy.refuse_one_more(self._searched, person)
            self._people.enrol(
                someone, templates, engine=engine.name, digest=engine.digest, said=said, code=code
            )
            self._search_in(self._gallery())

    def _erase(self, person: str, said: Said | None, code: UsedCode | None) -> bool:
        with self._changing:
            now_ms = self._clock.stamp().wall_ms
            erased = self._people.erase(person, erased_at_ms=now_ms, said=said, code=code)
            self._search_in(self._gallery())
        return erased

    def _refuse_when_off(self) -> None:
        if not self.engine_name:
            message = "face entry is off at this station"
            raise AgentError(message)

    def _gallery(self) -> Gallery:
        loaded = self._people.load(self._engine.name, self._engine.digest)
        return Gallery(self._engine.dimension, loaded.rows, score=self._engine.score)

    def _search_in(self, gallery: Gallery) -> None:
        """Search in another gallery. The stricter of the two thresholds holds while the threads take it over."""
        acceptance = self._policy.of(gallery)
        if acceptance.threshold > self.acceptance.threshold:
            self.acceptance = acceptance
        self._searched = gallery
        self.changes += 1
        for thread in self._threads:
            thread.use(gallery)
        self.acceptance = acceptance


def _opener(wiring: CameraWiring, pushed: PushedCamera | None, clock: Clock) -> Callable[[], Camera]:
    return pushed.opened if pushed else partial(open_camera, wiring, clock)
