"""One-time enrolment codes."""

from datetime import timedelta
from http import HTTPStatus

from flask import Response

from cloud_hub import context
from cloud_hub.access.roles import requires, signed_in
from cloud_hub.api.blueprint import CONFLICT, UNKNOWN, api, send
from cloud_hub.api.people_schemas import EnrolmentCodeBody, NewEnrolmentCodeAnswer
from cloud_hub.bell import BRIDGE, PEOPLE
from cloud_hub.models.access import Role
from cloud_hub.people import codes


@api.post(
    "/enrolment-codes",
    summary="Make an enrolment code",
    responses={201: NewEnrolmentCodeAnswer, **UNKNOWN, **CONFLICT},
)
@requires(Role.OPERATOR)
def create_enrolment_code(body: EnrolmentCodeBody) -> Response:
    """Told this once: the hub and the stations keep only a slow hash of it."""
    with context.write() as session:
        row, code = codes.create(
            session,
            person_id=body.person,
            life=timedelta(days=body.days),
            actor=signed_in().actor,
            now=context.now(),
        )
    context.web().ringer.ring(BRIDGE, PEOPLE)
    answer = NewEnrolmentCodeAnswer(person=row.person_id, code=code, expires_at=row.expires_at)
    return send(answer, HTTPStatus.CREATED)
