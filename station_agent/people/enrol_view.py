"""What the kiosk is shown of a session, and what ``enrolling.Enrolling`` needs of cameras, gallery and eraser."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_config.wire import Scalar
from station_agent.core.enrolment import Purpose, Stage
from station_agent.store.consents import UsedCode
from station_agent.vision.capture import Capture, Listener


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolView:
    """What the kiosk shows.

    Attributes:
        stage: where the session stands.
        session: its nonce; empty when idle.
        purpose: what it is for.
        door: before whose camera; empty when idle.
        prompt: reason code or liveness step, by ``station_agent.texts``; None when there is nothing to say.
        progress: good frames so far.
        wanted: good frames that are enough.
        reason: reason code when refused.
        receipt: when done; of an enrolment ``person``, ``station``, ``at``, ``engine``, ``digest``, ``notice``, ``root``,
            ``signed``; of a withdrawal ``person``, ``station``, ``at``, ``request_id``, ``root``, ``signed``.
        deadline_s: monotonic time at which the stage ends by itself.
        notice_version: of the notice that is shown, for ``read`` and ``agree``.
    """

    stage: Stage
    session: str
    purpose: Purpose
    door: str
    prompt: str | None
    progress: int
    wanted: int
    reason: str | None
    receipt: Mapping[str, str] | None
    deadline_s: float | None
    notice_version: int


class Faces(Protocol):
    """``station_agent.eyes.Eyes``, as far as sessions need it."""

    def lend(self, door: str, listener: Listener, *, purpose: Purpose, until_s: float) -> Capture:
        """Capture somebody before a door's camera.

        Raises:
            AgentError: face entry is off, or the door has no camera.
        """

    def give_back(self, door: str) -> None:
        """End the loan."""

    def refusal(self, door: str, person: str | None) -> str | None:
        """Why nobody, or not this person, can be captured or enrolled here; None when they can."""

    def whose(self, vectors: NDArray[np.float32]) -> str | None:
        """The enrolled person that a capture shows, by the rules of entry."""


class Withdrawals(Protocol):
    """``station_agent.people.erasing.Eraser``."""

    def withdraw(self, person: str, *, code: UsedCode | None = None) -> dict[str, Scalar]:
        """Destroy a person's face; data of the event with the receipt."""
