"""PINs, counted passes, counts and erasures: on disk before anything opens, gone when they are erased."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firmware_config.passes import GUEST, Pass
from firmware_config.wire import Erase
from station_agent.core.lockout import Subject
from station_agent.core.passes import PassRefusal
from station_agent.core.pins import PinFault, PinVerdict
from station_agent.core.policy import Refusal
from station_agent.store.credentials import Credentials
from station_agent.store.gallery_key import GalleryKeyError
from tests.support.rosters import NOON, STATION, at

PIN, DURESS = "580273", "580219"
TODAY = date(2026, 5, 6)
ANNA = Subject("pin", "person", "anna")
DOOR = Subject("pin", "door", "main")
ONCE = Pass(
    v=1,
    id=b"12345678",
    kid=b"abcd",
    holder="anna",
    scope=[STATION],
    not_before=1_700_000_000,
    not_after=1_900_000_000,
    uses=1,
)
UNSYNCED = at("2026-05-06T04:00", trust="unsynced")


def open_credentials(folder: Path, **kwargs: Any) -> Credentials:
    return Credentials(
        folder / "credentials.db", folder / "pin.key", **{"station": STATION, "at": NOON, **kwargs}
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Credentials]:
    store = open_credentials(tmp_path)
    yield store
    store.close()


def check(
    store: Credentials, person: str | None, pin: str, tallies: Mapping[Subject, int] | None = None
) -> PinVerdict | None:
    heard: list[PinVerdict | None] = []
    done = threading.Event()

    def on_done(verdict: PinVerdict | None) -> None:
        heard.append(verdict)
        done.set()

    store.check_pin(person, pin, tallies or {}, on_done)
    assert done.wait(20)
    return heard[0]


def spend(
    store: Credentials, body: Pass, *, day: date = TODAY, cap: int = 10
) -> PassRefusal | Refusal | bool:
    heard: list[PassRefusal | Refusal | bool] = []
    done = threading.Event()

    def on_done(spent: PassRefusal | Refusal | bool) -> None:  # noqa: FBT001 (the callback's signature)
        heard.append(spent)
        done.set()

    store.spend(body, day=day, guest_cap=cap, on_done=on_done)
    assert done.wait(20)
    return heard[0]


# PINs


def test_a_pin_opens_and_another_does_not(store: Credentials) -> None:
    assert store.set_pin("anna", PIN, number="1042", duress=DURESS) is None
    assert [check(store, "anna", pin) for pin in (PIN, DURESS, "580274")] == [
        PinVerdict.GOOD,
        PinVerdict.DURESS,
        PinVerdict.WRONG,
    ]


def test_a_pin_survives_a_restart_and_a_lost_key_ends_it(tmp_path: Path) -> None:
    first = open_credentials(tmp_path)
    first.set_pin("anna", PIN, number=None)
    first.close()
    again = open_credentials(tmp_path)
    assert check(again, "anna", PIN) is PinVerdict.GOOD
    again.close()
    (tmp_path / "pin.key").unlink()
    stolen = open_credentials(tmp_path)
    assert check(stolen, "anna", PIN) is PinVerdict.WRONG
    stolen.close()


def test_pins_of_another_key_are_dropped_so_that_nobody_is_locked_out_by_them(tmp_path: Path) -> None:
    store = open_credentials(tmp_path)
    assert store.set_pin("p-anna", "735194", number=None) is None
    assert not store.key_lost
    store.close()
    (tmp_path / "pin.key").write_bytes(bytes(32))
    store = open_credentials(tmp_path)
    assert store.key_lost
    assert not store.has_pin("p-anna")
    store.set_pin("p-anna", "735194", number=None)
    store.close()
    store = open_credentials(tmp_path)
    assert not store.key_lost
    assert check(store, "p-anna", "735194") is not None
    store.close()


def test_a_key_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pin.key").write_bytes(os.urandom(32))
    (tmp_path / "pin.key").chmod(0o644)
    with pytest.raises(GalleryKeyError, match="gallery key"):
        open_credentials(tmp_path)


def test_an_unknown_number_and_a_person_without_a_pin_are_as_wrong_as_a_wrong_pin(store: Credentials) -> None:
    assert check(store, None, PIN) is PinVerdict.WRONG
    assert check(store, "bo", PIN) is PinVerdict.WRONG


def test_a_new_pin_takes_the_place_of_the_old_one_and_of_its_duress_pin(store: Credentials) -> None:
    store.set_pin("anna", PIN, number=None, duress=DURESS)
    store.set_pin("anna", "937146", number=None)
    assert [check(store, "anna", pin) for pin in ("937146", PIN, DURESS)] == [
        PinVerdict.GOOD,
        PinVerdict.WRONG,
        PinVerdict.WRONG,
    ]


def test_a_pin_that_cannot_be_chosen_changes_nothing(store: Credentials) -> None:
    assert store.set_pin("anna", "123456", number=None) is PinFault.TOO_SIMPLE
    assert not store.has_pin("anna")
    store.set_pin("anna", PIN, number=None)
    assert store.has_pin("anna")


def test_the_file_does_not_tell_who_has_a_duress_pin(store: Credentials) -> None:
    store.set_pin("anna", PIN, number=None, duress=DURESS)
    store.set_pin("bo", PIN, number=None)
    with store._file.transaction() as connection:
        rows = connection.execute("SELECT length(salt), length(digest), length(duress), scheme FROM pin")
        assert len(set(rows.fetchall())) == 1


def test_no_pin_is_in_the_files(store: Credentials, tmp_path: Path) -> None:
    store.set_pin("anna", PIN, number=None, duress=DURESS)
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert PIN.encode() not in content
    assert DURESS.encode() not in content


def test_an_attempt_is_on_disk_as_a_failure_before_it_is_judged(store: Credentials) -> None:
    check(store, "anna", PIN, {ANNA: 4, DOOR: 1})
    assert store.remembered().tallies == {ANNA: 4, DOOR: 1}


def test_nothing_is_judged_when_the_attempt_cannot_be_kept(store: Credentials) -> None:
    store.set_pin("anna", PIN, number=None)
    fill(store)
    many = {Subject("pin", "person", f"p{n:05}"): 1 for n in range(2000)}
    assert check(store, "anna", PIN, many) is None


# Counts


def test_counts_are_kept_and_forgotten(store: Credentials) -> None:
    check(store, None, PIN, {ANNA: 4, DOOR: 2})
    store.keep_tallies({ANNA: 0, DOOR: 1})
    check(store, None, PIN)
    assert store.remembered().tallies == {DOOR: 1}


def test_what_the_control_thread_begins_with_comes_back(tmp_path: Path) -> None:
    first = open_credentials(tmp_path)
    first.keep_group_entries({"staff": 5})
    first.keep_group_entries({"staff": 7, "office": 6})
    spend(first, guest(1))
    first.keep_tallies({DOOR: 3})
    first.close()
    again = open_credentials(tmp_path)
    remembered = again.remembered()
    assert remembered.group_entered_ms == {"staff": 7, "office": 6}
    assert remembered.guests == {"2026-05-06": 1}
    assert remembered.tallies == {DOOR: 3}
    again.close()


# Passes


def guest(number: int, *, uses: int = 1) -> Pass:
    return msgspec.structs.replace(ONCE, id=number.to_bytes(8), holder="g-1", flags=GUEST, uses=uses)


def test_a_pass_is_spent_as_often_as_it_says(store: Credentials) -> None:
    assert store.counted(ONCE.number).used == 0
    assert spend(store, ONCE) is True
    assert spend(store, ONCE) is PassRefusal.REPLAYED
    thrice = msgspec.structs.replace(ONCE, id=b"thrice!!", uses=3)
    assert [spend(store, thrice) for _ in range(4)] == [True, True, True, PassRefusal.REPLAYED]
    assert store.counted(thrice.number).used == 3
    always = msgspec.structs.replace(ONCE, id=b"always!!", uses=0)
    assert [spend(store, always) for _ in range(5)] == [True] * 5


def test_a_spent_pass_stays_spent_after_a_restart(tmp_path: Path) -> None:
    first = open_credentials(tmp_path)
    assert spend(first, ONCE) is True
    first.close()
    again = open_credentials(tmp_path)
    assert spend(again, ONCE) is PassRefusal.REPLAYED
    again.close()


def test_many_who_show_one_pass_at_once_enter_once(store: Credentials) -> None:
    heard: list[object] = []
    done = threading.Semaphore(0)

    def on_done(spent: object) -> None:
        heard.append(spent)
        done.release()

    threads = [
        threading.Thread(
            target=store.spend, args=(ONCE,), kwargs={"day": TODAY, "guest_cap": 0, "on_done": on_done}
        )
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
        assert done.acquire(timeout=20)
    assert sorted(map(str, heard)) == ["True", *[str(PassRefusal.REPLAYED)] * 19]


def test_no_more_guests_are_counted_than_the_cap_on_one_day(store: Credentials) -> None:
    spent = [spend(store, guest(number), cap=2) for number in range(3)]
    assert spent == [True, True, Refusal.GUEST_CAP]
    assert store.counted(guest(2).number).used == 0
    assert spend(store, guest(2), cap=2, day=date(2026, 5, 7)) is True
    assert store.remembered().guests == {"2026-05-07": 1}


def test_a_guest_pass_used_up_is_not_one_more_guest(store: Credentials) -> None:
    assert spend(store, guest(1)) is True
    assert spend(store, guest(1)) is PassRefusal.REPLAYED
    assert store.remembered().guests == {"2026-05-06": 1}


def test_nothing_opens_when_the_disk_refuses(store: Credentials) -> None:
    fill(store)
    spent = [spend(store, msgspec.structs.replace(ONCE, id=n.to_bytes(8))) for n in range(200)]
    assert spent[-1] is False


def test_nothing_opens_after_the_end(tmp_path: Path) -> None:
    store = open_credentials(tmp_path)
    store.close()
    store.close()
    assert spend(store, ONCE) is False
    assert check(store, "anna", PIN) is None


def fill(store: Credentials) -> None:
    """No page more for the file."""
    with store._file.transaction() as connection:
        connection.execute("PRAGMA max_page_count = 1").fetchall()


SPENDER = """
import sys, threading
from pathlib import Path
from tests.unit.store.test_credentials import ONCE, TODAY, open_credentials
import msgspec
store = open_credentials(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 10**6):
    done = threading.Event()
    heard = []
    store.spend(
        msgspec.structs.replace(ONCE, id=number.to_bytes(8)), day=TODAY, guest_cap=0,
        on_done=lambda spent: (heard.append(spent), done.set()),
    )
    done.wait()
    print(number if heard == [True] else "refused", flush=True)
