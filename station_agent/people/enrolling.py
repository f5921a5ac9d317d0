"""Enrolment and withdrawal at the kiosk: joins ``core.enrolment`` to proofs, camera, store and events. Any thread may call.

One thread of its own does what waits: codes, PINs, disk. Frames come on the vision thread of the lent camera. Whatever a
session captured lives in this object alone, as vectors, and is dropped with the session.
"""

import logging
import queue
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from firmware_config.vocabulary import EventKind
from firmware_config.wire import Scalar
from station_agent.clock import Clock
from station_agent.core.enrolment import Purpose, SessionRefusal, Sessions, Stage, State
from station_agent.core.policy import Refusal as PolicyRefusal
from station_agent.core.roster import Roster
from station_agent.errors import AgentError
from station_agent.people.enrol_view import EnrolView, Faces, Withdrawals
from station_agent.people.proofs import Proofs, Proven, Unproven
from station_agent.people.registrar import Agreed, Refusal, Registrar, written
from station_agent.vision.capture import Capture, Captured

log = logging.getLogger(__name__)

LONGEST_WAIT_S: Final = 1.0
"""The thread looks at least this often whether a stage is over."""


@dataclass
class _Case:
    """What a session holds. Gone with it."""

    proven: Proven | None = None
    capture: Capture | None = None
    captured: Captured | None = None
    prompt: str | None = None
    progress: int = 0
    receipt: Mapping[str, str] | None = None


