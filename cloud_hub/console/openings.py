"""Opening hours in words and in form fields. A closing time that is not later than the opening time is the next day's.

A form holds pairs of times; so an overnight opening cannot be typed as an empty one, and no field takes "25:30".
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from cloud_hub.errors import Invalid
from cloud_hub.i18n import gettext

DAY_MIN: Final = 24 * 60
STRETCHES: Final = 2
"""Pairs of times offered for a day; more when it has more."""

MOST: Final = 8
ALWAYS: Final = {"opens_min": 0, "closes_min": DAY_MIN}

Openings = Sequence[Mapping[str, int]]


def clock(minute: int) -> str:
    """A minute of a day as ``HH:MM``."""
    return f"{minute % DAY_MIN // 60:02}:{minute % 60:02}"


def is_always(openings: Openings) -> bool:
    """The whole day."""
    return [dict(opening) for opening in openings] == [ALWAYS]


def words(openings: Openings) -> str:
    """A day's hours as people say them."""
    if not openings:
        return gettext("closed all day")
    if is_always(openings):
        return gettext("around the clock")
    return gettext(", ").join(_stretch(opening) for opening in openings)


def shape(weekly: Sequence[Openings]) -> str:
    """Which of the three forms a week fits: ``always``, ``daily`` or ``weekly``."""
    if all(is_always(day) for day in weekly):
        return "always"
    return "daily" if all(list(day) == list(weekly[0]) for day in weekly) else "weekly"


def summary(weekly: Sequence[Openings]) -> list[tuple[int, int, str]]:
    """A week as runs of days with the same hours: first day, last day, words."""
    runs: list[tuple[int, int, str]] = []
    for number, day in enumerate(weekly):
        said = words(day)
        if runs and runs[-1][2] == said:
            runs[-1] = (runs[-1][0], number, said)
        else:
            runs.append((number, number, said))
    return runs


def fields(openings: Openings) -> list[tuple[str, str]]:
    """The pairs of times of a day's fields, some of them empty."""
    pairs = [(clock(opening["opens_min"]), clock(opening["closes_min"])) for opening in openings]
    return pairs + [("", "")] * (STRETCHES - len(pairs))


def read(form: Mapping[str, Any], prefix: str) -> list[dict[str, int]]:
    """A day's openings from its fields ``PREFIX-from-0``, ``PREFIX-to-0`` and so on, in order.

    Raises:
        Invalid: half a pair, or no time.
    """
    openings = []
    for number in range(MOST):
        start, end = (str(form.get(f"{prefix}-{side}-{number}", "")).strip() for side in ("from", "to"))
        if not start and not end:
            continue
        opens_min, closes_min = _minute(start), _minute(end)
        openings.append(
            {
                "opens_min": opens_min,
                "closes_min": closes_min if closes_min > opens_min else closes_min + DAY_MIN,
            }
        )
    return sorted(openings, key=lambda opening: opening["opens_min"])


def overlapping(weekly: Sequence[Openings]) -> bool:
    """Whether an opening begins before the one before it ends, within a day or over midnight."""
    spans = [
        (number * DAY_MIN + opening["opens_min"], number * DAY_MIN + opening["closes_min"])
        for number, day in enumerate(weekly)
        for opening in day
    ]
    if spans and len(weekly) == 7:  # noqa: PLR2004 (days of a week: Sunday night runs into Monday)
        spans.append((spans[0][0] + 7 * DAY_MIN, spans[0][1] + 7 * DAY_MIN))
    return any(later[0] < earlier[1] for earlier, later in pairwise(spans))


def sheet(weekly: Sequence[Openings], holiday: Openings | None) -> dict[str, Any]:
    """What the fields of a form show for a group's hours."""
    pairs = {f"day{number}": fields(day) for number, day in enumerate(weekly)}
    pairs |= {"daily": fields(weekly[0]), "holiday": fields(holiday or [])}
    holidays = "same" if holiday is None else "other" if holiday else "closed"
    return {"shape": shape(weekly), "holidays": holidays, "pairs": pairs}


def typed_sheet(form: Mapping[str, Any]) -> dict[str, Any]:
    """The same as somebody typed it, right or wrong."""
    pairs = {
        prefix: _typed_pairs(form, prefix) for prefix in (*(f"day{n}" for n in range(7)), "daily", "holiday")
    }
    return {"shape": form.get("shape", "weekly"), "holidays": form.get("holidays", "same"), "pairs": pairs}


def _stretch(opening: Mapping[str, int]) -> str:
    start, end = clock(opening["opens_min"]), clock(opening["closes_min"])
    if opening["closes_min"] > DAY_MIN:
        return gettext("%(start)s – %(end)s the next day", start=start, end=end)
    return f"{start} – {end if opening['closes_min'] < DAY_MIN else '24:00'}"


def _minute(typed: str) -> int:
    hour, _, minute = typed[:5].partition(":")
    if not (
        len(typed) in {5, 8} and hour.isascii() and hour.isdigit() and minute.isascii() and minute.isdigit()
    ):
        raise _refusal()
    if int(hour) > 23 or int(minute) > 59:  # noqa: PLR2004 (a clock's last hour and minute)
        raise _refusal()
    return int(hour) * 60 + int(minute)


def _refusal() -> Invalid:
    return Invalid("weekly: half an opening", errors=[{"field": "weekly", "problem": "give both times"}])


def _typed_pairs(form: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    pairs = [
        (str(form.get(f"{prefix}-from-{number}", ""))[:8], str(form.get(f"{prefix}-to-{number}", ""))[:8])
        for number in range(MOST)
    ]
    given = [pair for pair in pairs if any(pair)]
    return given + [("", "")] * (STRETCHES - len(given))
