"""The local alarm: latch and siren."""

from hypothesis import given
from hypothesis import strategies as st

from station_agent.core.alarm import Alarm, AlarmAction

SOUND, SILENCE = (AlarmAction.SOUND_SIREN,), (AlarmAction.SILENCE_SIREN,)


def test_a_cause_sounds_the_siren_and_the_siren_stops_by_itself() -> None:
    alarm = Alarm(limit_s=60)
    assert alarm.raise_cause("forced:main", now_s=10) == SOUND
    assert alarm.deadline_s == 70
    assert alarm.time_out(now_s=69.9) == ()
    assert alarm.time_out(now_s=70) == SILENCE
    assert alarm.latched == {"forced:main"}


def test_shutting_the_door_does_not_silence_the_siren() -> None:
    alarm = Alarm(limit_s=60)
    alarm.raise_cause("forced:main", now_s=0)
    alarm.clear("forced:main")
    assert alarm.sounding
    assert alarm.latched == {"forced:main"}


def test_a_cause_leaves_the_latch_once_over_and_acknowledged_in_either_order() -> None:
    alarm = Alarm(limit_s=60)
    alarm.raise_cause("forced:main", now_s=0)
    alarm.raise_cause("tamper", now_s=0)
    alarm.clear("tamper")
    assert alarm.acknowledge() == SILENCE
    assert alarm.latched == {"forced:main"}
    alarm.clear("forced:main")
    assert alarm.latched == frozenset()


def test_acknowledging_a_silent_alarm_changes_nothing() -> None:
    assert Alarm(limit_s=60).acknowledge() == ()


def test_the_same_cause_again_buys_no_more_time_while_it_sounds() -> None:
    alarm = Alarm(limit_s=60)
    alarm.raise_cause("forced:main", now_s=0)
    alarm.clear("forced:main")
    assert alarm.raise_cause("forced:main", now_s=50) == ()
    assert alarm.deadline_s == 60


def test_another_cause_has_its_own_full_time() -> None:
    alarm = Alarm(limit_s=60)
    alarm.raise_cause("forced:main", now_s=0)
    assert alarm.raise_cause("tamper", now_s=50) == ()
    assert alarm.deadline_s == 110


def test_a_cause_that_comes_back_after_the_silence_sounds_again() -> None:
    alarm = Alarm(limit_s=60)
    alarm.raise_cause("forced:main", now_s=0)
    alarm.time_out(now_s=60)
    assert alarm.raise_cause("forced:main", now_s=61) == SOUND
    alarm.acknowledge()
    assert alarm.raise_cause("forced:main", now_s=62) == SOUND


@given(
    st.lists(
        st.tuples(st.integers(0, 100), st.sampled_from(("forced", "tamper", "ack", "clear"))), max_size=30
    )
)
def test_the_siren_never_sounds_longer_than_its_limit_after_the_latest_cause(
    history: list[tuple[int, str]],
) -> None:
    alarm, now_s, latest_s = Alarm(limit_s=60), 0, 0
    told: list[AlarmAction] = []
    for gap_s, fact in history:
        now_s += gap_s
        told += alarm.time_out(now_s=now_s)
        match fact:
            case "ack":
                told += alarm.acknowledge()
            case "clear":
                alarm.clear("forced")
            case cause:
                latest_s = now_s
                told += alarm.raise_cause(cause, now_s=now_s)
        assert alarm.sounding == (alarm.deadline_s is not None)
        assert not alarm.sounding or now_s < latest_s + 60
        assert told == [*SOUND, *SILENCE] * (len(told) // 2) + [*SOUND] * (len(told) % 2)
