"""What the JSON API takes and gives of people, groups, codes, consents and passes. No name, face, template or PIN."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from cloud_hub.api.schemas import Answer, Given, Page, RowCursor
from cloud_hub.models.people import ConsentKind
from firmware_config.units import NAME_PATTERN

PersonId = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$"),
    Field(description="Pseudonym made by the hub."),
]
GroupId = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Number = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4,8}$"),
    Field(description="Typed at the station before a PIN; not secret."),
]
GroupIds = Annotated[list[GroupId], Field(max_length=8)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Place = Annotated[
    str,
    StringConstraints(pattern=r"^(st-[a-z0-9]{4,32}|r-[a-z0-9-]{1,30}|\*)$"),
    Field(description="A station `st-…`, a region `r-…`, or `*`."),
]
Limit = Annotated[int, Field(ge=1, le=500)]


class PersonPath(Given):
    """A person."""

    person_id: PersonId


class GroupPath(Given):
    """A group."""

    group_id: GroupId


class PassPath(Given):
    """A pass."""

    pass_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class PeopleQuery(Given):
    """How to list people."""

    group: GroupId | None = Field(default=None, description="Only of this group.")
    after: PersonId | None = Field(default=None, description="`next` of the page before.")
    limit: Limit = 100


class GroupsQuery(Given):
    """How to list groups, or rosters."""

    after: Annotated[str, Field(max_length=40)] | None = Field(
        default=None, description="`next` of the page before."
    )
    limit: Limit = 100


class ConsentsQuery(Given):
    """How to list consents."""

    person: PersonId | None = None
    kind: ConsentKind | None = None
    after: RowCursor | None = Field(default=None, description="`next` of the page before.")
    limit: Limit = 100


class PassesQuery(Given):
    """How to list passes, newest first."""

    person: PersonId | None = None
    after: RowCursor | None = Field(default=None, description="`next` of the page before.")
    limit: Limit = 100


class PersonBody(Given):
    """A new worker."""

    groups: GroupIds = Field(default=[], description="Whose hours they have; without any they enter nowhere.")
    number: Number | None = Field(default=None, description="Chosen by the hub when absent.")
    extended: bool = Field(default=False, description="The door stays unlocked longer for them.")


class PersonChange(Given):
    """What is to change; absent members stay as they are."""

    groups: GroupIds | None = None
    number: Number | None = None
    active: bool | None = Field(default=None, description="False bars every way in.")
    extended: bool | None = None


class EraseBody(Given):
    """An order to erase a person."""

    reason: Reason = Field(description="Why; kept in the audit log. No names.")


class WithdrawBody(Given):
    """A withdrawal for somebody who asked for it."""

    kind: ConsentKind = Field(description="That of the face takes that of replication with it.")
    reason: Reason = Field(description="Kept in the audit log. No names.")


class OpeningAnswer(Answer):
    """One stretch of opening hours, named for the day on which it begins."""

    opens_min: int = Field(ge=0, lt=1440, description="Minute of the day.")
    closes_min: int = Field(
        gt=0,
        le=2880,
        description="Counted from the same midnight, not included; beyond 1440 on the next day.",
    )


class Opening(Given, OpeningAnswer):
    """One stretch of opening hours, as given."""


class GroupRulesBody(Given):
    """A group's rules."""

    weekly: Annotated[list[list[Opening]], Field(min_length=7, max_length=7)] = Field(
        description="Hours of Monday to Sunday."
    )
    holiday: list[Opening] | None = Field(
        default=None, description="Hours of a holiday; null when holidays change nothing."
    )
    stations: Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=1000)] = Field(
        default=[], description="Where it counts; everywhere when empty."
    )
    waits_for: GroupId | None = Field(
        default=None, description="Its hours only begin once a member of that group has entered."
    )
    doors: Annotated[list[GroupId], Field(max_length=8)] = Field(default=[], description="All when empty.")
    guest_cap: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None, description="Guests have these hours, and this many guest passes count a day."
    )


class GroupBody(GroupRulesBody):
    """A new group."""

    id: GroupId


