"""Versions only increase, age is told, and parts count only together."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_config.roster import ROSTER_LIFE_MS, split
from firmware_config.wire import RosterPart
from station_agent.core.roster import AHEAD_MS, Assembly, Freshness, refusal
from tests.support.rosters import ANNA, NOON, at, document, roster

BO = msgspec.structs.replace(ANNA, id="bo", number=None)
LATE = at("2026-05-12T04:00")


def test_a_first_and_a_newer_roster_are_taken() -> None:
    assert refusal(None, roster(version=5), NOON) is None
    assert refusal(roster(version=5), roster(version=6), NOON) is None


def test_an_older_roster_is_refused_whatever_the_clock_says() -> None:
    for moment in (NOON, LATE, at("1970-01-01", trust="unsynced")):
        assert refusal(roster(version=5), roster(ANNA, version=4), moment) == "stale_roster"


def test_the_same_version_is_taken_only_with_the_same_content() -> None:
    assert refusal(roster(ANNA, version=5), roster(ANNA, version=5), NOON) is None
    assert refusal(roster(ANNA, version=5), roster(ANNA, BO, version=5), NOON) == "stale_roster"


@pytest.mark.parametrize(
    ("issued_ms", "reason"),
    [
        (NOON.wall_ms - ROSTER_LIFE_MS, "roster_expired"),
        (NOON.wall_ms - ROSTER_LIFE_MS + 1, None),
        (NOON.wall_ms + AHEAD_MS, None),
        (NOON.wall_ms + AHEAD_MS + 1, "roster_from_future"),
    ],
)
def test_a_roster_out_of_its_time_is_refused_by_a_clock_that_knows(
    issued_ms: int, reason: str | None
) -> None:
    offered = roster(version=2, issued_ms=issued_ms)
    assert refusal(roster(version=1), offered, NOON) == reason
    unsynced = at("2026-05-06T04:00", trust="unsynced")
    assert refusal(roster(version=1), offered, unsynced) is None


def test_a_roster_ages_by_a_synchronised_clock() -> None:
    held = roster(ANNA)
    assert held.freshness(NOON) is Freshness.FRESH
    assert held.freshness(at("2026-05-09T03:59:59")) is Freshness.FRESH
    assert held.freshness(at("2026-05-09T04:00")) is Freshness.STALE


def test_without_a_clock_the_age_is_unknown_until_it_must_be_stale() -> None:
    held = roster(ANNA, received_mono_ms=1000)
    early = at("2026-05-06T04:00", trust="restored", mono_ms=1000 + ROSTER_LIFE_MS)
    late = at("2026-05-06T04:00", trust="restored", mono_ms=1001 + ROSTER_LIFE_MS)
    assert (held.freshness(early), held.freshness(late)) == (Freshness.UNKNOWN, Freshness.STALE)
    assert roster(ANNA).freshness(late) is Freshness.UNKNOWN


def test_people_are_found_by_id_and_by_number() -> None:
    held = roster(ANNA, BO)
    assert held.people["bo"] == BO
    assert held.by_number("1042") == ANNA
    assert held.by_number("9999") is None


def parts(version: int, count: int = 3, digest: str = "0") -> list[RosterPart]:
    (one,) = split(document(ANNA, version=version))
    return [
        msgspec.structs.replace(one, part=number, parts=count, digest=digest * 64)
        for number in range(1, count + 1)
    ]


@given(st.permutations(range(3)), st.lists(st.integers(0, 2), max_size=5))
def test_parts_come_in_any_order_and_any_number_of_times(order: list[int], repeats: list[int]) -> None:
    assembly, pieces = Assembly(), parts(1)
    *before, last = order
    for index in [*before, *[index for index in repeats if index != last]]:
        assert assembly.take(pieces[index], b"%d" % index) is None
    whole = assembly.take(pieces[last], b"%d" % last)
    assert whole is not None
    assert [part.part for part, _ in whole] == [1, 2, 3]
    assert [payload for _, payload in whole] == [b"0", b"1", b"2"]
    assert assembly.take(pieces[0], b"0") is None


def test_parts_of_two_rosters_never_make_one() -> None:
    assembly = Assembly()
    for piece in (parts(1)[0], parts(2)[1], parts(2, digest="1")[2], parts(2, count=4)[0]):
        assert assembly.take(piece, b"") is None


def test_a_part_beyond_the_last_counts_for_nothing() -> None:
    assembly = Assembly()
    (first, second, third) = parts(1)
    beyond = msgspec.structs.replace(third, part=4)
    for piece in (first, second, beyond):
        assert assembly.take(piece, b"") is None
    assert assembly.take(third, b"") is not None
