"""QR passes."""

from http import HTTPStatus

from flask import Response

from cloud_hub import context
from cloud_hub.access.roles import requires, signed_in
from cloud_hub.api.blueprint import CONFLICT, THROTTLED, UNKNOWN, api, cut, send
from cloud_hub.api.people_schemas import NewPassAnswer, PassAnswer, PassBody, PassesQuery, PassPage, PassPath
from cloud_hub.bell import BRIDGE, PEOPLE
from cloud_hub.models import EntryPass
from cloud_hub.models.access import Role
from cloud_hub.passes import queries, services
from cloud_hub.passes.keys import signing_key
from cloud_hub.passes.services import PassWish
from cloud_hub.people.queries import note_view


@api.get("/passes", summary="List passes, newest first", responses={200: PassPage})
@requires(Role.OPERATOR)
def list_passes(query: PassesQuery) -> Response:
    """Revoked and expired ones too. The look is audited."""
    with context.write() as session:
        before = None if query.after is None else int(query.after)
        rows = queries.newest(session, person_id=query.person, before=before, limit=query.limit + 1)
        page, last = cut(rows, query.limit)
        note_view(
            session,
            what="pass",
            target=query.person or "list",
            people=len({row.holder for row in page}),
            actor=signed_in().actor,
            now=context.now(),
        )
    items = [PassAnswer.model_validate(_fields(row)) for row in page]
    return send(PassPage(items=items, next=str(last.number) if last else None))


@api.post(
    "/passes",
    summary="Make a pass",
    responses={201: NewPassAnswer, **UNKNOWN, **CONFLICT, **THROTTLED},
)
@requires(Role.OPERATOR)
def create_pass(body: PassBody) -> Response:
    """Stations check it without a network. `not_configured` while the hub has no key to sign passes with."""
    key = signing_key(context.web().hub)
    now = context.now()
    wish = PassWish(
        person=body.person,
        scope=body.scope,
        not_before=(body.not_before or now).replace(microsecond=0),
        not_after=body.not_after.replace(microsecond=0),
        uses=body.uses,
        extended=body.extended,
    )
    with context.write() as session:
        row, text = services.create(session, wish, key=key, actor=signed_in().actor, now=now)
    answer = NewPassAnswer.model_validate({**_fields(row), "text": text})
    return send(answer, HTTPStatus.CREATED)


@api.post("/passes/<pass_id>/revoke", summary="Revoke a pass", responses={200: PassAnswer, **UNKNOWN})
@requires(Role.OPERATOR)
def revoke_pass(path: PassPath) -> Response:
    """Counts at a station as soon as it has its next roster. Harmless when done twice."""
    with context.write() as session:
        row = services.revoke(session, pass_id=path.pass_id, actor=signed_in().actor, now=context.now())
    context.web().ringer.ring(BRIDGE, PEOPLE)
    return send(PassAnswer.model_validate(_fields(row)))


def _fields(row: EntryPass) -> dict[str, object]:
    return {
        "id": row.id,
        "person": row.person_id,
        "holder": row.holder,
        "scope": row.scope,
        "not_before": row.not_before,
        "not_after": row.not_after,
        "uses": row.uses,
        "extended": row.extended,
        "created_at": row.created_at,
        "created_by": row.created_by,
        "revoked_at": row.revoked_at,
        "revoked_by": row.revoked_by,
    }