class Enrolling:
    """One for the station. ``start`` it once, ``close`` it once."""

    def __init__(
        self,
        *,
        station: str,
        proofs: Proofs,
        registrar: Registrar,
        withdrawals: Withdrawals,
        faces: Faces,
        roster: Callable[[], Roster | None],
        clock: Clock,
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        """Join it.

        Args:
            station: own id.
            proofs: of who they are.
            registrar: keeps enrolments.
            withdrawals: destroys templates.
            faces: cameras and enrolled people.
            roster: in force at this moment.
            clock: of this station.
            record: keeps an event.
            nonce: names sessions.
        """
        self._station = station
        self._proofs = proofs
        self._registrar = registrar
        self._withdrawals = withdrawals
        self._faces = faces
        self._roster = roster
        self._clock = clock
        self._record = record
        self._nonce = nonce
        self._turn = threading.RLock()
        self._sessions = Sessions()
        self._case = _Case()
        self._listeners: list[Callable[[], None]] = []
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="enrolling", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """Drop what is under way and end the thread. Safe to call twice."""
        with self._changing() as sessions:
            sessions.cancel(sessions.state.session)
        self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Be called, on any thread, after each change of ``state``; it must return at once."""
        self._listeners.append(callback)

    def state(self) -> EnrolView:
        """What is to be shown now."""
        self.tick()
        with self._turn:
            return self._view()

    # Enrolment

    def begin(self, code: str, *, door: str) -> bool:
        """Begin to enrol whoever has this code. False while another session is under way."""
        return self._begin("enrol", door, partial(self._proofs.by_code, code, door=door))

    def read(self, session: str, *, notice: int) -> bool:
        """They have read the notice of this version. False, as below, when that changes nothing now."""
        with self._changing() as sessions:
            return sessions.read(session, notice=notice, now_s=self._now_s())

    def agree(self, session: str, *, notice: int) -> bool:
        """They agree to the use of their face, by the notice of this version."""
        with self._changing() as sessions:
            return sessions.agree(session, notice=notice, now_s=self._now_s())

    def answer_replication(self, session: str, *, yes: bool) -> bool:
        """Whether their face may serve at other stations too."""
        with self._changing() as sessions:
            return sessions.answer_replication(session, yes=yes, now_s=self._now_s())

    def answer_age(self, session: str, *, fourteen_or_older: bool) -> bool:
        """Whether they are old enough; if so, the camera begins."""
        with self._changing() as sessions:
            now_s = self._now_s()
            return sessions.answer_age(session, fourteen_or_older=fourteen_or_older, now_s=now_s)

    def cancel(self, session: str) -> bool:
        """They go away: nothing is left of the session. Also ends what is shown of one that is over."""
        with self._changing() as sessions:
            return sessions.cancel(session)

    def proven(self, session: str) -> str | None:
        """Who the person of an enrolment has proven to be by their code; None of any other session, or without proof."""
        self.tick()
        with self._turn:
            state = self._sessions.state
            same = bool(session) and state.session == session and state.purpose == "enrol"
            return state.person if same else None

    # Withdrawal

    def withdraw_by_code(self, code: str, *, door: str) -> bool:
        """Destroy the face of whoever has this enrolment code, which is used up. False as for ``begin``."""
        return self._begin("withdraw", door, partial(self._proofs.by_code, code, door=door))

    def withdraw_by_pin(self, number: str, pin: str, *, door: str) -> bool:
        """Destroy the face of whoever has this number and PIN. False as for ``begin``."""
        return self._begin("withdraw", door, partial(self._proofs.by_pin, number, pin, door=door))

    def withdraw_by_face(self, *, door: str) -> bool:
        """Destroy the face of whoever is recognised before the door's camera now. False as for ``begin``."""
        return self._begin("withdraw", door, None)

    # The session's own course

    def tick(self) -> None:
        """Take in that time has passed. Harmless at any moment."""
        with self._changing() as sessions:
            sessions.tick(self._now_s())

    def _begin(self, purpose: Purpose, door: str, prove: Callable[[], Proven] | None) -> bool:
        session = self._nonce()
        with self._changing() as sessions:
            begun = sessions.begin(
                session, purpose=purpose, door=door, now_s=self._now_s(), by_face=prove is None
            )
        if begun and prove is not None:
            self._jobs.put(partial(self._prove, session, prove))
        return begun

    def _prove(self, session: str, prove: Callable[[], Proven]) -> None:
        try:
            proven = prove()
        except Unproven as unproven:
            self._refuse(session, unproven.reason)
            return
        self._identify(session, proven)

    def _identify(self, session: str, proven: Proven) -> None:
        state = self._sessions.state
        if state.purpose == "enrol" and (reason := self._not_now(state.door, proven.person)) is not None:
            self._refuse(session, reason, proven.person)
            return
        with self._changing() as sessions:
            if sessions.identified(session, proven.person, now_s=self._now_s()):
                self._case.proven = proven

    def _not_now(self, door: str, person: str) -> str | None:
        """Why somebody cannot be enrolled now."""
        roster = self._roster()
        known = roster.people.get(person) if roster else None
        if known is None:
            return PolicyRefusal.NOT_ON_ROSTER.value
        if not known.active:
            return PolicyRefusal.PERSON_INACTIVE.value
        return self._faces.refusal(door, person)

    def _recognise(self, session: str, captured: Captured) -> None:
        try:
            self._proofs.by_face(door=self._sessions.state.door)
        except Unproven as unproven:
            self._refuse(session, unproven.reason)
            return
        person = self._faces.whose(captured.vectors)
        if person is None:
            self._refuse(session, "unknown_face")
        else:
            self._identify(session, Proven(person))

    def _save(self, session: str) -> None:
        """The session is in ``SAVING``, which neither time nor anybody ends."""
        with self._turn:
            state, case = self._sessions.state, self._case
        if state.session != session or case.proven is None:
            return
        try:
            receipt = self._keep(state, case.proven, case.captured)
        except Refusal as refusal:
            self._refuse(session, refusal.reason, case.proven.person)
            return
        with self._changing() as sessions:
            if sessions.saved(session, now_s=self._now_s()):
                self._case.receipt = receipt

    def _keep(self, state: State, proven: Proven, captured: Captured | None) -> Mapping[str, str]:
        if state.purpose == "withdraw":
            data = self._withdrawals.withdraw(proven.person, code=proven.code)
            kept = {key: str(data[key]) for key in ("person", "request_id", "root")}
            at = written(self._clock.stamp().wall_ms)
            return kept | {"station": self._station, "at": at, "signed": str(data["receipt"])}
        if captured is None or state.agreed is None or state.replication is None:
            message = "nothing is kept without a capture and both answers"
            raise AgentError(message)
        if (reason := self._not_now(state.door, proven.person)) is not None:
            raise Refusal(reason)  # a newer roster, or a full gallery, meanwhile
        agreed = Agreed(notice=state.agreed, replication=state.replication)
        return self._registrar.enrol(proven, agreed, captured, door=state.door)

    def _refuse(self, session: str, reason: str, person: str | None = None) -> None:
        with self._changing() as sessions:
            before = sessions.state
            refused = sessions.refuse(session, reason, now_s=self._now_s())
        if refused:
            self._tell_refusal(before, reason, person)

    def _tell_refusal(self, before: State, reason: str, person: str | None) -> None:
        named = {} if person is None else {"person": person}
        told: dict[str, Scalar] = {"door": before.door, "purpose": before.purpose, "reason": reason}
        self._record(EventKind.ENROLMENT_REFUSED, told | named)

    # Changes

    @contextmanager
    def _changing(self) -> Iterator[Sessions]:
        """Change the session; then camera and case follow it, and the listeners hear."""
        with self._turn:
            before = self._sessions.state
            shown = self._view()
            try:
                yield self._sessions
            finally:
                self._follow(before, self._sessions.state)
                changed = shown != self._view()
        if changed:
            for listener in self._listeners:
                listener()

    def _follow(self, before: State, after: State) -> None:
        if before is after:
            return
        if before.stage is Stage.CAPTURE:
            self._faces.give_back(before.door)
            if self._case.capture is not None:
                self._case.capture.drop()
            self._case.capture, self._case.prompt = None, None
        if after.session != before.session or after.stage is Stage.REFUSED:
            self._case = _Case()
        if after.stage is Stage.DONE:
            self._case.captured = None
        if after.stage is Stage.CAPTURE:
            self._capture(after)
        if after.stage is Stage.SAVING:
            self._jobs.put(partial(self._save, after.session))

    def _capture(self, state: State) -> None:
        """The camera is used from here on."""
        listener = _Frames(self, state.session)
        until_s = state.deadline_s or self._now_s()
        try:
            self._case.capture = self._faces.lend(
                state.door, listener, purpose=state.purpose, until_s=until_s
            )
        except AgentError:
            log.exception("no_capture", extra={"door": state.door})
            self._jobs.put(partial(self._refuse, state.session, SessionRefusal.NO_CAMERA.value, state.person))

    def seen(self, session: str, prompt: str | None, good: int) -> None:
        """A frame of the capture was judged. For the capture's listener."""
        with self._changing() as sessions:
            if sessions.state.session == session and sessions.state.stage is Stage.CAPTURE:
                self._case.prompt, self._case.progress = prompt, good

    def captured(self, session: str, result: Captured) -> None:
        """The capture is over and good. For the capture's listener."""
        with self._changing() as sessions:
            if not sessions.captured(session, now_s=self._now_s()):
                return
            self._case.progress = len(result.vectors)
            if sessions.state.purpose == "withdraw":
                self._jobs.put(partial(self._recognise, session, result))
            else:
                self._case.captured = result

    def failed(self, session: str, reason: str) -> None:
        """The capture is over and nothing was kept. For the capture's listener."""
        state = self._sessions.state
        if state.session == session:
            self._proofs.face_failed(reason, door=state.door)
            self._jobs.put(partial(self._refuse, session, reason, state.person))

    def _view(self) -> EnrolView:
        state, case = self._sessions.state, self._case
        return EnrolView(
            stage=state.stage,
            session=state.session,
            purpose=state.purpose,
            door=state.door,
            prompt=case.prompt,
            progress=case.progress,
            wanted=case.capture.wanted if case.capture else 0,
            reason=state.reason,
            receipt=case.receipt,
            deadline_s=state.deadline_s,
            notice_version=self._sessions.notice,
        )

    def _now_s(self) -> float:
        return self._clock.monotonic_s()

    def _run(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=LONGEST_WAIT_S)
            except queue.Empty:
                self.tick()
                continue
            if job is None:
                return
            try:
                job()
            except Exception:
                log.exception("enrolling_failed")
                self._refuse(self._sessions.state.session, SessionRefusal.BUSY.value)


class _Frames:
    """Listens to one capture of one session."""

    def __init__(self, enrolling: Enrolling, session: str) -> None:
        self._enrolling = enrolling
        self._session = session

    def seen(self, prompt: str | None, good: int) -> None:
        self._enrolling.seen(self._session, prompt, good)

    def captured(self, result: Captured) -> None:
        self._enrolling.captured(self._session, result)

    def failed(self, reason: str) -> None:
        self._enrolling.failed(self._session, reason)


__all__ = ["EnrolView", "Enrolling"]
