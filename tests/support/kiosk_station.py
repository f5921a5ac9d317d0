"""A station's enrolment in one process: real camera thread, engine, stores and decisions; people are pictures shown to it."""

import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware_config import codes
from firmware_config.roster import EnrolmentCode, RosterPerson
from firmware_config.signing import Signer
from firmware_config.station import Station, load_station
from firmware_config.vocabulary import DoorMode, EventKind
from firmware_config.wire import Clock as Trust
from firmware_config.wire import Scalar
from station_agent import facts
from station_agent.admission import Admission
from station_agent.attempts import Attempts
from station_agent.clock import Stamp, SystemClock
from station_agent.core.consents import Consents
from station_agent.core.enrolment import NOTICE_VERSION, Stage
from station_agent.core.policy import Entries
from station_agent.doorkeeper import Cause
from station_agent.eyes import Eyes
from station_agent.people.enrolling import Enrolling, EnrolView
from station_agent.people.erasing import Eraser
from station_agent.people.proofs import Proofs
from station_agent.people.registrar import Registrar
from station_agent.pin_entry import PinEntry
from station_agent.simulate.doorway import Doorway
from station_agent.store.credentials import Credentials
from station_agent.vision.camera import PushedCamera
from station_agent.vision.frame import Pixels
from station_agent.visits import Visits
from tests.support.rosters import ALWAYS, roster
from tests.support.station import wait_for
from tests.support.stations import new_hub_key, write_station

if TYPE_CHECKING:
    from station_agent.core.roster import Roster

DOOR = "main"
HOUR_MS = 3_600_000


class TrustedClock(SystemClock):
    """The machine's clocks; how far the wall clock can be trusted is the test's to say."""

    trust: Trust = "synced"

    def stamp(self) -> Stamp:
        now = super().stamp()
        return Stamp(boot_id=now.boot_id, mono_ms=now.mono_ms, wall_ms=now.wall_ms, trust=self.trust)


@dataclass
class Keeper:
    """A door that only says who it was opened for."""

    opened_for: list[str | None] = field(default_factory=list)
    mode: DoorMode = DoorMode.NORMAL

    def grant(self, cause: Cause, *, pulse_s: float) -> bool:
        del pulse_s
        self.opened_for.append(cause.person)
        return True


