"""Everybody who asks to come in, whatever way: who they are was found out elsewhere, whether they may is decided here.

Control thread only. A pass is counted on disk before the door opens: the disk answers with a fact, so nobody waits here.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Final, Protocol, TypeAlias

from firmware_config.passes import Keyring, Pass
from firmware_config.signing import Refused
from firmware_config.station import StationConfig
from firmware_config.vocabulary import DoorMode, EventKind
from firmware_config.wire import Scalar
from station_agent import facts
from station_agent.attempts import Attempts
from station_agent.clock import Clock
from station_agent.core import passes, policy
from station_agent.core.consents import Consents
from station_agent.core.denial import SOMEBODY, Waiting, WrongfulDenial
from station_agent.core.door import BURNING, refusal
from station_agent.core.modes import TOUCH_S, TouchRefusal
from station_agent.core.passes import Counted, PassRefusal
from station_agent.core.policy import Deny, Entries, Grant, Guest, Refusal
from station_agent.core.roster import Roster
from station_agent.doorkeeper import Cause, Doorkeeper

Verdict: TypeAlias = PassRefusal | Refusal | bool
"""Of the disk on a pass: counted, why not, or False: it refused to write."""

STORAGE: Final = "storage_full"


class Counts(Protocol):
    """The durable counts behind passes and groups."""

    @property
    def lost_ms(self) -> int | None:
        """When earlier counts were lost."""

    def spend(self, body: Pass, *, day: date, guest_cap: int, on_done: Callable[[Verdict], None]) -> None:
        """Count one use; answers from another thread."""

    def keep_group_entries(self, entered_ms: Mapping[str, int]) -> None:
        """Keep groups' latest entries; returns at once."""


