"""What the API takes and gives about orders and proposals."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, RootModel, StringConstraints, field_validator

from cloud_hub.api.schemas import Answer, Given, Id, Page
from cloud_hub.models.command import CommandState

_Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class ActBody(Given):
    """Why an act is ordered."""

    reason: _Reason = Field(description="Why; kept in the audit log.")

    @field_validator("reason")
    @classmethod
    def _is_printable(cls, reason: str) -> str:
        if not reason.isprintable():
            message = "control characters are not allowed"
            raise ValueError(message)
        return reason


class UnlockBody(ActBody):
    """An order to unlock a door for one pulse."""

    pulse_ms: int | None = Field(
        default=None,
        ge=500,
        le=10_000,
        description="Length of the pulse in milliseconds; the hub's setting if absent.",
    )
    confirm_unknown: bool = Field(
        default=False,
        description="Needed while the outcome of the door's last unlock is unknown: it may be open already.",
    )


class TimedBody(ActBody):
    """An order that changes a door's mode for a time."""

    duration_s: int = Field(
        default=1_800, ge=60, le=86_400, description="After this long the mode ends by itself, in seconds."
    )


class ProposalPath(Given):
    """A proposal."""

    proposal_id: Id


class ProposalsQuery(Given):
    """How to list proposals, newest first."""

    state: Literal["pending", "approved", "declined", "expired"] | None = None
    limit: int = Field(default=50, ge=1, le=200)


class StepAnswer(Answer):
    """One hop of an order's story."""

    at: datetime
    state: CommandState
    detail: dict[str, Any]


class CommandAnswer(Answer):
    """An order. `state` is `OPENED` only after the station's contact proved it."""

    id: str
    station: str
    door: str
    verb: str = Field(description="`unlock`, `hold_open`, `end_hold_open`, `lock_down` or `end_lock_down`.")
    pulse_ms: int = Field(description="Of an unlock.")
    duration_s: int = Field(description="Of `hold_open` and `lock_down`.")
    reason: str
    state: CommandState
    final: bool = Field(description="Nothing will follow.")
    code: str | None = Field(description="Why, when rejected, expired or interrupted.")
    stopped: str | None = Field(description="Where it died and why, as a code; null while it has not.")
    evidence: dict[str, Any] = Field(description="What the station saw, in milliseconds of its own clock.")
    requested_by: str = Field(description="Whoever ordered or proposed it.")
    approved_by: str | None = Field(description="The second person, where two are needed.")
    requested_at: datetime
    ended_at: datetime | None
    asked: int = Field(description="How often the station was asked again what became of it.")
    timeline: list[StepAnswer]


class CommandPage(Page):
    """Orders."""

    items: list[CommandAnswer]


class ProposalAnswer(Answer):
    """An order that waits for a second person, or waited. It moves nothing by itself."""

    id: str
    station: str
    door: str
    verb: str
    pulse_ms: int
    duration_s: int
    reason: str
    state: Literal["pending", "approved", "declined", "expired"]
    proposed_by: str
    proposed_at: datetime
    expires_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    command: str | None = Field(description="The order that its approval made.")


class ProposalList(Answer):
    """Proposals."""

    items: list[ProposalAnswer]


class PlacedAnswer(RootModel[CommandAnswer | ProposalAnswer]):
    """The order; or, for an act that the hub's settings give to two people, the proposal (its `state` is `pending`)."""
