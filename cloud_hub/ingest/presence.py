"""Who is there, by the hub's own clock. No session, no thread, no clock of its own: it belongs to the writer thread.

Rules
  1. A birth names the live session ``(boot_id, conn_no)``. Nothing signed earlier than what was last believed is
     believed again: within a boot the connection's number and the monotonic clock only grow, and a boot that another has
     followed never comes back (``handlers``, which knows the boots).
  2. A heartbeat of the live session renews the lease. One of an unknown session is not believed; the station is asked
     for a birth. One of an older session is dropped.
  3. A death notice counts only when it names the live session, so a late one cannot kill the next.
  4. The lease runs out only while the bridge can hear: without a broker a station becomes ``unknown``, not ``offline``,
     and after a reconnect everybody has a whole lease to be heard again.
  5. Offline for ``silent_alert_s``: somebody is told, once, but not within ``start_grace_s`` of the start, nor of the
     moment at which the bridge could hear again: whoever lost the same broker needs that long to come back.
  6. When the hub's clock is set, all of this keeps its distance from it (``clock_was_set``).
"""

import heapq
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any, Final

from cloud_hub.models.station import Presence
from cloud_hub.settings import PresenceSettings
from firmware_config.wire import Birth, Heartbeat

_SHORTEST_INTERVAL_S: Final = 0.1
_LONGEST_INTERVAL_S: Final = 3_600.0
_SECOND: Final = timedelta(seconds=1)
_LONG_AGO: Final = datetime(1900, 1, 1, tzinfo=UTC)


class Verdict(Enum):
    """What a signed message about presence is worth."""

    BELIEVED = auto()
    STALE = auto()
    STRANGER = auto()


@dataclass(frozen=True, slots=True)
class Live:
    """What is known of one station now.

    Attributes:
        mono_ms: of the last message believed.
        birth_ms: of the last birth believed.
        beat_ms: of the last heartbeat believed; the same one again renews nothing.
        silent: somebody has been told.
        seen: what its last heartbeat showed, to notice changes.
        steady: the last two heartbeats showed the same.
        alarmed_at: of its newest event that says that something holds; an older heartbeat knows nothing of it.
        lost: events that it counted as lost; None before its first heartbeat.
    """

    station: str
    presence: Presence = Presence.UNKNOWN
    since: datetime = _LONG_AGO
    heartbeat_at: datetime | None = None
    interval_s: float = 5.0
    boot_id: str | None = None
    conn_no: int = 0
    install_id: str | None = None
    mono_ms: int = -1
    birth_ms: int = -1
    beat_ms: int = -1
    silent: bool = False
    seen: Any = None
    steady: bool = False
    alarmed_at: datetime = _LONG_AGO
    lost: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A station's presence changed, or it has been silent for too long."""

    live: Live
    silent: bool