class KioskStation:
    """One run of the station; ``reopened`` is the next run on the same disk."""

    def __init__(self, station: Station, signer: Signer) -> None:
        self.station = station
        self.signer = signer
        self.clock = TrustedClock()
        self.events: list[tuple[EventKind, dict[str, Scalar]]] = []
        self.keeper = Keeper()
        self.roster: Roster | None = None
        self.folder = station.beside(station.config.data_dir)
        self._inbox: queue.SimpleQueue[facts.Fact | None] = queue.SimpleQueue()
        self._camera = PushedCamera(self.clock)
        wiring = station.profile.cameras[0]
        self._doorway = Doorway(self._camera, wiring, clock=self.clock, seed=1)
        self.eyes = Eyes(station, clock=self.clock, put=self._inbox.put, pushed={wiring.id: self._camera})
        self.credentials = Credentials(
            self.folder / "credentials.db", self.folder / "pin.key", station=self.id, at=self.clock.stamp()
        )
        self.eraser = self._eraser()
        self.eraser.resume()
        self.enrolling = self._enrolling()
        self._control = threading.Thread(target=self._run, name="control", daemon=True)

    @property
    def id(self) -> str:
        return self.station.config.station

    def start(self) -> None:
        self._doorway.start()
        self._control.start()
        self.eyes.start()
        self.enrolling.start()

    def close(self) -> None:
        self.enrolling.close()
        self.eyes.close()
        self._doorway.close()
        self._inbox.put(None)
        self._control.join()
        self.credentials.close()

    # the world

    def show(self, picture: Pixels) -> None:
        self._doorway.show(picture, seconds=120)

    def clear(self) -> None:
        self._doorway.clear()

    def use_roster(self, *people: RosterPerson, version: int = 1, **fields: Any) -> None:
        """A roster issued now, in force from now on."""
        now_ms = self.clock.stamp().wall_ms
        self.obey(roster(*people, version=version, issued_ms=now_ms, groups=[ALWAYS], **fields))

    def obey(self, newer: "Roster") -> None:
        """This roster is in force from now on."""
        self.roster = newer
        self._inbox.put(facts.RosterApplied(newer))
        self.settle()

    def code(self, person: str, *, lives_ms: int = HOUR_MS) -> tuple[str, EnrolmentCode]:
        code = codes.new_code()
        expires_ms = self.clock.stamp().wall_ms + lives_ms
        return code, codes.entry(code, person=person, expires_ms=expires_ms)

    def settle(self) -> None:
        done: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._inbox.put(facts.Settled(lambda: done.put(True)))
        if self._control.is_alive():
            done.get(timeout=10)

    # what is seen of it

    def of(self, kind: EventKind) -> list[dict[str, Scalar]]:
        return [data for found, data in list(self.events) if found is kind]

    def view(self) -> EnrolView:
        return self.enrolling.state()

    def wait_stage(self, *stages: Stage, within_s: float = 30.0) -> EnrolView:
        wait_for(lambda: self.view().stage in stages, within_s=within_s, what=f"{stages}: {self.view()}")
        return self.view()

    def consent(self, code: str, *, replication: bool = False) -> str:
        """Up to the camera; the session's nonce."""
        assert self.enrolling.begin(code, door=DOOR)
        session = self.wait_stage(Stage.NOTICE, Stage.REFUSED).session
        assert self.enrolling.read(session, notice=NOTICE_VERSION), self.view()
        assert self.enrolling.agree(session, notice=NOTICE_VERSION)
        assert self.enrolling.answer_replication(session, yes=replication)
        assert self.enrolling.answer_age(session, fourteen_or_older=True)
        return session

    def enrol(self, code: str, *, replication: bool = False) -> EnrolView:
        self.consent(code, replication=replication)
        return self.wait_stage(Stage.DONE, Stage.REFUSED)

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}

    # its parts

    def _record(self, kind: EventKind, data: Mapping[str, Scalar]) -> None:
        json.dumps(dict(data))
        self.events.append((kind, dict(data)))

    def _version(self) -> int:
        return self.roster.version if self.roster else 0

    def _eraser(self) -> Eraser:
        return Eraser(
            station=self.id,
            eyes=self.eyes,
            credentials=self.credentials,
            signer=self.signer,
            clock=self.clock,
            roster_version=self._version,
            put=self._inbox.put,
            record=self._record,
        )

    def _enrolling(self) -> Enrolling:
        proofs = Proofs(
            roster=lambda: self.roster,
            counts=self.credentials,
            used=self.eyes,
            clock=self.clock,
            put=self._inbox.put,
            record=self._record,
        )
        registrar = Registrar(
            station=self.id,
            faces=self.eyes,
            signer=self.signer,
            clock=self.clock,
            roster_version=self._version,
            put=self._inbox.put,
            record=self._record,
            on_disk=lambda _: True,
        )
        return Enrolling(
            station=self.id,
            proofs=proofs,
            registrar=registrar,
            withdrawals=self.eraser,
            faces=self.eyes,
            roster=lambda: self.roster,
            clock=self.clock,
            record=self._record,
        )

    def _run(self) -> None:
        """The control thread, as ``loop.ControlLoop`` dispatches what these tests need."""
        remembered = self.credentials.remembered()
        attempts = Attempts(
            remembered.tallies, clock=self.clock, keep=self.credentials.keep_tallies, record=self._record
        )
        keepers: Any = {DOOR: self.keeper}
        admission = Admission(
            self.station.config,
            clock=self.clock,
            keepers=keepers,
            roster=self.roster,
            counts=self.credentials,
            entries=Entries(),
            attempts=attempts,
            consents=Consents(self.eyes.words()),
            put=self._inbox.put,
            record=self._record,
        )
        pins = PinEntry(admission=admission, attempts=attempts, judge=self.credentials, put=self._inbox.put)
        visits = Visits(
            rules=self.station.config.face,
            accepted=lambda: self.eyes.acceptance,
            witnessing=self.eyes.witnessing,
            doors=keepers,
            admission=admission,
            clock=self.clock,
        )
        deeds: dict[type[Any], Callable[[Any], None]] = {
            facts.FaceSeen: visits.seen,
            facts.RosterApplied: admission.roster_applied,
            facts.FaceConsentSaid: admission.face_consent_said,
            facts.AttemptBegun: admission.attempt_begun,
            facts.AttemptEnded: admission.attempt_ended,
            facts.FaceProofAsked: admission.face_proof_asked,
            facts.CaptureFailed: admission.capture_failed,
            facts.PinTyped: pins.typed,
            facts.PinJudged: pins.judged,
            facts.Settled: lambda fact: fact.done(),
            facts.CameraChanged: lambda _: None,
        }
        while (fact := self._inbox.get()) is not None:
            deeds[type(fact)](fact)


class Disk:
    """Runs of one station, one after the other, on one folder."""

    def __init__(self, folder: Path) -> None:
        _, public = new_hub_key(folder)
        path, self.signer = write_station(folder, hub_public=public)
        self.station = load_station(path)

    @contextmanager
    def run(self, *people: RosterPerson, **fields: Any) -> Iterator[KioskStation]:
        """One run, with a roster in force when it names people or codes."""
        running = KioskStation(self.station, self.signer)
        running.start()
        try:
            if people:
                running.use_roster(*people, **fields)
            yield running
        finally:
            running.close()
