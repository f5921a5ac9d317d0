"""Each pass that does not open has its own reason, and the same one every time."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_config.passes import Pass
from firmware_config.wire import Clock
from station_agent.core.passes import Counted, PassRefusal, refusal
from tests.support.rosters import NOON, STATION, at, roster

NOON_S = NOON.wall_ms // 1000
ROSTER = roster(region="r-east")
ONCE = Pass(
    v=1,
    id=b"12345678",
    kid=b"abcd",
    holder="anna",
    scope=[STATION],
    not_before=NOON_S - 60,
    not_after=NOON_S + 60,
    uses=1,
)
ANY_TIMES = msgspec.structs.replace(ONCE, uses=0)
WITHOUT_WINDOW = msgspec.structs.replace(ONCE, not_before=0, not_after=0)


def judge(
    body: Pass, *, wall_s: float = NOON_S, trust: Clock = "synced", counted: Counted | None = None
) -> PassRefusal | None:
    moment = at("2026-05-06T04:00", trust=trust)
    now = type(moment)(moment.boot_id, moment.mono_ms, round(wall_s * 1000), trust)
    return refusal(body, at=now, station=STATION, roster=ROSTER, counted=counted or Counted())


def test_a_valid_pass_opens() -> None:
    assert judge(ONCE) is None


@pytest.mark.parametrize(
    ("wall_s", "reason"),
    [
        (NOON_S - 60.001, PassRefusal.NOT_YET_VALID),
        (NOON_S - 60, None),
        (NOON_S + 59.999, None),
        (NOON_S + 60, PassRefusal.EXPIRED),
    ],
)
def test_a_window_includes_its_first_moment_and_not_its_last(
    wall_s: float, reason: PassRefusal | None
) -> None:
    assert judge(ONCE, wall_s=wall_s) == reason


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        ([STATION], None),
        (["r-east"], None),
        (["*"], None),
        (["st-other001", "r-east"], None),
        (["st-other001"], PassRefusal.WRONG_STATION),
        (["r-west"], PassRefusal.WRONG_STATION),
    ],
)
def test_a_pass_opens_where_it_says(scope: list[str], reason: PassRefusal | None) -> None:
    assert judge(msgspec.structs.replace(ANY_TIMES, scope=scope)) == reason


def test_a_station_without_a_region_is_in_none() -> None:
    body = msgspec.structs.replace(ANY_TIMES, scope=["r-east"])
    nowhere = refusal(body, at=NOON, station=STATION, roster=roster(), counted=Counted())
    assert nowhere is PassRefusal.WRONG_STATION


def test_a_withdrawn_pass_opens_nowhere() -> None:
    withdrawn = roster(revoked_passes=[ONCE.number])
    reason = refusal(ONCE, at=NOON, station=STATION, roster=withdrawn, counted=Counted())
    assert reason is PassRefusal.REVOKED


@pytest.mark.parametrize("trust", ["unsynced", "restored"])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(ONCE, PassRefusal.CLOCK, id="with a window"),
        pytest.param(ANY_TIMES, PassRefusal.CLOCK, id="any number of times"),
        pytest.param(msgspec.structs.replace(WITHOUT_WINDOW, uses=2), PassRefusal.CLOCK, id="twice"),
        pytest.param(WITHOUT_WINDOW, None, id="once, without a window"),
    ],
)
def test_without_a_clock_only_a_single_use_without_a_window_opens(
    body: Pass, trust: Clock, reason: PassRefusal | None
) -> None:
    assert judge(body, trust=trust) == reason


@pytest.mark.parametrize(
    ("uses", "used", "reason"),
    [
        (1, 0, None),
        (1, 1, PassRefusal.REPLAYED),
        (3, 2, None),
        (3, 3, PassRefusal.REPLAYED),
        (0, 10_000, None),
    ],
)
def test_a_pass_opens_as_often_as_it_says(uses: int, used: int, reason: PassRefusal | None) -> None:
    assert judge(msgspec.structs.replace(ONCE, uses=uses), counted=Counted(used=used)) == reason


def test_after_a_loss_of_the_counts_only_younger_passes_are_counted() -> None:
    lost = Counted(lost_ms=ONCE.not_before * 1000)
    assert judge(ONCE, counted=lost) is PassRefusal.USES_UNKNOWN
    assert judge(WITHOUT_WINDOW, counted=lost) is PassRefusal.USES_UNKNOWN
    assert judge(ANY_TIMES, counted=lost) is None
    assert judge(ONCE, counted=Counted(lost_ms=ONCE.not_before * 1000 - 1)) is None


@given(
    wall_s=st.integers(0, 2**33),
    used=st.integers(0, 3),
    uses=st.integers(0, 3),
    trust=st.sampled_from(["synced", "restored", "unsynced"]),
)
def test_nothing_opens_outside_its_window_or_beyond_its_uses(
    wall_s: int, used: int, uses: int, trust: Clock
) -> None:
    body = msgspec.structs.replace(ONCE, uses=uses)
    if judge(body, wall_s=wall_s, trust=trust, counted=Counted(used=used)) is None:
        assert trust == "synced"
        assert body.not_before <= wall_s < body.not_after
        assert uses == 0 or used < uses
