"""The texts that the code shows, against the catalogues. ``python -m tests.support.catalogues`` adds what is missing."""

import io
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from cloud_hub.i18n import LANGUAGES, catalogue_path

ROOT = Path(__file__).resolve().parents[2] / "cloud_hub"
METHODS = [("**.py", "python"), ("console/templates/**.html", "jinja2.ext:babel_extract")]
OPTIONS = {"console/templates/**.html": {"encoding": "utf-8", "trimmed": "true", "silent": "false"}}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "mark": None}


def texts() -> Catalog:
    """Every text in templates and Python, with where it is used."""
    found = Catalog(fuzzy=False)
    for file, line, message, comments, context in extract_from_dir(
        str(ROOT), METHODS, OPTIONS, KEYWORDS, strip_comment_tags=True
    ):
        if not file.startswith("demo/"):
            found.add(message, locations=[(file, line)], auto_comments=comments, context=context)
    return found


def catalogue(language: str) -> Catalog:
    """What a language's file holds."""
    with catalogue_path(language).open("rb") as source:
        return read_po(source, locale=language)


def ids(of: Catalog) -> set[object]:
    """Its texts; those with a plural as (one, many)."""
    return {message.id for message in of if message.id}


def update(language: str) -> list[object]:
    """Add what is missing, drop what is unused; returns what still has no translation."""
    held, wanted = catalogue(language), texts()
    fresh = Catalog(
        locale=language,
        header_comment=f"# Texts of the console, {language}.",
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
    catalogue_path(language).write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return [message.id for message in catalogue(language) if message.id and not message.string]


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

    for name in LANGUAGES:
        for text in update(name):
            click.echo(f"{name}: {text!r}")
