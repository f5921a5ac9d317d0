"""One session at the kiosk, enrolment or withdrawal: which stage follows which, and what may happen in it. PURE.

Rules
  1. One session at a time. It has a nonce; whatever names another nonce changes nothing.
  2. Enrolment: code, notice, *separate* consent to the face, answer on replication, age, capture, saving. No stage is
     skipped, and each input counts in one stage only: a second tap on a button changes nothing.
  3. The camera is used in ``CAPTURE`` alone, and something is kept from ``SAVING`` on alone. So nothing is captured
     before notice, consent and age, and nothing is kept of a session that was cancelled, refused or left alone.
  4. Notice and consent count only for the version that is shown.
  5. Under 14 the session is refused. The age itself is not kept.
  6. Withdrawal: proof of who they are, then saving. By face the proof begins with a capture.
  7. Every stage has ``STAGE_S``; then the session is over and forgotten. Saving has no limit and cannot be cancelled: it
     waits for the disk and nothing else, and what is half written is not known to be undone.
  8. How a session ended is shown for ``SHOWN_S``; a new session may begin before.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal, TypeAlias

NOTICE_VERSION: Final = 1
"""Of the face notice that kiosks show. Whoever changes what the notice says raises it; earlier consents then need a roster
that allows the face (``core.policy``, rule 3)."""

LEAST_AGE: Final = 14
STAGE_S: Final = 120.0
SHOWN_S: Final = 60.0

Purpose: TypeAlias = Literal["enrol", "withdraw"]


class Stage(StrEnum):
    """Where a session stands."""

    IDLE = "idle"
    CHECKING_CODE = "checking_code"
    NOTICE = "notice"
    FACE_CONSENT = "face_consent"
    REPLICATION_CONSENT = "replication_consent"
    AGE = "age"
    CAPTURE = "capture"
    SAVING = "saving"
    DONE = "done"
    REFUSED = "refused"


class SessionRefusal(StrEnum):
    """Why the station ends a session; beside these, the reasons of ``core.policy``, ``core.lockout`` and ``core.liveness``."""

    CODE_WRONG = "code_wrong"
    CODE_EXPIRED = "code_expired"
    CODE_USED = "code_used"
    CODE_TIME_UNKNOWN = "code_time_unknown"
    UNDER_AGE = "under_age"
    ALREADY_ENROLLED = "already_enrolled"
    NO_CAMERA = "no_camera"
    FACE_OFF = "face_off"
    BUSY = "station_busy"


class Input(StrEnum):
    """What can happen to a session."""

    IDENTIFIED = "identified"
    READ = "read"
    AGREED = "agreed"
    ANSWERED = "answered"
    OLD_ENOUGH = "old_enough"
    TOO_YOUNG = "too_young"
    CAPTURED = "captured"
    SAVED = "saved"


_S, _I = Stage, Input
FREE: Final = frozenset({_S.IDLE, _S.DONE, _S.REFUSED})
"""Stages in which a new session may begin."""

TRANSITIONS: Final[dict[Purpose, dict[tuple[Stage, Input], Stage]]] = {
    "enrol": {
        (_S.CHECKING_CODE, _I.IDENTIFIED): _S.NOTICE,
        (_S.NOTICE, _I.READ): _S.FACE_CONSENT,
        (_S.FACE_CONSENT, _I.AGREED): _S.REPLICATION_CONSENT,
        (_S.REPLICATION_CONSENT, _I.ANSWERED): _S.AGE,
        (_S.AGE, _I.OLD_ENOUGH): _S.CAPTURE,
        (_S.AGE, _I.TOO_YOUNG): _S.REFUSED,
        (_S.CAPTURE, _I.CAPTURED): _S.SAVING,
        (_S.SAVING, _I.SAVED): _S.DONE,
    },
    "withdraw": {
        (_S.CAPTURE, _I.CAPTURED): _S.CHECKING_CODE,
        (_S.CHECKING_CODE, _I.IDENTIFIED): _S.SAVING,
        (_S.SAVING, _I.SAVED): _S.DONE,
    },
}
"""Every pair that is not here changes nothing (rule 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A session, or none.

    Attributes:
        session: nonce; empty when idle.
        person: pseudonymous id, once proven.
        agreed: version of the notice they agreed to; None before.
        replication: their answer; None before.
        reason: machine code when refused.
        deadline_s: monotonic time at which ``tick`` is due.
    """

    stage: Stage = Stage.IDLE
    session: str = ""
    purpose: Purpose = "enrol"
    door: str = ""
    person: str | None = None
    agreed: int | None = None
    replication: bool | None = None
    reason: str | None = None
    deadline_s: float | None = None


class Sessions:
    """One after the other, by the rules above. Total: any call may come at any moment.

    Attributes:
        state: replaced as a whole.
        notice: version of the notice that is shown.
    """

    def __init__(self, *, notice: int = NOTICE_VERSION) -> None:
        self.notice = notice
        self.state = State()

    def begin(
        self, session: str, *, purpose: Purpose, door: str, now_s: float, by_face: bool = False
    ) -> bool:
        """Begin a session. False while another is under way.

        Args:
            session: a fresh nonce.
            purpose: what it is for.
            door: before whose camera.
            now_s: monotonic time.
            by_face: a withdrawal that is proven by the face itself; it needs no other proof.
        """
        self.tick(now_s)
        if self.state.stage not in FREE:
            return False
        captured = by_face and purpose == "withdraw"
        stage = Stage.CAPTURE if captured else Stage.CHECKING_CODE
        self.state = State(
            stage=stage, session=session, purpose=purpose, door=door, deadline_s=now_s + STAGE_S
        )
        return True

    def identified(self, session: str, person: str, *, now_s: float) -> bool:
        """Who they are is proven."""
        return self._step(session, Input.IDENTIFIED, now_s, person=person)

    def read(self, session: str, *, notice: int, now_s: float) -> bool:
        """They say that they have read the notice."""
        return notice == self.notice and self._step(session, Input.READ, now_s)

    def agree(self, session: str, *, notice: int, now_s: float) -> bool:
        """They agree to the use of their face, by this version of the notice."""
        return notice == self.notice and self._step(session, Input.AGREED, now_s, agreed=notice)

    def answer_replication(self, session: str, *, yes: bool, now_s: float) -> bool:
        """They say whether their face may serve at other stations too."""
        return self._step(session, Input.ANSWERED, now_s, replication=yes)

    def answer_age(self, session: str, *, fourteen_or_older: bool, now_s: float) -> bool:
        """They say whether they are old enough."""
        if fourteen_or_older:
            return self._step(session, Input.OLD_ENOUGH, now_s)
        return self._step(session, Input.TOO_YOUNG, now_s, reason=SessionRefusal.UNDER_AGE.value)

    def captured(self, session: str, *, now_s: float) -> bool:
        """Enough good frames of one living person were seen."""
        return self._step(session, Input.CAPTURED, now_s)

    def saved(self, session: str, *, now_s: float) -> bool:
        """What was to be done is on disk."""
        return self._step(session, Input.SAVED, now_s)

    def refuse(self, session: str, reason: str, *, now_s: float) -> bool:
        """The station says no, at any stage that is under way."""
        if not self._is(session) or self.state.stage in FREE:
            return False
        self._end(reason, now_s)
        return True

    def cancel(self, session: str) -> bool:
        """They go away. Nothing is left of the session."""
        if not self._is(session) or self.state.stage is Stage.SAVING:
            return False
        self.state = State()
        return True

    def tick(self, now_s: float) -> bool:
        """Take in that time has passed. True when that ended the session or what is shown of it."""
        deadline_s = self.state.deadline_s
        if deadline_s is None or now_s < deadline_s:
            return False
        self.state = State()
        return True

    def _is(self, session: str) -> bool:
        return bool(session) and session == self.state.session

    def _step(
        self,
        session: str,
        happened: Input,
        now_s: float,
        *,
        person: str | None = None,
        agreed: int | None = None,
        replication: bool | None = None,
        reason: str | None = None,
    ) -> bool:
        self.tick(now_s)
        before = self.state
        after = TRANSITIONS[before.purpose].get((before.stage, happened))
        if after is None or not self._is(session):
            return False
        if after is Stage.REFUSED:
            self._end(reason or happened.value, now_s)
            return True
        wait_s = {Stage.SAVING: None, Stage.DONE: SHOWN_S}.get(after, STAGE_S)
        self.state = replace(
            before,
            stage=after,
            person=before.person if person is None else person,
            agreed=before.agreed if agreed is None else agreed,
            replication=before.replication if replication is None else replication,
            deadline_s=None if wait_s is None else now_s + wait_s,
        )
        return True

    def _end(self, reason: str, now_s: float) -> None:
        """Refused: of the session only that is left."""
        before = self.state
        self.state = State(
            stage=Stage.REFUSED,
            session=before.session,
            purpose=before.purpose,
            door=before.door,
            reason=reason,
            deadline_s=now_s + SHOWN_S,
        )
