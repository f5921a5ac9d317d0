"""Gettext catalogues as text: a ``.po`` file is read once and compiled in memory, so nothing is built or checked in twice."""

import io
from pathlib import Path
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

LANGUAGES: Final = {"zh_CN": "中文", "en": "English"}
"""By code, the name that its readers know it by."""

HTML_CODES: Final = {"zh_CN": "zh-CN", "en": "en"}
"""By code, what a page's ``lang`` says."""


def open_catalogue(path: Path, language: str) -> Translations:
    """The texts of one file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as source:
        catalogue = read_po(source, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)
