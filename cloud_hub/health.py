"""Is the process alive, can the hub do its work, and its figures."""

from datetime import timedelta
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, jsonify
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from cloud_hub import context, metrics
from cloud_hub.access.roles import public
from cloud_hub.models import ProcessStatus

BRIDGE_SILENT: Final = timedelta(seconds=15)

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@public(identify=False)
def healthz() -> Response:
    """This process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
@public(identify=False)
def readyz() -> tuple[Response, HTTPStatus]:
    """The hub can do its work; if not, why not."""
    reasons = _reasons()
    ready = not reasons
    return jsonify(ready=ready, reasons=reasons), HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE


@blueprint.get("/metrics")
@public(identify=False)
def exposition() -> Response:
    """For Prometheus."""
    body, content_type = metrics.exposition(context.read())
    return Response(body, content_type=content_type)


def _reasons() -> list[str]:
    try:
        bridge = context.read().scalar(select(ProcessStatus).where(ProcessStatus.name == "bridge"))
    except SQLAlchemyError:
        return ["database: not reachable or not migrated"]
    if bridge is None:
        return ["bridge: never started"]
    silent = context.now() - bridge.seen_at
    if silent >= BRIDGE_SILENT:
        return [f"bridge: silent for {int(silent.total_seconds())} s"]
    return [] if bridge.ready else ["bridge: not connected to the broker"]
