"""The console's blueprint, and what all its pages and fragments share."""

from typing import Any

from flask import Blueprint, Flask, render_template, request
from sqlalchemy.exc import SQLAlchemyError

from cloud_hub import context
from cloud_hub.access.roles import LIVE_HEADER, principal
from cloud_hub.alerts import queries as alerts
from cloud_hub.console import formats, labels, openings, order_words
from cloud_hub.i18n import gettext
from cloud_hub.models.access import Role
from cloud_hub.passes.queries import state as pass_state

console = Blueprint("console", __name__)


def is_fragment() -> bool:
    """The page's script asks for a part of it."""
    return LIVE_HEADER in request.headers


def render(page: str, fragment: str | None = None, **values: Any) -> str:
    """The page, or only its named fragment where the script asks for that."""
    return render_template(fragment if fragment is not None and is_fragment() else page, **values)


def set_up(app: Flask) -> None:
    """Give every template the words, formats and facts about who is asking."""
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(labels=labels, label=labels.label, order_words=order_words, Role=Role)
    app.jinja_env.filters.update(
        ago=formats.ago,
        day=formats.day,
        duration=formats.duration,
        event_facts=formats.event_facts,
        moment=formats.moment,
        number=formats.number,
        percent=formats.percent,
        seconds=formats.seconds,
        since=formats.since,
        span=formats.span,
        shut_out=formats.shut_out,
        translated=gettext,
        who=formats.who,
    )
    app.jinja_env.globals.update(
        openings=openings, pass_state=pass_state, people=formats.people, week=formats.week
    )
    app.context_processor(_shared)


def _shared() -> dict[str, Any]:
    asking = principal()
    settings = context.web().hub.settings
    return {
        "asking": asking,
        "stage_url": settings.stage_url,
        "open_alerts": (0, 0) if asking is None or is_fragment() else _open_alerts(),
    }


def _open_alerts() -> tuple[int, int]:
    """The error page shows the header too, also when it is the database that failed."""
    try:
        return alerts.count_open(context.read())
    except SQLAlchemyError:
        return (0, 0)
