"""Languages of the pages. Catalogues are the ``.po`` files themselves, read once; English texts are the keys."""

from functools import cache
from pathlib import Path
from typing import Any, Final

from babel.support import Translations
from flask import Flask, current_app, g, has_request_context, request

from firmware_config.catalogues import LANGUAGES, open_catalogue

__all__ = ["COOKIE", "LANGUAGES", "catalogue_path", "gettext", "language", "mark", "ngettext", "set_up"]

COOKIE: Final = "yizhan-language"
_FOLDER: Final = Path(__file__).parent / "translations"


def catalogue_path(language: str) -> Path:
    """The ``.po`` file of a language."""
    return _FOLDER / language / "LC_MESSAGES" / "messages.po"


@cache
def _translations(language: str) -> Translations:
    return open_catalogue(catalogue_path(language), language)


def mark(text: str) -> str:
    """Mark a text for the catalogues where it is written; ``gettext`` translates it where it is shown."""
    return text


def language() -> str:
    """The language of this request: the signed-in person's, else the browser's cookie, else the settings'."""
    if not has_request_context():
        return "en"
    if "language" not in g:
        g.language = _chosen()
    return str(g.language)


def _chosen() -> str:
    principal = g.get("principal")
    own = principal.sign_in.user.language if principal is not None and principal.sign_in is not None else None
    for choice in (own, request.cookies.get(COOKIE)):
        if choice in LANGUAGES:
            return str(choice)
    return str(current_app.config["DEFAULT_LANGUAGE"])


def gettext(text: str, **values: Any) -> str:
    """The text in this request's language, with ``%(name)s`` filled in."""
    translated = _translations(language()).gettext(text)
    return translated % values if values else translated


def ngettext(one: str, many: str, count: int, **values: Any) -> str:
    """As ``gettext``, by number."""
    return _translations(language()).ngettext(one, many, count) % {"num": count, **values}


def set_up(app: Flask, *, default: str) -> None:
    """Let templates translate."""
    app.config["DEFAULT_LANGUAGE"] = default
    for code in LANGUAGES:
        _translations(code)
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    install: Any = app.jinja_env
    install.install_gettext_callables(
        lambda text: _translations(language()).gettext(text),
        lambda one, many, count: _translations(language()).ngettext(one, many, count),
        newstyle=True,
    )
    app.jinja_env.globals.update(language=language, LANGUAGES=LANGUAGES)
