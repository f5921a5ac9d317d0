"""Consents: the proof of what people agreed to, and when they withdrew it."""

from flask import Response

from cloud_hub import context
from cloud_hub.access.roles import requires, signed_in
from cloud_hub.api.blueprint import api, cut, send
from cloud_hub.api.people_schemas import ConsentAnswer, ConsentPage, ConsentsQuery
from cloud_hub.models import Consent
from cloud_hub.models.access import Role
from cloud_hub.models.people import ConsentKind
from cloud_hub.people import queries


@api.get("/consents", summary="List consents", responses={200: ConsentPage})
@requires(Role.OPERATOR)
def list_consents(query: ConsentsQuery) -> Response:
    """In the order the hub heard of them, withdrawn ones too. None is ever deleted. The look is audited."""
    with context.write() as session:
        rows = queries.consents(
            session,
            person_id=query.person,
            kind=query.kind,
            after=None if query.after is None else int(query.after),
            limit=query.limit + 1,
        )
        page, last = cut(rows, query.limit)
        queries.note_view(
            session,
            what="consent",
            target=query.person or "list",
            people=len({row.person_id for row in page}),
            actor=signed_in().actor,
            now=context.now(),
        )
    return send(ConsentPage(items=[answer(row) for row in page], next=str(last.id) if last else None))


def answer(row: Consent) -> ConsentAnswer:
    """The consent as the API shows it."""
    return ConsentAnswer(
        id=str(row.id),
        person=row.person_id,
        station=row.station_id,
        kind=ConsentKind(row.kind),
        version=row.version,
        channel=row.channel,
        given_at=row.given_at,
        withdrawn_at=row.withdrawn_at,
        withdrawn_by=row.withdrawn_by,
    )
