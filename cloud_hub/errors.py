"""Two families: what the caller can mend, shown to them as a problem document, and what only we can, logged."""

from typing import Any, ClassVar


class HubError(Exception):
    """Something of ours failed. Answered with 500 and no detail."""


class CallerError(Exception):
    """The caller can mend this.

    Attributes:
        status: HTTP status.
        code: machine code, also the last part of the problem's type.
        detail: what and where, in English; pages translate ``code``.
        extra: further members of the problem document.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class NotFound(CallerError):  # noqa: N818 (read as an answer: "not found")
    """No such thing, or none that the caller may see."""

    status = 404
    code = "not_found"


class Forbidden(CallerError):  # noqa: N818
    """Known, but not allowed."""

    status = 403
    code = "forbidden"


class StepUpNeeded(CallerError):  # noqa: N818
    """Allowed after giving the password again."""

    status = 403
    code = "step_up_needed"


class Unauthenticated(CallerError):  # noqa: N818
    """Nobody has signed in."""

    status = 401
    code = "unauthenticated"


class Invalid(CallerError):  # noqa: N818
    """A field is missing or wrong; ``extra["errors"]`` says which."""

    status = 422
    code = "invalid"


class Conflict(CallerError):  # noqa: N818
    """Not while things stand as they do."""

    status = 409
    code = "conflict"


class NotConfigured(Conflict):
    """The hub's settings name no key for this."""

    code = "not_configured"


class DoorBusy(Conflict):
    """The door has an order that is not final yet."""

    code = "door_busy"


class OutcomeUnknown(Conflict):
    """The last order's outcome is unknown: the door may be open, so a new one needs ``confirm_unknown``."""

    code = "outcome_unknown"


class LockedDown(Conflict):
    """As far as the hub knows the door is locked down: that has to end first."""

    code = "locked_down"


class AlreadyProposed(Conflict):
    """The same act at the same door waits for a second person already."""

    code = "already_proposed"


class AlreadyDecided(Conflict):
    """A proposal is decided once."""

    code = "already_decided"


class SamePerson(CallerError):  # noqa: N818
    """The second of two people must be another one."""

    status = 403
    code = "same_person"


class PersonUnknown(CallerError):  # noqa: N818
    """Nobody knows whose token this is, so it cannot be one of two people."""

    status = 403
    code = "person_unknown"


class TooMany(CallerError):  # noqa: N818
    """Slow down; ``extra["retry_after_s"]`` says how long."""

    status = 429
    code = "too_many"
