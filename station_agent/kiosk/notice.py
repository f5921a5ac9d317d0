"""What a worker is told before they may agree to the use of their face: who, why, what, where, how long, rights, other ways.

After the personal information protection law (PIPL, articles 17, 28 to 30, 47) and the measures on face recognition of 2025.
Not legal advice: an operator has it checked. Whoever changes what it says raises ``core.enrolment.NOTICE_VERSION``.
"""

from typing import Final

from firmware_config.station import StationConfig
from station_agent.core.enrolment import NOTICE_VERSION
from station_agent.i18n import translate
from station_agent.texts import mark

PARAGRAPHS: Final[tuple[tuple[str, str], ...]] = (
    (
        mark("You need not do this"),
        mark(
            "A pass or a PIN opens the same door at the same hours. Whoever does not register a face is treated no worse."
        ),
    ),
    (
        mark("Who is responsible"),
        mark("%(operator)s runs this station and is responsible for your data. Contact: %(contact)s."),
    ),
    (
        mark("What for"),
        mark(
            "Only to recognise you at this door and open it. Not for attendance, advertising, or judging you in any way."
        ),
    ),
    (
        mark("What is stored"),
        mark(
            "The camera looks at you for some seconds. This station computes numbers that describe your face (a face"
            " template) and discards the pictures at once. No picture is stored."
        ),
    ),
    (
        mark("Where, and how it is protected"),
        mark(
            "The template is encrypted and stays in the device at this station. It goes to no other place unless you agree"
            " to that separately on a later screen."
        ),
    ),
    (
        mark("How long"),
        mark(
            "Until you delete it or withdraw your consent. It is also deleted after %(days)d days without a visit of yours."
        ),
    ),
    (
        mark("What it means for you"),
        mark(
            "Data about a face is sensitive: a face cannot be changed like a PIN. If somebody stole it, they could try to"
            " pass for you. A recognition can also fail; then use your pass or PIN."
        ),
    ),
    (
        mark("Your rights"),
        mark(
            "You may ask what is stored, have it corrected, take your consent back and have everything deleted, at any time:"
            " here with “Delete my face”, or through the contact above. What was lawful before stays lawful."
        ),
    ),
    (mark("Age"), mark("Whoever is under 14 cannot register a face here.")),
)
"""Headings and texts."""


def paragraphs(config: StationConfig, language: str) -> list[tuple[str, str]]:
    """The notice of one station in one language."""
    values: dict[str, object] = {
        "days": config.face.expire_days,
        "operator": config.kiosk.operator or config.name,
        "contact": config.kiosk.phone or translate(mark("the help button on this screen"), language),
    }
    return [
        (translate(heading, language), translate(text, language, **values)) for heading, text in PARAGRAPHS
    ]


__all__ = ["NOTICE_VERSION", "PARAGRAPHS", "paragraphs"]
