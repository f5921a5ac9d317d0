"""How pages write times, numbers and what an event says. Station-local time is shown, UTC kept beside it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from babel.dates import format_date, format_datetime, format_skeleton
from babel.numbers import format_decimal, format_percent
from markupsafe import Markup

from cloud_hub import context
from cloud_hub.console import labels, openings, order_words
from cloud_hub.i18n import gettext, language, mark, ngettext
from cloud_hub.zones import zone


def moment(at: datetime | None, zone_name: str | None = None, *, seconds: bool = True) -> Markup:
    """A ``<time>`` in local time: the hour alone today, with the date on other days; UTC in its title."""
    if at is None:
        return Markup("<span>–</span>")
    where = zone(zone_name)
    local, today = at.astimezone(where), context.now().astimezone(where)
    clock = format_datetime(local, "HH:mm:ss" if seconds else "HH:mm", locale=language())
    if local.date() != today.date():
        skeleton = "MMMd" if local.year == today.year else "yMMMd"
        clock = f"{format_skeleton(skeleton, local, locale=language())} {clock}"
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M:%S UTC"), clock
    )


def day(iso: str) -> str:
    """A date with its weekday, as the language writes it; what is none is shown as it is."""
    try:
        return format_date(date.fromisoformat(iso), "full", locale=language())
    except ValueError:
        return iso


def week(weekly: Sequence[openings.Openings]) -> str:
    """A week's hours in one line."""
    runs = openings.summary(weekly)
    return gettext("; ").join(f"{labels.weekdays(first, last)} {said}" for first, last, said in runs)


def ago(at: datetime | None) -> Markup:
    """A ``<time>`` as an age, kept up to date by the page's script."""
    if at is None:
        return Markup("<span>–</span>")
    utc = at.astimezone(UTC)
    return Markup('<time class="ago" datetime="{}" title="{}">{}</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M:%S UTC"), duration(context.now() - at)
    )


def duration(length: Any) -> str:
    """A length of time in its largest whole unit."""
    seconds = max(0, int(length.total_seconds() if hasattr(length, "total_seconds") else length))
    if seconds < 60:  # noqa: PLR2004 (seconds in a minute)
        return gettext("%(n)s s", n=seconds)
    if seconds < 3_600:  # noqa: PLR2004 (seconds in an hour)
        return gettext("%(n)s min", n=seconds // 60)
    if seconds < 86_400:  # noqa: PLR2004 (seconds in a day)
        return gettext("%(n)s h", n=seconds // 3_600)
    return gettext("%(n)s d", n=seconds // 86_400)


def number(value: float | None, digits: int = 1) -> str:
    """A number as the language writes it, with at most ``digits`` decimals."""
    if value is None:
        return "–"
    return str(format_decimal(value, format="#,##0." + "#" * digits, locale=language()))


def percent(share: float | None) -> str:
    """A share of 0 to 1 with one decimal; a dash where there is none."""
    return "–" if share is None else str(format_percent(share, format="0.0%", locale=language()))


def seconds(length_s: float) -> str:
    """A short length of time in seconds, to a hundredth."""
    return gettext("%(n)s s", n=number(length_s, 2))


def since(length_ms: int) -> str:
    """How long after the click: milliseconds at first, then seconds."""
    sign, size = ("+" if length_ms >= 0 else "\N{MINUS SIGN}"), abs(length_ms)
    if size < 1_000:  # noqa: PLR2004 (milliseconds in a second)
        return sign + gettext("%(n)s ms", n=size)
    return sign + (seconds(size / 1_000) if size < 60_000 else duration(size / 1_000))  # noqa: PLR2004 (in a minute)


def span(length_s: int) -> str:
    """An exact length of time in its largest whole unit: a day and less in hours."""
    if length_s % 3_600 == 0:
        return gettext("%(n)s h", n=length_s // 3_600)
    return gettext("%(n)s min", n=length_s // 60) if length_s % 60 == 0 else gettext("%(n)s s", n=length_s)


def event_facts(data: dict[str, Any]) -> list[tuple[str, str]]:
    """What an event's data says, as (label, words), the important first. Keys without words are left to the details."""
    facts: list[tuple[str, str]] = []
    for key, name in _FACTS.items():
        value = data.get(key)
        if value is None or value == "":
            continue
        facts.append((gettext(name), _words(key, value, data)))
    return facts


_FACTS: Final = {
    "door": mark("Door"),
    "person": mark("Person"),
    "via": mark("Way"),
    "mode": mark("Mode"),
    "cause": mark("Because"),
    "reason": mark("Reason"),
    "code": mark("Reason"),
    "refused": mark("Refused"),
    "from": mark("From station"),
    "camera": mark("Camera"),
    "sensor": mark("Sensor"),
    "value": mark("Value"),
    "estimate": mark("Inside"),
    "capacity": mark("Places"),
    "roster": mark("Roster it should have"),
    "applied": mark("Roster it has"),
    "erasures": mark("Erasures"),
    "lost": mark("Lost"),
    "numbers": mark("Numbers"),
    "storage": mark("Disk"),
    "connection": mark("Connection"),
}


def _words(key: str, value: Any, data: dict[str, Any]) -> str:
    if key == "via":
        return labels.label(labels.WAYS, str(value))
    if key in {"reason", "code", "refused"}:
        return labels.label(labels.CODES, str(value))
    if key == "mode":
        return labels.label(order_words.MODES, str(value))
    if key == "cause":
        return labels.label(labels.MODE_CAUSES, str(value))
    if key == "value" and isinstance(value, int | float):
        return f"{number(value)} {data.get('unit', '')}".strip()
    return number(value) if isinstance(value, float) else str(value)


def shut_out(data: dict[str, Any]) -> str:
    """What ``access.wrongful_denial`` says, as one person tells another: who, how often, why, how long."""
    person = data.get("person")
    who = str(person) if person else gettext("Somebody")
    length = duration(_amount(data.get("waited_ms")) / 1000)
    codes = str(data.get("reasons") or data.get("reason") or "").split()
    reasons = gettext(", ").join(labels.label(labels.CODES, code) for code in codes)
    denials = _amount(data.get("denials"))
    if not reasons:
        return gettext(
            "%(who)s has been at the door for %(length)s without getting in.", who=who, length=length
        )
    if not denials:
        return gettext(
            "%(who)s was denied: %(reasons)s. At the door for %(length)s.",
            who=who,
            reasons=reasons,
            length=length,
        )
    return ngettext(
        "%(who)s was denied %(num)d time: %(reasons)s. At the door for %(length)s.",
        "%(who)s was denied %(num)d times: %(reasons)s. At the door for %(length)s.",
        denials,
        who=who,
        reasons=reasons,
        length=length,
    )


def _amount(value: Any) -> int:
    """A station's number; what is none counts as 0."""
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**53 else 0


def people(estimate: int | None, low: int | None, high: int | None) -> str:
    """People inside: the estimate, and its range where it is one: ``3 (2–4)``."""
    if estimate is None:
        return "–"
    if low is None or high is None or low == high == estimate:
        return str(estimate)
    return f"{estimate} ({low}–{high})"


def who(actor: str | None) -> str:
    """Name of an actor, without its kind where that is a person."""
    kind, _, name = (actor or "").partition(":")
    return name if kind == "user" else (actor or "")
