"""The audit log: whatever is changed, removed or moved is found."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.access import audit
from cloud_hub.models import AuditEntry
from tests.support.hub import START


def write(sessions: sessionmaker[Session], count: int) -> None:
    for n in range(count):
        with sessions.begin() as session:
            audit.record(
                session, actor="user:lin", action="door:unlock:authorised", target=str(n),
                detail={"reason": "送货", "pulse_ms": 3_000, "ratio": 0.1, "none": None, "list": (1, 2)}, now=START,
            )  # fmt: skip


def verify(sessions: sessionmaker[Session], expected: str | None = None) -> audit.Report:
    with sessions() as session:
        return audit.verify(session, expected=expected)


def test_an_empty_log_is_whole(sessions: sessionmaker[Session]) -> None:
    assert verify(sessions) == audit.Report(entries=0, head=f"0:{audit.GENESIS}", fault=None)


def test_an_untouched_log_is_whole_whatever_its_details_hold(sessions: sessionmaker[Session]) -> None:
    write(sessions, 5)
    report = verify(sessions)
    assert (report.ok, report.entries) == (True, 5)


@pytest.mark.parametrize(
    ("tamper", "fault"),
    [
        pytest.param(
            lambda s: s.execute(update(AuditEntry).where(AuditEntry.id == 3).values(actor="user:eve")),
            "entry 3: was changed", id="edit",
        ),
        pytest.param(
            lambda s: s.execute(update(AuditEntry).where(AuditEntry.id == 3).values(detail={})),
            "entry 3: was changed", id="edit-detail",
        ),
        pytest.param(
            lambda s: s.execute(delete(AuditEntry).where(AuditEntry.id == 3)), "entry 3 is missing", id="delete",
        ),
        pytest.param(
            lambda s: swap(s, 2, 3), "entry 2: does not follow the entry before it", id="reorder",
        ),
        pytest.param(
            lambda s: s.execute(delete(AuditEntry).where(AuditEntry.id == 1)), "entry 1 is missing", id="behead",
        ),
    ],
)  # fmt: skip
def test_tampering_is_found_where_it_begins(
    sessions: sessionmaker[Session], tamper: Callable[[Session], object], fault: str
) -> None:
    write(sessions, 5)
    with sessions.begin() as session:
        tamper(session)
    report = verify(sessions)
    assert (report.ok, report.fault) == (False, fault)


def swap(session: Session, one: int, other: int) -> None:
    """Exchange the numbers of two entries."""
    for old, new in ((one, -1), (other, one), (-1, other)):
        session.execute(update(AuditEntry).where(AuditEntry.id == old).values(id=new))


def test_an_entry_changed_together_with_its_hash_breaks_the_next(sessions: sessionmaker[Session]) -> None:
    write(sessions, 3)
    with sessions.begin() as session:
        entry = session.get_one(AuditEntry, 2)
        entry.actor = "user:eve"
        entry.hash = audit._hash(entry)
    assert verify(sessions).fault == "entry 3: does not follow the entry before it"


def test_a_cut_off_end_is_found_with_a_head_kept_elsewhere(sessions: sessionmaker[Session]) -> None:
    write(sessions, 5)
    head = verify(sessions).head
    write(sessions, 2)
    assert verify(sessions, head).ok
    with sessions.begin() as session:
        session.execute(delete(AuditEntry).where(AuditEntry.id >= 4))
    assert verify(sessions).ok
    assert verify(sessions, head).fault == "entries 4 to 5 are missing at the end"


def test_a_log_written_anew_is_found_with_a_head_kept_elsewhere(sessions: sessionmaker[Session]) -> None:
    write(sessions, 3)
    head = verify(sessions).head
    with sessions.begin() as session:
        session.execute(delete(AuditEntry))
        for n in range(3):
            audit.record(session, actor="user:eve", action="x:y:z", target=str(n), detail={}, now=START)
    assert verify(sessions, head).fault == "entry 3: is not the one that the given head names"


def test_a_transaction_rolled_back_leaves_no_gap(sessions: sessionmaker[Session]) -> None:
    write(sessions, 1)
    with sessions() as session:
        audit.record(session, actor="hub", action="x:y:z", target="", detail={}, now=START)
        session.rollback()
    write(sessions, 1)
    assert verify(sessions) == audit.Report(entries=2, head=verify(sessions).head, fault=None)


def test_writers_at_once_take_turns(sessions: sessionmaker[Session]) -> None:
    faults: list[BaseException] = []

    def run() -> None:
        try:
            write(sessions, 10)
        except Exception as error:  # noqa: BLE001 (shown by the assertion)
            faults.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert (verify(sessions).ok, verify(sessions).entries) == (True, 40)
    with sessions() as session:
        assert session.scalars(select(AuditEntry.id).order_by(AuditEntry.id)).all() == list(range(1, 41))
