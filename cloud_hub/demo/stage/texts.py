"""Texts of the stage, Chinese first. English texts are the keys; the catalogue is the ``.po`` file itself."""

from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.pofile import read_po
from flask import request

from cloud_hub.i18n import LANGUAGES

COOKIE: Final = "yizhan-stage-language"
DEFAULT: Final = "zh_CN"


def catalogue_path(language: str) -> Path:
    """The ``.po`` file of a language."""
    return Path(__file__).parent / "translations" / language / "LC_MESSAGES" / "stage.po"


@cache
def catalogue(language: str) -> dict[str, str]:
    """Every text of a language by its English key; English needs none."""
    path = catalogue_path(language)
    if not path.exists():
        return {}
    with path.open("rb") as source:
        read = read_po(source, locale=language)
    return {str(entry.id): str(entry.string) for entry in read if entry.id and entry.string}


def language() -> str:
    """Language of this request: the visitor's choice, else Chinese."""
    chosen = request.cookies.get(COOKIE, DEFAULT)
    return chosen if chosen in LANGUAGES else DEFAULT


def translate(text: str) -> str:
    """The text in this request's language."""
    return catalogue(language()).get(text, text)
