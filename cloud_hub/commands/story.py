"""An order told hop by hop, and where it died. PURE: rows in, a tale of codes out; pages and API give it words.

A hop is either written down, or missing: the first of the way that was never reached. What the station saw is told
with the hop that brought it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from cloud_hub.commands.proposals import Shown
from cloud_hub.commands.queries import Story
from cloud_hub.models import Command, CommandStep
from cloud_hub.models.command import CommandState as S

HUB: Final = "hub"
STATION: Final = "station"

_WAY: Final = {"unlock": (S.REQUESTED, S.SENT, S.CHALLENGED, S.AUTHORISED, S.PULSING, S.OPENED)}
_MODE_WAY: Final = (S.REQUESTED, S.SENT, S.CHALLENGED, S.AUTHORISED, S.APPLIED)

_SAID_BY: Final = {
    S.CHALLENGED: STATION,
    S.PULSING: STATION,
    S.OPENED: STATION,
    S.PULSED_NOT_OPENED: STATION,
    S.APPLIED: STATION,
    S.ACTUATOR_FAULT: STATION,
    S.INTERRUPTED: STATION,
}
"""Every other hop is the hub's own, but for a refusal, which the station also signs when it comes after GO."""


_VERDICTS: Final = {S.UNKNOWN, S.UNKNOWN_FINAL, S.DEVICE_OFFLINE, S.NO_CHALLENGE, S.REJECTED}
"""What is missing stands before the first of these."""

HUB_CODES: Final = frozenset(
    {"not_authorised", "signed_out", "proof_too_old", "locked_down", "station_retired", "unknown_door"}
    | {"signer_refused", "challenge_mismatch"}
)
"""Why the hub itself refuses between challenge and go."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One line of the tale.

    Attributes:
        key: a ``CommandState``, ``PROPOSED``, ``APPROVED``, ``ASKED`` or ``CONTRADICTED``.
        at: None where it never happened.
        since_ms: after the click.
        by: actor, ``hub`` or ``station``.
        code: why.
        missing: this is where it died.
    """

    key: str
    at: datetime | None = None
    since_ms: int | None = None
    by: str = HUB
    code: str | None = None
    missing: bool = False
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the station saw, on its own clock.

    Attributes:
        energised_ms: how long the relay was commanded on.
        opened_ms: from there until the contact opened.
        mode_until: when an ordered mode ends by itself, by the hub's clock.
    """

    relay_readback: bool | None = None
    contact_before: bool | None = None
    energised_ms: int | None = None
    opened_ms: int | None = None
    mode_until: datetime | None = None

    @property
    def nothing(self) -> bool:
        """It said nothing of what it saw."""
        return self == Seen()


@dataclass(frozen=True, slots=True)
class Tale:
    """The whole story.

    Attributes:
        hops: in order of time; a missing one comes last.
        death: a code for the hop that never came and why; None while it is under way, or when all of it came.
        proof_age_s: how long before the click the password had been given.
    """

    hops: Sequence[Hop]
    seen: Seen
    death: str | None
    proof_age_s: float | None
    shown: Shown | None


def tell(story: Story, shown: Shown | None = None) -> Tale:
    """Put an order's rows into the order in which somebody at night reads them."""
    command = story.command
    hops = [*_decided(shown, command.requested_at), *(_hop(command, step) for step in story.steps)]
    if command.asked and command.asked_at is not None:
        times = {"times": command.asked}
        hops.append(Hop("ASKED", command.asked_at, _ms(command, command.asked_at), detail=times))
    hops.sort(key=lambda hop: hop.at or command.requested_at)
    reached = {hop.key for hop in hops}
    if (lost := _missing(command, reached)) is not None:
        gap = next((n for n, hop in enumerate(hops) if hop.key in _VERDICTS), len(hops))
        hops.insert(gap, Hop(lost, by=_SAID_BY.get(S(lost), HUB), missing=True))
    proof = None if command.proven_at is None else (_click(command, shown) - command.proven_at)
    return Tale(
        hops=hops,
        seen=_seen(command, story.steps),
        death=_death(command, reached),
        proof_age_s=None if proof is None else proof.total_seconds(),
        shown=shown,
    )


