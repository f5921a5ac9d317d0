"""When a connection is asked about and when it is built anew: rules 1 to 6 of ``station_agent.link.echo``."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from station_agent.link.connection import LONGEST_PAUSE_S as LONGEST_WAIT_S
from station_agent.link.connection import pause_s
from station_agent.link.echo import ASK_AGAIN_S, ECHO_AFTER_S, LONGEST_PAUSE_S, MOST_ASKS, OWED_S, Echo, Name

BEAT_S = 5
NOTHING: dict[Name, float] = {"command": 0.0, "data": 0.0}


def echo(seed: int = 1) -> Echo:
    made = Echo(0, random.Random(seed).random)  # noqa: S311 (no secret)
    for name in made.lines:
        made.went(name, 0.0, up=True)
    return made


def run(
    made: Echo,
    *,
    until_s: int,
    answers: tuple[Name, ...] = (),
    nobody: bool = False,
    from_s: int = 0,
) -> tuple[list[int], list[tuple[int, Name]]]:
    """Heartbeats of a station whose hub answers on some connections: when it asked, and what it rebuilt."""
    asked: list[int] = []
    rebuilt: list[tuple[int, Name]] = []
    for second in range(from_s, until_s, BEAT_S):
        step = made.step(second, nobody=nobody and bool(asked), owed_s=NOTHING)
        if step.number:
            asked.append(second)
            for name in answers:
                made.heard(name, second + 0.1)
        for name in step.rebuild:
            rebuilt.append((second, name))
            made.went(name, second + 0.5, up=False)
            made.went(name, second + 1, up=True)
    return asked, rebuilt


def test_nobody_is_asked_while_something_comes() -> None:
    made = echo()
    for second in range(0, 3_600, BEAT_S):
        made.heard("command", second)
        made.heard("data", second)
        assert made.step(second, nobody=False, owed_s=NOTHING).number == 0


def test_silence_is_asked_about_and_an_answer_is_enough() -> None:
    asked, rebuilt = run(echo(), until_s=3_600, answers=("command", "data"))
    assert rebuilt == []
    gaps = [later - sooner for sooner, later in pairwise(asked)]
    assert all(ECHO_AFTER_S * 0.7 <= gap <= ECHO_AFTER_S * 1.4 for gap in gaps)


def test_only_the_dead_connection_is_built_anew() -> None:
    for dead, alive in (("command", "data"), ("data", "command")):
        _, rebuilt = run(echo(), until_s=200, answers=(alive,))  # type: ignore[arg-type]
        assert {name for _, name in rebuilt} == {dead}
        first_s = rebuilt[0][0]
        assert ECHO_AFTER_S * 0.75 + MOST_ASKS * ASK_AGAIN_S * 0.75 <= first_s <= 150


def test_when_the_broker_says_that_nobody_listens_nothing_is_built_anew() -> None:
    asked, rebuilt = run(echo(), until_s=86_400, nobody=True)
    assert rebuilt == []
    assert asked


def test_an_absent_hub_costs_a_bounded_number_of_rebuilds_even_when_the_broker_lies() -> None:
    counts = []
    for seed in range(200):
        _, rebuilt = run(echo(seed), until_s=86_400)
        assert {name for _, name in rebuilt} == {"command"}, "the data connection was never fairly asked"
        counts.append(len(rebuilt))
    # after the first few, a round of questions (about 105 s) and a pause of 300 s on average
    assert max(counts) <= 86_400 / (LONGEST_PAUSE_S / 2)
    assert sum(counts) / len(counts) <= 86_400 / 250


def test_the_pause_between_rebuilds_is_forgotten_once_somebody_answers() -> None:
    made = echo()
    run(made, until_s=7_200)
    assert made.lines["command"].rebuilds > 3
    made.heard("command", 7_200)
    assert made.lines["command"].rebuilds == 0
    _, rebuilt = run(made, from_s=7_200, until_s=7_200 + 180, answers=("data",))
    assert [name for _, name in rebuilt] == ["command"]


def test_a_birth_goes_with_the_question_once_one_was_not_answered() -> None:
    made = echo()
    births = [made.step(second, nobody=False, owed_s=NOTHING).birth for second in range(0, 110, BEAT_S)]
    assert births.count(True) >= 1
    assert not births[: int(ECHO_AFTER_S * 0.75) // BEAT_S + 1].count(True)


@given(st.integers(0, 40), st.floats(0, 0.999_999))
def test_a_pause_before_connecting_is_fully_jittered_and_bounded(attempt: int, chance: float) -> None:
    longest_s = min(LONGEST_WAIT_S, 2.0**attempt)
    assert pause_s(attempt, lambda: chance) == chance * longest_s


def test_pauses_of_many_stations_spread_evenly() -> None:
    chance = random.Random(7).random  # noqa: S311 (no secret)
    for attempt, longest_s in ((0, 1.0), (3, 8.0), (12, LONGEST_WAIT_S)):
        pauses = [pause_s(attempt, chance) for _ in range(4_000)]
        tenths = [0] * 10
        for pause in pauses:
            tenths[int(pause / longest_s * 10)] += 1
        assert min(tenths) > 320
        assert max(tenths) < 480


def test_a_connection_whose_broker_owes_an_acknowledgement_is_built_anew_alone() -> None:
    made = echo()
    made.heard("command", 1.0)
    made.heard("data", 1.0)
    assert made.step(5.0, nobody=False, owed_s={"command": 0.0, "data": OWED_S - 1}).rebuild == ()
    assert made.step(6.0, nobody=False, owed_s={"command": 0.0, "data": OWED_S}).rebuild == ("data",)
