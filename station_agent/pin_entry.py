"""Entry by number and PIN: from what was typed at the kiosk to one answer. Control thread only; the hash is made elsewhere.

An unknown number, a person without a PIN and a wrong PIN cost the same and get the same answer. A duress PIN opens as the
PIN does; only the hub hears of it.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from station_agent import facts
from station_agent.admission import STORAGE, Admission
from station_agent.attempts import Attempts
from station_agent.core.lockout import Locked, Subject
from station_agent.core.pins import PinVerdict
from station_agent.core.policy import Refusal

WAY: Final = "pin"


class Judge(Protocol):
    """``store.credentials.Credentials``, as far as PINs are judged there."""

    def check_pin(
        self,
        person: str | None,
        pin: str,
        tallies: Mapping[Subject, int],
        on_done: Callable[[PinVerdict | None], None],
    ) -> None:
        """Keep the counts, then judge; answers from another thread."""


class PinEntry:
    """One for the station."""

    def __init__(
        self, *, admission: Admission, attempts: Attempts, judge: Judge, put: Callable[[facts.Fact], None]
    ) -> None:
        self._admission = admission
        self._attempts = attempts
        self._judge = judge
        self._put = put

    def typed(self, fact: facts.PinTyped) -> None:
        """A number and a PIN were typed at a door's kiosk."""
        self._admission.present(fact.door)
        if self._admission.roster is None:
            self._deny(fact, Refusal.NO_ROSTER.value, None)
            return
        known = self._admission.roster.by_number(fact.number)
        person = known.id if known else None
        charged = self._attempts.begin(WAY, fact.door, person)
        if isinstance(charged, Locked):
            self._admission.prompt(fact.door, charged.reason)
            fact.done(facts.PinAnswer(charged.reason, charged.wait_s))
            return
        self._judge.check_pin(
            person,
            fact.pin,
            charged,
            lambda verdict: self._put(facts.PinJudged(typed=fact, person=person, verdict=verdict)),
        )

    def judged(self, fact: facts.PinJudged) -> None:
        """The hash has been compared."""
        typed, door = fact.typed, fact.typed.door
        if fact.verdict is None:
            self._deny(typed, STORAGE, fact.person)
        elif fact.verdict is PinVerdict.WRONG or fact.person is None:
            self._attempts.failed(WAY, door, fact.person)
            self._deny(typed, PinVerdict.WRONG.value, fact.person)
        else:
            self._attempts.succeeded(WAY, door, fact.person)
            reason = self._admission.pin_good(door, fact.person)
            if fact.verdict is PinVerdict.DURESS:
                self._admission.under_duress(door, fact.person)
            typed.done(facts.PinAnswer(reason))

    def chosen(self, fact: facts.PinChosen) -> None:
        """A person has set a PIN after proving who they are: earlier failures are forgiven."""
        self._attempts.forgive(WAY, fact.person)

    def _deny(self, fact: facts.PinTyped, reason: str, person: str | None) -> None:
        self._admission.pin_refused(fact.door, reason, person)
        fact.done(facts.PinAnswer(reason))
