"""Sessions at the kiosk: nothing before the consents, nothing left of what was broken off, whatever is tapped."""

import os
from collections.abc import Callable
from itertools import product
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from station_agent.core.enrolment import (
    FREE,
    SHOWN_S,
    STAGE_S,
    TRANSITIONS,
    Input,
    Purpose,
    Sessions,
    Stage,
    State,
)

EXAMPLES = int(os.environ.get("YIZHAN_VISITS", "300"))
NOTICE = 3
DOOR = "main"

Tap = Callable[[Sessions, str, float], bool]

TAPS: Final[dict[str, Tap]] = {
    "begin": lambda it, who, now_s: it.begin(who, purpose="enrol", door=DOOR, now_s=now_s),
    "withdraw": lambda it, who, now_s: it.begin(who, purpose="withdraw", door=DOOR, now_s=now_s),
    "by_face": lambda it, who, now_s: it.begin(who, purpose="withdraw", door=DOOR, now_s=now_s, by_face=True),
    "identified": lambda it, who, now_s: it.identified(who, "p-anna", now_s=now_s),
    "read": lambda it, who, now_s: it.read(who, notice=NOTICE, now_s=now_s),
    "read_old": lambda it, who, now_s: it.read(who, notice=NOTICE - 1, now_s=now_s),
    "agree": lambda it, who, now_s: it.agree(who, notice=NOTICE, now_s=now_s),
    "agree_old": lambda it, who, now_s: it.agree(who, notice=NOTICE - 1, now_s=now_s),
    "yes": lambda it, who, now_s: it.answer_replication(who, yes=True, now_s=now_s),
    "no": lambda it, who, now_s: it.answer_replication(who, yes=False, now_s=now_s),
    "old_enough": lambda it, who, now_s: it.answer_age(who, fourteen_or_older=True, now_s=now_s),
    "too_young": lambda it, who, now_s: it.answer_age(who, fourteen_or_older=False, now_s=now_s),
    "captured": lambda it, who, now_s: it.captured(who, now_s=now_s),
    "saved": lambda it, who, now_s: it.saved(who, now_s=now_s),
    "refuse": lambda it, who, now_s: it.refuse(who, "code_wrong", now_s=now_s),
    "cancel": lambda it, who, _: it.cancel(who),
    "wait": lambda it, _, now_s: it.tick(now_s),
}
CONSENTS = ["begin", "identified", "read", "agree", "yes", "old_enough"]
HISTORY = st.lists(
    st.tuples(
        st.sampled_from(sorted(TAPS)), st.sampled_from(["own", "own", "own", "other"]), st.integers(0, 40)
    ),
    max_size=60,
)


def play(*taps: str, now_s: float = 0.0) -> Sessions:
    sessions = Sessions(notice=NOTICE)
    for tap in taps:
        assert TAPS[tap](sessions, "s1", now_s), tap
    return sessions


def test_every_transition_of_an_enrolment_is_taken_in_order() -> None:
    sessions = play(*CONSENTS)
    assert sessions.state == State(
        stage=Stage.CAPTURE,
        session="s1",
        purpose="enrol",
        door=DOOR,
        person="p-anna",
        agreed=NOTICE,
        replication=True,
        deadline_s=STAGE_S,
    )
    assert sessions.captured("s1", now_s=1.0)
    assert (sessions.state.stage, sessions.state.deadline_s) == (Stage.SAVING, None)
    assert sessions.saved("s1", now_s=2.0)
    assert (sessions.state.stage, sessions.state.deadline_s) == (Stage.DONE, 2.0 + SHOWN_S)


def test_no_stage_is_skipped_and_no_input_counts_twice() -> None:
    reached = {purpose: {Stage.CHECKING_CODE, Stage.CAPTURE} for purpose in TRANSITIONS}
    for purpose, table in TRANSITIONS.items():
        targets = [target for target in table.values() if target is not Stage.REFUSED]
        assert len(targets) == len(set(targets))
        assert len(table) == len(set(table))
        assert set(targets) | reached[purpose] >= {stage for stage, _ in table}
    before_capture = [stage for (stage, _), to in TRANSITIONS["enrol"].items() if to is Stage.CAPTURE]
    assert before_capture == [Stage.AGE]


@pytest.mark.parametrize("missing", CONSENTS[1:])
def test_whoever_leaves_out_a_step_is_never_captured(missing: str) -> None:
    sessions = Sessions(notice=NOTICE)
    for tap in CONSENTS:
        if tap != missing:
            TAPS[tap](sessions, "s1", 0.0)
    assert sessions.state.stage is not Stage.CAPTURE
    assert not sessions.captured("s1", now_s=0.0)


def test_an_older_notice_is_not_agreed_to() -> None:
    sessions = play("begin", "identified", "read")
    assert not sessions.agree("s1", notice=NOTICE - 1, now_s=0.0)
    assert (sessions.state.stage, sessions.state.agreed) == (Stage.FACE_CONSENT, None)