"""


def test_no_pass_opens_twice_however_often_the_agent_is_killed(tmp_path: Path) -> None:
    opened: list[int] = []
    for round_number in range(6):
        start = max(opened, default=-1)
        process = subprocess.Popen(
            [sys.executable, "-c", SPENDER, str(tmp_path), str(start + 1)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        assert process.stdout is not None
        for _ in range(3 + 7 * round_number):
            line = process.stdout.readline().strip()
            if line == "refused":  # counted before the kill, and never told: at most once
                continue
            opened.append(int(line))
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        opened += [int(line) for line in rest if line.isdigit()]
        process.stdout.close()
        process.wait()
    assert len(opened) == len(set(opened)) > 50
    store = open_credentials(tmp_path)
    again = {spend(store, msgspec.structs.replace(ONCE, id=number.to_bytes(8))) for number in opened}
    store.close()
    assert again == {PassRefusal.REPLAYED}


# Losing the counts


def damage(folder: Path) -> None:
    open_credentials(folder).close()
    (folder / "credentials.db").write_bytes(b"not a database" * 1000)


def test_a_loss_is_dated_by_a_synchronised_clock(tmp_path: Path) -> None:
    damage(tmp_path)
    store = open_credentials(tmp_path)
    assert store.set_aside is not None
    assert store.lost_ms == store.counted(ONCE.number).lost_ms == NOON.wall_ms
    store.close()
    later = open_credentials(tmp_path, at=at("2026-06-01T00:00"))
    assert later.lost_ms == NOON.wall_ms
    later.close()


def test_a_loss_without_a_clock_is_later_than_any_pass_until_it_is_dated(tmp_path: Path) -> None:
    damage(tmp_path)
    store = open_credentials(tmp_path, at=UNSYNCED)
    assert store.lost_ms is not None
    assert store.lost_ms > 2**50
    store.settle_loss(UNSYNCED)
    assert store.lost_ms > 2**50
    store.settle_loss(NOON)
    assert store.lost_ms == NOON.wall_ms
    store.settle_loss(at("2026-06-01T00:00"))
    assert store.lost_ms == NOON.wall_ms
    store.close()


def test_a_station_that_never_lost_anything_has_lost_nothing(store: Credentials) -> None:
    store.settle_loss(NOON)
    assert store.lost_ms is None


# Erasure

REQUEST = Erase(station=STATION, request_id="a" * 32, person="anna", issued_ms=1)


def test_an_erased_person_has_no_pin_no_counts_and_no_pass_that_opens(store: Credentials) -> None:
    store.set_pin("anna", PIN, number=None)
    check(store, "anna", "0", {ANNA: 3, DOOR: 1})
    thrice = msgspec.structs.replace(ONCE, id=b"thrice!!", uses=3)
    spend(store, thrice)
    assert store.erase("anna") is True
    assert check(store, "anna", PIN) is PinVerdict.WRONG
    assert store.remembered().tallies == {DOOR: 1}
    assert spend(store, thrice) is PassRefusal.REPLAYED
    assert store.erase("anna") is False


def test_nothing_of_an_erased_person_is_left_in_the_files(store: Credentials, tmp_path: Path) -> None:
    person = "p-unmistakable-4711"
    store.set_pin(person, PIN, number=None)
    spend(store, msgspec.structs.replace(ONCE, holder=person))
    with store._file.transaction() as connection:
        (digest,) = connection.execute("SELECT digest FROM pin").fetchone()
    files = [file for file in tmp_path.iterdir() if file.name.startswith("credentials")]
    assert any(person.encode() in file.read_bytes() for file in files)
    store.erase(person)
    for file in files:
        content = file.read_bytes() if file.exists() else b""
        assert person.encode() not in content
        assert digest not in content


def test_a_request_is_carried_out_once_and_answered_every_time(store: Credentials) -> None:
    assert store.erasures.begin(REQUEST) is None
    assert store.erasures.unfinished() == [("a" * 32, "anna", False)]
    assert store.erasures.begin(REQUEST) is None
    store.erasures.finish("a" * 32, '{"root":"0"}')
    assert store.erasures.unfinished() == []
    assert store.erasures.begin(REQUEST) == '{"root":"0"}'


def test_an_erasure_cut_off_by_a_crash_is_found_at_the_next_start(tmp_path: Path) -> None:
    first = open_credentials(tmp_path)
    first.erasures.begin(REQUEST)
    first.close()
    again = open_credentials(tmp_path)
    assert again.erasures.unfinished() == [("a" * 32, "anna", False)]
    again.close()


def test_old_receipts_make_room_and_open_requests_stay(
    store: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("station_agent.store.credential_file.KEPT_ERASURES", 2)
    requests = [msgspec.structs.replace(REQUEST, request_id=f"{n:032x}") for n in range(5)]
    for request in requests:
        store.erasures.begin(request)
    for request in requests[1:]:
        store.erasures.finish(request.request_id, "{}")
    assert store.erasures.unfinished() == [(requests[0].request_id, "anna", False)]
    assert [store.erasures.begin(request) for request in requests[3:]] == ["{}", "{}"]
    assert store.erasures.begin(requests[1]) is None
