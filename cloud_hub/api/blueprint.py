"""The API's blueprint, its document, and its way to say no."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, TypeVar

from flask import Response, current_app, jsonify
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, ValidationError

from cloud_hub.access.roles import API, public
from cloud_hub.api.schemas import Problem
from cloud_hub.problems import MEDIA_TYPE, document

RowT = TypeVar("RowT")

PREFIX: Final = "/api/v1"

_DESCRIPTION: Final = """
Watch and operate worker service stations. Every call needs a bearer token (`cloud-hub token create`).

Lists are `{"items": […], "next": cursor | null}`; give `next` as `after` to get the following page.
Errors are problem documents (RFC 9457, `application/problem+json`) with a machine-readable `code`; where fields are
wrong, `errors` names each `field` and its `problem`. Times are UTC, RFC 3339.
"""

INFO: Final = Info(title="Yizhan hub", version="1.0.0", description=_DESCRIPTION.strip())
SECURITY: Final[dict[str, Any]] = {"token": {"type": "http", "scheme": "bearer"}}


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


ANY_CALL: Final[dict[Any, Any]] = {
    400: _problem("The request cannot be read."),
    401: _problem("No valid bearer token."),
    403: _problem("The token's role is not enough."),
    422: _problem("A field is missing or wrong; `errors` names it."),
}
UNKNOWN: Final[dict[Any, Any]] = {404: _problem("No such thing.")}
CONFLICT: Final[dict[Any, Any]] = {409: _problem("Not while things stand as they do; `code` says how.")}
THROTTLED: Final[dict[Any, Any]] = {429: _problem("Too many; `retry_after_s` says how long to wait.")}


def _operation_id(*, name: str, path: str, method: str) -> str:
    """The view's own name: short, and unique in this API."""
    del path, method
    return name


api = APIBlueprint(
    API,
    __name__,
    url_prefix=PREFIX,
    abp_security=[{"token": []}],
    abp_responses=ANY_CALL,
    operation_id_callback=_operation_id,
)


def refuse(error: ValidationError) -> Response:
    """A problem document that names each field and what is wrong with it."""
    errors = [
        {"field": ".".join(str(part) for part in fault["loc"]) or "body", "problem": fault["msg"]}
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    detail = "; ".join(f"{fault['field']}: {fault['problem']}" for fault in errors)
    return document(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail[:1_000], errors=errors)


def send(answer: BaseModel, status: int = 200, **headers: str) -> Response:
    """One answer as JSON."""
    response = jsonify(answer.model_dump(mode="json"))
    response.status_code = status
    response.headers.update(headers)
    return response


def cut(rows: Sequence[RowT], limit: int) -> tuple[Sequence[RowT], RowT | None]:
    """Of one row more than a page holds, the page, and its last row if there is more behind it."""
    return (rows[:limit], rows[limit - 1]) if len(rows) > limit else (rows, None)


@api.get("/openapi.json", doc_ui=False)
@public()
def openapi() -> Response:
    """The OpenAPI 3.1 document of this API."""
    app = current_app
    assert isinstance(app, OpenAPI)  # noqa: S101 (for the type checker: app.py makes it so)
    return jsonify(app.api_doc)