class SpecialDayBody(Given):
    """A day that is not what its weekday says: a holiday, or a make-up workday (调休)."""

    day: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    kind: Literal["holiday", "workday"]
    as_weekday: Annotated[int, Field(ge=0, le=6)] = Field(
        default=0, description="Whose hours a make-up workday has, 0 for Monday."
    )


class CalendarBody(Given):
    """The whole calendar."""

    items: Annotated[list[SpecialDayBody], Field(max_length=400)]


class PassBody(Given):
    """A new pass: for a person, or for a guest."""

    person: PersonId | None = Field(default=None, description="Absent for a guest, who gets a pseudonym.")
    scope: Annotated[list[Place], Field(min_length=1, max_length=8)]
    not_before: AwareDatetime | None = Field(default=None, description="Now when absent.")
    not_after: AwareDatetime
    uses: Annotated[int, Field(ge=0, le=100)] = Field(
        default=0, description="How often it opens; 0 for any number. Counted uses are for one station."
    )
    extended: bool = False

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.not_before is not None and self.not_after <= self.not_before:
            message = "not_after must be later than not_before"
            raise ValueError(message)
        return self


class EnrolmentCodeBody(Given):
    """A new one-time code. Codes made for the person before end."""

    person: PersonId
    days: Annotated[int, Field(ge=1, le=30)] = Field(default=7, description="How long it lives.")


class ConsentAnswer(Answer):
    """What a person agreed to at a station."""

    id: str
    person: str
    station: str
    kind: ConsentKind
    version: int = Field(description="Of the notice they read.")
    channel: str
    given_at: datetime
    withdrawn_at: datetime | None
    withdrawn_by: str | None


class ErasureAnswer(Answer):
    """An order to a station to destroy what it keeps of a person."""

    request_id: str
    station: str
    reason: str
    requested_at: datetime
    requested_by: str
    sent_at: datetime | None
    receipted_at: datetime | None
    found: bool | None = Field(description="The station had something of them.")
    root: str | None = Field(description="Root hash of the station's gallery without them.")
    receipt: str | None = Field(description="The station's signed word, as it came.")


class PersonAnswer(Answer):
    """A worker."""

    id: str
    number: str | None
    active: bool
    extended: bool
    groups: list[str]
    consents: list[ConsentAnswer] = Field(description="Those in force.")
    created_at: datetime
    erased_at: datetime | None


class PersonDetailAnswer(PersonAnswer):
    """A worker, with the orders to erase them."""

    erasures: list[ErasureAnswer]


class GroupAnswer(Answer):
    """People who share opening hours."""

    id: str
    weekly: list[list[OpeningAnswer]]
    holiday: list[OpeningAnswer] | None
    stations: list[str]
    waits_for: str | None
    doors: list[str]
    guest_cap: int | None
    created_at: datetime


class SpecialDayAnswer(Answer):
    """A day that is not what its weekday says."""

    day: str
    kind: Literal["holiday", "workday"]
    as_weekday: int


class PassAnswer(Answer):
    """A pass, without what opens doors."""

    id: str
    person: str | None
    holder: str
    scope: list[str]
    not_before: datetime
    not_after: datetime
    uses: int
    extended: bool
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    revoked_by: str | None


class NewPassAnswer(PassAnswer):
    """A new pass. `text` is the content of its QR code, told this once and kept nowhere."""

    text: str


class NewEnrolmentCodeAnswer(Answer):
    """A new code, told this once and kept nowhere."""

    person: str
    code: str
    expires_at: datetime


class RosterAnswer(Answer):
    """Which roster a station should have, and which it says it has."""

    station: str
    version: int
    digest: str
    people: int
    issued_at: datetime
    applied_version: int
    applied_at: datetime | None


class PersonPage(Page):
    """People."""

    items: list[PersonAnswer]


class GroupPage(Page):
    """Groups."""

    items: list[GroupAnswer]


class CalendarPage(Page):
    """Special days."""

    items: list[SpecialDayAnswer]


class ConsentPage(Page):
    """Consents."""

    items: list[ConsentAnswer]


class PassPage(Page):
    """Passes."""

    items: list[PassAnswer]


class RosterPage(Page):
    """Rosters."""

    items: list[RosterAnswer]
