"""The newest word about somebody's face counts: the kiosk's until a newer roster, then the roster's."""

from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from firmware_config.roster import RosterPerson
from station_agent.core.consents import Consents, Word
from station_agent.core.policy import Deny, Entries, Grant, Refusal, decide
from tests.support.rosters import ANNA, NOON, roster

NOTICE = 2
SHANGHAI = ZoneInfo("Asia/Shanghai")
NO_FACE = RosterPerson(id="anna", groups=["always"])


def allowed(word: Word | None, *, roster_says: bool, version: int) -> bool:
    consents = Consents({} if word is None else {"anna": word}, notice=NOTICE)
    return consents.face_allowed("anna", roster_says=roster_says, version=version)


def given_under(version: int, notice: int = NOTICE) -> Word:
    return Word(given=True, notice=notice, roster=version)


def withdrawn_under(version: int) -> Word:
    return Word(given=False, notice=NOTICE, roster=version)


def test_a_consent_given_here_counts_at_once_and_until_a_newer_roster() -> None:
    assert [allowed(given_under(7), roster_says=False, version=version) for version in (6, 7, 8)] == [
        True,
        True,
        False,
    ]


def test_a_withdrawal_here_beats_the_roster_that_still_says_yes() -> None:
    assert [allowed(withdrawn_under(7), roster_says=True, version=version) for version in (7, 8)] == [
        False,
        True,
    ]


def test_a_consent_to_an_older_notice_is_no_word_against_the_roster() -> None:
    old = given_under(7, notice=NOTICE - 1)
    assert not allowed(old, roster_says=False, version=7)
    assert allowed(old, roster_says=True, version=7)


@given(st.booleans(), st.integers(1, 9))
def test_whoever_said_nothing_has_what_the_roster_says(roster_says: bool, version: int) -> None:  # noqa: FBT001 (drawn)
    assert allowed(None, roster_says=roster_says, version=version) is roster_says


def test_the_latest_word_counts_and_an_erased_person_has_none() -> None:
    consents = Consents(notice=NOTICE)
    answers = []
    for word in (given_under(7), withdrawn_under(7), given_under(7), None):
        consents.said("anna", word)
        answers.append(consents.face_allowed("anna", roster_says=False, version=7))
    assert answers == [True, False, True, False]


def test_the_door_goes_by_it_for_faces_only_and_only_for_people_on_the_roster() -> None:
    def at_the_door(person: RosterPerson, word: Word, via: str = "face", who: str = "anna") -> object:
        return decide(
            who,
            via=via,  # type: ignore[arg-type]
            door="main",
            at=NOON,
            zone=SHANGHAI,
            roster=roster(person, version=7),
            entries=Entries(),
            without_roster="nobody",
            consents=Consents({who: word}, notice=NOTICE),
        )

    assert isinstance(at_the_door(NO_FACE, given_under(7)), Grant)
    assert at_the_door(ANNA, withdrawn_under(7)) == Deny(Refusal.FACE_NOT_ALLOWED)
    assert isinstance(at_the_door(ANNA, withdrawn_under(7), via="pin"), Grant)
    inactive = RosterPerson(id="anna", groups=["always"], active=False)
    assert at_the_door(inactive, given_under(7)) == Deny(Refusal.PERSON_INACTIVE)
    assert at_the_door(NO_FACE, given_under(7), who="bo") == Deny(Refusal.NOT_ON_ROSTER)
