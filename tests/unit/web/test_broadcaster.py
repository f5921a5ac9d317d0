"""Fan-out to live streams: nothing lost by being slow, memory bounded, nobody takes all streams."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_hub.bell import WEB, Ringer
from cloud_hub.live.broadcaster import PENDING_LIMIT, RESYNC, STREAMS_PER_OWNER, Broadcaster, Full, Stream


@pytest.fixture
def broadcaster(tmp_path: Path) -> Iterator[Broadcaster]:
    made = Broadcaster(tmp_path, limit=20)
    yield made
    made.close()


def started(stream: Stream) -> Stream:
    """Past the resync that every stream begins with."""
    assert stream.take(1.0) == [RESYNC]
    return stream


def test_a_stream_begins_with_a_resync_because_the_page_is_older_than_it() -> None:
    assert Stream(owner="a", topics=["alerts"]).take(0) == [RESYNC]


def test_a_stream_hears_only_its_topics_each_once_and_in_order() -> None:
    stream = started(Stream(owner="a", topics=["alerts", "station:st-1", "command:*"]))
    stream.offer(["station:st-2", "command:9", "alerts", "command:9", "stations"])
    stream.offer(["station:st-1", "alerts"])
    assert stream.take(0) == ["command:9", "alerts", "station:st-1"]
    assert stream.take(0) == []


def test_a_resync_replaces_everything_unread() -> None:
    stream = started(Stream(owner="a", topics=["alerts"]))
    stream.offer(["alerts"])
    stream.offer([RESYNC])
    stream.offer(["alerts"])
    assert stream.take(0) == [RESYNC]


def test_a_reader_that_fell_too_far_behind_is_told_to_fetch_everything() -> None:
    stream = started(Stream(owner="a", topics=["command:*"]))
    for number in range(PENDING_LIMIT + 1):
        stream.offer([f"command:{number}"])
    assert stream.take(0) == [RESYNC]


@given(st.lists(st.lists(st.sampled_from(["a", "b:1", "b:2", "c", RESYNC]), max_size=4), max_size=30))
def test_whatever_changes_a_reader_hears_of_its_topic_or_of_everything(rings: list[list[str]]) -> None:
    stream = started(Stream(owner="a", topics=["a", "b:*"]))
    for topics in rings:
        stream.offer(topics)
    rung = {topic for topics in rings for topic in topics} - {"c"}
    heard = set(stream.take(0) or [])
    assert heard == ({RESYNC} if RESYNC in rung else rung)


def test_a_ring_of_the_bell_reaches_every_stream_that_asked_for_it(
    broadcaster: Broadcaster, tmp_path: Path
) -> None:
    streams = [started(broadcaster.open(owner=str(n), topics=["alerts"])) for n in range(10)]
    other = started(broadcaster.open(owner="x", topics=["station:st-1"]))
    ringer = Ringer(tmp_path)
    ringer.ring(WEB, "alerts")
    assert [stream.take(5.0) for stream in streams] == [["alerts"]] * 10
    assert other.take(0) == []
    ringer.close()


def test_one_stream_too_many_is_refused_and_a_closed_one_makes_room(broadcaster: Broadcaster) -> None:
    streams = [broadcaster.open(owner=str(n), topics=["a"]) for n in range(20)]
    with pytest.raises(Full):
        broadcaster.open(owner="late", topics=["a"])
    broadcaster.close_stream(streams[3])
    broadcaster.close_stream(streams[3])
    assert broadcaster.open_streams == 19
    broadcaster.open(owner="late", topics=["a"])


def test_one_sign_in_cannot_take_all_streams(broadcaster: Broadcaster) -> None:
    mine = [broadcaster.open(owner="me", topics=["a"]) for _ in range(STREAMS_PER_OWNER + 3)]
    assert broadcaster.open_streams == STREAMS_PER_OWNER
    assert [stream.take(0) is None for stream in mine] == [True] * 3 + [False] * STREAMS_PER_OWNER


def test_closing_ends_every_stream_at_once(broadcaster: Broadcaster) -> None:
    stream = started(broadcaster.open(owner="a", topics=["a"]))
    broadcaster.close()
    broadcaster.close()
    assert stream.take(5.0) is None
    with pytest.raises(Full):
        broadcaster.open(owner="a", topics=["a"])


def test_without_a_listener_streams_end_instead_of_going_stale(
    broadcaster: Broadcaster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_self: object, _timeout_s: float) -> None:
        raise RuntimeError("the bell is broken")

    monkeypatch.setattr("cloud_hub.live.broadcaster.Bell.wait", fail)
    stream = broadcaster.open(owner="a", topics=["a"])
    taken = [stream.take(5.0), stream.take(5.0)]
    assert taken[-1] is None
    assert [record.message for record in caplog.records] == ["live.listener.failed"]