def _click(command: Command, shown: Shown | None) -> datetime:
    return command.requested_at if shown is None else shown.proposal.proposed_at


def _ms(command: Command, at: datetime) -> int:
    return round((at - command.requested_at) / timedelta(milliseconds=1))


def _decided(shown: Shown | None, click: datetime) -> list[Hop]:
    if shown is None or shown.decision is None:
        return []
    proposal, decision = shown.proposal, shown.decision
    before = round((proposal.proposed_at - click) / timedelta(milliseconds=1))
    return [
        Hop("PROPOSED", proposal.proposed_at, before, by=proposal.proposed_by),
        Hop("APPROVED", decision.decided_at, 0, by=decision.decided_by),
    ]


def _hop(command: Command, step: CommandStep) -> Hop:
    detail, state = step.detail, S(step.state)
    key = "CONTRADICTED" if "contradiction" in detail else state.value
    by = _SAID_BY.get(state, HUB)
    if state is S.REQUESTED:
        by = command.approved_by or command.requested_by
    if key == "CONTRADICTED" or (state in {S.REJECTED, S.EXPIRED} and "mono_ms" in detail):
        by = STATION
    code = detail.get("contradiction") if key == "CONTRADICTED" else detail.get("code")
    return Hop(key, step.at, _ms(command, step.at), by=by, code=code, detail=detail)


def _missing(command: Command, reached: set[str]) -> str | None:
    state = S(command.state)
    if state in {S.DEVICE_OFFLINE, S.NO_CHALLENGE}:
        return next(hop.value for hop in (S.SENT, S.CHALLENGED, S.AUTHORISED) if hop.value not in reached)
    if state in {S.UNKNOWN, S.UNKNOWN_FINAL}:
        way = _WAY.get(command.verb, _MODE_WAY)
        return next((hop.value for hop in way[4:] if hop.value not in reached), None)
    if state is S.REJECTED and S.AUTHORISED.value not in reached and S.CHALLENGED.value in reached:
        return S.AUTHORISED.value
    return None


def _death(command: Command, reached: set[str]) -> str | None:
    state = S(command.state)
    if state is S.DEVICE_OFFLINE:
        return command.code or "offline"
    if state is S.NO_CHALLENGE:
        return "not_carried" if S.SENT.value not in reached else "silent"
    if state is S.UNKNOWN:
        return "no_word_after_pulsing" if S.PULSING.value in reached else "no_word_after_go"
    if state is S.UNKNOWN_FINAL:
        return "store_lost"
    if state is S.REJECTED:
        return "refused_by_station" if _signed(command, reached) else "refused_by_hub"
    return {S.EXPIRED: "expired", S.INTERRUPTED: "interrupted", S.ACTUATOR_FAULT: "relay"}.get(state)


def _signed(command: Command, reached: set[str]) -> bool:
    return command.code not in HUB_CODES or S.AUTHORISED.value in reached


def _seen(command: Command, steps: Sequence[CommandStep]) -> Seen:
    evidence = command.evidence
    on, off = evidence.get("energised_mono_ms"), evidence.get("released_mono_ms")
    opened, until = evidence.get("opened_mono_ms"), evidence.get("mode_until_mono_ms")
    said = next((step for step in reversed(steps) if "mono_ms" in step.detail), None)
    mode_until = None
    if until is not None and said is not None and command.final:
        mode_until = said.at + timedelta(milliseconds=until - said.detail["mono_ms"])
    return Seen(
        relay_readback=evidence.get("relay_readback"),
        contact_before=evidence.get("contact_before"),
        energised_ms=off - on if on is not None and off is not None else None,
        opened_ms=opened - on if on is not None and opened is not None else None,
        mode_until=mode_until,
    )