def test_under_fourteen_is_refused_and_nothing_of_it_is_left() -> None:
    sessions = play("begin", "identified", "read", "agree", "no", "too_young")
    assert sessions.state == State(
        stage=Stage.REFUSED, session="s1", door=DOOR, reason="under_age", deadline_s=SHOWN_S
    )


@pytest.mark.parametrize("steps", range(1, len(CONSENTS) + 1))
def test_a_session_left_alone_is_forgotten_at_every_stage(steps: int) -> None:
    sessions = play(*CONSENTS[:steps])
    assert not sessions.tick(STAGE_S - 0.001)
    assert sessions.tick(STAGE_S)
    assert sessions.state == State()


@pytest.mark.parametrize("steps", range(1, len(CONSENTS) + 1))
def test_a_cancelled_session_is_forgotten_at_every_stage(steps: int) -> None:
    sessions = play(*CONSENTS[:steps])
    assert sessions.cancel("s1")
    assert sessions.state == State()


def test_saving_is_neither_cancelled_nor_timed_out() -> None:
    sessions = play(*CONSENTS, "captured")
    assert not sessions.cancel("s1")
    assert not sessions.tick(10 * STAGE_S)
    assert sessions.state.stage is Stage.SAVING


def test_nobody_begins_while_another_session_is_under_way() -> None:
    sessions = play("begin")
    assert not sessions.begin("s2", purpose="withdraw", door=DOOR, now_s=1.0)
    assert sessions.begin("s2", purpose="withdraw", door=DOOR, now_s=STAGE_S)


def test_a_withdrawal_by_face_captures_first_and_a_code_needs_no_camera() -> None:
    sessions = play("by_face")
    stages = [sessions.state.stage]
    for tap in ("captured", "identified", "saved"):
        assert TAPS[tap](sessions, "s1", 0.0)
        stages.append(sessions.state.stage)
    assert stages == [Stage.CAPTURE, Stage.CHECKING_CODE, Stage.SAVING, Stage.DONE]
    assert play("withdraw", "identified").state.stage is Stage.SAVING


@pytest.mark.parametrize(
    ("purpose", "stage", "happened"), [(p, *pair) for p, pair in product(TRANSITIONS, product(Stage, Input))]
)
def test_every_pair_that_is_not_in_the_table_changes_nothing(
    purpose: Purpose, stage: Stage, happened: Input
) -> None:
    sessions = Sessions(notice=NOTICE)
    sessions.state = State(stage=stage, session="s1", purpose=purpose, door=DOOR, deadline_s=1.0)
    before = sessions.state
    inputs: dict[Input, str] = {
        Input.IDENTIFIED: "identified",
        Input.READ: "read",
        Input.AGREED: "agree",
        Input.ANSWERED: "yes",
        Input.OLD_ENOUGH: "old_enough",
        Input.TOO_YOUNG: "too_young",
        Input.CAPTURED: "captured",
        Input.SAVED: "saved",
    }
    moved = TAPS[inputs[happened]](sessions, "s1", 0.0)
    assert moved == ((stage, happened) in TRANSITIONS[purpose])
    assert moved or sessions.state is before


@given(HISTORY)
@settings(max_examples=EXAMPLES, deadline=None)
def test_nothing_is_captured_or_kept_without_notice_consent_and_age(
    history: list[tuple[str, str, int]],
) -> None:
    sessions = Sessions(notice=NOTICE)
    now_s, session, counted = 0.0, "", list[str]()
    for number, (tap, who, passed_s) in enumerate(history):
        now_s += passed_s
        begins = tap in {"begin", "withdraw", "by_face"}
        named = f"s{number}" if begins else session if who == "own" else "s-other"
        sessions.tick(now_s)
        before = sessions.state
        moved = TAPS[tap](sessions, named, now_s)
        state = sessions.state
        if begins and moved:
            session, counted = named, [tap]
        elif moved:
            counted.append(tap)
        if who == "other" and not begins and tap != "wait" and moved:
            raise AssertionError("another session's nonce did something")
        if state.purpose == "enrol" and state.stage in {Stage.CAPTURE, Stage.SAVING, Stage.DONE}:
            assert [each for each in counted if each in CONSENTS or each == "no"][:6] in (
                CONSENTS,
                [*CONSENTS[:4], "no", "old_enough"],
            )
            assert (state.agreed, state.replication) == (NOTICE, "yes" in counted)
        if state.stage in {Stage.IDLE, Stage.REFUSED}:
            assert (state.person, state.agreed, state.replication) == (None, None, None)
        if state.stage is Stage.IDLE:
            assert state == State()
        if before.stage is Stage.SAVING:
            assert state.stage in {Stage.SAVING, Stage.DONE, Stage.REFUSED}
        if state.stage not in {Stage.IDLE, Stage.SAVING}:
            assert state.deadline_s is not None
            assert now_s < state.deadline_s <= now_s + STAGE_S
        assert (state.stage in FREE) or state.session == session
