"""The texts that the code shows, against the catalogues. ``python -m tests.support.catalogues`` adds what is missing."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from cloud_hub import i18n as hub_i18n
from firmware_config.catalogues import LANGUAGES
from station_agent import i18n as agent_i18n

ROOT = Path(__file__).resolve().parents[2]
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "mark": None}


@dataclass(frozen=True)
class Side:
    """A package with texts of its own.

    Attributes:
        templates: its pages.
        path: of a language's file.
        without: folders whose texts are elsewhere.
    """

    name: str
    root: Path
    templates: str
    path: Callable[[str], Path]
    without: tuple[str, ...] = field(default=())


HUB = Side("the console", ROOT / "cloud_hub", "console/templates", hub_i18n.catalogue_path, ("demo/",))
AGENT = Side("the kiosk", ROOT / "station_agent", "kiosk/templates", agent_i18n.catalogue_path)
SIDES = (HUB, AGENT)


def texts(side: Side = HUB) -> Catalog:
    """Every text in templates and Python, with where it is used."""
    methods = [("**.py", "python"), (f"{side.templates}/**.html", "jinja2.ext:babel_extract")]
    options = {f"{side.templates}/**.html": {"encoding": "utf-8", "trimmed": "true", "silent": "false"}}
    found = Catalog(fuzzy=False)
    for file, line, message, comments, context in extract_from_dir(
        str(side.root), methods, options, KEYWORDS, strip_comment_tags=True
    ):
        if not file.startswith(side.without):
            found.add(message, locations=[(file, line)], auto_comments=comments, context=context)
    return found


def catalogue(language: str, side: Side = HUB) -> Catalog:
    """What a language's file holds; nothing when there is none yet."""
    path = side.path(language)
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as source:
        return read_po(source, locale=language)


def ids(of: Catalog) -> set[object]:
    """Its texts; those with a plural as (one, many)."""
    return {message.id for message in of if message.id}


def update(language: str, side: Side = HUB) -> list[object]:
    """Add what is missing, drop what is unused; returns what still has no translation."""
    held, wanted = catalogue(language, side), texts(side)
    fresh = Catalog(
        locale=language,
        header_comment=f"# Texts of {side.name}, {language}.",
        project="yizhan",
        version="1",
        fuzzy=False,
    )
    for message in wanted:
        if not message.id:
            continue
        old = held.get(message.id)
        string = message.id if language == "en" else old.string if old is not None else ""
        fresh.add(
            message.id, string, locations=[(place, 0) for place in sorted({f for f, _ in message.locations})]
        )
    written = io.BytesIO()
    write_po(written, fresh, width=120, omit_header=False, sort_output=True, include_lineno=False)
    lines = [line for line in written.getvalue().decode().splitlines() if not line.startswith(_CHANGING)]
    side.path(language).parent.mkdir(parents=True, exist_ok=True)
    side.path(language).write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return [message.id for message in catalogue(language, side) if message.id and not message.string]


_CHANGING = (
    '"POT-Creation-Date',
    '"PO-Revision-Date',
    '"Generated-By',
    '"Last-Translator',
    '"Report-Msgid',
    "# FIRST",
)
"""Header lines that would differ at every run."""

if __name__ == "__main__":
    import click

    for each in SIDES:
        for name in LANGUAGES:
            for text in update(name, each):
                click.echo(f"{name}: {text!r}")
