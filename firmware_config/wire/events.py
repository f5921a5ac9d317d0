"""Events and readings on their way up, and the acknowledgements on their way down."""

from typing import Annotated, Final, TypeAlias

from msgspec import Meta, field

from firmware_config.vocabulary import EventKind
from firmware_config.wire.base import Clock, Count, Hex128, Message, Milliseconds, Name, Scalar, Struct

BATCH_LIMIT: Final = 200
"""Most events or readings in one message; with the largest data it stays below ``MAX_PAYLOAD_BYTES``."""

Seq: TypeAlias = Annotated[int, Meta(ge=1, le=2**53)]


class Event(Struct, frozen=True, kw_only=True):
    """One fact worth keeping. (station, install_id, seq) names it for ever."""

    seq: Seq
    kind: EventKind
    boot_id: Hex128
    mono_ms: Milliseconds
    wall_ms: Milliseconds
    clock: Clock
    data: dict[str, Scalar]


class Anchor(Struct, frozen=True, kw_only=True):
    """A moment of one boot at which the station's wall clock was synchronised: it dates everything else of that boot."""

    boot_id: Hex128
    mono_ms: Milliseconds
    wall_ms: Milliseconds


class Span(Struct, frozen=True, kw_only=True):
    """Sequence numbers from ``first`` to ``last``, both included."""

    first: Seq
    last: Seq


class EventBatch(Message, frozen=True):
    """Events in order of ``seq`` within a lane. ``sent_mono_ms`` dates those of the same boot whatever the wall clock says.

    Attributes:
        anchors: of the other boots that ``items`` come from, where there is one.
        gone: answer to ``Ask(what="resend")``: these numbers are not at the station any more, or never were used.
    """

    install_id: Hex128
    boot_id: Hex128
    sent_mono_ms: Milliseconds
    items: Annotated[list[Event], Meta(max_length=BATCH_LIMIT)]
    anchors: Annotated[list[Anchor], Meta(max_length=BATCH_LIMIT)] = field(default_factory=list)
    gone: Annotated[list[Span], Meta(max_length=BATCH_LIMIT)] = field(default_factory=list)


class Reading(Struct, frozen=True, kw_only=True):
    """One value of one sensor, in the unit announced at birth."""

    seq: Seq
    name: Name
    value: float
    boot_id: Hex128
    mono_ms: Milliseconds
    wall_ms: Milliseconds
    clock: Clock


class TelemetryBatch(Message, frozen=True):
    """Readings in order of ``seq``; ``anchors`` as with events."""

    install_id: Hex128
    boot_id: Hex128
    sent_mono_ms: Milliseconds
    items: Annotated[list[Reading], Meta(min_length=1, max_length=BATCH_LIMIT)]
    anchors: Annotated[list[Anchor], Meta(max_length=BATCH_LIMIT)] = field(default_factory=list)


class Ack(Message, frozen=True):
    """The hub has committed these; only now may the station forget them.

    Attributes:
        install_id: repeated from what is acknowledged; the station ignores any other.
        events: sequence numbers of events.
        readings: sequence numbers of readings.
        results: command ids whose final result is stored.
        replicas: ids of sealed templates that the hub carries on.
        echo: repeats ``Heartbeat.echo``: the data connection works both ways.
        anew: this connection of the hub to the broker hears the station for the first time. What the station sent before
            may never have reached it, for no broker keeps anything for the hub: the station sends it again at once.
    """

    install_id: Hex128
    events: list[int] = field(default_factory=list)
    readings: list[int] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    replicas: list[str] = field(default_factory=list)
    echo: Count = 0
    anew: bool = False
