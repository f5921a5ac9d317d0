"""``/live``: server-sent events that say which topics changed. What changed is fetched by the page, with its own rights."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub import context
from cloud_hub.access import sessions
from cloud_hub.access.roles import requires, signed_in
from cloud_hub.errors import CallerError, Invalid, Unauthenticated
from cloud_hub.live.broadcaster import RESYNC, TOPICS_LIMIT, Broadcaster, Full, Stream
from cloud_hub.models.access import Role

PING_S: Final = 15.0
"""An event this often keeps proxies from cutting the stream, and tells both ends that the other is still there."""

_TOPIC: Final = re.compile(r"[a-z]{1,20}(:[A-Za-z0-9_*-]{1,64})?")

blueprint = Blueprint("live", __name__)


class NoStreamLeft(CallerError):  # noqa: N818 (read as an answer)
    """As many streams are open as the settings allow; the page goes on by asking now and then."""

    status = 503
    code = "no_stream_left"


@blueprint.get("/live")
@requires(Role.VIEWER)
def stream() -> Response:
    """Event ``changed`` with a topic, ``resync`` when everything may have changed; both say only "fetch again"."""
    web, asking = context.web(), signed_in()
    if asking.sign_in is None:
        raise Unauthenticated("sign in first")
    id_hash = asking.sign_in.row.id_hash
    try:
        opened = web.broadcaster.open(owner=id_hash, topics=_topics())
    except Full as error:
        raise NoStreamLeft("too many live streams") from error
    lines = _lines(web.broadcaster, opened, lambda: _is_alive(web.reading, id_hash, web.clock()))
    response = Response(lines, mimetype="text/event-stream")
    response.call_on_close(lambda: web.broadcaster.close_stream(opened))
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _topics() -> list[str]:
    topics = [topic for topic in request.args.get("topics", "").split(",") if topic]
    if not topics or len(topics) > TOPICS_LIMIT:
        raise Invalid(
            f"topics: 1 to {TOPICS_LIMIT}", errors=[{"field": "topics", "problem": f"1 to {TOPICS_LIMIT}"}]
        )
    for topic in topics:
        if not _TOPIC.fullmatch(topic):
            raise Invalid("topics: malformed", errors=[{"field": "topics", "problem": "malformed"}])
    return topics


def _lines(broadcaster: Broadcaster, stream: Stream, alive: Callable[[], bool]) -> Iterator[bytes]:
    """Runs in the thread of the request, for as long as the reader stays and the sign-in lives."""
    try:
        yield b"retry: 2000\n\n"
        while (topics := stream.take(PING_S)) is not None:
            if not topics:
                if not alive():
                    return
                yield b"event: ping\ndata: .\n\n"
            elif topics == [RESYNC]:
                yield b"event: resync\ndata: all\n\n"
            else:
                yield b"".join(f"event: changed\ndata: {topic}\n\n".encode() for topic in topics)
    finally:
        broadcaster.close_stream(stream)


def _is_alive(reading: sessionmaker[Session], id_hash: str, now: datetime) -> bool:
    with reading() as session:
        return sessions.find_hashed(session, id_hash, now=now) is not None
