"""People. Each look at them is audited, a page as one entry."""

from http import HTTPStatus
from typing import Any

from flask import Response, url_for

from cloud_hub import context
from cloud_hub.access.roles import requires, signed_in
from cloud_hub.api.blueprint import CONFLICT, UNKNOWN, api, cut, send
from cloud_hub.api.consents import answer as consent_answer
from cloud_hub.api.people_schemas import (
    EraseBody,
    ErasureAnswer,
    PeopleQuery,
    PersonAnswer,
    PersonBody,
    PersonChange,
    PersonDetailAnswer,
    PersonPage,
    PersonPath,
    WithdrawBody,
)
from cloud_hub.bell import BRIDGE, PEOPLE
from cloud_hub.models import Erasure
from cloud_hub.models.access import Role
from cloud_hub.people import queries, services
from cloud_hub.people.queries import PersonView


@api.get("/people", summary="List people", responses={200: PersonPage})
@requires(Role.OPERATOR)
def list_people(query: PeopleQuery) -> Response:
    """In order of id, without those erased. The hub knows pseudonyms, numbers and flags, and nothing else of them."""
    with context.write() as session:
        views = queries.page(session, group_id=query.group, after=query.after, limit=query.limit + 1)
        page, last = cut(views, query.limit)
        _note(session, "list", len(page))
    items = [PersonAnswer.model_validate(_fields(view)) for view in page]
    return send(PersonPage(items=items, next=last.person.id if last else None))


@api.post("/people", summary="Add a person", responses={201: PersonDetailAnswer, **CONFLICT})
@requires(Role.ADMINISTRATOR)
def create_person(body: PersonBody) -> Response:
    """The hub makes the pseudonym; who it is for stays with whoever hands out the enrolment code."""
    with context.write() as session:
        person = services.create_person(
            session,
            groups=body.groups,
            number=body.number,
            extended=body.extended,
            actor=signed_in().actor,
            now=context.now(),
        )
        view = queries.one(session, person.id)
    context.web().ringer.ring(BRIDGE, PEOPLE)
    where = url_for("api.get_person", person_id=person.id)
    return send(_detail(view), HTTPStatus.CREATED, Location=where)


@api.get("/people/<person_id>", summary="One person", responses={200: PersonDetailAnswer, **UNKNOWN})
@requires(Role.OPERATOR)
def get_person(path: PersonPath) -> Response:
    """Once erased, with the receipts of the stations."""
    with context.write() as session:
        view = queries.one(session, path.person_id)
        _note(session, path.person_id, 1)
    return send(_detail(view))


@api.patch(
    "/people/<person_id>",
    summary="Change a person",
    responses={200: PersonDetailAnswer, **UNKNOWN, **CONFLICT},
)
@requires(Role.ADMINISTRATOR)
def change_person(path: PersonPath, body: PersonChange) -> Response:
    """Reaches the stations with their next roster, at once where they are online."""
    with context.write() as session:
        services.change_person(
            session,
            person_id=path.person_id,
            active=body.active,
            extended=body.extended,
            number=body.number,
            groups=body.groups,
            actor=signed_in().actor,
            now=context.now(),
        )
        view = queries.one(session, path.person_id)
    context.web().ringer.ring(BRIDGE, PEOPLE)
    return send(_detail(view))


@api.post(
    "/people/<person_id>/erase", summary="Erase a person", responses={202: PersonDetailAnswer, **UNKNOWN}
)
@requires(Role.ADMINISTRATOR)
def erase_person(path: PersonPath, body: EraseBody) -> Response:
    """Bars them at once; every station is told until it has sent its signed receipt. Harmless when done twice."""
    with context.write() as session:
        services.erase_person(
            session,
            person_id=path.person_id,
            reason=body.reason,
            actor=signed_in().actor,
            now=context.now(),
        )
        view = queries.one(session, path.person_id)
    context.web().ringer.ring(BRIDGE, PEOPLE)
    return send(_detail(view), HTTPStatus.ACCEPTED)


@api.post(
    "/people/<person_id>/withdraw",
    summary="Withdraw a person's consent",
    responses={200: PersonDetailAnswer, **UNKNOWN},
)
@requires(Role.ADMINISTRATOR)
def withdraw_consent(path: PersonPath, body: WithdrawBody) -> Response:
    """For somebody who asked for it: bars the face with the next roster, and leaves the other ways in."""
    with context.write() as session:
        services.withdraw_for(
            session,
            person_id=path.person_id,
            kind=body.kind,
            reason=body.reason,
            actor=signed_in().actor,
            now=context.now(),
        )
        view = queries.one(session, path.person_id)
    context.web().ringer.ring(BRIDGE, PEOPLE)
    return send(_detail(view))


def _note(session: Any, target: str, people: int) -> None:
    queries.note_view(
        session, what="person", target=target, people=people, actor=signed_in().actor, now=context.now()
    )


def _detail(view: PersonView) -> PersonDetailAnswer:
    erasures = [_erasure(erasure) for erasure in view.erasures]
    return PersonDetailAnswer.model_validate({**_fields(view), "erasures": erasures})


def _fields(view: PersonView) -> dict[str, object]:
    person = view.person
    return {
        "id": person.id,
        "number": person.number,
        "active": person.active,
        "extended": person.extended,
        "groups": list(view.groups),
        "consents": [consent_answer(consent) for consent in view.consents],
        "created_at": person.created_at,
        "erased_at": person.erased_at,
    }


def _erasure(row: Erasure) -> ErasureAnswer:
    return ErasureAnswer(
        request_id=row.request_id,
        station=row.station_id,
        reason=row.reason,
        requested_at=row.requested_at,
        requested_by=row.requested_by,
        sent_at=row.sent_at,
        receipted_at=row.receipted_at,
        found=row.found,
        root=row.root,
        receipt=row.receipt,
    )