class Watch:
    """Presence of all stations. Changes are tried first and kept only once their transaction is committed."""

    def __init__(self, settings: PresenceSettings, *, started_at: datetime) -> None:
        self._lease = timedelta(seconds=settings.lease_s)
        self._silent_after = timedelta(seconds=settings.silent_alert_s)
        self._grace = timedelta(seconds=settings.start_grace_s)
        self._quiet_until = started_at + self._grace
        self._heard_since: datetime | None = None
        self._lives: dict[str, Live] = {}
        self._tried: dict[str, Live] = {}
        self._due: list[tuple[datetime, str]] = []
        self._queued: dict[str, datetime] = {}

    def restore(self, live: Live) -> None:
        """What the database held when the bridge started."""
        self._lives[live.station] = live
        self._queue(live)

    def forget(self, station: str) -> None:
        """It is no longer served."""
        self._lives.pop(station, None)

    def connected(self, since: datetime | None) -> None:
        """The bridge hears stations since this time; None while it does not."""
        if since == self._heard_since:
            return
        self._heard_since = since
        if since is not None:
            self._quiet_until = max(self._quiet_until, since + self._grace)
        for live in self._lives.values():
            if live.presence is Presence.UNKNOWN:
                self._queue(live)

    def clock_was_set(self, by: timedelta) -> None:
        """The hub's own clock: leases and waits go on for as long as they had left. Between transactions only."""
        self._quiet_until += by
        if self._heard_since is not None:
            self._heard_since += by
        for live in self._lives.values():
            heard = None if live.heartbeat_at is None else live.heartbeat_at + by
            moved = replace(live, since=live.since + by, heartbeat_at=heard, alarmed_at=live.alarmed_at + by)
            self._lives[live.station] = moved
        self._due = [(due + by, station) for due, station in self._due]
        self._queued = {station: due + by for station, due in self._queued.items()}

    def get(self, station: str) -> Live:
        """What is known now, tried changes included."""
        return self._tried.get(station) or self._lives.get(station) or Live(station)

    def keep(self) -> None:
        """The transaction is committed."""
        for live in self._tried.values():
            before = self._lives.get(live.station)
            self._lives[live.station] = live
            if before is None or before.presence is not live.presence:
                self._queue(live)
        self._tried = {}

    def drop(self) -> None:
        """The transaction was rolled back."""
        self._tried = {}

    def update(self, live: Live) -> None:
        """Try a change."""
        self._tried[live.station] = live

    def birth(self, birth: Birth, at: datetime) -> tuple[Verdict, Live]:
        """A signed birth or death notice."""
        live = self.get(birth.station)
        same_boot = live.boot_id == birth.boot_id
        if not birth.online:
            if (live.boot_id, live.conn_no) != (
                birth.boot_id,
                birth.conn_no,
            ) or live.presence is Presence.OFFLINE:
                return Verdict.STALE, live
            return Verdict.BELIEVED, self._turn(live, Presence.OFFLINE, at)
        older = birth.conn_no < live.conn_no or birth.mono_ms < live.mono_ms or birth.mono_ms <= live.birth_ms
        if same_boot and older:
            return Verdict.STALE, live
        live = replace(
            live,
            boot_id=birth.boot_id,
            conn_no=birth.conn_no,
            install_id=birth.install_id,
            mono_ms=birth.mono_ms,
            birth_ms=birth.mono_ms,
            beat_ms=live.beat_ms if same_boot else -1,
            lost=live.lost if live.install_id in {None, birth.install_id} else 0,
        )
        return Verdict.BELIEVED, self._here(live, at)

    def heartbeat(self, beat: Heartbeat, at: datetime) -> tuple[Verdict, Live]:
        """A signed heartbeat."""
        live = self.get(beat.station)
        if live.boot_id != beat.boot_id or beat.conn_no > live.conn_no:
            return Verdict.STRANGER, live
        if beat.conn_no < live.conn_no or beat.mono_ms < live.mono_ms or beat.mono_ms <= live.beat_ms:
            return Verdict.STALE, live
        live = replace(
            live,
            mono_ms=beat.mono_ms,
            beat_ms=beat.mono_ms,
            interval_s=min(max(beat.interval_s, _SHORTEST_INTERVAL_S), _LONGEST_INTERVAL_S),
            install_id=beat.install_id,
        )
        return Verdict.BELIEVED, self._here(live, at)

    def due(self, now: datetime) -> bool:
        """There may be something for ``sweep`` to find."""
        return bool(self._due) and self._due[0][0] <= now

    def sweep(self, now: datetime) -> list[Turn]:
        """Whose lease ran out, and who has been silent for too long, tried changes included. Call every second or so."""
        turns: list[Turn] = []
        while self._due and self._due[0][0] <= now:
            due, station = heapq.heappop(self._due)
            if self._queued.get(station) != due:
                continue  # an earlier look at it was queued since
            del self._queued[station]
            live = self.get(station)
            if (deadline := self._deadline(live)) is None:
                continue
            if deadline <= now:
                turns.append(self._run_out(live, now))
                deadline = now + _SECOND  # looked at again, should the transaction fail
            self._push(deadline, station)
        return turns

    def _run_out(self, live: Live, now: datetime) -> Turn:
        if live.presence is Presence.OFFLINE:
            told = replace(live, silent=True)
            self._tried[live.station] = told
            return Turn(told, silent=True)
        presence = Presence.OFFLINE if self._heard_since is not None else Presence.UNKNOWN
        return Turn(self._turn(live, presence, now), silent=False)

    def _deadline(self, live: Live) -> datetime | None:
        """When ``sweep`` must act on it, None when nothing can run out."""
        if live.presence is Presence.OFFLINE:
            return None if live.silent else max(live.since + self._silent_after, self._quiet_until)
        if live.heartbeat_at is None:
            return None  # never heard: unknown, and that is all there is to say
        if live.presence is Presence.UNKNOWN and self._heard_since is None:
            return None
        return max(live.heartbeat_at, self._heard_since or _LONG_AGO) + self._lease

    def _here(self, live: Live, at: datetime) -> Live:
        live = replace(live, heartbeat_at=at)
        return self._turn(live, Presence.ONLINE, at)

    def _turn(self, live: Live, presence: Presence, at: datetime) -> Live:
        if presence is not live.presence:
            live = replace(live, presence=presence, since=at, silent=False, steady=False)
        self._tried[live.station] = live
        return live

    def _queue(self, live: Live) -> None:
        if (deadline := self._deadline(live)) is not None:
            self._push(deadline, live.station)

    def _push(self, due: datetime, station: str) -> None:
        if (queued := self._queued.get(station)) is None or due < queued:
            self._queued[station] = due
            heapq.heappush(self._due, (due, station))
