"""The agent's texts in the languages of the kiosk. English sentences are the keys; unknown keys are shown as they are."""

from functools import cache
from pathlib import Path
from typing import Final

from babel.support import Translations

from firmware_config.catalogues import open_catalogue

DEFAULT: Final = "zh_CN"
_FOLDER: Final = Path(__file__).parent / "translations"


def catalogue_path(language: str) -> Path:
    """The ``.po`` file of a language."""
    return _FOLDER / language / "LC_MESSAGES" / "messages.po"


@cache
def translations(language: str) -> Translations:
    """Every text of a language."""
    return open_catalogue(catalogue_path(language), language)


def translate(text: str, language: str, **values: object) -> str:
    """The text in a language, with ``%(name)s`` filled in."""
    translated = translations(language).gettext(text)
    return translated % values if values else translated