class Admission:
    """One for the station.

    Attributes:
        roster: in force; None before the first one.
        prompts: by door, the reason code last shown to people; None once it is over. Other threads may read it.
        prompted_s: by door, when that was, on the monotonic clock.
    """

    def __init__(
        self,
        config: StationConfig,
        *,
        clock: Clock,
        keepers: Mapping[str, Doorkeeper],
        roster: Roster | None,
        counts: Counts,
        entries: Entries,
        attempts: Attempts,
        consents: Consents,
        put: Callable[[facts.Fact], None],
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
    ) -> None:
        self._config = config
        self._rules = {rules.id: rules for rules in config.doors}
        self._clock = clock
        self._keepers = keepers
        self._counts = counts
        self._entries = entries
        self._attempts = attempts
        self._consents = consents
        self._put = put
        self._record = record
        self._waiting = {door: Waiting() for door in keepers}
        self._touched_s: dict[str, float] = {}
        self.prompts: dict[str, str | None] = dict.fromkeys(keepers)
        self.prompted_s = dict.fromkeys(keepers, clock.monotonic_s())
        self.roster: Roster | None = None
        self._keyring = Keyring([])
        self._use(roster)

    def roster_applied(self, fact: facts.RosterApplied) -> None:
        """A newer roster is in force, from this moment on."""
        self._use(fact.roster)

    def face_consent_said(self, fact: facts.FaceConsentSaid) -> None:
        """Somebody agreed to the use of their face here, or withdrew: it counts from this moment on."""
        self._consents.said(fact.person, fact.word)

    def attempt_begun(self, fact: facts.AttemptBegun) -> None:
        """Somebody proves at a kiosk who they are, for something else than to come in."""
        fact.done(self._attempts.begin(fact.method, fact.door, fact.person))

    def attempt_ended(self, fact: facts.AttemptEnded) -> None:
        """What they typed was right or wrong."""
        end = self._attempts.succeeded if fact.good else self._attempts.failed
        end(fact.method, fact.door, fact.person)

    def face_proof_asked(self, fact: facts.FaceProofAsked) -> None:
        """Somebody shows their face at a kiosk to prove who they are: not while the face way is shut there."""
        fact.done(self._attempts.refused("face", fact.door))

    def capture_failed(self, fact: facts.CaptureFailed) -> None:
        """It counts at the door when it looks like an attack."""
        self._attempts.denied("face", fact.door, fact.reason)

    def present(self, door: str) -> None:
        """Somebody is before a door."""
        self._tell(door, self._waiting[door].present(now_s=self._clock.monotonic_s()))

    def prompt(self, door: str, reason: str | None) -> None:
        """Somebody could do something better, for example come closer; None takes back what was shown."""
        self.prompted_s[door] = self._clock.monotonic_s()
        self.prompts[door] = reason

    def face_granted(self, door: str, person: str, data: Mapping[str, Scalar]) -> None:
        """A face was recognised as an enrolled person's."""
        facts_of_it = {"door": door, "via": "face", "person": person, **data}
        if locked := self._attempts.refused("face", door):
            self._deny(door, locked.reason, person, facts_of_it)
            return
        self._attempts.granted("face", door)
        decision = self._decide(person, "face", door)
        if isinstance(decision, Deny):
            self._deny(door, decision.reason.value, person, facts_of_it)
        else:
            self._open(door, Cause(via="face", person=person), decision, facts_of_it)

    def face_denied(
        self, door: str, reason: str, data: Mapping[str, Scalar], *, near: bool, person: str | None = None
    ) -> None:
        """A face was nobody's, too near to several, or somebody's who did not pass the liveness check.

        Args:
            door: before which.
            reason: machine code.
            data: for the event.
            near: it came near an enrolled person.
            person: who was recognised before the liveness check failed.
        """
        self._attempts.denied("face", door, reason)
        named: dict[str, Scalar] = {} if person is None else {"person": person}
        somebody = SOMEBODY if near else None
        self._deny(door, reason, person or somebody, {"door": door, "via": "face", **named, **data})

    def pass_seen(self, fact: facts.PassSeen) -> None:
        """A code was held before a camera."""
        self.present(fact.door)
        seen: dict[str, Scalar] = {"door": fact.door, "via": "pass"}
        if self.roster is None:
            self._deny(fact.door, Refusal.NO_ROSTER.value, None, seen)
            return
        if locked := self._attempts.refused("pass", fact.door):
            self.prompt(fact.door, locked.reason)
            return
        try:
            body = self._keyring.open(fact.text)
        except Refused as refused:
            self._attempts.denied("pass", fact.door, refused.reason)
            self._deny(fact.door, refused.reason, None, seen)
            return
        seen |= {"pass": body.number, "person": body.holder}
        at = self._clock.stamp()
        counted = Counted(lost_ms=self._counts.lost_ms)
        if reason := passes.refusal(
            body, at=at, station=self._config.station, roster=self.roster, counted=counted
        ):
            self._attempts.denied("pass", fact.door, reason.value)
            self._deny(fact.door, reason.value, None if body.guest else body.holder, seen)
            return
        holder = Guest(body.holder, body.extended) if body.guest else body.holder
        decision = self._decide(holder, "pass", fact.door)
        if isinstance(decision, Deny):
            self._deny(fact.door, decision.reason.value, None if body.guest else body.holder, seen)
            return
        self._spend(fact.door, body, decision)

    def pass_spent(self, fact: facts.PassSpent) -> None:
        """The disk has spoken on a pass."""
        body, seen = (
            fact.body,
            {"door": fact.door, "via": "pass", "pass": fact.body.number, "person": fact.body.holder},
        )
        if self._keepers[fact.door].mode is DoorMode.LOCK_DOWN:  # ordered while the disk was writing
            self._deny(fact.door, Refusal.LOCKED_DOWN.value, None, seen)
            return
        if fact.verdict is not True:
            reason = STORAGE if fact.verdict is False else fact.verdict.value
            self._attempts.denied("pass", fact.door, reason)
            self._deny(fact.door, reason, None if body.guest else body.holder, seen)
            return
        self._attempts.granted("pass", fact.door)
        if body.guest:
            self._entries.guest_admitted(policy.local_day(self._clock.stamp(), self._config.zone))
        grant = Grant(fact.grant.extended or body.extended, fact.grant.notes)
        self._open(fact.door, Cause(via="pass", person=body.holder), grant, seen)

    def pin_good(self, door: str, person: str) -> str | None:
        """A person's number and PIN were right. Returns why the door stays shut; None when it opens."""
        decision = self._decide(person, "pin", door)
        typed: dict[str, Scalar] = {"door": door, "via": "pin", "person": person}
        if isinstance(decision, Deny):
            self._deny(door, decision.reason.value, person, typed)
            return decision.reason.value
        self._open(door, Cause(via="pin", person=person), decision, typed)
        return None

    def pin_refused(self, door: str, reason: str, person: str | None) -> None:
        """A number and PIN opened nothing. Wrong ones count for nobody as a wrongful denial: a guesser wants no help."""
        typed: dict[str, Scalar] = {"door": door, "via": "pin"}
        self._deny(door, reason, None, typed if person is None else {**typed, "person": person})

    def under_duress(self, door: str, person: str) -> None:
        """The PIN typed was the one that calls for help in silence: nothing at the station shows it."""
        self._record(EventKind.ACCESS_DURESS, {"door": door, "person": person})

    def help_asked(self, fact: facts.HelpAsked) -> None:
        """Somebody pressed Help."""
        self.present(fact.door)
        self._record(EventKind.HELP_REQUESTED, {"door": fact.door})
        fact.done()

    def open_touched(self, fact: facts.OpenTouched) -> None:
        """Somebody touched "open": while the door is held open by order, whoever it is gets a pulse like any other."""
        self.present(fact.door)
        fact.done(self._touch(fact.door))

    def _touch(self, door: str) -> str | None:
        """Returns why the door stays shut; None when it is open, unlocked, or opens now."""
        keeper, now_s = self._keepers[door], self._clock.monotonic_s()
        if keeper.mode is not DoorMode.HOLD_OPEN:
            shut = keeper.mode is DoorMode.LOCK_DOWN
            reason = Refusal.LOCKED_DOWN.value if shut else TouchRefusal.NOT_HELD_OPEN.value
            self.prompt(door, reason)
            return reason
        if keeper.state in BURNING:
            return TouchRefusal.FIRE.value
        if refusal(keeper.state):
            return None  # unlocked or open already
        if now_s - self._touched_s.get(door, -TOUCH_S) < TOUCH_S:
            return TouchRefusal.A_MOMENT.value
        self._touched_s[door] = now_s
        self._open(door, Cause(via="held_open"), Grant(extended=False), {"door": door, "via": "held_open"})
        return None

    def entered(self, door: str, cause: Cause) -> None:
        """Somebody opened a door legally."""
        self._waiting[door].entered()
        if cause.person is None or cause.via not in {"face", "pass", "pin"}:
            return
        person = self.roster.people.get(cause.person) if self.roster else None
        groups = person.groups if person else []
        if fresh := self._entries.entered(cause.person, groups, self._clock.stamp()):
            self._counts.keep_group_entries(fresh)

    def _use(self, roster: Roster | None) -> None:
        self.roster = roster
        self._keyring = Keyring([key.public for key in roster.document.pass_keys] if roster else [])

    def _decide(self, who: str | Guest, via: policy.Way, door: str) -> policy.Decision:
        return policy.decide(
            who,
            via=via,
            door=door,
            at=self._clock.stamp(),
            zone=self._config.zone,
            roster=self.roster,
            entries=self._entries,
            without_roster=self._config.access.without_roster,
            consents=self._consents,
            locked_down=self._keepers[door].mode is DoorMode.LOCK_DOWN,
        )

    def _spend(self, door: str, body: Pass, grant: Grant) -> None:
        guests = self.roster.document.guests if self.roster else None
        self._counts.spend(
            body,
            day=policy.local_day(self._clock.stamp(), self._config.zone),
            guest_cap=guests.daily_cap if guests else 0,
            on_done=lambda verdict: self._put(
                facts.PassSpent(door=door, body=body, grant=grant, verdict=verdict)
            ),
        )

    def _open(self, door: str, cause: Cause, grant: Grant, data: Mapping[str, Scalar]) -> None:
        # The relay first: a person stands in the cold, and the record loses nothing by coming second.
        rules = self._rules[door]
        pulse_s = rules.extended_unlocked_s if grant.extended else rules.unlocked_s
        moved = self._keepers[door].grant(cause, pulse_s=pulse_s)
        self.prompt(door, None)
        notes: dict[str, Scalar] = {"notes": " ".join(grant.notes)} if grant.notes else {}
        self._record(EventKind.ACCESS_GRANTED, {**data, **notes, "pulsed": moved})

    def _deny(self, door: str, reason: str, person: str | None, data: Mapping[str, Scalar]) -> None:
        self.prompt(door, reason)
        self._record(EventKind.ACCESS_DENIED, {**data, "reason": reason})
        now_s = self._clock.monotonic_s()
        self._tell(door, self._waiting[door].denied(person, reason=reason, now_s=now_s))

    def _tell(self, door: str, incident: WrongfulDenial | None) -> None:
        if incident is not None:
            self._record(EventKind.ACCESS_WRONGFUL_DENIAL, incident.data(door))
