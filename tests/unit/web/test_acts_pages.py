"""Modes and proposals from console and API: forms, the second person, the password, and what the story says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from cloud_hub.models import AuditEntry, Command, Door, Proposal, ProposalDecision
from cloud_hub.models.access import Role
from tests.support.district import NORTH, RIVER, district, hard_orders
from tests.support.web import PASSWORD, Browser, Office, open_office

LIVE = {"X-Yizhan-Live": "1"}
DOOR = f"/stations/{NORTH}/doors/main"
API = f"/api/v1/stations/{NORTH}/doors/main"


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Office]:
    """A hub whose lock-downs end, and whose doors are held open, by two people."""
    with open_office(tmp_path, two_person=("end_lock_down", "hold_open")) as office:
        office.add(*district(office.clock()))
        yield office


@pytest.fixture
def one(office: Office) -> Office:
    """A hub where one person is enough."""
    office.add(*district(office.clock()))
    return office


def ask(browser: Browser, path: str, **fields: str) -> int:
    return browser.post(path, form_at="/", **fields).status_code


def commands(office: Office) -> list[Command]:
    with office.sessions() as session:
        query = select(Command).where(Command.verb != "unlock").order_by(Command.requested_at)
        return list(session.scalars(query))


def proposals(office: Office) -> list[Proposal]:
    with office.sessions() as session:
        return list(session.scalars(select(Proposal).order_by(Proposal.proposed_at)))


def actions(office: Office, target: str) -> list[tuple[str, str]]:
    with office.sessions() as session:
        query = select(AuditEntry).where(AuditEntry.target == target).order_by(AuditEntry.id)
        return [(entry.actor, entry.action) for entry in session.scalars(query)]


def propose(office: Office, browser: Browser, verb: str = "hold_open") -> Proposal:
    assert ask(browser, f"{DOOR}/modes/{verb}", reason="event", duration_s="3600") == 303
    return proposals(office)[-1]


def test_a_lock_down_is_ordered_with_its_length_and_reason(one: Office) -> None:
    browser = one.signed_in()
    form = browser.get(f"{DOOR}/modes/lock_down").text
    assert "封锁期间任何人都不能进入" in form
    assert ask(browser, f"{DOOR}/modes/lock_down", preset="门外有危险", reason="", duration_s="900") == 303
    (command,) = commands(one)
    assert (command.verb, command.duration_s, command.pulse_ms) == ("lock_down", 900, 0)
    assert (command.reason, command.requested_by) == ("门外有危险", "user:lin")
    assert command.sign_in_id
    assert command.proven_at == one.clock()
    assert actions(one, command.id) == [("user:lin", "door:lock_down:requested")]


@pytest.mark.parametrize("length", ["", "59", "86401", "-1", "1e3", "9" * 40])
def test_a_length_outside_its_bounds_orders_nothing(one: Office, length: str) -> None:
    assert ask(one.signed_in(), f"{DOOR}/modes/lock_down", reason="x", duration_s=length) == 422
    assert commands(one) == []


@pytest.mark.parametrize("verb", ["unlock", "open", "hold-open"])
def test_there_are_four_modes_and_no_others(one: Office, verb: str) -> None:
    assert one.signed_in().get(f"{DOOR}/modes/{verb}").status_code == 404


def test_five_minutes_after_the_password_the_form_asks_again_and_loses_nothing(one: Office) -> None:
    browser, path = one.signed_in(), f"{DOOR}/modes/lock_down"
    one.clock.forward(seconds=301)
    refused = browser.post(path, form_at="/", reason="烟雾 smoke", duration_s="14400", password="wrong-one")
    assert refused.status_code == 403
    assert 'value="烟雾 smoke"' in refused.text
    assert re.search(r'value="14400" checked', refused.text)
    before = browser.cookie()
    assert ask(browser, path, reason="烟雾 smoke", duration_s="14400", password=PASSWORD) == 303
    (command,) = commands(one)
    assert command.proven_at == one.clock(), "the proof that counts is the one just given"
    assert browser.cookie() != before


def test_a_locked_down_door_offers_its_end_and_no_unlock(one: Office) -> None:
    with one.sessions.begin() as session:
        session.get_one(Door, (NORTH, "main")).mode = "lock_down"
    page = one.signed_in().get(f"/stations/{NORTH}").text
    assert 'id="end_lock_down-main"' in page
    assert 'id="unlock-main"' not in page
    assert 'data-mode="lock_down"' in page
    assert ask(one.signed_in(), f"{DOOR}/unlock", reason="x") == 409


def test_an_act_for_two_is_proposed_and_moves_nothing(two: Office) -> None:
    proposal = propose(two, two.signed_in())
    assert commands(two) == []
    assert (proposal.proposer, proposal.duration_s) == ("lin", 3_600)
    assert actions(two, proposal.id) == [("user:lin", "door:hold_open:proposed")]
    for page in ("/", f"/stations/{NORTH}", "/orders", "/proposals"):
        assert f'data-proposal="{proposal.id}"' in two.signed_in("guest", Role.VIEWER).get(page).text, page


def test_the_second_person_approves_and_both_names_are_told(two: Office) -> None:
    proposal = propose(two, two.signed_in())
    assert ask(two.signed_in("wang"), f"/proposals/{proposal.id}/approve") == 303
    (command,) = commands(two)
    assert (command.requested_by, command.approved_by) == ("user:lin", "user:wang")
    assert actions(two, command.id) == [("user:wang", "door:hold_open:approved")]
    story = two.signed_in().get(f"/orders/{command.id}").text
    assert re.findall(r'data-hop="(\w+)"', story) == ["PROPOSED", "APPROVED", "REQUESTED"]
    assert "wang" in story


def test_nobody_approves_their_own_and_the_attempt_is_on_record(two: Office) -> None:
    browser = two.signed_in()
    proposal = propose(two, browser)
    refused = browser.post(f"/proposals/{proposal.id}/approve", form_at="/")
    assert refused.status_code == 403
    assert "须由另一人批准" in refused.text
    assert commands(two) == []
    assert actions(two, proposal.id)[-1] == ("user:lin", "door:hold_open:approval_refused")


def test_a_viewer_approves_nothing(two: Office) -> None:
    proposal = propose(two, two.signed_in())
    guest = two.signed_in("guest", Role.VIEWER)
    assert ask(guest, f"/proposals/{proposal.id}/approve") == 403
    assert ask(guest, f"/proposals/{proposal.id}/decline") == 403


def test_an_approval_needs_a_fresh_password(two: Office) -> None:
    second = two.signed_in("wang")
    two.clock.forward(seconds=301)
    proposal = propose(two, two.signed_in())
    assert ask(second, f"/proposals/{proposal.id}/approve") == 403
    assert ask(second, f"/proposals/{proposal.id}/approve", password="not-it-at-all") == 403
    assert commands(two) == []
    assert ask(second, f"/proposals/{proposal.id}/approve", password=PASSWORD) == 303
    assert len(commands(two)) == 1


def test_a_proposal_is_decided_once(two: Office) -> None:
    first, second = two.signed_in(), two.signed_in("wang")
    proposal = propose(two, first)
    assert ask(first, f"/proposals/{proposal.id}/decline") == 303
    assert ask(second, f"/proposals/{proposal.id}/approve") == 409
    assert ask(second, f"/proposals/{proposal.id}/decline") == 409
    assert commands(two) == []


def decision(proposal: Proposal, **changes: object) -> ProposalDecision:
    values = {
        "proposal_id": proposal.id, "proposer": "lin", "verdict": "approved", "decided_by": "user:wang",
        "decider": "wang", "decided_at": proposal.proposed_at, "command_id": "1" * 32, **changes,
    }  # fmt: skip
    return ProposalDecision(**values)


@pytest.mark.parametrize("changes", [{"decider": "lin"}, {"proposer": "other"}, {"command_id": None}, {"verdict": "declined"}])  # fmt: skip
def test_the_database_itself_holds_the_rule_of_two(two: Office, changes: dict[str, object]) -> None:
    proposal = propose(two, two.signed_in())
    with pytest.raises(IntegrityError):
        two.add(decision(proposal, **changes))
    two.add(decision(proposal))
    with pytest.raises(IntegrityError):
        two.add(decision(proposal, verdict="declined", command_id=None))


def test_the_same_is_not_proposed_twice_at_once(two: Office) -> None:
    browser = two.signed_in()
    proposal = propose(two, browser)
    assert ask(browser, f"{DOOR}/modes/hold_open", reason="again", duration_s="900") == 409
    two.clock.forward(minutes=10)
    assert ask(browser, f"/proposals/{proposal.id}/approve", password=PASSWORD) == 409
    assert ask(browser, f"{DOOR}/modes/hold_open", reason="again", duration_s="900", password=PASSWORD) == 303


@pytest.mark.parametrize(("path", "verb"), [("hold-open", "hold_open"), ("lock-down", "lock_down"), ("end-hold-open", "end_hold_open"), ("end-lock-down", "end_lock_down")])  # fmt: skip
def test_the_api_orders_each_mode(one: Office, path: str, verb: str) -> None:
    client, token = one.app.test_client(), one.token()
    answer = client.post(f"{API}/{path}", headers=token, json={"reason": "drill"})
    assert answer.status_code == 202
    body = answer.json
    assert body is not None
    assert (body["verb"], body["state"], body["stopped"]) == (verb, "REQUESTED", None)
    assert body["duration_s"] == (0 if path.startswith("end") else 1_800)
    assert answer.headers["Location"] == f"/api/v1/commands/{body['id']}"


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x", "duration_s": 59}, {"reason": "x", "duration_s": 86_401}, {"reason": "x", "pulse_ms": 500}])  # fmt: skip
def test_the_api_names_what_is_wrong(one: Office, body: dict[str, object]) -> None:
    answer = one.app.test_client().post(f"{API}/lock-down", headers=one.token(), json=body)
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"


def test_programs_are_two_people_by_the_accounts_they_belong_to(two: Office) -> None:
    two.person("lin")
    two.person("wang")
    client = two.app.test_client()
    mine, also_mine = two.token(name="a", owner="lin"), two.token(name="b", owner="lin")
    hers, nobodys = two.token(name="c", owner="wang"), two.token(name="d")
    refused = client.post(f"{API}/hold-open", headers=nobodys, json={"reason": "x"})
    assert (refused.status_code, refused.json and refused.json["code"]) == (403, "person_unknown")
    body = client.post(f"{API}/hold-open", headers=mine, json={"reason": "x"}).json
    assert body is not None
    assert body["state"] == "pending"
    where = f"/api/v1/proposals/{body['id']}"
    listed = client.get("/api/v1/proposals?state=pending", headers=mine).json
    assert listed is not None
    assert [item["id"] for item in listed["items"]] == [body["id"]]
    codes = [client.post(f"{where}/approve", headers=who).json for who in (mine, also_mine, nobodys)]
    assert [code and code["code"] for code in codes] == ["same_person", "same_person", "person_unknown"]
    done = client.post(f"{where}/approve", headers=hers)
    assert done.status_code == 202
    assert done.json is not None
    assert done.json["approved_by"] == "token:c"
    ended = client.get(where, headers=mine).json
    assert ended is not None
    assert (ended["state"], ended["command"]) == ("approved", done.json["id"])


@pytest.mark.parametrize(
    ("order", "death", "missing"),
    [
        ("3", "offline", "SENT"),
        ("6", "no_word_after_go", "PULSING"),
        ("8", "refused_by_hub", "AUTHORISED"),
        ("b", "no_word_after_go", "APPLIED"),
    ],
)
def test_a_story_says_where_it_died_and_what_to_do(one: Office, order: str, death: str, missing: str) -> None:
    one.add(*hard_orders(one.clock()))
    page = one.signed_in().get("/orders/" + order * 32).text
    assert f'data-death="{death}"' in page
    assert f'class="missing" data-hop="{missing}"' in page
    assert "现在怎么办" in page


def test_a_mode_never_has_the_words_of_an_unlock(one: Office) -> None:
    one.add(*hard_orders(one.clock()))
    page = one.signed_in().get("/orders/" + "b" * 32).text
    assert "可能已生效" in page
    assert "开门：" not in page
    assert "可能已开" not in page


def test_an_order_asked_about_again_says_how_often(one: Office) -> None:
    one.add(*hard_orders(one.clock()))
    page = one.signed_in().get("/orders/" + "6" * 32).text
    assert "已再次询问驿站 3 次" in page
    assert RIVER in page
