"""What people said at this station's kiosk about their face, beside what the roster says. PURE; control thread only.

Rules
  1. The newest word counts. A word given here is newer than the roster that was in force when it was given, and older than
     every roster with a higher version: versions only increase, and no clock is asked.
  2. So somebody who has just enrolled comes in by face at once with the network down, although the roster still says no;
     and somebody who has withdrawn does not, although it still says yes.
  3. A consent counts only for the notice that is shown now.
  4. A newer roster that does not know of the word yet denies for the moment until the hub has heard of a consent. Of a
     withdrawal it cannot make much: the template is destroyed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from station_agent.core.enrolment import NOTICE_VERSION


@dataclass(frozen=True, slots=True)
class Word:
    """One person's latest word.

    Attributes:
        given: agreed; False: withdrawn.
        notice: version of the face notice it was about.
        roster: version of the roster in force when it was said; 0 without one.
    """

    given: bool
    notice: int
    roster: int


class Consents:
    """All words of one station."""

    def __init__(self, words: Mapping[str, Word] | None = None, *, notice: int = NOTICE_VERSION) -> None:
        """Go on from what was kept."""
        self._words = dict(words or {})
        self._notice = notice

    def said(self, person: str, word: Word | None) -> None:
        """Take in a word; None when the person was erased."""
        if word is None:
            self._words.pop(person, None)
        else:
            self._words[person] = word

    def face_allowed(self, person: str, *, roster_says: bool, version: int) -> bool:
        """Whether entry by face is allowed.

        Args:
            person: on the roster.
            roster_says: whether it allows their face.
            version: of that roster.
        """
        word = self._words.get(person)
        if word is None or version > word.roster:
            return roster_says
        return word.given and (roster_says or word.notice == self._notice)
