"""Forms of the console, checked by the API's own bodies: one set of rules for pages and programs."""

from collections.abc import Mapping
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError

from cloud_hub.console import labels
from cloud_hub.errors import CallerError, Invalid
from cloud_hub.i18n import gettext

BodyT = TypeVar("BodyT", bound=BaseModel)


def body_of(body: type[BodyT], values: Mapping[str, Any]) -> BodyT:
    """What a form says, as the API would take it.

    Raises:
        Invalid: with each field that breaks a rule.
    """
    try:
        return body.model_validate(values)
    except ValidationError as error:
        errors = [
            {"field": ".".join(str(part) for part in fault["loc"]) or "form", "problem": fault["msg"]}
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise Invalid(
            "; ".join(f"{fault['field']}: {fault['problem']}" for fault in errors)[:500], errors=errors
        ) from error


def text(name: str, *, limit: int = 200) -> str:
    """A typed field without spaces around it; cut, so that nothing endless is sent back."""
    return request.form.get(name, "").strip()[:limit]


def optional(name: str) -> str | None:
    """A typed field, None when it was left empty."""
    return text(name) or None


def ticked(name: str) -> bool:
    """Whether a box was ticked."""
    return request.form.get(name) == "yes"


def whole(name: str) -> int | str | None:
    """A typed number; what is none is left for the body to refuse."""
    typed = text(name, limit=12)
    return int(typed) if typed.isascii() and typed.isdigit() else typed or None


def problem(error: CallerError | None) -> dict[str, Any]:
    """For the template: ``problem`` in words, and in ``faults`` the rule of each field that breaks it."""
    if error is None:
        return {"problem": None, "faults": {}}
    fields = [str(fault["field"]).partition(".")[0] for fault in error.extra.get("errors", [])]
    faults = {field: gettext(labels.FIELD_RULES[field]) for field in fields if field in labels.FIELD_RULES}
    words = labels.error(error.code)
    return {"problem": words, "faults": faults}
